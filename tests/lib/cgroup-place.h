/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where cgroups are mounted, and which a process is in. */
#ifndef NESTOR_TESTS_CGROUP_PLACE_H
#define NESTOR_TESTS_CGROUP_PLACE_H

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { ROOM = 1024 };

/* Where the whole of the unified hierarchy is mounted. */
static inline bool find_hierarchy(char path[ROOM])
{
	char line[4 * ROOM], root[ROOM], type[32];
	FILE *in = fopen("/proc/self/mountinfo", "re");
	bool found = false;

	while (in && !found && fgets(line, sizeof line, in)) {
		char *dash = strstr(line, " - ");
		found = dash && sscanf(line, "%*s %*s %*s %1023s %1023s", root, path) == 2 &&
			sscanf(dash + 3, "%31s", type) == 1 && strcmp(type, "cgroup2") == 0 &&
			strcmp(root, "/") == 0;
	}
	if (in)
		fclose(in);
	return found;
}

/* Our own cgroup of the unified hierarchy, or the named one. */
static inline bool find_place(char place[ROOM])
{
	char line[4 * ROOM], root[256], point[256], type[32], options[256], path[256];
	FILE *in = fopen("/proc/self/mountinfo", "re");
	bool found = false;

	while (in && !found && fgets(line, sizeof line, in)) {
		char *dash = strstr(line, " - ");
		if (!dash || sscanf(line, "%*s %*s %*s %255s %255s", root, point) != 2 ||
		    sscanf(dash + 3, "%31s %*s %255s", type, options) != 2 || strcmp(root, "/"))
			continue;
		bool named = strcmp(type, "cgroup") == 0 && strstr(options, "name=systemd");
		if (strcmp(type, "cgroup2") && !named)
			continue;
		FILE *own = fopen("/proc/self/cgroup", "re");
		while (own && fgets(line, sizeof line, own))
			if (sscanf(line, named ? "%*d:name=systemd:%255s" : "0::%255s", path) == 1)
				found = snprintf(place, ROOM, "%s%s", point, path) < ROOM;
		if (own)
			fclose(own);
	}
	if (in)
		fclose(in);
	return found;
}

#endif
