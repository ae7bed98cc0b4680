// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Maps of user namespaces (user_namespaces(7)). A map is written once, in one write, by a process
 * in the parent namespace: with CAP_SETUID or CAP_SETGID there any map, without them just one
 * line for the writer's own id, and that for gids only where setgroups is denied. `deny` goes into
 * setgroups before the gid map; denied in the parent, it is denied from the start.
 */
#include "run/maps.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LINE_ROOM = 40, NUMBER_ROOM = 12, MOST_EXTENTS = 340, NUMBERS = 3 };

struct map {
	const char *name, *helper; /* of the file, and of the program that may write it */
	UidGidExtent *const *extents;
	size_t n_extents;
};

static int write_file(pid_t pid, const char *name, const char *text, size_t length)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
	autoclose int fd = open(path, O_WRONLY | O_CLOEXEC);
	return fd < 0 || write(fd, text, length) != (ssize_t)length ? -1 : 0;
}

static int write_map_file(pid_t pid, const struct map *map)
{
	char text[MOST_EXTENTS * LINE_ROOM]; /* the kernel takes a page at most, and says so */
	size_t length = 0;

	for (size_t i = 0; i < map->n_extents && i < MOST_EXTENTS; i++)
		length += (size_t)snprintf(text + length, sizeof text - length,
					   "%" PRIu32 " %" PRIu32 " %" PRIu32 "\n",
					   map->extents[i]->first, map->extents[i]->lower_first,
					   map->extents[i]->count);
	return write_file(pid, map->name, text, length);
}

/* HELPER PID FIRST LOWER COUNT... */
__attribute__((noreturn)) static void be_helper(pid_t pid, const struct map *map)
{
	static char texts[1 + NUMBERS * MOST_EXTENTS][NUMBER_ROOM];
	static char *arguments[3 + NUMBERS * MOST_EXTENTS];
	char name[32];
	size_t n = 0;

	snprintf(name, sizeof name, "%s", map->helper);
	arguments[0] = name;
	snprintf(texts[n++], NUMBER_ROOM, "%d", (int)pid);
	for (size_t i = 0; i < map->n_extents && i < MOST_EXTENTS; i++) {
		const uint32_t numbers[NUMBERS] = { map->extents[i]->first,
						    map->extents[i]->lower_first,
						    map->extents[i]->count };
		for (size_t k = 0; k < NUMBERS; k++)
			snprintf(texts[n++], NUMBER_ROOM, "%" PRIu32, numbers[k]);
	}
	for (size_t i = 0; i < n; i++)
		arguments[1 + i] = texts[i];
	execvp(map->helper, arguments);
	_exit(127);
}

static int ask_helper(pid_t pid, const struct map *map)
{
	int status = -1; /* as of who was killed */
	pid_t helper = fork();

	if (helper < 0)
		return -1;
	if (!helper)
		be_helper(pid, map);
	while (waitpid(helper, &status, 0) < 0 && errno == EINTR)
		;
	errno = EPERM;
	return status == 0 ? 0 : -1;
}

typedef int ask_others(pid_t pid, const struct map *map);

static int write_map(pid_t pid, const struct map *map, ask_others *ask, const char **ret_what)
{
	*ret_what = map->name;
	if (map->n_extents == 0 || write_map_file(pid, map) == 0)
		return 0;
	return errno == EPERM && ask ? ask(pid, map) : -1;
}

static int write_maps(pid_t pid, const struct user_namespace *namespace, ask_others *ask,
		      const char **ret_what)
{
	const NsEntry *parent = namespace->parent->base.entry;
	const UsernsEntry *maps = namespace->base.entry->user_ext;

	*ret_what = "setgroups";
	if (namespace->base.entry->setgroups_denied && !(parent && parent->setgroups_denied) &&
	    write_file(pid, "setgroups", "deny", strlen("deny")) < 0)
		return -1;
	if (!maps)
		return 0;
	const struct map groups = { "gid_map", "newgidmap", maps->gid_map, maps->n_gid_map };
	const struct map users = { "uid_map", "newuidmap", maps->uid_map, maps->n_uid_map };
	return write_map(pid, &groups, ask, ret_what) < 0 ? -1
							  : write_map(pid, &users, ask, ret_what);
}

int maps_write(pid_t pid, const struct user_namespace *namespace, const char **ret_what)
{
	return write_maps(pid, namespace, ask_helper, ret_what);
}

int maps_write_alone(pid_t pid, const struct user_namespace *namespace, const char **ret_what)
{
	return write_maps(pid, namespace, NULL, ret_what);
}
