// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * File systems that are served by tasks of the tree (FUSE): these stand still, and who asks for
 * anything there waits for ever, with the tree stopped. Which there are is found out by
 * kinds/mounts.
 */
#include "collect/collect.h"

#include "base/cleanup.h"
#include "model/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

bool collect_is_silent(const struct collect *collect, dev_t device)
{
	for (size_t i = 0; i < collect->silent.n; i++)
		if (collect->silent.devices[i] == device)
			return true;
	return false;
}

bool collect_path_is_silent(const struct collect *collect, const char *path)
{
	for (size_t i = 0; i < collect->silent.n_paths; i++)
		if (path_below(path, collect->silent.paths[i]))
			return true;
	return false;
}

int collect_fd_is_silent(const struct collect *collect, int fd)
{
	struct statx found;

	if (!collect->silent.n)
		return 0;
	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, 0, &found))
		return -1;
	return collect_is_silent(collect, makedev(found.stx_dev_major, found.stx_dev_minor));
}

/* ---- paths, step by step ---- */

struct walk {
	const struct collect *collect;
	int root_fd; /* that is not left; -1: nestor's own */
	int fd;	     /* where it has come to */
	char rest[2 * PATH_MAX];
	unsigned links;
};

enum { MOST_LINKS = 40 };

/* 1, 0, or -1 with errno */
static int is_same_directory(int one_fd, int other_fd)
{
	struct statx one, other;
	const int flags = AT_EMPTY_PATH | AT_STATX_DONT_SYNC;

	if (statx(one_fd, "", flags, STATX_INO | STATX_MNT_ID, &one) ||
	    statx(other_fd, "", flags, STATX_INO | STATX_MNT_ID, &other))
		return -1;
	return one.stx_ino == other.stx_ino && one.stx_mnt_id == other.stx_mnt_id;
}

static int open_next(const struct walk *walk, const char *name)
{
	int stays = strcmp(name, "..") == 0 && walk->root_fd >= 0
			    ? is_same_directory(walk->fd, walk->root_fd)
			    : 0;

	return stays < 0 ? -1
			 : openat(walk->fd, stays ? "." : name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
}

/* 1, or -1 with errno */
static int go_to(struct walk *walk, int fd)
{
	if (fd < 0)
		return -1;
	close(walk->fd);
	walk->fd = fd;
	return 1;
}

/* Where a link leads to comes before what is left of the way. 1, or -1 with errno. */
static int follow(struct walk *walk, int link_fd)
{
	char target[PATH_MAX], rest[PATH_MAX];
	ssize_t length = readlinkat(link_fd, "", target, sizeof target - 1);

	if (length < 0)
		return -1;
	errno = ELOOP;
	if (++walk->links > MOST_LINKS)
		return -1;
	errno = ENAMETOOLONG;
	if (strlen(walk->rest) >= sizeof rest)
		return -1;
	target[length] = '\0';
	snprintf(rest, sizeof rest, "%s", walk->rest);
	snprintf(walk->rest, sizeof walk->rest, "%s/%s", target, rest);
	if (target[0] != '/')
		return 1;
	return go_to(walk, walk->root_fd >= 0 ? fcntl(walk->root_fd, F_DUPFD_CLOEXEC, 0)
					      : open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
}

/* Takes the first name off what is left; its length, 0: there is none. */
static size_t take_name(struct walk *walk, char name[NAME_MAX + 1])
{
	size_t begin = strspn(walk->rest, "/"), length = strcspn(walk->rest + begin, "/");
	char *after = walk->rest + begin + length;

	if (length <= NAME_MAX) {
		memcpy(name, walk->rest + begin, length);
		name[length] = '\0';
	}
	memmove(walk->rest, after, strlen(after) + 1);
	return length;
}

/* 1: goes on; 0: that was all; -1 with errno. */
static int step(struct walk *walk, bool follows_last)
{
	char name[NAME_MAX + 1];
	size_t length = take_name(walk, name);
	struct stat found;

	errno = ENAMETOOLONG;
	if (!length || length > NAME_MAX)
		return length ? -1 : 0;
	autoclose int next = open_next(walk, name);
	int silent = next < 0 ? -1 : collect_fd_is_silent(walk->collect, next);
	if (silent < 0 || (!silent && fstat(next, &found)))
		return -1;
	if (silent || !S_ISLNK(found.st_mode))
		return go_to(walk, take_fd(&next));
	return !walk->rest[0] && !follows_last ? 0 : follow(walk, next);
}

int collect_way_is_silent(const struct collect *collect, int root_fd, int start_fd,
			  const char *path, bool follows_last)
{
	struct walk walk = { .collect = collect, .root_fd = root_fd };
	int more = 1, silent = 0;

	if (!collect->silent.n)
		return 0;
	errno = ENAMETOOLONG;
	if (strlen(path) >= PATH_MAX)
		return -1;
	strcpy(walk.rest, path);
	walk.fd = start_fd == AT_FDCWD ? open("/", O_PATH | O_DIRECTORY | O_CLOEXEC)
				       : fcntl(start_fd, F_DUPFD_CLOEXEC, 0);
	/* What leads nowhere, or is not to be seen, is so for whoever opens it, too. */
	while (more > 0 && silent == 0) {
		more = walk.fd < 0 ? -1 : step(&walk, follows_last);
		silent = more < 0 ? 0 : collect_fd_is_silent(collect, walk.fd);
	}
	int failure = errno;
	cleanup_close(&walk.fd);
	errno = failure;
	if (more < 0 || silent < 0)
		return -1;
	if (silent > 0)
		return walk.rest[strspn(walk.rest, "/")] ? WAY_THROUGH_SILENT : WAY_TO_SILENT;
	return 0;
}
