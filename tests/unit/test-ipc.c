// SPDX-License-Identifier: LGPL-2.1-or-later
/* What may be said of ipc namespaces, and objects whose id cannot be had: none is left out. */
#include "kinds/ipc/ipc.h"

#include "kinds/namespaces/namespaces.h"
#include "model/namespaces.h"
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

static enum error_name check_setting(const char *name, const char *value)
{
	struct user_namespace initial = { .depth = 0 };
	struct snapshot snapshot = { 0 };
	IpcSetting setting = IPC_SETTING__INIT, *settings[] = { &setting };
	IpcEntry ipc = IPC_ENTRY__INIT;
	NsEntry entry = NS_ENTRY__INIT;
	const struct namespace namespace_ = {
		.type = NAMESPACE_IPC, .id = 17, .entry = &entry, .owner = &initial
	};
	struct error err = { 0 };

	setting.name = (char *)(uintptr_t)name;
	setting.value = (char *)(uintptr_t)value;
	ipc.settings = settings;
	ipc.n_settings = 1;
	entry.ipc = &ipc;
	ipc_namespace_kind.check(&snapshot, &namespace_, &err);
	return err.name;
}

static void settings_are_known_and_numbers(void **state)
{
	static const char *const known[] = { "kernel/sem", "kernel/msgmax",
					     "kernel/shm_rmid_forced", "fs/mqueue/queues_max",
					     "kernel/shm_next_id" };

	(void)state;
	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		assert_int_equal(check_setting(known[i], "-1 20"), ERR_NONE);
		assert_int_equal(check_setting(known[i], "x"), ERR_IMAGE_INVALID);
	}
	assert_int_equal(check_setting("kernel/core_pattern", "1"), ERR_IMAGE_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_has_an_id_that_is_none),
		cmocka_unit_test(settings_are_known_and_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
