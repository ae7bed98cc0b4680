// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Opening what others may have put there; see foreign.h.
 *
 * An O_PATH descriptor opens nothing: a fifo does not wait for its writer, a device is not told
 * (open(2)). What it leads to can no longer be exchanged, and /proc/self/fd opens just that.
 */
#include "base/foreign.h"

#include "base/arena.h"
#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* How often a name that was removed may be there again. */
enum { CREATE_ATTEMPTS = 8 };

const char *file_type_name(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return "a regular file";
	case S_IFDIR:
		return "a directory";
	case S_IFCHR:
		return "a character device";
	case S_IFBLK:
		return "a block device";
	case S_IFIFO:
		return "a named pipe";
	case S_IFLNK:
		return "a symbolic link";
	case S_IFSOCK:
		return "a socket";
	default:
		return "a file of unknown type";
	}
}

struct file_stamp file_stamp_of(const struct stat *status)
{
	return (struct file_stamp){ .device = status->st_dev,
				    .inode = status->st_ino,
				    .size = (uint64_t)status->st_size,
				    .changed = status->st_ctim };
}

bool file_stamp_equal(const struct file_stamp *one, const struct file_stamp *other)
{
	return one->device == other->device && one->inode == other->inode &&
	       one->size == other->size && one->changed.tv_sec == other->changed.tv_sec &&
	       one->changed.tv_nsec == other->changed.tv_nsec;
}

static int refuse_type(const char *name, mode_t mode, struct error *err)
{
	fail(err, ERR_NOT_A_REGULAR_FILE, "%s is %s", name, file_type_name(mode));
	return fail_hint(err,
			 "nothing but a regular file is opened there, and no link is followed");
}

/* A file that a third person could put into a directory where all may write. */
static int check_owner(int dir_fd, const char *name, const struct stat *status, struct error *err)
{
	struct stat directory;

	if (status->st_uid == geteuid() || status->st_uid == 0)
		return 0;
	if (fstatat(dir_fd, ".", &directory, 0))
		return fail_errno(err, ERR_IO, "cannot look at the directory of %s", name);
	if (directory.st_uid == status->st_uid || !(directory.st_mode & (S_IWGRP | S_IWOTH)))
		return 0;
	fail(err, ERR_FOREIGN_OWNER,
	     "%s belongs to user %u, who is neither the owner of the directory nor the caller",
	     name, status->st_uid);
	return fail_hint(err, "give it to whoever owns the directory, if it is to be trusted");
}

/* An O_PATH descriptor of a regular file. */
static int find(int dir_fd, const char *name, struct stat *ret_status, struct error *err)
{
	autoclose int fd = openat(dir_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT)
		return -1;
	if (fd < 0 || fstat(fd, ret_status))
		return fail_errno(err, ERR_IO, "cannot open %s", name);
	if (!S_ISREG(ret_status->st_mode))
		return refuse_type(name, ret_status->st_mode, err);
	if (check_owner(dir_fd, name, ret_status, err))
		return -1;
	return take_fd(&fd);
}

/* The errno of a failure that is in err says nothing more. */
static int end_find(int result, const struct error *err)
{
	if (result < 0 && err->name != ERR_NONE)
		errno = EIO;
	return result;
}

int foreign_look(int dir_fd, const char *name, struct stat *ret_status, struct error *err)
{
	autoclose int fd = find(dir_fd, name, ret_status, err);

	return end_find(fd < 0 ? -1 : 0, err);
}

/* Whether nobody but us and root can exchange what is there; an ACL shows in the group's bits. */
static bool is_ours_alone(int dir_fd, const char *name)
{
	struct stat directory;

	return dir_fd >= 0 && !strchr(name, '/') && fstat(dir_fd, &directory) == 0 &&
	       (directory.st_uid == 0 || directory.st_uid == geteuid()) &&
	       !(directory.st_mode & (S_IWGRP | S_IWOTH));
}

/* In such a directory: what was seen to be a regular file still is one when it is opened. */
static int open_seen(int dir_fd, const char *name, struct stat *ret_status, struct error *err)
{
	if (fstatat(dir_fd, name, ret_status, AT_SYMLINK_NOFOLLOW))
		return errno == ENOENT ? -1 : fail_errno(err, ERR_IO, "cannot look at %s", name);
	if (!S_ISREG(ret_status->st_mode))
		return refuse_type(name, ret_status->st_mode, err);
	int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW);
	return fd >= 0 ? fd : fail_errno(err, ERR_IO, "cannot open %s", name);
}

int foreign_open(int dir_fd, const char *name, struct stat *ret_status, struct error *err)
{
	struct stat own;

	if (is_ours_alone(dir_fd, name))
		return end_find(open_seen(dir_fd, name, ret_status ? ret_status : &own, err), err);
	autoclose int found = find(dir_fd, name, ret_status ? ret_status : &own, err);

	if (found < 0)
		return end_find(-1, err);
	char self[64];
	snprintf(self, sizeof self, "/proc/self/fd/%d", found);
	int fd = open(self, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		fail_errno(err, ERR_IO, "cannot open %s", name);
	return end_find(fd, err);
}

static int read_all(int fd, const char *name, char *text, size_t size, struct error *err)
{
	for (size_t length = 0; length < size;) {
		ssize_t got = read(fd, text + length, size - length);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return fail_errno(err, ERR_IO, "cannot read %s", name);
		if (got == 0)
			return fail(err, ERR_IMAGE_TRUNCATED, "%s became shorter while it was read",
				    name);
		length += (size_t)got;
	}
	return 0;
}

ssize_t foreign_read(int dir_fd, const char *name, size_t limit, struct arena *arena,
		     char **ret_text, struct error *err)
{
	struct stat status;
	autoclose int fd = foreign_open(dir_fd, name, &status, err);

	if (fd < 0)
		return -1;
	if ((uint64_t)status.st_size > limit)
		return fail(err, ERR_IMAGE_INVALID, "%s is too large", name);
	size_t size = (size_t)status.st_size;
	*ret_text = arena_alloc(arena, size + 1);
	return read_all(fd, name, *ret_text, size, err) ? -1 : (ssize_t)size;
}

ssize_t given_read(const char *path, size_t limit, struct arena *arena, char **ret_text)
{
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t length = 0;

	if (fd < 0)
		return -1;
	char *text = arena_alloc(arena, limit + 2);
	for (ssize_t got = 1; got && length <= limit; length += (size_t)got)
		if ((got = read(fd, text + length, limit + 1 - length)) < 0)
			return -1;
	errno = length > limit ? EFBIG : EINVAL;
	*ret_text = text;
	return length > limit || strlen(text) != length ? -1 : (ssize_t)length;
}

/* ---- Creating ---- */

/* 1 where a regular file is there, 0 where nothing is. */
static int look_before_creating(int dir_fd, const char *name, const char *what, struct error *err)
{
	struct stat status;

	if (fstatat(dir_fd, name, &status, AT_SYMLINK_NOFOLLOW)) {
		if (errno == ENOENT)
			return 0;
		return fail_errno(err, ERR_IO, "cannot look at %s %s", what, name);
	}
	if (S_ISREG(status.st_mode))
		return 1;
	refuse_type(name, status.st_mode, err);
	return fail_while(err, "cannot create %s", what);
}

int foreign_can_replace(int dir_fd, const char *name, const char *what, struct error *err)
{
	return look_before_creating(dir_fd, name, what, err) < 0 ? -1 : 0;
}

int foreign_can_create(int dir_fd, const char *name, const char *what, struct error *err)
{
	char folder[PATH_MAX];
	const char *slash = strrchr(name, '/');
	int length = slash ? (int)(slash - name) + 1 : 0;

	if (look_before_creating(dir_fd, name, what, err) < 0)
		return -1;
	if (snprintf(folder, sizeof folder, "%.*s.", length, name) >= (int)sizeof folder)
		return fail(err, ERR_IO, "cannot create %s: its name is too long", what);
	if (faccessat(dir_fd, folder, W_OK | X_OK, AT_EACCESS))
		return fail_errno(err, ERR_IO, "cannot create %s %s", what, name);
	return 0;
}

int foreign_create(int dir_fd, const char *name, mode_t mode, const char *what, struct error *err)
{
	for (int attempt = 0; attempt < CREATE_ATTEMPTS; attempt++) {
		int there = look_before_creating(dir_fd, name, what, err);
		if (there < 0)
			return -1;
		if (there && unlinkat(dir_fd, name, 0) && errno != ENOENT)
			return fail_errno(err, ERR_IO, "cannot replace %s %s", what, name);
		/* O_EXCL follows no link, and opens nothing that is there. */
		int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
		if (fd >= 0)
			return fd;
		if (errno != EEXIST)
			return fail_errno(err, ERR_IO, "cannot create %s %s", what, name);
	}
	return fail(err, ERR_IO, "cannot create %s: somebody puts %s there again and again", what,
		    name);
}
