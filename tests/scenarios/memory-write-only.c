// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: memory-write-only
 * promise: pages of areas that may be written but not read come back, wherever they are
 * flavours: flat three user
 */
#include "scenario.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

enum { PAGE = 4096, PAGES = 8 };

/* Below all else, so that it is the first that a dump copies, and once more among others. */
static uint8_t *map_write_only(uint8_t *at)
{
	uint8_t *area = mmap(at, PAGES * PAGE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | (at ? MAP_FIXED_NOREPLACE : 0), -1, 0);

	scenario_need(area != MAP_FAILED, "cannot map at %p", (void *)at);
	for (size_t i = 0; i < PAGES; i++)
		area[i * PAGE] = (uint8_t)(i + 1);
	scenario_need(mprotect(area, PAGES * PAGE, PROT_WRITE) == 0, "cannot protect");
	return area;
}

static void check(uint8_t *area)
{
	mprotect(area, PAGES * PAGE, PROT_READ);
	for (size_t i = 0; i < PAGES; i++)
		scenario_check(area[i * PAGE] == i + 1, "page %zu has another content", i);
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	uint8_t *lowest = map_write_only((uint8_t *)0x200000);
	uint8_t *other = map_write_only(NULL);
	scenario_ready();
	check(lowest);
	check(other);
	return scenario_end();
}
