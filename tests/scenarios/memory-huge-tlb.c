// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: memory-huge-tlb
 * promise: private memory of huge TLB pages keeps its pages, and what was never touched
 * flavours: flat three user
 * needs: huge-pages:3
 * alone: it takes pages that the machine has few of
 */
#include "scenario.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { HUGE_PAGE = 2 << 20 };

static bool is_filled(const char *bytes, char value, size_t size)
{
	return bytes[0] == value && !memcmp(bytes, bytes + 1, size - 1);
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	/* Two, one of them touched: a reservation may be all that there is. */
	char *bytes = mmap(NULL, 2 * HUGE_PAGE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	scenario_need(bytes != MAP_FAILED, "mmap");
	memset(bytes, 'h', HUGE_PAGE);

	scenario_ready();

	scenario_check(is_filled(bytes, 'h', HUGE_PAGE) &&
			       is_filled(bytes + HUGE_PAGE, 0, HUGE_PAGE),
		       "the content is another one");
	return scenario_end();
}
