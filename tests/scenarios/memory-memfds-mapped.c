// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: memory-memfds-mapped
 * promise: a memory file that nobody holds and several have mapped, in parts, stays one
 * needs: initial-user-namespace
 * flavours: flat one ordinary user user-three
 */
#include "scenario.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096 };

static volatile char *whole, *part;

static int other(void *unused)
{
	(void)unused;
	munmap((void *)whole, PAGE);
	scenario_mark("other");
	scenario_wait_restored();
	for (int i = 0; i < 5000 && part[1] != 'p'; i++)
		usleep(1000);
	scenario_check(part[1] == 'p' && part[0] == '2', "what the parent writes is not seen");
	return 0;
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	int fd = memfd_create("mapped", MFD_CLOEXEC);
	scenario_need(fd >= 0 && ftruncate(fd, 2 * PAGE) == 0, "no memfd");
	whole = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	part = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, PAGE);
	scenario_need(whole != MAP_FAILED && part != MAP_FAILED, "cannot map");
	close(fd);
	whole[0] = '1';
	whole[PAGE] = '2';
	pid_t child = scenario_child(other, NULL);
	scenario_wait_mark("other");

	scenario_ready();

	scenario_check(whole[0] == '1' && part[0] == '2', "content");
	whole[PAGE + 1] = 'p';
	scenario_check(part[1] == 'p', "two areas are of two files");
	scenario_reap(child);
	return scenario_end();
}
