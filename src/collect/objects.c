// SPDX-License-Identifier: LGPL-2.1-or-later
/* See objects.h. */
#include "collect/objects.h"

#include <string.h>

int object_order_id(struct object_order *order, struct arena *arena, pid_t pid, uint32_t *ret_id,
		    struct error *err)
{
	size_t low = 0, high = order->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int result = kernel_kcmp(pid, order->sorted[middle].holder, order->object, 0, 0);
		if (result == 0) {
			*ret_id = order->sorted[middle].id;
			return 0;
		}
		if (result != 1 && result != 2)
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "cannot compare objects of pid %d and pid %d (kcmp)", pid,
					  order->sorted[middle].holder);
		if (result == 1)
			high = middle;
		else
			low = middle + 1;
	}
	order->sorted = arena_grow(arena, order->sorted, order->count, sizeof *order->sorted);
	memmove(order->sorted + low + 1, order->sorted + low,
		(order->count - low) * sizeof *order->sorted);
	order->count++;
	*ret_id = order->last_id ? ++*order->last_id : (uint32_t)order->count;
	order->sorted[low] = (struct shared_object){ pid, *ret_id };
	return 0;
}
