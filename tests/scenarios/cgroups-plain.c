// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: cgroups-plain
 * promise: a task is in cgroups of its own in each hierarchy, with their properties and with an
 *	empty one below, as a container manager makes them
 * needs: initial-user-namespace
 * flavours: flat one three
 * not-shifted: it makes cgroups of its own
 */
#include "cgroup-file.h"
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ROOM = 512, MOST = 16 };

static struct place {
	char name[64], path[4 * ROOM]; /* of the hierarchy, and the new directory of it */
} places[MOST];
static size_t n_places;

static void expect(const char *where, const char *name, const char *text)
{
	char path[5 * ROOM], found[64] = "";

	snprintf(path, sizeof path, "%s/%s", where, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	scenario_check(fd >= 0 && read(fd, found, sizeof found - 1) > 0 &&
			       strncmp(found, text, strlen(text)) == 0,
		       "%s: %s instead of %s", path, found, text);
	if (fd >= 0)
		close(fd);
}

/* Where the root of a hierarchy is mounted. */
static bool find_mount(const char *name, char point[ROOM])
{
	const char *wanted = *name ? name : "-";
	char line[4 * ROOM], root[ROOM], type[32], options[ROOM];
	FILE *in = fopen("/proc/self/mountinfo", "re");
	bool found = false;

	while (in && !found && fgets(line, sizeof line, in)) {
		char *dash = strstr(line, " - ");
		found = dash && sscanf(line, "%*s %*s %*s %511s %511s", root, point) == 2 &&
			sscanf(dash + 3, "%31s %*s %511s", type, options) == 2 &&
			strcmp(root, "/") == 0 && strcmp(type, *name ? "cgroup" : "cgroup2") == 0 &&
			(!*name || strstr(options, wanted));
	}
	if (in)
		fclose(in);
	return found;
}

static void find_places(const char *own)
{
	char line[ROOM], point[ROOM], *name, *path;
	FILE *in = fopen("/proc/self/cgroup", "re");

	while (in && fgets(line, sizeof line, in) && n_places < MOST) {
		line[strcspn(line, "\n")] = '\0';
		name = strchr(line, ':') + 1;
		path = strchr(name, ':');
		*path++ = '\0';
		/* Those take nobody before they have processors. */
		if (strstr(name, "cpuset") || !find_mount(name, point))
			continue;
		struct place *place = &places[n_places++];
		snprintf(place->name, sizeof place->name, "%.60s", name);
		snprintf(place->path, sizeof place->path, "%s%s/%s", point,
			 strcmp(path, "/") ? path : "", own);
	}
	if (in)
		fclose(in);
}

static bool is_in(const char *own)
{
	char line[ROOM];
	size_t found = 0;
	FILE *in = fopen("/proc/self/cgroup", "re");

	while (in && fgets(line, sizeof line, in)) {
		line[strcspn(line, "\n")] = '\0';
		const char *last = strrchr(line, '/');
		found += last && strcmp(last + 1, own) == 0;
	}
	if (in)
		fclose(in);
	return found == n_places;
}

static int inside(void *data)
{
	for (size_t i = 0; i < n_places; i++)
		cgroup_write(places[i].path, "cgroup.procs", "0");
	scenario_need(is_in(data), "not in all of them");
	scenario_mark("inside");
	scenario_wait_restored();
	scenario_check(is_in(data), "in other cgroups");
	return 0;
}

int main(int argc, char **argv)
{
	char own[64], empty[5 * ROOM];

	scenario_begin(argc, argv);
	scenario_own_name(own, sizeof own);
	find_places(own);
	scenario_need(n_places > 0, "no cgroups");
	for (size_t i = 0; i < n_places; i++) {
		snprintf(empty, sizeof empty, "%s/empty", places[i].path);
		scenario_need(mkdir(places[i].path, 0755) == 0 && mkdir(empty, 0755) == 0,
			      "a cgroup: %s", strerror(errno));
		if (strcmp(places[i].name, "pids") == 0)
			cgroup_write(places[i].path, "pids.max", "77");
		if (!*places[i].name)
			cgroup_write(places[i].path, "cgroup.max.descendants", "9");
	}
	pid_t child = scenario_child(inside, own);
	scenario_wait_mark("inside");

	scenario_ready();

	scenario_reap(child);
	for (size_t i = 0; i < n_places; i++) {
		snprintf(empty, sizeof empty, "%s/empty", places[i].path);
		if (strcmp(places[i].name, "pids") == 0)
			expect(places[i].path, "pids.max", "77");
		if (!*places[i].name)
			expect(places[i].path, "cgroup.max.descendants", "9");
		scenario_check(rmdir(empty) == 0, "%s: %s", empty, strerror(errno));
		rmdir(places[i].path);
	}
	return scenario_end();
}
