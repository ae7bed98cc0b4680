// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A copy of a mount that nobody can copy any more (unmounted.c): of another mount that shows the
 * same part of the file system, or more. Where in it that is the kernel says by a handle, or what
 * is open there has the same path. What the mount allows statvfs(2) tells.
 */
#include "kinds/mounts/mounts.h"

#include "base/cleanup.h"
#include "kernel/by-handle.h"
#include "kernel/deputy.h"
#include "kernel/mount-attributes.h"
#include "kinds/mounts/kind.h"
#include "kinds/mounts/survey.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int judge(const char *what, struct error *err)
{
	return errno_tells_nothing(errno)
		       ? fail_errno(err, ERR_KERNEL_REFUSED,
				    "%s a mount that was unmounted while in use", what)
		       : 0;
}

/* ---- where else it is shown ---- */

/* The path below a mount of what a handle leads to there; "": its root. NULL with errno or 0. */
static const char *path_by_handle(struct arena *arena, const struct mount_line *line, int mount_fd,
				  int fd)
{
	union {
		struct file_handle handle;
		char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} own = { .handle.handle_bytes = MAX_HANDLE_SZ };
	char self[64], path[PATH_MAX];
	int unused;

	if (name_to_handle_at(fd, "", &own.handle, &unused, AT_EMPTY_PATH))
		return NULL;
	autoclose int found = open_by_handle_from(mount_fd, &own.handle, O_PATH | O_CLOEXEC);
	if (found < 0)
		return NULL;
	snprintf(self, sizeof self, "/proc/self/fd/%d", found);
	ssize_t length = readlink(self, path, sizeof path - 1);
	if (length <= 0)
		return NULL;
	path[length] = '\0';
	errno = 0;
	const char *below = path_is_plain(path) ? path_below(path, line->mountpoint) : NULL;
	return below ? arena_string(arena, below) : NULL;
}

/* 1: that is what the path leads to, on this mount; 0; -1 with errno */
static int leads_to(int mount_fd, const char *path, int fd)
{
	autoclose int found = *path ? survey_open_beneath(mount_fd, path, O_PATH)
				    : fcntl(mount_fd, F_DUPFD_CLOEXEC, 0);

	return found < 0 ? errno_tells_nothing(errno) ? -1 : 0 : survey_is_same(found, fd);
}

/* Takes what it has below the root of its mount off the path of something; NULL: it is no such. */
static const char *without(struct arena *arena, const char *path, const char *link)
{
	size_t length = strlen(path), below = strlen(link + strspn(link, "/"));

	if (length < below || strcmp(path + length - below, link + strspn(link, "/")) != 0 ||
	    (length > below && path[length - below - 1] != '/'))
		return NULL;
	char *root = arena_string(arena, path);
	root[length > below ? length - below - 1 : 0] = '\0';
	return root;
}

/* The path of its root on this mount; NULL with errno or 0. */
static const char *find_root(struct arena *arena, const struct mount_line *line, int mount_fd,
			     const struct unmounted *unmounted)
{
	bool has_root = unmounted->root_fd >= 0;
	int fd = has_root ? unmounted->root_fd : unmounted->fd;
	const char *as_whole = has_root ? "" : unmounted->link + 1;
	int whole = leads_to(mount_fd, as_whole, fd);

	if (whole)
		return whole < 0 ? NULL : "";
	const char *path = path_by_handle(arena, line, mount_fd, fd);
	int found = path ? leads_to(mount_fd, path, fd) : -1;
	if (found <= 0) {
		errno = path && !found ? 0 : errno;
		return NULL;
	}
	errno = 0;
	return has_root ? path : without(arena, path, unmounted->link);
}

/* The same, opened (O_PATH) on this mount; -1 with errno or 0. */
static int open_there(struct arena *arena, const struct mount_table *table,
		      const struct mount_line *line, const struct unmounted *unmounted)
{
	autoclose int mount_fd = survey_open_mount(table, line);
	const char *path = mount_fd < 0 ? NULL : find_root(arena, line, mount_fd, unmounted);

	if (!path)
		return -1;
	return *path ? survey_open_beneath(mount_fd, path, O_PATH) : take_fd(&mount_fd);
}

/* ---- the copy ---- */

struct copying {
	int fd;		  /* what is to be its root */
	int namespace_fd; /* where that may be copied; -1: nestor's own */
	int holders_fd, owner_fd, proc_fd;
	struct mount_attr attributes;
	int ret_fd; /* -1: it cannot be as it was */
};

static int copy(void *data, struct error *err)
{
	struct copying *copying = data;

	if (copying->namespace_fd >= 0 && setns(copying->namespace_fd, CLONE_NEWNS))
		return judge("cannot enter where somebody has the like of", err);
	autoclose int copy_fd =
		open_tree(copying->fd, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (copy_fd < 0 || syscall(SYS_mount_setattr, copy_fd, "", AT_EMPTY_PATH,
				   &copying->attributes, sizeof copying->attributes))
		return judge("cannot copy the like of", err);
	if (setns(copying->holders_fd, CLONE_NEWNS) ||
	    (copying->owner_fd >= 0 && deputy_enter_user(copying->owner_fd, 0)) ||
	    unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount_become_root(copy_fd))
		return judge("cannot attach a copy of", err);
	copying->ret_fd = openat(copying->proc_fd, "self/ns/mnt", O_RDONLY | O_CLOEXEC);
	return copying->ret_fd < 0 ? judge("cannot hold a copy of", err) : 0;
}

/* Ids that are mapped show at the root, and at what is open. */
static int has_its_ids(const struct unmounted *unmounted, int fd)
{
	struct stat root, copy;

	if (unmounted->root_fd < 0)
		return 1;
	if (fstat(unmounted->root_fd, &root) || fstat(fd, &copy))
		return -1;
	return root.st_uid == copy.st_uid && root.st_gid == copy.st_gid;
}

static int copy_there(const struct live_namespace *namespace_, int fd,
		      const struct unmounted *unmounted, int *ret_fd, struct error *err)
{
	const struct surveyed_namespace *holders = unmounted->holders;
	autoclose int proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	autoclose int own_fd = openat(proc_fd, "self/ns/mnt", O_RDONLY | O_CLOEXEC);
	struct copying copying = {
		.fd = fd,
		.namespace_fd = namespace_ ? namespace_->fd : -1,
		.holders_fd = holders->own ? own_fd : holders->fd,
		.owner_fd = holders->own || holders->owner->own ? -1 : holders->owner->fd,
		.proc_fd = proc_fd,
		.ret_fd = -1,
	};
	int same = has_its_ids(unmounted, fd);
	uint64_t allowed;

	if (proc_fd < 0 || same < 0 || mount_attributes_of(unmounted->fd, &allowed))
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "cannot look at a mount that was unmounted while in use");
	copying.attributes = (struct mount_attr){
		.attr_set = allowed,
		.attr_clr = (MOUNT_ATTRIBUTES & ~allowed) | MOUNT_ATTR__ATIME,
		.propagation = MS_PRIVATE,
	};
	if (!same)
		return 0;
	if (deputy_run(copy, &copying, err) < 0)
		return -1;
	*ret_fd = copying.ret_fd;
	return copying.ret_fd >= 0;
}

/* 1, 0, or -1 */
static int try_table(struct collect *collect, const struct live_namespace *namespace_,
		     const struct mount_table *table, const struct unmounted *unmounted,
		     dev_t device, int *ret_fd, struct error *err)
{
	int result = 0;

	for (size_t i = 0; i < table->n_lines && !result; i++) {
		const struct mount_line *line = &table->lines[i];
		if (line->device != device || line->removed || line->idmapped)
			continue;
		autoclose int fd = open_there(collect->arena, table, line, unmounted);
		if (fd < 0 && judge("cannot look for the like of", err))
			return -1;
		result = fd < 0 ? 0 : copy_there(namespace_, fd, unmounted, ret_fd, err);
	}
	return result;
}

int mount_unmounted_copy(struct collect *collect, const struct unmounted *unmounted, int *ret_fd,
			 struct error *err)
{
	const struct mount_survey *survey = survey_of_mounts(collect);
	struct stat stat;

	if (fstat(unmounted->fd, &stat))
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "cannot look at a mount that was unmounted while in use");
	int result = try_table(collect, NULL, &survey->own, unmounted, stat.st_dev, ret_fd, err);
	for (size_t i = 0; i < survey->n_namespaces && !result; i++)
		result = try_table(collect, &survey->namespaces[i], &survey->namespaces[i].table,
				   unmounted, stat.st_dev, ret_fd, err);
	return result;
}
