// SPDX-License-Identifier: LGPL-2.1-or-later
/* A program that has nothing of nestor but the installed header and library. */
#include <errno.h>
#include <fcntl.h>
#include <nestor/last-pids.h>
#include <stdio.h>
#include <unistd.h>

int main(void)
{
	int fd = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
	size_t level = 77;
	/* Two numbers, but nothing is below the caller's own namespace. */
	int result = nestor_set_last_pids(fd, (const pid_t[]){ 1000, 1000 }, 2, &level);

	if (result != -E2BIG || level != 1) {
		fprintf(stderr, "result %d, level %zu\n", result, level);
		return 1;
	}
	result = nestor_set_last_pids(fd, (const pid_t[]){ getpid() - 1 }, 1, &level);
	if (result != -EEXIST || level != 0) {
		fprintf(stderr, "result %d, level %zu\n", result, level);
		return 1;
	}
	return 0;
}
