// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-no-vdso
 * promise: a task without a vdso, whose programs leave no room behind their code, cannot be asked:
 *	it is refused by name and goes on
 * flavours: flat three user
 * refused: unsupported-task
 * unseen: only who asks it finds out
 */
#include "vdso.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What is zero at the end of each area of code is used for something. */
static void use_room(void)
{
	int memory = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned long start, end;
	char line[256];

	scenario_need(memory >= 0 && maps, "/proc/self");
	while (fgets(line, sizeof line, maps)) {
		if (!strstr(line, " r-xp ") || strchr(line, '[') ||
		    sscanf(line, "%lx-%lx", &start, &end) != 2)
			continue;
		for (unsigned long at = end; at-- > start && !*(const char *)at;)
			scenario_need(pwrite(memory, "x", 1, (off_t)at) == 1, "pwrite");
	}
	fclose(maps);
	close(memory);
}

/* A child, since the runner's side of a program asks for the time. */
static int live_without(void *told)
{
	char byte;

	use_room();
	vdso_unmap(false);
	scenario_need(write(((int *)told)[1], "", 1) == 1, "write");
	syscall(SYS_read, ((int *)told)[2], &byte, 1);
	return 0;
}

int main(int argc, char **argv)
{
	int ends[4];
	pid_t child;
	char byte;

	scenario_begin(argc, argv);
	scenario_need(!pipe(ends) && !pipe(ends + 2), "pipe");
	child = scenario_child(live_without, ends);
	scenario_need(read(ends[0], &byte, 1) == 1, "read");
	scenario_ready();
	scenario_need(write(ends[3], "", 1) == 1, "write");
	scenario_reap(child);
	return scenario_end();
}
