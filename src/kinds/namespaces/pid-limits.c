// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * ns_last_pid and pid_max of a pid namespace. Both sysctls act on the active pid namespace of
 * whoever reads them (pid_max: since 6.14; before, there is one for the host), so a process has
 * to be there.
 */
#include "kinds/namespaces/pid.h"

#include "base/arena.h"
#include "kernel/pid-visit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static bool read_number(const char *path, uint32_t *ret_number)
{
	char text[32];
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return false;
	ssize_t length = read(fd, text, sizeof text - 1);
	int failure = errno;
	close(fd);
	errno = failure;
	if (length <= 0) {
		errno = length ? errno : EINVAL;
		return false;
	}
	text[length] = '\0';
	*ret_number = (uint32_t)strtoul(text, NULL, 10);
	return true;
}

static void look(void *data)
{
	struct pid_limits *limits = data;

	limits->known = read_number("/proc/sys/kernel/ns_last_pid", &limits->last_pid) &&
			read_number("/proc/sys/kernel/pid_max", &limits->pid_max);
	limits->failure = limits->known ? 0 : errno;
}

int pid_limits_read(struct pid_limits *limits, size_t count, struct error *err)
{
	struct pid_visit *visits = calloc(count ? count : 1, sizeof *visits);

	if (!visits)
		out_of_memory();
	for (size_t i = 0; i < count; i++)
		visits[i] = (struct pid_visit){ .fd = limits[i].fd,
						.levels = limits[i].levels,
						.look = look,
						.data = &limits[i] };
	int result = pid_visit(visits, count, err);
	free(visits);
	return result;
}
