// SPDX-License-Identifier: LGPL-2.1-or-later
/* What is probed agrees with itself and between two probes; no privilege is needed. */
#include "base/arena.h"
#include "kernel/facts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

static void probe(struct facts *facts, struct arena *arena)
{
	struct error err = { 0 };

	assert_int_equal(facts_probe(facts, arena, &err), 0);
}

static void ranges_ascend(void **state)
{
	(void)state;
	struct arena arena;
	struct facts facts;

	arena_init(&arena);
	probe(&facts, &arena);
	assert_true(facts.n_busy > 0);
	for (size_t i = 0; i < facts.n_busy; i++) {
		assert_true(facts.busy[i].start < facts.busy[i].end);
		assert_true(i == 0 || facts.busy[i - 1].end < facts.busy[i].start);
	}
	for (size_t i = 1; i < facts.n_vdso; i++)
		assert_true(facts.vdso[i - 1].range.end <= facts.vdso[i].range.start);
	arena_done(&arena);
}

static void identity_is_ours(void **state)
{
	(void)state;
	struct arena arena;
	struct facts facts;

	arena_init(&arena);
	probe(&facts, &arena);
	assert_int_equal(facts.uids[0], getuid());
	assert_int_equal(facts.uids[1], geteuid());
	assert_int_equal(facts.gids[1], getegid());
	assert_int_equal(facts.n_groups, getgroups(0, NULL));
	assert_int_equal(facts.capabilities & ~facts.permitted, 0);
	assert_int_equal(facts.page_size, sysconf(_SC_PAGESIZE));
	assert_true(facts.affinity_size > 0);
	arena_done(&arena);
}

static void probing_twice_changes_nothing(void **state)
{
	(void)state;
	struct arena arena;
	struct facts one, other;

	arena_init(&arena);
	probe(&one, &arena);
	probe(&other, &arena);
	assert_int_equal(one.vdso_hash, other.vdso_hash);
	assert_int_equal(one.rseq_address, other.rseq_address);
	assert_int_equal(one.rseq_size, other.rseq_size);
	assert_int_equal(one.clone3_set_tid, other.clone3_set_tid);
	assert_int_equal(one.xsave_features, other.xsave_features);
	arena_done(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranges_ascend),
		cmocka_unit_test(identity_is_ours),
		cmocka_unit_test(probing_twice_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
