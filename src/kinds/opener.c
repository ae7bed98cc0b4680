// SPDX-License-Identifier: LGPL-2.1-or-later
/* Paths and kept descriptors of a file_opener; see opener.h. */
#include "kinds/opener.h"

#include "base/arena.h"
#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int absolute_path(char absolute[PATH_MAX], const char *path)
{
	while (*path == '/')
		path++;
	if (snprintf(absolute, PATH_MAX, "/%s", path) < PATH_MAX)
		return 0;
	errno = ENAMETOOLONG;
	return -1;
}

int opener_open_path(const struct file_opener *opener, const char *path, int flags)
{
	char absolute[PATH_MAX];

	if (opener->root_fd == AT_FDCWD)
		return absolute_path(absolute, path) ? -1 : open(absolute, flags | O_CLOEXEC);
	while (*path == '/')
		path++;
	/* openat2 refuses flags that open ignores: with O_PATH only these three mean something. */
	if (flags & O_PATH)
		flags &= O_PATH | O_DIRECTORY | O_NOFOLLOW;
	struct open_how how = { .flags = (uint64_t)(flags | O_CLOEXEC),
				.resolve = RESOLVE_IN_ROOT };
	return (int)syscall(SYS_openat2, opener->root_fd, *path ? path : ".", &how, sizeof how);
}

/* One call, where the root is the host's: nothing has to be kept from leading out of it. */
int opener_look_at(const struct file_opener *opener, const char *path, int flags,
		   struct stat *ret_found)
{
	char absolute[PATH_MAX];

	if (opener->root_fd == AT_FDCWD && absolute_path(absolute, path) == 0)
		return fstatat(AT_FDCWD, absolute, ret_found,
			       AT_NO_AUTOMOUNT | (flags & O_NOFOLLOW ? AT_SYMLINK_NOFOLLOW : 0));
	autoclose int fd = opener_open_path(opener, path, O_PATH | (flags & O_NOFOLLOW));
	return fd < 0 ? -1 : fstat(fd, ret_found);
}

int opener_set_flags(int fd, uint32_t flags)
{
	return fcntl(fd, F_SETFL, (int)(flags & (O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME)));
}

int opener_reopen(int path_fd, int flags)
{
	char self[64];

	snprintf(self, sizeof self, "/proc/self/fd/%d", path_fd);
	return open(self, (flags & ~O_NOFOLLOW) | O_CLOEXEC | O_NOCTTY);
}

int opener_settle(int fd, int flags, const struct stat *expected)
{
	struct stat opened;

	if (fstat(fd, &opened) < 0)
		return -1;
	if (opened.st_dev != expected->st_dev || opened.st_ino != expected->st_ino) {
		errno = ESTALE;
		return -1;
	}
	return fcntl(fd, F_SETFL, flags);
}

static size_t keep(struct file_opener *opener, int fd, bool pinned)
{
	size_t n = opener->n_kept_fds++;

	opener->kept_fds = arena_grow(opener->arena, opener->kept_fds, n, sizeof *opener->kept_fds);
	opener->pinned = arena_grow(opener->arena, opener->pinned, n, sizeof *opener->pinned);
	opener->kept_fds[n] = fd;
	opener->pinned[n] = pinned;
	opener->n_here += !pinned;
	return n;
}

size_t opener_keep(struct file_opener *opener, int fd)
{
	return keep(opener, fd, false);
}

size_t opener_pin(struct file_opener *opener, int fd)
{
	return keep(opener, fd, true);
}

void opener_hold(struct file_opener *opener, int fd)
{
	opener->held_fds = arena_grow(opener->arena, opener->held_fds, opener->n_held_fds,
				      sizeof *opener->held_fds);
	opener->held_fds[opener->n_held_fds++] = fd;
}

void opener_give_master(struct file_opener *opener, int fd)
{
	opener->masters = arena_grow(opener->arena, opener->masters, opener->n_masters,
				     sizeof *opener->masters);
	opener->masters[opener->n_masters++] = fd;
	opener_hold(opener, fd);
}

int opener_kept(struct file_opener *opener, size_t place)
{
	if (opener->kept_fds[place] < 0 && opener->kept_again) {
		opener->kept_fds[place] = opener->kept_again(opener, place);
		opener->n_here += opener->kept_fds[place] >= 0;
	}
	return opener->kept_fds[place];
}

int opener_take(struct file_opener *opener, size_t place)
{
	int fd = opener_kept(opener, place);

	if (fd < 0)
		return -1;
	opener->kept_fds[place] = -1;
	opener->n_here -= !opener->pinned[place];
	if (opener->let_go)
		opener->let_go(opener, place);
	return fd;
}

int opener_make_room(struct file_opener *opener, struct error *err)
{
	return opener->make_room ? opener->make_room(opener, err) : 0;
}
