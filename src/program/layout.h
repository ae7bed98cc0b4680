/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How a program set is laid out: private to program/, and to run/, which maps it. */
#ifndef NESTOR_PROGRAM_LAYOUT_H
#define NESTOR_PROGRAM_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

enum {
	PROGRAM_PAGE = 4096,
	PROGRAM_INTERPRETER_OFFSET = 0,
	PROGRAM_HEADER_OFFSET = PROGRAM_PAGE,
	PROGRAM_DATA_OFFSET = 2 * PROGRAM_PAGE,
};

/* A run of data addresses and our memory behind it; the next chunk starts at a higher address. */
struct data_chunk {
	uint64_t address;
	uint8_t *bytes;
	size_t room, used;
};

#endif
