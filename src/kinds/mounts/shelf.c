// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What is attached nowhere can be copied since Linux 6.15 only (open_tree(2)). Before, superblocks
 * that were made stand on a shelf: in a mount namespace of their own, where whoever wants a copy of
 * one goes and takes it. It is made when the first is asked for, and goes with its descriptor.
 */
#include "kinds/mounts/make.h"

#include "base/cleanup.h"
#include "kernel/deputy.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>

struct taking {
	struct mount_shelf *shelf;
	int superblock_fd;
	int what_fd; /* in it */
	int ret_fd;
};

int mount_go_bare(struct error *err)
{
	autoclose int stage_fd = -1;

	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "cannot make a mount namespace for file systems");
	return mounts_leave_all(&stage_fd, err);
}

int mount_enter_bare(struct error *err)
{
	autoclose int proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (proc_fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot open /proc");
	if (mount_go_bare(err))
		return -1;
	int fd = openat(proc_fd, "self/ns/mnt", O_RDONLY | O_CLOEXEC);
	return fd < 0 ? fail_errno(err, ERR_KERNEL_REFUSED, "cannot open a mount namespace") : fd;
}

static int clone_it(struct taking *taking)
{
	taking->ret_fd =
		open_tree(taking->what_fd, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	return taking->ret_fd < 0 ? -1 : 0;
}

static int put_there(struct taking *taking)
{
	char place[24];

	snprintf(place, sizeof place, "/%u", taking->shelf->n++);
	return mkdir(place, 0700) || move_mount(taking->superblock_fd, "", AT_FDCWD, place,
						MOVE_MOUNT_F_EMPTY_PATH)
		       ? -1
		       : 0;
}

/* In a deputy. Those that stand there already can be copied at once. */
static int take(void *data, struct error *err)
{
	struct taking *taking = data;
	struct mount_shelf *shelf = taking->shelf;

	if (shelf->fd < 0 && (shelf->fd = mount_enter_bare(err)) < 0)
		return -1;
	if (setns(shelf->fd, CLONE_NEWNS))
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "cannot enter the mount namespace of file systems");
	if (clone_it(taking) == 0 ||
	    (errno == EINVAL && put_there(taking) == 0 && clone_it(taking) == 0))
		return 0;
	return fail_errno(err, ERR_KERNEL_REFUSED, "cannot copy a mount (open_tree)");
}

int mount_shelf_copy(struct mount_shelf *shelf, int superblock_fd, int fd, struct error *err)
{
	struct taking taking = { shelf, superblock_fd, fd, -1 };

	if (!shelf)
		return fail(err, ERR_KERNEL_REFUSED, "cannot copy a mount without the shelf");
	return deputy_run(take, &taking, err) < 0 ? -1 : taking.ret_fd;
}
