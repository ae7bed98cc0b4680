// SPDX-License-Identifier: LGPL-2.1-or-later
/* See read-kernel.h. */
#include "collect/read-kernel.h"

#include "base/arena.h"
#include "collect/collect.h"

int collect_read_kernel(struct collect *collect, const struct kernel_places *places,
			struct kernel_reader **ret)
{
	void **kept = collect_state(collect, places);

	if (!*kept)
		*kept = arena_new(collect->arena, struct kernel_reader);
	*ret = *kept;
	return kernel_reader_begin(*ret, &collect->kernel_memory, places, collect->arena);
}
