// SPDX-License-Identifier: LGPL-2.1-or-later
/* See damage.h. */
#include "damage.h"

#include <string.h>

/* xorshift64*: good enough, and the same everywhere. */
uint64_t next_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 2685821657736338717u;
}

size_t below(uint64_t *random, size_t limit)
{
	return limit ? (size_t)(next_random(random) % limit) : 0;
}

size_t damage(uint8_t *bytes, size_t size, uint64_t *random)
{
	static const uint32_t edges[] = { 0,	  1,	      0x7f,	  0x80,
					  0xffff, 0x7fffffff, 0x80000000, 0xffffffff };
	size_t at = below(random, size), length = 1 + below(random, 16);

	if (size == 0)
		return 0;
	if (length > size - at)
		length = size - at;
	switch (below(random, 7)) {
	case 0:
		bytes[at] ^= (uint8_t)(1 << below(random, 8));
		return size;
	case 1:
		bytes[at] = (uint8_t)next_random(random);
		return size;
	case 2: /* cut off the end */
		return at;
	case 3: /* remove a piece */
		memmove(bytes + at, bytes + at + length, size - at - length);
		return size - length;
	case 4: /* repeat a piece */
		memmove(bytes + at + length, bytes + at, size - at);
		return size + length;
	case 5: /* a number at the edge of something */
		if (size < sizeof edges[0])
			return size;
		memcpy(bytes + below(random, size - sizeof edges[0] + 1),
		       &edges[below(random, sizeof edges / sizeof edges[0])], sizeof edges[0]);
		return size;
	default: /* overwrite with another piece */
		memmove(bytes + at, bytes + below(random, size - length + 1), length);
		return size;
	}
}
