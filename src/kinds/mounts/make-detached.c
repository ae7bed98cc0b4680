// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Mounts that are attached nowhere again (detached.c). They are made like a mount namespace, with
 * all that they share; at the end a copy is taken, which is what the tree gets, and the namespace
 * goes with the restore. In it the copy keeps what it was copied from only by its propagation.
 *
 * By which namespace a copy may be copied further it has from the namespace of what it is a copy
 * of. So it is mounted first on something that was copied there, and attached nowhere, and copied
 * once more from there.
 *
 * Of those that were unmounted while in use (unmounted.c) nobody has the copy.
 */
#include "kinds/mounts/make.h"

#include "base/cleanup.h"
#include "kernel/deputy.h"
#include "kinds/mounts/kind.h"
#include "kinds/mounts/mounts.h"
#include "kinds/mounts/plan.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/openat2.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

struct detaching {
	int made_fd, from_fd; /* namespaces; from_fd -1: nestor's own */
	bool anywhere;
	int ret_fd;
};

/* Some namespaces have mounts that are locked to their root, and cannot be copied without. */
static int new_base(bool anywhere)
{
	struct mount_attr attributes = { .propagation = MS_PRIVATE };
	unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC;
	autoclose int fd = anywhere ? mount_new_tmpfs() : open_tree(AT_FDCWD, "/", flags);

	if (fd < 0 && !anywhere && errno == EINVAL)
		fd = open_tree(AT_FDCWD, "/", flags | AT_RECURSIVE);
	return fd < 0 || syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &attributes,
				 sizeof attributes)
		       ? -1
		       : take_fd(&fd);
}

static int detach(void *data, struct error *err)
{
	struct detaching *detaching = data;
	const unsigned clone = AT_EMPTY_PATH | AT_RECURSIVE | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC;
	autoclose int own_fd = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);

	if (own_fd < 0 || setns(detaching->made_fd, CLONE_NEWNS))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot enter a mount namespace");
	autoclose int copy_fd = open_tree(AT_FDCWD, "/", clone);
	if (copy_fd < 0 || setns(detaching->from_fd < 0 ? own_fd : detaching->from_fd, CLONE_NEWNS))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot copy mounts");
	autoclose int base_fd = new_base(detaching->anywhere);
	if (base_fd < 0 ||
	    move_mount(copy_fd, "", base_fd, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH))
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "cannot mount on a mount that is attached nowhere (Linux 6.15)");
	detaching->ret_fd = open_tree(copy_fd, "", clone);
	return detaching->ret_fd < 0
		       ? fail_errno(err, ERR_KERNEL_REFUSED,
				    "cannot copy mounts that are attached nowhere (Linux 6.15)")
		       : 0;
}

static int namespace_fd_of(const struct file_opener *opener, uint32_t id)
{
	for (size_t i = 0; i < opener->snapshot->n_mount_namespaces; i++)
		if (opener->snapshot->mount_namespaces[i]->id == id)
			return opener->mounts->namespaces[i].fd;
	return -1;
}

/* Whatever is opened from now on is opened in the copy. */
static void follow(const struct mount_namespace *namespace_, struct made_mount_namespace *made,
		   int copy_fd)
{
	struct open_how how = {
		.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};

	cleanup_close(&made->roots[0]);
	made->roots[0] = copy_fd;
	for (size_t i = 1; i < namespace_->n_mounts; i++) {
		const char *path = path_below(namespace_->mounts[i]->mountpoint, "/");
		if (made->roots[i] < 0)
			continue;
		cleanup_close(&made->roots[i]);
		if (*path)
			made->roots[i] = (int)syscall(SYS_openat2, copy_fd, path, &how, sizeof how);
	}
}

/* Nobody can copy it: it is dissolved when the restore closes it, but for what is open on it. */
static int unmount(void *data, struct error *err)
{
	struct detaching *detaching = data;

	if (setns(detaching->made_fd, CLONE_NEWNS))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot enter a mount namespace");
	detaching->ret_fd = open_tree(AT_FDCWD, "/", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	return detaching->ret_fd < 0
		       ? fail_errno(err, ERR_KERNEL_REFUSED, "cannot copy what is to be unmounted")
		       : 0;
}

static int detach_one(const struct file_opener *opener, const struct mount_namespace *namespace_,
		      struct made_mount_namespace *made, struct error *err)
{
	const MntDetachedEntry *entry = namespace_->mounts[0]->detached;
	struct detaching detaching = {
		.made_fd = made->fd,
		.from_fd = namespace_fd_of(opener, entry->from_ns_id),
		.anywhere = entry->anywhere,
		.ret_fd = -1,
	};

	if (deputy_run(entry->unmounted ? unmount : detach, &detaching, err) < 0)
		return fail_while(err, "mounts %" PRIu32 ", which are attached nowhere",
				  namespace_->id);
	follow(namespace_, made, detaching.ret_fd);
	return 0;
}

int mounts_detach(const struct file_opener *opener, struct error *err)
{
	const struct snapshot *snapshot = opener->snapshot;

	for (size_t i = 0; i < snapshot->n_mount_namespaces; i++)
		if (snapshot->mount_namespaces[i]->mounts[0]->detached &&
		    detach_one(opener, snapshot->mount_namespaces[i],
			       &opener->mounts->namespaces[i], err))
			return -1;
	return 0;
}

int mounts_take_detached(const struct file_opener *opener, uint32_t mount_id, uint32_t file_id)
{
	struct mount_namespace *namespace_;
	size_t index;
	const MntEntry *mount = snapshot_mount(opener->snapshot, mount_id, &namespace_, &index);

	for (size_t i = 0; mount && opener->mounts && i < opener->snapshot->n_mount_namespaces; i++)
		if (opener->snapshot->mount_namespaces[i] == namespace_ && index == 0 &&
		    mount->detached && mount->detached->file_id == file_id)
			return fcntl(opener->mounts->namespaces[i].roots[0], F_DUPFD_CLOEXEC, 0);
	return -1;
}

/* ---- check ---- */

static int check_unmounted(const struct mount_namespace *namespace_, struct error *err)
{
	const MntDetachedEntry *entry = namespace_->mounts[0]->detached;

	return namespace_->n_mounts > 1 || entry->has_file_id || entry->has_from_ns_id ||
			       entry->has_anywhere
		       ? fail(err, ERR_IMAGE_INVALID,
			      "mount %" PRIu32 " is unmounted, and has others in it, or somebody "
			      "holds it",
			      namespace_->mounts[0]->mnt_id)
		       : 0;
}

/* Nobody is in there, and a description that is as the calls give it holds it. */
int mounts_check_detached(const struct snapshot *snapshot, const struct mount_namespace *namespace_,
			  struct error *err)
{
	const MntEntry *root = namespace_->mounts[0];
	const MntDetachedEntry *entry = root->detached;

	for (size_t i = 1; i < namespace_->n_mounts; i++)
		if (namespace_->mounts[i]->detached)
			return fail(err, ERR_IMAGE_INVALID,
				    "mount %" PRIu32 " is attached nowhere, and below another one",
				    namespace_->mounts[i]->mnt_id);
	if (!entry)
		return 0;
	const struct mount_namespace *from = snapshot_mount_namespace(snapshot, entry->from_ns_id);
	if (entry->from_ns_id && (!from || from->mounts[0]->detached))
		return fail(err, ERR_IMAGE_INVALID,
			    "mounts %" PRIu32 ", which are attached nowhere, are from no known "
			    "mount namespace",
			    namespace_->id);
	for (size_t i = 0; i < snapshot->n_tasks; i++)
		if (task_mount_namespace(snapshot, &snapshot->tasks[i]) == namespace_)
			return fail(err, ERR_IMAGE_INVALID,
				    "task %s is in mounts %" PRIu32 ", which are attached nowhere",
				    task_name(&snapshot->tasks[i]), namespace_->id);
	for (size_t i = 0; i < namespace_->n_mounts; i++)
		if (namespace_->mounts[i]->covers_open || mount_is_late(namespace_->mounts[i]))
			return fail(err, ERR_UNSUPPORTED_MOUNT,
				    "mount %.200s is attached nowhere, and %s",
				    namespace_->mounts[i]->mountpoint,
				    namespace_->mounts[i]->covers_open
					    ? "covers something that is open"
					    : "shows a mount namespace");
	if (entry->unmounted)
		return check_unmounted(namespace_, err);
	const FileEntry *file = entry->has_file_id ? snapshot_file(snapshot, entry->file_id) : NULL;
	if (!file || !file->reg || file->reg->mnt_id != (int32_t)root->mnt_id ||
	    !(file->reg->flags & O_PATH))
		return fail(err, ERR_UNSUPPORTED_MOUNT,
			    "mounts %" PRIu32 " are attached nowhere, and no descriptor of the "
			    "tree is that by which they were made",
			    namespace_->id);
	return 0;
}
