// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-no-vdso
 * promise: a task without a vdso, which cannot be asked, is refused by name and goes on
 * flavours: flat three user
 * refused: unsupported-task
 * unseen: only who asks it finds out
 */
#include "scenario.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A child, since the runner's side of a program asks for the time. */
static int live_without(void *told)
{
	unsigned long starts[4], ends[4];
	size_t n = 0;
	char line[256];
	FILE *maps = fopen("/proc/self/maps", "re");

	scenario_need(maps, "/proc/self/maps");
	while (n < 4 && fgets(line, sizeof line, maps))
		if ((strstr(line, "[vdso]") || strstr(line, "[vvar")) &&
		    sscanf(line, "%lx-%lx", &starts[n], &ends[n]) == 2)
			n++;
	fclose(maps);
	while (n-- > 0)
		scenario_need(!munmap((void *)starts[n], ends[n] - starts[n]), "munmap");
	scenario_need(write(((int *)told)[1], "", 1) == 1, "write");
	syscall(SYS_read, ((int *)told)[2], line, 1);
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
