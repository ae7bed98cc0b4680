// SPDX-License-Identifier: LGPL-2.1-or-later
/* What kinds of rights of tasks plan and refuse: credentials, capabilities, seccomp filters. */
#include "task-fixture.h"

#include <linux/filter.h>
#include <linux/securebits.h>

static void equal_credentials_need_nothing(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(check_kind(fixture, &credentials_kind), 0);
	assert_int_equal(plan_credentials(fixture), 0);
	assert_int_equal(plan_kind(fixture, &capabilities_kind), 0);
	assert_int_equal(fixture->program->n_ops, 0);
}

/* What cannot be set comes by a change of the group, there and back, where the machine says so. */
static void dumpable_by_root_comes_by_a_change(void **state)
{
	struct fixture *fixture = *state;
	MmEntry mm = MM_ENTRY__INIT;

	mm.has_dumpable = true;
	mm.dumpable = 2;
	fixture->task->mm = &mm;
	assert_int_equal(plan_kind(fixture, &dumpable_by_change_kind), 0);
	assert_int_equal(fixture->program->n_ops, 0);
	assert_int_equal(plan_kind(fixture, &dumpable_kind), 0);
	assert_int_equal(fixture->program->ops[0].args[1], 0);
	size_t before = fixture->program->n_ops;
	fixture->facts.suid_dumpable = 2;
	assert_int_equal(plan_kind(fixture, &dumpable_by_change_kind), 0);
	assert_int_equal(plan_kind(fixture, &dumpable_kind), 0);
	const struct op *ops = fixture->program->ops + before;
	assert_int_equal(fixture->program->n_ops, before + 3);
	assert_int_equal(ops[0].nr, SYS_prctl); /* should nobody be let change */
	assert_int_equal(ops[0].args[1], 0);
	assert_int_equal(ops[1].nr, SYS_setfsgid);
	assert_int_not_equal(ops[1].args[0], fixture->facts.gids[3]);
	assert_int_equal(ops[2].nr, SYS_setfsgid);
	assert_int_equal(ops[2].args[0], fixture->facts.gids[3]);
}

static void privileges_last_until_they_are_needed(void **state)
{
	struct fixture *fixture = *state;
	const uint64_t kill_only = UINT64_C(1) << CAP_KILL;

	fixture->creds->uid = fixture->creds->euid = fixture->creds->suid = 1000;
	fixture->creds->fsuid = 1001;
	fixture->creds->gid = fixture->creds->egid = fixture->creds->sgid = 1000;
	fixture->creds->fsgid = 1000;
	fixture->creds->secbits = SECBIT_KEEP_CAPS;
	set_capabilities(fixture, kill_only, kill_only);
	fixture->creds->cap_inh = words(fixture, kill_only);
	fixture->creds->cap_amb = words(fixture, kill_only);
	assert_int_equal(plan_credentials(fixture), 0);
	size_t before_last = fixture->program->n_ops;
	assert_int_equal(plan_kind(fixture, &capabilities_kind), 0);

	const struct op *ops = fixture->program->ops;
	assert_int_equal(ops[0].nr, SYS_prctl);
	assert_int_equal(ops[0].args[0], PR_SET_SECUREBITS);
	assert_int_equal(ops[0].args[1], SECBIT_NO_SETUID_FIXUP);
	int groups = place_of(fixture, SYS_setresgid, 1000);
	int users = place_of(fixture, SYS_setresuid, 1000);
	int file_system = place_of(fixture, SYS_setfsuid, 1001);
	int ambient = place_of(fixture, SYS_prctl, PR_CAP_AMBIENT);
	int bounding = place_of(fixture, SYS_prctl, PR_CAPBSET_DROP);
	assert_true(0 < groups && groups < users && users < file_system);
	assert_int_equal(ops[file_system + 1].expected, 1001);
	assert_true(file_system < ambient && ambient < bounding);
	assert_int_equal(ops[before_last - 1].args[0], PR_SET_SECUREBITS);
	assert_int_equal(ops[before_last - 1].args[1], SECBIT_KEEP_CAPS);
	assert_int_equal(ops[before_last].nr, SYS_capset);
	const struct capability_data *sets = data_of(fixture, ops[before_last].args[1]);
	assert_int_equal(sets[0].effective, kill_only);
	assert_int_equal(sets[0].permitted, kill_only);
	assert_int_equal(sets[0].inheritable, kill_only);
	assert_int_equal(fixture->program->n_ops, before_last + 1);
}

static void capabilities_that_nestor_lacks_are_refused(void **state)
{
	struct fixture *fixture = *state;

	set_capabilities(fixture, fixture->facts.known_capabilities, fixture->facts.bounding);
	assert_int_equal(plan_credentials(fixture), -1);
	assert_int_equal(fixture->err.name, ERR_NO_PRIVILEGE);
}

static void impossible_capabilities_are_refused(void **state)
{
	struct fixture *fixture = *state;

	set_capabilities(fixture, 0, fixture->facts.bounding);
	fixture->creds->cap_eff = words(fixture, 1);
	assert_int_equal(check_kind(fixture, &credentials_kind), -1);
	assert_int_equal(fixture->err.name, ERR_IMAGE_INVALID);
}

static void capabilities_have_two_words(void **state)
{
	struct fixture *fixture = *state;
	CredsEntry *creds = fixture->creds;
	const uint64_t both = UINT64_C(1) << 35 | 1 << 13;

	set_capabilities(fixture, both, both << 1);
	creds->cap_eff = words(fixture, both << 2);
	creds->cap_inh = words(fixture, both << 3);
	creds->cap_amb = words(fixture, both << 4);
	struct capabilities sets = capabilities_of(creds);
	assert_int_equal(sets.permitted, both);
	assert_int_equal(sets.bounding, both << 1);
	assert_int_equal(sets.effective, both << 2);
	assert_int_equal(sets.inheritable, both << 3);
	assert_int_equal(sets.ambient, both << 4);
	creds->n_cap_amb = 1;
	assert_int_equal(capabilities_of(creds).ambient, 1 << 17);
}

static void add_filter(struct fixture *fixture, int64_t previous)
{
	static struct sock_filter instruction = BPF_STMT(BPF_RET | BPF_K, 0);
	const struct record *record = snapshot_record(&fixture->snapshot, IMAGE_SECCOMP, 0);
	SeccompEntry *all = record ? record->message : NULL;
	SeccompFilter *filter = snapshot_new(&fixture->snapshot, SECCOMP_FILTER, SeccompFilter);

	if (!all) {
		all = snapshot_new(&fixture->snapshot, SECCOMP_ENTRY, SeccompEntry);
		snapshot_add_record(&fixture->snapshot, IMAGE_SECCOMP, 0, all);
	}
	filter->filter.data = (uint8_t *)&instruction;
	filter->filter.len = sizeof instruction;
	filter->has_prev = previous >= 0;
	filter->prev = (uint32_t)previous;
	all->seccomp_filters = arena_grow(&fixture->arena, all->seccomp_filters,
					  all->n_seccomp_filters, sizeof(void *));
	all->seccomp_filters[all->n_seccomp_filters++] = filter;
}

static void filters_are_installed_oldest_first_behind_the_gate(void **state)
{
	struct fixture *fixture = *state;

	add_filter(fixture, -1);
	add_filter(fixture, -1);
	add_filter(fixture, 0);
	fixture->thread->has_seccomp_mode = fixture->thread->has_seccomp_filter = true;
	fixture->thread->seccomp_mode = SECCOMP_MODE__filter;
	fixture->thread->seccomp_filter = 2;
	assert_int_equal(check_kind(fixture, &seccomp_kind), 0);
	assert_int_equal(plan_kind(fixture, &seccomp_kind), 0);
	const struct gate *gate = &fixture->plan.gates[GATE_FILTERS_BEFORE_STOP];
	assert_int_equal(gate->n_waiting, 1);
	const struct op *ops = fixture->program->ops;
	assert_int_equal(ops[0].kind, OP_WAKE);
	assert_int_equal(ops[0].args[0], gate->arrived_word);
	assert_int_equal(ops[1].kind, OP_WAIT);
	assert_int_equal(ops[1].args[0], gate->go_word);
	assert_int_equal(fixture->program->n_ops, 4);
	/* The second one is not of the chain. Before it is known what threads have in common. */
	const uint64_t *laid_down = fixture->plan.kind_states[1].state;
	assert_int_equal(ops[2].args[2], laid_down[0]);
	assert_int_equal(ops[3].args[2], laid_down[2]);
	assert_int_equal(laid_down[1], 0);
}

/* The coordinator suspends them, by the rights that the kernel wants for that. */
static void filters_want_rights_of_the_initial_namespace(void **state)
{
	struct fixture *fixture = *state;
	struct facts *facts = &fixture->facts;

	fixture->thread->has_seccomp_mode = true;
	fixture->thread->seccomp_mode = SECCOMP_MODE__strict;
	assert_int_equal(plan_kind(fixture, &seccomp_kind), 0);
	facts->in_initial_user_namespace = false;
	assert_int_equal(plan_kind(fixture, &seccomp_kind), -1);
	assert_int_equal(fixture->err.name, ERR_NO_PRIVILEGE);
	facts->in_initial_user_namespace = true;
	facts->capabilities &= ~(UINT64_C(1) << CAP_SYS_ADMIN);
	fixture->err = (struct error){ 0 };
	assert_int_equal(plan_kind(fixture, &seccomp_kind), -1);
	assert_int_equal(fixture->err.name, ERR_NO_PRIVILEGE);
	facts->capabilities |= UINT64_C(1) << CAP_SYS_ADMIN;
	facts->filtered = true;
	fixture->err = (struct error){ 0 };
	assert_int_equal(plan_kind(fixture, &seccomp_kind), -1);
	assert_int_equal(fixture->err.name, ERR_NO_PRIVILEGE);
}

static void other_modes_of_seccomp_are_refused(void **state)
{
	struct fixture *fixture = *state;

	fixture->thread->has_seccomp_mode = true;
	fixture->thread->seccomp_mode = (SeccompMode)3;
	assert_int_equal(check_kind(fixture, &seccomp_kind), -1);
	assert_int_equal(fixture->err.name, ERR_IMAGE_UNSUPPORTED);
}

static void chains_of_filters_are_as_long_as_the_kernel_has_them(void **state)
{
	struct fixture *fixture = *state;

	/* Each counts 5. */
	for (int64_t i = 0; i <= 32768 / 5; i++)
		add_filter(fixture, i - 1);
	fixture->thread->has_seccomp_mode = fixture->thread->has_seccomp_filter = true;
	fixture->thread->seccomp_mode = SECCOMP_MODE__filter;
	fixture->thread->seccomp_filter = 32768 / 5 - 1;
	assert_int_equal(check_kind(fixture, &seccomp_kind), 0);
	fixture->thread->seccomp_filter++;
	assert_int_equal(check_kind(fixture, &seccomp_kind), -1);
	assert_int_equal(fixture->err.name, ERR_IMAGE_INVALID);
}

static void a_chain_of_filters_has_to_end(void **state)
{
	struct fixture *fixture = *state;

	add_filter(fixture, 0);
	fixture->thread->has_seccomp_mode = fixture->thread->has_seccomp_filter = true;
	fixture->thread->seccomp_mode = SECCOMP_MODE__filter;
	assert_int_equal(check_kind(fixture, &seccomp_kind), -1);
	assert_int_equal(fixture->err.name, ERR_IMAGE_INVALID);
	fixture->thread->seccomp_filter = 5;
	assert_int_equal(check_kind(fixture, &seccomp_kind), -1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(equal_credentials_need_nothing),
		TEST(dumpable_by_root_comes_by_a_change),
		TEST(privileges_last_until_they_are_needed),
		TEST(capabilities_that_nestor_lacks_are_refused),
		TEST(impossible_capabilities_are_refused),
		TEST(capabilities_have_two_words),
		TEST(filters_are_installed_oldest_first_behind_the_gate),
		TEST(filters_want_rights_of_the_initial_namespace),
		TEST(other_modes_of_seccomp_are_refused),
		TEST(chains_of_filters_are_as_long_as_the_kernel_has_them),
		TEST(a_chain_of_filters_has_to_end),
	};
#undef TEST

	return cmocka_run_group_tests(tests, NULL, NULL);
}
