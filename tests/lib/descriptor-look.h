/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What descriptors show of where they were opened: link, mount and file. */
#ifndef TESTS_LIB_DESCRIPTOR_LOOK_H
#define TESTS_LIB_DESCRIPTOR_LOOK_H

#include "scenario.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

struct look {
	char link[4200];
	int mount;
	struct stat stat;
};

static int mount_of(int fd)
{
	char path[64], line[128];
	int mount = -1;

	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
	FILE *file = fopen(path, "re");
	while (file && fgets(line, sizeof line, file))
		sscanf(line, "mnt_id: %d", &mount);
	if (file)
		fclose(file);
	return mount;
}

static void look_at(const int *fds, int count, struct look *looks)
{
	char path[64];

	for (int i = 0; i < count; i++) {
		snprintf(path, sizeof path, "/proc/self/fd/%d", fds[i]);
		ssize_t length = readlink(path, looks[i].link, sizeof looks[i].link - 1);
		looks[i].link[length > 0 ? length : 0] = '\0';
		looks[i].mount = mount_of(fds[i]);
		scenario_check(fstat(fds[i], &looks[i].stat) == 0, "cannot look at %d", i);
	}
}

#endif
