// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: memory-memfd-times
 * promise: memory files keep the times at which they were read and modified, sealed ones too; what
 *	maps one reads it (mmap(2)), so of a mapped one only the second; a dump after which the
 *	tree goes on is no reading
 * rounds: 2
 */
#include "scenario.h"

#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAPPED = 1, SEALED, FILES = 4, PAGE = 4096 };

static const struct timespec times[FILES][2] = {
	{ { 1000000000, 1 }, { 1100000000, 999999999 } },
	{ { 0, 0 }, { 1, 0 } },
	{ { -2, 5 }, { -1, 999999999 } },
	{ { 1200000000, 0 }, { 1300000000, 7 } },
};

int main(int argc, char **argv)
{
	int fds[FILES];
	struct stat stat;

	scenario_begin(argc, argv);
	for (int i = 0; i < FILES; i++) {
		fds[i] = memfd_create("times", MFD_ALLOW_SEALING);
		scenario_need(write(fds[i], "text", 4) == 4, "memfd");
	}
	char *mapped = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fds[MAPPED], 0);
	scenario_need(mapped != MAP_FAILED && fcntl(fds[SEALED], F_ADD_SEALS, F_SEAL_WRITE) == 0,
		      "map and seal");
	for (int i = 0; i < FILES; i++)
		scenario_need(futimens(fds[i], times[i]) == 0, "times");

	scenario_ready();

	for (int i = 0; i < FILES; i++) {
		scenario_check(fstat(fds[i], &stat) == 0, "fstat");
		scenario_check((i == MAPPED ||
				memcmp(&stat.st_atim, &times[i][0], sizeof stat.st_atim) == 0) &&
				       memcmp(&stat.st_mtim, &times[i][1], sizeof stat.st_mtim) ==
					       0,
			       "file %d was read at %jd.%09ld and modified at %jd.%09ld", i,
			       (intmax_t)stat.st_atim.tv_sec, stat.st_atim.tv_nsec,
			       (intmax_t)stat.st_mtim.tv_sec, stat.st_mtim.tv_nsec);
	}
	scenario_check(memcmp(mapped, "text", 4) == 0, "content");
	return scenario_end();
}
