/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Writing to the files of a cgroup. */
#ifndef NESTOR_TESTS_CGROUP_FILE_H
#define NESTOR_TESTS_CGROUP_FILE_H

#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* With errno where it is not taken. */
static inline bool cgroup_takes(const char *directory, const char *name, const char *text)
{
	char path[4096];

	snprintf(path, sizeof path, "%s/%s", directory, name);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool taken = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	int problem = errno;
	if (fd >= 0)
		close(fd);
	errno = problem;
	return taken;
}

static inline void cgroup_write(const char *directory, const char *name, const char *text)
{
	scenario_need(cgroup_takes(directory, name, text), "%s to %s/%s: %s", text, directory, name,
		      strerror(errno));
}

#endif
