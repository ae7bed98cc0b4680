// SPDX-License-Identifier: LGPL-2.1-or-later
/* See outside.h. */
#include "kinds/net/outside.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/listing.h"
#include "base/procfs.h"
#include "kernel/aside.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

#define BOOT_ID "/proc/sys/kernel/random/boot_id"

struct search {
	net_namespace_visitor each;
	void *data;
	ino_t *seen;
	size_t n_seen;
	int shortage; /* errno that kept one from being looked at */
};

/* Returns whether it is new; inodes of all sorts of namespaces are numbers of one file system. */
static bool remember(struct search *search, ino_t inode)
{
	for (size_t i = 0; i < search->n_seen; i++)
		if (search->seen[i] == inode)
			return false;
	ino_t *more = realloc(search->seen, (search->n_seen + 1) * sizeof *more);
	if (!more)
		out_of_memory();
	search->seen = more;
	search->seen[search->n_seen++] = inode;
	return true;
}

/* What is gone, or not for us, is none; for want of something it is not known. */
static int not_seen(struct search *search)
{
	if (errno_tells_nothing(errno))
		search->shortage = errno;
	return 0;
}

static int look_at(struct search *search, const char *path)
{
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat stat;

	if (fd < 0 || fstat(fd, &stat))
		return not_seen(search);
	if (!remember(search, stat.st_ino))
		return 0;
	int found = search->each(fd, search->data);
	return found < 0 ? not_seen(search) : found;
}

/*
 * Those that are kept by a mount, as ip-netns(8) does: "ID PARENT DEV net:[INODE] POINT ..." in the
 * list of a process, whose root the points are below.
 */
static int look_at_mounts(struct search *search, const char *process)
{
	autofree char *line = NULL;
	char root[64], point[1024], path[1400];
	size_t room = 0;
	int found = 0;

	snprintf(path, sizeof path, "/proc/%s/mountinfo", process);
	FILE *mounts = fopen(path, "re");
	if (!mounts)
		return not_seen(search);
	while (!found && getline(&line, &room, mounts) > 0) {
		if (sscanf(line, "%*s %*s %*s %63s %1023s", root, point) != 2 ||
		    strncmp(root, "net:[", 5) != 0)
			continue;
		snprintf(path, sizeof path, "/proc/%s/root%s", process, point);
		found = look_at(search, path);
	}
	if (ferror(mounts))
		not_seen(search);
	fclose(mounts);
	return found;
}

static bool is_new_mount_namespace(struct search *search, const char *process)
{
	struct stat stat_of;
	char path[300];

	snprintf(path, sizeof path, "/proc/%s/ns/mnt", process);
	return stat(path, &stat_of) == 0 ? remember(search, stat_of.st_ino) : not_seen(search);
}

static int look_at_processes(struct search *search)
{
	autoclosedir DIR *processes = listing_open(AT_FDCWD, "/proc");
	const char *process;
	char path[300];

	while (listing_next(processes, &process)) {
		if (!isdigit((unsigned char)process[0]))
			continue;
		snprintf(path, sizeof path, "/proc/%s/ns/net", process);
		if (look_at(search, path) ||
		    (is_new_mount_namespace(search, process) && look_at_mounts(search, process)))
			return 1;
	}
	return errno ? -1 : 0;
}

int net_namespaces_search(net_namespace_visitor each, void *data)
{
	struct search search = { .each = each, .data = data };
	int found = look_at(&search, "/proc/self/ns/net") ? 1 : look_at_processes(&search);

	free(search.seen);
	if (found || !search.shortage)
		return found;
	errno = search.shortage;
	return -1;
}

bool boot_id_read(char text[BOOT_ID_ROOM])
{
	ssize_t length = procfs_read_into(AT_FDCWD, BOOT_ID, text, BOOT_ID_ROOM);

	text[length > 0 ? strcspn(text, "\n") : 0] = '\0';
	return length > 0;
}

bool net_cookie_read(uint64_t *ret_cookie)
{
	autoclose int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t size = sizeof *ret_cookie;

	return fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, ret_cookie, &size) == 0;
}

/* One that is known by its cookie. */
struct wanted {
	uint64_t cookie, seen;
	int fd;
};

static int read_wanted(void *data)
{
	return net_cookie_read(data) ? 0 : -1;
}

static int take_by_cookie(int fd, void *data)
{
	struct wanted *wanted = data;
	struct aside aside = ASIDE_HERE;

	aside.net_namespace = fd;
	if (aside_run(&aside, read_wanted, &wanted->seen))
		return -1;
	if (wanted->seen != wanted->cookie)
		return 0;
	wanted->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	return 1;
}

int net_namespace_by_cookie(const char *recorded_boot_id, uint64_t cookie, int *ret_fd)
{
	struct wanted wanted = { .cookie = cookie, .fd = -1 };
	char boot_id[BOOT_ID_ROOM];

	if (!recorded_boot_id)
		return 0;
	if (!boot_id_read(boot_id))
		return errno_tells_nothing(errno) ? -1 : 0;
	if (strcmp(boot_id, recorded_boot_id) != 0)
		return 0;
	int found = net_namespaces_search(take_by_cookie, &wanted);
	if (found <= 0)
		return found;
	*ret_fd = wanted.fd;
	return wanted.fd < 0 ? -1 : 1;
}
