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

struct copying {
	const struct live_namespace *namespace;
	const struct mount_line *line;
	int ret_fd, ret_errno;
};

static int clone_at(const char *path)
{
	return open_tree(AT_FDCWD, path,
			 AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | OPEN_TREE_CLONE |
				 OPEN_TREE_CLOEXEC);
}

static int copy_in_place(void *data, struct error *err)
{
	struct copying *copying = data;
	struct statx statx_;

	(void)err;
	copying->ret_errno = ENOENT;
	if (setns(copying->namespace->fd, CLONE_NEWNS) ||
	    statx(AT_FDCWD, copying->line->mountpoint, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT,
		  STATX_MNT_ID, &statx_))
		copying->ret_errno = errno;
	else if (statx_.stx_mnt_id == copying->line->id &&
		 (copying->ret_fd = clone_at(copying->line->mountpoint)) < 0)
		copying->ret_errno = errno;
	return 0;
}

static size_t index_of(const struct live_namespace *namespace, const struct mount_line *line)
{
	size_t i = 0;

	while (namespace->order.mounts[i]->mnt_id != line->id)
		i++;
	return i;
}

/* From the last on, each is on top of all that is at its place; what is locked stays. */
static int peel(const struct live_namespace *namespace, size_t target)
{
	const struct mount_namespace *order = &namespace->order;
	struct arena arena;

	arena_init(&arena);
	bool *stays = arena_array(&arena, bool, order->n_mounts);
	for (size_t i = order->n_mounts; i-- > target + 1;)
		stays[i] = umount2(order->mounts[i]->mountpoint, MNT_DETACH | UMOUNT_NOFOLLOW) != 0;
	bool covered = mount_is_covered(mount_covers_new(&arena, order), target, stays);
	arena_done(&arena);
	return covered ? -1 : 0;
}

static int copy_below_others(void *data, struct error *err)
{
	struct copying *copying = data;
	const struct surveyed_namespace *owner = copying->namespace->met->owner;
	struct stat stat_;

	(void)err;
	copying->ret_errno = EPERM;
	if (setns(copying->namespace->fd, CLONE_NEWNS) ||
	    (!owner->own && deputy_enter_user(owner->fd, 0)) || unshare(CLONE_NEWNS) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    peel(copying->namespace, index_of(copying->namespace, copying->line)))
		return 0;
	autoclose int fd = clone_at(copying->line->mountpoint);
	if (fd < 0)
		fd = open(copying->line->mountpoint, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0 && fstat(fd, &stat_) == 0 && stat_.st_dev == copying->line->device)
		copying->ret_fd = take_fd(&fd);
	return 0;
}

static int make_copy(const struct live_mount *mount)
{
	struct copying copying = { mount->namespace, mount->line, -1, 0 };
	struct error unused = { 0 };

	deputy_run(copy_in_place, &copying, &unused);
	if (copying.ret_fd < 0)
		deputy_run(copy_below_others, &copying, &unused);
	errno = copying.ret_errno;
	return copying.ret_fd;
}

int live_mount_copy(const struct live_mount *mount)
{
	if (!mount->kept)
		return make_copy(mount);
	if (*mount->kept < 0)
		*mount->kept = make_copy(mount);
	return *mount->kept < 0 ? -1 : fcntl(*mount->kept, F_DUPFD_CLOEXEC, 0);
}
