// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: memory-huge-unseen
 * promise: huge pages that are shared are refused where nestor has no right to their file:
 *	looked at through the task, holes would become pages
 * flavours: unprivileged unprivileged-three
 * needs: huge-pages:2
 * alone: it takes pages that the machine has few of
 * refused: kernel-refused
 */
#include "scenario.h"

#include <stddef.h>
#include <sys/mman.h>

enum { HUGE_PAGE = 2 << 20 };

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	char *bytes = mmap(NULL, 2 * HUGE_PAGE, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	scenario_need(bytes != MAP_FAILED, "no huge pages");
	bytes[0] = 'h';

	scenario_ready();

	unsigned char there[2 * HUGE_PAGE / 4096] = { 0 };
	scenario_check(bytes[0] == 'h', "it has changed");
	scenario_check(mincore(bytes, 2 * HUGE_PAGE, there) == 0 && there[0] & 1 &&
			       !(there[HUGE_PAGE / 4096] & 1),
		       "the hole is one no more");
	return scenario_end();
}
