// SPDX-License-Identifier: LGPL-2.1-or-later
#include "base/numbers.h"

bool numbers_find(const uint32_t *numbers, size_t count, uint32_t wanted, size_t *ret_place)
{
	size_t low = 0;

	for (size_t high = count; low < high;) {
		size_t middle = low + (high - low) / 2;

		if (numbers[middle] < wanted)
			low = middle + 1;
		else
			high = middle;
	}
	*ret_place = low;
	return low < count && numbers[low] == wanted;
}
