// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-huge-private
 * promise: a private mapping of shared anonymous memory of huge pages is not taken for private
 *	memory, whose pages nobody else fills: it is refused, and shows what it showed
 * flavours: flat three
 * needs: initial-user-namespace huge-pages:3
 * alone: it takes pages that the machine has few of
 * refused: unsupported-area
 */
#include "scenario.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { HUGE_PAGE = 2 << 20 };

int main(int argc, char **argv)
{
	char link[64];

	scenario_begin(argc, argv);
	char *shared = mmap(NULL, HUGE_PAGE, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	scenario_need(shared != MAP_FAILED, "mmap");
	strcpy(shared, "shared");
	snprintf(link, sizeof link, "/proc/self/map_files/%lx-%lx", (unsigned long)shared,
		 (unsigned long)shared + HUGE_PAGE);
	int fd = open(link, O_RDWR);
	scenario_need(fd >= 0, "cannot open it: %m");
	char *private = mmap(NULL, HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	scenario_need(private != MAP_FAILED, "cannot map it: %m");
	close(fd);
	munmap(shared, HUGE_PAGE);

	scenario_ready();

	scenario_check(!strcmp(private, "shared"), "it shows something else");
	return scenario_end();
}
