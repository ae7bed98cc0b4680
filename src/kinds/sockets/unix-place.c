// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Where the name of a unix socket is in a live tree. The address is the string that bind(2) was
 * given; it leads to the socket from where the task was then. It may have been relative to a
 * working directory, the task may have another root by now (chroot(2), a mount namespace), or the
 * name was changed afterwards (rename(2), link(2) and unlink(2), as servers do that want to have
 * their name only when they listen). The kernel knows the directory entry that was made
 * (SIOCUNIXFILE), and that is found again.
 *
 * At a restore the socket is bound in the directory where it is now, by the last part of its
 * address, and gets its name then. If the address begins at a descriptor (/proc/self/fd/N) the
 * directory is at this number for the moment; if it leads to another directory (rename(2)), the
 * socket is bound below a directory that stands in the right one for the moment.
 */
#include "kinds/sockets/unix.h"

#include "base/cleanup.h"
#include "base/listing.h"
#include "base/names.h"
#include "collect/collect.h"
#include "kinds/places.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * Does it lead into a file system whose driver stands still? The socket, which is in none
 * (check_served), is not there; and who asked would wait for ever. True with errno.
 */
static bool is_silent(const struct collect *collect, int root_fd, int start_fd, const char *path)
{
	int silent = collect_way_is_silent(collect, root_fd, start_fd, path, false);

	if (silent > 0)
		errno = ENOENT;
	return silent != 0;
}

/* What has the path now, as the task that holds the socket sees it (O_PATH). */
static int open_in_task(const struct target *target, const char *path)
{
	struct open_how how = { .flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
				.resolve = RESOLVE_IN_ROOT };
	autoclose int start =
		target_open(target, path[0] == '/' ? "root" : "cwd", O_PATH | O_DIRECTORY);

	if (path[0] != '/')
		how.resolve = RESOLVE_NO_MAGICLINKS;
	return start < 0 || is_silent(target->collect, path[0] == '/' ? start : -1, start, path)
		       ? -1
		       : (int)syscall(SYS_openat2, start, path, &how, sizeof how);
}

/* The same of our own mount namespace. */
static int open_own(const struct target *target, const char *path)
{
	return is_silent(target->collect, -1, AT_FDCWD, path)
		       ? -1
		       : open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
}

/* 1; 0; -1 with errno. `fd` is what an open(2) has returned just now. */
static int is_inode(int fd, const struct stat *inode)
{
	struct stat found;

	if (fd < 0)
		return names_lead_nowhere(errno) ? 0 : -1;
	if (fstat(fd, &found) < 0)
		return -1;
	return S_ISSOCK(found.st_mode) &&
	       (inode->st_dev ? found.st_ino == inode->st_ino && found.st_dev == inode->st_dev
			      : (uint32_t)found.st_ino == (uint32_t)inode->st_ino);
}

/* The same of what `other_fd` is of. */
static int is_same(int fd, int other_fd)
{
	struct stat one, other;

	if (fd < 0)
		return names_lead_nowhere(errno) ? 0 : -1;
	if (fstat(fd, &one) < 0 || fstat(other_fd, &other) < 0)
		return -1;
	return one.st_ino == other.st_ino && one.st_dev == other.st_dev;
}

/* 1; 0: it has none; -1 with errno. */
static int path_of_fd(int fd, char *text)
{
	char self[64];

	snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
	ssize_t length = readlink(self, text, PATH_MAX - 1);
	if (length < 0)
		return -1;
	text[length] = '\0';
	return text[0] == '/';
}

/* Another name of the inode in the directory that the first one was in; -1 with errno or 0. */
static int find_other_name(const struct target *target, int path_fd, const struct stat *inode)
{
	char path[PATH_MAX], self[64];
	const struct dirent *entry;

	if (path_of_fd(path_fd, path) <= 0)
		return -1;
	*strrchr(path, '/') = '\0';
	autoclose int directory = open_in_task(target, path[0] ? path : "/");
	snprintf(self, sizeof self, "/proc/self/fd/%d", directory);
	autoclosedir DIR *entries = directory < 0 ? NULL : listing_open(AT_FDCWD, self);
	while (listing_next_entry(entries, &entry)) {
		if (entry->d_ino != inode->st_ino)
			continue;
		autoclose int fd =
			openat(directory, entry->d_name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		int found = is_inode(fd, inode);
		if (found)
			return found < 0 ? -1 : take_fd(&fd);
	}
	return -1;
}

/* The directory entry that was bound, if it is one still; else another of the inode. */
static int find_bound(const struct target *target, int path_fd, const struct stat *inode)
{
	static const char suffix[] = " (deleted)";
	char path[PATH_MAX];

	if (path_of_fd(path_fd, path) <= 0)
		return -1;
	size_t length = strlen(path), end = strlen(suffix);
	if (length > end && strcmp(path + length - end, suffix) == 0)
		return find_other_name(target, path_fd, inode);
	return fcntl(path_fd, F_DUPFD_CLOEXEC, 0);
}

static int fail_place(const struct open_file *file, const UnixSkEntry *sk, struct error *err)
{
	return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot look for its name (%s)", file->what,
			  (const char *)sk->name.data);
}

/* Where a mount namespace of the tree has it. */
static int collect_inside(const struct open_file *file, int fd, UnixSkEntry *sk, struct error *err)
{
	struct collect *collect = file->target->collect;
	uint32_t mount_id;
	const char *path;
	int found = mount_of_inode(collect, fd, &mount_id, &path, file->what, err);

	if (found <= 0)
		return found;
	sk->has_mnt_id = true;
	sk->mnt_id = (int32_t)mount_id;
	sk->place = arena_string(collect->arena, path);
	return 1;
}

/* Is the directory of the address, perhaps by links or a descriptor, that of the place? */
static int is_of_place(const struct target *target, const UnixSkEntry *sk)
{
	const char *name = (const char *)sk->name.data;
	char start[PATH_MAX], named[PATH_MAX], directory[PATH_MAX];

	if (unix_place_begins(sk, start) || unix_name_descriptor(sk) >= 0)
		return 1;
	if (name[0] != '/')
		return 0;
	/* What stands for the directory may be a link ("/var/run"). */
	snprintf(named, sizeof named, "%.*s/.", (int)(strrchr(name, '/') - name), name);
	snprintf(directory, sizeof directory, "%.*s/.", (int)(strrchr(sk->place, '/') - sk->place),
		 sk->place);
	autoclose int one = open_in_task(target, directory);
	if (one < 0)
		return names_lead_nowhere(errno) ? 0 : -1;
	autoclose int other = open_in_task(target, named);
	return is_same(other, one);
}

/* In our own mount namespace: its path there; none leads to what is mounted nowhere. */
static int set_own_place(const struct open_file *file, int fd, UnixSkEntry *sk, struct error *err)
{
	char path[PATH_MAX];

	int has_path = path_of_fd(fd, path);
	if (has_path < 0)
		return fail_place(file, sk, err);
	if (!has_path || !path_is_plain(path))
		return 0;
	autoclose int found = open_own(file->target, path);
	int same = is_same(found, fd);
	if (same < 0)
		return fail_place(file, sk, err);
	if (same)
		sk->place = arena_string(file->target->collect->arena, path);
	return 0;
}

static int keep(int fd, struct error *err)
{
	int kept = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	return kept >= 0 ? kept : fail_errno(err, ERR_KERNEL_REFUSED, "cannot keep a name");
}

/*
 * It is not where its address leads to. On a mount that nobody of the tree has, no path leads to
 * it: then it is as good as gone.
 */
static int collect_moved(const struct open_file *file, int fd, UnixSkEntry *sk, struct error *err)
{
	struct error unreachable = { 0 };
	int inside = collect_inside(file, fd, sk, &unreachable);

	if (inside < 0 && unreachable.os_errno) {
		*err = unreachable;
		return -1;
	}
	if (!inside && set_own_place(file, fd, sk, err))
		return -1;
	if (!sk->place)
		return -2;
	int of_place = is_of_place(file->target, sk);
	if (of_place < 0)
		return fail_place(file, sk, err);
	sk->has_moved = !of_place;
	sk->moved = !of_place;
	return keep(fd, err);
}

/* Where the address leads the task to; it may have another root than we have. */
static int collect_named(const struct open_file *file, int fd, const struct stat *inode,
			 UnixSkEntry *sk, struct error *err)
{
	int inside = collect_inside(file, fd, sk, err);

	if (inside < 0)
		return -1;
	if (!inside) {
		autoclose int ours = open_own(file->target, (const char *)sk->name.data);
		int leads_there = is_inode(ours, inode);
		if (leads_there < 0)
			return fail_place(file, sk, err);
		if (!leads_there && set_own_place(file, fd, sk, err))
			return -1;
	}
	return keep(fd, err);
}

int unix_place_find(const struct open_file *file, UnixSkEntry *sk, int path_fd,
		    const struct stat *inode, struct error *err)
{
	const char *name = (const char *)sk->name.data;

	if (!inode->st_nlink)
		return -2;
	autoclose int named_fd = open_in_task(file->target, name);
	int is_named = is_inode(named_fd, inode);
	if (is_named < 0)
		return fail_place(file, sk, err);
	if (is_named && name[0] == '/')
		return collect_named(file, named_fd, inode, sk, err);
	if (path_fd < 0 && name[0] == '/')
		return -2;
	if (path_fd >= 0) {
		cleanup_close(&named_fd);
		errno = 0;
		named_fd = find_bound(file->target, path_fd, inode);
		if (named_fd < 0 && errno && errno != ENOENT)
			return fail_place(file, sk, err);
		is_named = named_fd < 0 ? 0 : is_inode(named_fd, inode);
	}
	if (is_named < 0)
		return fail_place(file, sk, err);
	if (!is_named)
		return fail(err, ERR_UNSUPPORTED_FILE, "%s: its name (%s) cannot be found",
			    file->what, name);
	return collect_moved(file, named_fd, sk, err);
}
