// SPDX-License-Identifier: LGPL-2.1-or-later
/* System V objects whose id cannot be had: none is made with another one, and none is left out. */
#include "kinds/ipc/ipc.h"

#include "model/snapshot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* No id is negative; and whoever is not root may not choose any. */
static const uint32_t no_id = UINT32_C(1) << 31;

static void nothing_has_an_id_that_is_none(void **state)
{
	int (*const make[])(const struct ipc_making *,
			    struct error *) = { segments_make, semaphores_make, queues_make };
	IpcDescEntry description = IPC_DESC_ENTRY__INIT;
	IpcSegment segment = IPC_SEGMENT__INIT, *segments[] = { &segment };
	IpcSemaphores set = IPC_SEMAPHORES__INIT, *sets[] = { &set };
	IpcQueue queue = IPC_QUEUE__INIT, *queues[] = { &queue };
	IpcEntry entry = IPC_ENTRY__INIT;
	const struct user_namespace initial = { .depth = 0 };
	const struct ipc_making making = { .entry = &entry, .owner = &initial };

	(void)state;
	description.id = no_id;
	segment.desc = set.desc = queue.desc = &description;
	entry.segments = segments;
	entry.semaphores = sets;
	entry.queues = queues;
	for (size_t i = 0; i < sizeof make / sizeof *make; i++) {
		struct error err = { 0 };
		assert_int_equal(make[i](&making, &err), 0);
	}
	entry.n_segments = entry.n_semaphores = entry.n_queues = 1;
	for (size_t i = 0; i < sizeof make / sizeof *make; i++) {
		struct error err = { 0 };
		assert_int_equal(make[i](&making, &err), -1);
		assert_int_not_equal(err.name, ERR_NONE);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_has_an_id_that_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
