// SPDX-License-Identifier: LGPL-2.1-or-later
/* See pid-vectors.h. */
#include "commands/pid-vectors.h"

#include <fcntl.h>

int open_pid_namespace(const char *file, struct error *err)
{
	const char *path = file ? file : "/proc/self/ns/pid_for_children";
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? fail_errno(err, ERR_IO, "cannot open the pid namespace %s", path) : fd;
}
