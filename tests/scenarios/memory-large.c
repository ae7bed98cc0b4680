// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: memory-large
 * promise: 200 MiB of memory, whole and in pieces, comes back byte by byte
 * flavours: flat one three user user-three unprivileged ordinary
 */
#include "scenario.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

enum { PAGE = 4096 };

static const size_t whole_size = (size_t)160 << 20, pieces_size = (size_t)40 << 20;

static uint64_t word_at(size_t index)
{
	return (index + 1) * UINT64_C(0x9e3779b97f4a7c15);
}

/* Every page of the first area, every other one and some more of the second. */
static bool is_used(size_t page)
{
	return page % 2 == 0 || page % 7 == 0;
}

int main(int argc, char **argv)
{
	const size_t words = whole_size / sizeof(uint64_t);
	uint64_t *whole;
	uint8_t *pieces;

	scenario_begin(argc, argv);
	whole = mmap(NULL, whole_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pieces =
		mmap(NULL, pieces_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	scenario_need(whole != MAP_FAILED && pieces != MAP_FAILED, "cannot map memory");
	for (size_t i = 0; i < words; i++)
		whole[i] = word_at(i);
	for (size_t i = 0; i < pieces_size / PAGE; i++)
		if (is_used(i))
			memset(pieces + i * PAGE, (int)(i % 255) + 1, PAGE);

	scenario_ready();

	for (size_t i = 0; i < words; i++)
		if (whole[i] != word_at(i)) {
			scenario_check(false, "word %zu has another content", i);
			break;
		}
	for (size_t i = 0; i < pieces_size; i++) {
		size_t page = i / PAGE;

		if (pieces[i] == (is_used(page) ? page % 255 + 1 : 0))
			continue;
		scenario_check(false, "byte %zu of the pieces has another content", i);
		break;
	}
	return scenario_end();
}
