// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Copies of mounts of the tree, attached nowhere, in which nothing is mounted: so all that is in
 * them can be seen. open_tree(2) makes one inside of the namespace, unless something hides the
 * mount or is locked in it. What hides it can be taken away in a copy of the namespace, by whoever
 * owns it, as far as it is not locked; locks stay as they are where the owner of the copy is the
 * same. What is locked in a mount stays mounted in its copy, also when the copy of the namespace
 * has gone (disconnect_mount, fs/namespace.c).
 */
#include "kinds/mounts/survey.h"

#include "base/cleanup.h"
#include "kernel/deputy.h"
#include "kinds/mounts/kind.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

struct copying {
	const struct live_namespace *namespace;
	const struct mount_line *line;
	int ret_fd; /* -1: hidden */
};

static int clone_at(const char *path)
{
	return open_tree(AT_FDCWD, path,
			 AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | OPEN_TREE_CLONE |
				 OPEN_TREE_CLOEXEC);
}

static int fail_copy(const struct copying *copying, struct error *err)
{
	return fail_errno(err, ERR_KERNEL_REFUSED, "cannot copy mount %s",
			  copying->line->mountpoint);
}

static int copy_in_place(void *data, struct error *err)
{
	struct copying *copying = data;
	const char *path = copying->line->mountpoint;
	struct statx statx_;

	if (setns(copying->namespace->fd, CLONE_NEWNS))
		return fail_copy(copying, err);
	/* As survey_mount_id does: who serves it may stand still. */
	if (statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC, 0,
		  &statx_))
		return survey_is_absent(errno) ? 0 : fail_copy(copying, err);
	if (statx_.stx_mnt_id == copying->line->id)
		copying->ret_fd = clone_at(path);
	else
		return 0;
	return copying->ret_fd < 0 && errno_tells_nothing(errno) ? fail_copy(copying, err) : 0;
}

static size_t index_of(const struct live_namespace *namespace, const struct mount_line *line)
{
	size_t i = 0;

	while (namespace->order.mounts[i]->mnt_id != line->id)
		i++;
	return i;
}

/* From the last on, each is on top of all that is at its place; what is locked stays. */
static int peel(const struct copying *copying, size_t target, bool *ret_covered, struct error *err)
{
	const struct mount_namespace *order = &copying->namespace->order;
	struct arena arena;
	int result = 0;

	arena_init(&arena);
	bool *stays = arena_array(&arena, bool, order->n_mounts);
	for (size_t i = order->n_mounts; i-- > target + 1 && !result;) {
		stays[i] = umount2(order->mounts[i]->mountpoint, MNT_DETACH | UMOUNT_NOFOLLOW) != 0;
		if (stays[i] && (errno == EPERM || errno_tells_nothing(errno)))
			result = fail_copy(copying, err);
	}
	*ret_covered = mount_is_covered(mount_covers_new(&arena, order), target, stays);
	arena_done(&arena);
	return result;
}

/* What cannot be bound can be opened. */
static int take_uncovered(struct copying *copying, struct error *err)
{
	struct statx found;
	autoclose int fd = clone_at(copying->line->mountpoint);

	if (fd < 0 && !errno_tells_nothing(errno))
		fd = open(copying->line->mountpoint, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 ? !survey_is_absent(errno)
		   : statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, 0, &found))
		return fail_copy(copying, err);
	if (fd >= 0 && makedev(found.stx_dev_major, found.stx_dev_minor) == copying->line->device)
		copying->ret_fd = take_fd(&fd);
	return 0;
}

static int copy_below_others(void *data, struct error *err)
{
	struct copying *copying = data;
	const struct surveyed_namespace *owner = copying->namespace->met->owner;
	bool covered = true;

	if (setns(copying->namespace->fd, CLONE_NEWNS) ||
	    (!owner->own && deputy_enter_user(owner->fd, 0)) || unshare(CLONE_NEWNS) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return fail_copy(copying, err);
	if (peel(copying, index_of(copying->namespace, copying->line), &covered, err))
		return -1;
	return covered ? 0 : take_uncovered(copying, err);
}

/* In what nobody can copy nothing is mounted either (unmounted.c). */
static int take_itself(const struct live_mount *mount, int *ret_fd, struct error *err)
{
	*ret_fd = fcntl(mount->namespace->table.root_fd, F_DUPFD_CLOEXEC, 0);
	return *ret_fd < 0 ? fail_errno(err, ERR_KERNEL_REFUSED, "cannot look at mount %s",
					mount->line->mountpoint)
			   : 0;
}

static int make_copy(const struct live_mount *mount, int *ret_fd, struct error *err)
{
	if (mount->namespace->stands_in)
		return take_itself(mount, ret_fd, err);
	struct copying copying = { mount->namespace, mount->line, mount_ahead_take(mount) };

	if (copying.ret_fd >= 0)
		return *ret_fd = copying.ret_fd, 0;
	if (deputy_run(copy_in_place, &copying, err) ||
	    (copying.ret_fd < 0 && deputy_run(copy_below_others, &copying, err)))
		return -1;
	*ret_fd = copying.ret_fd;
	return 0;
}

int live_mount_copy(const struct live_mount *mount, int *ret_fd, struct error *err)
{
	*ret_fd = -1;
	if (!mount->kept)
		return make_copy(mount, ret_fd, err);
	if (*mount->kept < 0 && make_copy(mount, mount->kept, err))
		return -1;
	if (*mount->kept < 0)
		return 0;
	*ret_fd = fcntl(*mount->kept, F_DUPFD_CLOEXEC, 0);
	return *ret_fd < 0 ? fail_errno(err, ERR_KERNEL_REFUSED, "cannot copy mount %s",
					mount->line->mountpoint)
			   : 0;
}

int live_superblock_copy(const struct live_superblock *superblock, int *ret_fd, struct error *err)
{
	if (live_mount_copy(&superblock->mounts[0], ret_fd, err))
		return -1;
	return *ret_fd < 0 ? fail(err, ERR_UNSUPPORTED_MOUNT,
				  "%s is hidden by other mounts, so its content cannot be seen",
				  superblock->what)
			   : 0;
}
