/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a scenario does as drawn from a seed, its argument: the same each time. */
#ifndef TESTS_LIB_DRAWING_H
#define TESTS_LIB_DRAWING_H

#include "scenario.h"

#include <stdint.h>
#include <stdlib.h>

static uint64_t state;

static inline unsigned draw(unsigned below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (unsigned)(state >> 33) % below;
}

static inline void begin_drawing(int argc, char **argv)
{
	scenario_need(argc > 2, "which seed?");
	state = strtoull(argv[2], NULL, 10) * UINT64_C(0x9e3779b97f4a7c15) + 1;
}

#endif
