// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A tmpfs whose last mount was unmounted while in use (unmounted.c): nobody has another that could
 * be copied. A new one stands for it among the mounts of the tree, in a namespace of its own, and
 * what is looked at is the root directory that the tree can still reach. Its size and number of
 * inodes statfs(2) tells; huge pages, memory policy and what else it was mounted with show nowhere,
 * nor does it whether the mount maps ids, or which of both is read-only: it is the mount then.
 *
 * Where no directory leads to its root it is refused, and so is any other file system.
 */
#include "kinds/mounts/mounts.h"

#include "base/cleanup.h"
#include "kernel/deputy.h"
#include "kernel/mount-attributes.h"
#include "kinds/mounts/kind.h"
#include "kinds/mounts/survey.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

struct standing {
	const struct memory_like *like;
	int namespace_fd, owner_fd, proc_fd; /* namespace_fd, owner_fd -1: nestor's own */
	int ret_fd;
};

static int fail_standing(struct error *err)
{
	return fail_errno(err, ERR_KERNEL_REFUSED,
			  "cannot mount the like of a tmpfs that was unmounted while in use");
}

static int new_like(const struct memory_like *like, struct error *err)
{
	autoclose int context_fd = fsopen("tmpfs", FSOPEN_CLOEXEC);

	if (context_fd < 0)
		return fail_standing(err);
	if (mount_set(context_fd, "size", like->size, err) ||
	    mount_set(context_fd, "nr_inodes", like->inodes, err) ||
	    (*like->mode && mount_set(context_fd, "mode", like->mode, err)) ||
	    (*like->uid && mount_set(context_fd, "uid", like->uid, err)) ||
	    (*like->gid && mount_set(context_fd, "gid", like->gid, err)))
		return -1;
	if (fsconfig(context_fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		return fail_standing(err);
	int fd = fsmount(context_fd, FSMOUNT_CLOEXEC, (unsigned)like->attributes);
	return fd < 0 ? fail_standing(err) : fd;
}

static int stand_in(void *data, struct error *err)
{
	struct standing *standing = data;

	if (standing->namespace_fd >= 0 && setns(standing->namespace_fd, CLONE_NEWNS))
		return survey_fail_enter("mount", err);
	autoclose int fd = new_like(standing->like, err);
	if (fd < 0)
		return -1;
	if ((standing->owner_fd >= 0 && deputy_enter_user(standing->owner_fd, 0)) ||
	    unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount_become_root(fd))
		return fail_standing(err);
	standing->ret_fd = openat(standing->proc_fd, "self/ns/mnt", O_RDONLY | O_CLOEXEC);
	return standing->ret_fd < 0 ? fail_standing(err) : 0;
}

int mount_memory_stand_in(const struct memory_like *like, int *ret_fd, struct error *err)
{
	const struct surveyed_namespace *holders = like->holders;
	autoclose int proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct standing standing = {
		.like = like,
		.namespace_fd = holders->own ? -1 : holders->fd,
		.owner_fd = holders->own || holders->owner->own ? -1 : holders->owner->fd,
		.proc_fd = proc_fd,
		.ret_fd = -1,
	};

	if (proc_fd < 0)
		return fail_standing(err);
	if (deputy_run(stand_in, &standing, err) < 0)
		return -1;
	*ret_fd = standing.ret_fd;
	return 1;
}

/* What is known of a superblock by a mount that stands in for it, too. */
static bool is_shown(const struct mount_table *table, dev_t device)
{
	for (size_t i = 0; i < table->n_lines; i++)
		if (table->lines[i].device == device)
			return true;
	return false;
}

/* 1, 0, or -1 with errno */
static int has_same_root(const struct live_namespace *namespace_, const struct unmounted *unmounted)
{
	return namespace_->stands_in ? survey_is_same(namespace_->table.root_fd, unmounted->root_fd)
				     : 0;
}

/* Is it one that shows nowhere else, or by such mounts with the same root? 1, 0, or -1. */
static int is_last(const struct mount_survey *survey, const struct unmounted *unmounted,
		   struct error *err)
{
	struct statfs fs;
	struct stat stat;
	int same = 1;

	if (unmounted->root_fd < 0)
		return 0;
	if (fstatfs(unmounted->root_fd, &fs) || fstat(unmounted->root_fd, &stat))
		return fail_standing(err);
	if (fs.f_type != TMPFS_MAGIC || is_shown(&survey->own, stat.st_dev))
		return 0;
	for (size_t i = 0; i < survey->n_namespaces && same > 0; i++)
		if (is_shown(&survey->namespaces[i].table, stat.st_dev))
			same = has_same_root(&survey->namespaces[i], unmounted);
	return same < 0 ? fail_standing(err) : same;
}

int mount_unmounted_stand_in(struct collect *collect, const struct unmounted *unmounted,
			     int *ret_fd, struct error *err)
{
	int last = is_last(survey_of_mounts(collect), unmounted, err);
	struct memory_like like = { .holders = unmounted->holders };
	struct statfs fs;

	if (last <= 0)
		return last;
	if (fstatfs(unmounted->root_fd, &fs) ||
	    mount_attributes_of(unmounted->root_fd, &like.attributes))
		return fail_standing(err);
	snprintf(like.size, sizeof like.size, "%" PRIu64,
		 (uint64_t)fs.f_blocks * (uint64_t)fs.f_bsize);
	snprintf(like.inodes, sizeof like.inodes, "%" PRIu64, (uint64_t)fs.f_files);
	return mount_memory_stand_in(&like, ret_fd, err);
}

int mount_unmounted_explain(const struct mount_survey *survey, const struct unmounted *unmounted,
			    const char **ret_why, struct error *err)
{
	struct stat stat;

	if (fstat(unmounted->fd, &stat))
		return fail_standing(err);
	bool shown = is_shown(&survey->own, stat.st_dev);
	for (size_t i = 0; i < survey->n_namespaces; i++)
		shown = shown || is_shown(&survey->namespaces[i].table, stat.st_dev);
	*ret_why = shown ? "was unmounted while in use, or is that of somebody outside, and no "
			   "other one shows the same files with the same owners"
		   : unmounted->root_fd < 0
			   ? "was unmounted while in use, of a file system that nobody else shows, "
			     "and no directory leads to it"
			   : "was unmounted while in use, of a file system that nobody else shows "
			     "and that is no tmpfs";
	return 0;
}

int mount_unmounted_take_place(struct live_namespace *namespace_, const struct unmounted *unmounted,
			       struct error *err)
{
	struct mount_line *line = &namespace_->table.lines[0];
	int root_fd = fcntl(unmounted->root_fd, F_DUPFD_CLOEXEC, 0);
	struct stat stat;

	if (root_fd < 0 || fstat(root_fd, &stat)) {
		cleanup_close(&root_fd);
		return fail_standing(err);
	}
	cleanup_close(&namespace_->table.root_fd);
	namespace_->table.root_fd = root_fd;
	namespace_->stands_in = true;
	line->id = (uint32_t)unmounted->id;
	line->device = stat.st_dev;
	return 0;
}
