// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Planning: what is refused, what tasks share, how they end, how fast it is, and that it makes no
 * system call. Trees as such are tests/model's.
 */
#include "plan-fixture.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- refusals ---- */

static void sessions_outside_need_shell_job(void **state)
{
	struct fixture fixture;

	(void)state;
	fixture_begin(&fixture);
	fixture_add_task(&fixture, 500, 0, 400);
	fixture_see_refused(&fixture, ERR_SESSION_OUTSIDE, "--shell-job");
	arena_done(&fixture.arena);
}

static void all_reasons_are_listed(void **state)
{
	struct fixture fixture;

	(void)state;
	fixture_begin(&fixture);
	fixture_add_task(&fixture, 500, 0, 500);
	fixture_add_task(&fixture, 501, 500, 500)->ids->vm_id = 1;
	fixture_add_task(&fixture, 502, 500, 500)->ids->vm_id = 1;
	fixture_see_refused(&fixture, ERR_SHARED_OBJECT, "task 501");
	assert_non_null(strstr(fixture.err.text, "\ntask 502"));
	arena_done(&fixture.arena);
}

static void numbers_above_the_limit_are_refused(void **state)
{
	struct fixture fixture;

	(void)state;
	fixture_begin(&fixture);
	fixture_add_task(&fixture, 500, 0, 500);
	fixture_add_task(&fixture, fixture_facts.pid_max, 500, 500);
	fixture_see_refused(&fixture, ERR_PID_OUT_OF_RANGE, "32768");
	arena_done(&fixture.arena);
	/* It is the first that nobody may have. */
	fixture_begin(&fixture);
	fixture_add_task(&fixture, 500, 0, 500);
	fixture_add_task(&fixture, fixture_facts.pid_max - 1, 500, 500);
	fixture_make_well(&fixture);
	arena_done(&fixture.arena);
}

/* ---- sharing ---- */

static void children_share_tables_by_clone(void **state)
{
	struct fixture fixture;

	(void)state;
	fixture_begin(&fixture);
	fixture_add_task(&fixture, 500, 0, 500);
	struct task *child = fixture_add_task(&fixture, 501, 500, 500);
	child->ids->files_id = 1;
	child->ids->fs_id = 1;
	fixture_make_well(&fixture);
	struct clone_args args =
		clone_args_of(&fixture, find_call(fixture.plan.tasks[0].program, SYS_clone3));
	assert_int_equal(args.flags, CLONE_FILES | CLONE_FS);
	assert_int_equal(args.exit_signal, SIGCHLD);
	assert_int_equal(count_calls(fixture.plan.tasks[1].program, SYS_close_range), 0);
	arena_done(&fixture.arena);
}

static void siblings_share_tables_by_clone_parent(void **state)
{
	struct fixture fixture;

	(void)state;
	fixture_begin(&fixture);
	fixture_add_task(&fixture, 500, 0, 500);
	fixture_add_task(&fixture, 501, 500, 500);
	fixture_add_task(&fixture, 502, 500, 500)->ids->files_id = 2;
	fixture_make_well(&fixture);
	assert_int_equal(count_calls(fixture.plan.tasks[0].program, SYS_clone3), 1);
	struct clone_args args =
		clone_args_of(&fixture, find_call(fixture.plan.tasks[1].program, SYS_clone3));
	assert_int_equal(args.flags, CLONE_FILES | CLONE_PARENT);
	assert_int_equal(args.exit_signal, 0);
	arena_done(&fixture.arena);
}

static void distant_tasks_cannot_share(void **state)
{
	struct fixture fixture;

	(void)state;
	fixture_begin(&fixture);
	fixture_add_task(&fixture, 500, 0, 500);
	fixture_add_task(&fixture, 501, 500, 500);
	fixture_add_task(&fixture, 502, 501, 500);
	fixture_add_task(&fixture, 503, 500, 500)->ids->files_id = 3;
	fixture_see_refused(&fixture, ERR_SHARED_OBJECT, "task 503: its descriptor table");
	arena_done(&fixture.arena);
}

/* ---- zombies, stopped tasks, threads ---- */

static void zombies_end_as_they_did(void **state)
{
	struct fixture fixture;

	(void)state;
	fixture_begin(&fixture);
	fixture_add_task(&fixture, 500, 0, 500);
	struct task *left = fixture_add_task(&fixture, 501, 500, 500);
	struct task *killed = fixture_add_task(&fixture, 502, 500, 500);
	left->core->tc->task_state = killed->core->tc->task_state = TASK_DEAD;
	left->core->tc->exit_code = 7 << 8;
	killed->core->tc->exit_code = SIGTERM;
	fixture_make_well(&fixture);
	assert_int_equal(find_call(fixture.plan.tasks[1].program, SYS_exit_group)->args[0], 7);
	assert_int_equal(find_call(fixture.plan.tasks[2].program, SYS_kill)->args[1], SIGTERM);
	assert_int_equal(count_calls(fixture.plan.tasks[0].program, SYS_waitid), 2);
	assert_int_equal(fixture.plan.n_parked, 1);
	assert_true(fixture.plan.tasks[1].zombie);
	arena_done(&fixture.arena);
}

static void plan_with_facts(struct fixture *fixture, const struct facts *facts)
{
	if (snapshot_index(&fixture->snapshot, &fixture->err) ||
	    plan_make(&fixture->plan, &fixture->arena, &fixture->snapshot, facts, &fixture_table,
		      &fixture_options, &fixture->err))
		fail_msg("%s", fixture->err.text);
}

static const struct death {
	uint32_t status;
	const char *core_pattern;
	rlim_t hard_limit;
	bool leaves_core;
	uint32_t calls[8]; /* of these, in order; up to a 0 */
} deaths[] = {
	{ SIGSEGV | 0x80,
	  "core",
	  RLIM_INFINITY,
	  true,
	  { SYS_fchdir, SYS_chroot, SYS_setrlimit, SYS_madvise, SYS_kill } },
	{ SIGQUIT | 0x80,
	  "/var/core/%p",
	  4096,
	  true,
	  { SYS_fchdir, SYS_chroot, SYS_setrlimit, SYS_madvise, SYS_kill } },
	{ SIGSEGV | 0x80, "core", 4095, false, { SYS_prlimit64, SYS_kill } },
	{ SIGSEGV | 0x80, "core", 0, false, { SYS_prlimit64, SYS_kill } },
	{ SIGSEGV | 0x80, NULL, RLIM_INFINITY, false, { SYS_prlimit64, SYS_kill } },
	{ SIGSEGV, "core", RLIM_INFINITY, false, { SYS_prlimit64, SYS_kill } },
	{ SIGTERM, "core", RLIM_INFINITY, false, { SYS_prlimit64, SYS_kill } },
	{ 3 << 8, "core", RLIM_INFINITY, false, { SYS_exit_group } },
};

static bool is_about_cores(uint32_t nr)
{
	static const uint32_t known[] = { SYS_fchdir,  SYS_chroot, SYS_setrlimit, SYS_prlimit64,
					  SYS_madvise, SYS_kill,   SYS_exit_group };

	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (known[i] == nr)
			return true;
	return false;
}

/* As the kernel takes it: {now, at most}. */
static void expect_limit(const struct fixture *fixture, const struct death *death)
{
	const struct program *program = fixture->plan.tasks[1].program;
	uint64_t at = death->leaves_core ? find_call(program, SYS_setrlimit)->args[1]
					 : find_call(program, SYS_prlimit64)->args[2];
	const struct rlimit *limit = (const struct rlimit *)(const void *)program_data_at(
		&fixture->plan.programs, at, NULL);
	rlim_t expected = death->leaves_core ? death->hard_limit : death->hard_limit ? 1 : 0;

	assert_true(limit->rlim_cur == expected && limit->rlim_max == expected);
}

/* A core goes to where nobody sees it, also by a name from the root on; or there is none. */
static void zombies_leave_cores_nowhere(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof deaths / sizeof *deaths; i++) {
		const struct death *death = &deaths[i];
		struct facts facts = fixture_facts;
		struct fixture fixture;
		size_t sources = 0, at = 0;

		facts.core_pattern = death->core_pattern;
		facts.rlimits[RLIMIT_CORE] =
			(struct rlimit){ death->hard_limit, death->hard_limit };
		fixture_begin(&fixture);
		fixture_add_task(&fixture, 500, 0, 500);
		struct task *zombie = fixture_add_task(&fixture, 501, 500, 500);
		zombie->core->tc->task_state = TASK_DEAD;
		zombie->core->tc->exit_code = death->status;
		plan_with_facts(&fixture, &facts);
		const struct program *program = fixture.plan.tasks[1].program;
		for (size_t k = 0; k < program->n_ops; k++)
			if (program->ops[k].kind <= OP_CLONE && is_about_cores(program->ops[k].nr))
				assert_int_equal(program->ops[k].nr, death->calls[at++]);
		assert_int_equal(death->calls[at], 0);
		for (size_t k = 0; k < fixture.plan.n_sources; k++)
			sources += fixture.plan.sources[k].kind == SOURCE_CORE_DIRECTORY;
		assert_int_equal(sources, death->leaves_core);
		if (death->status & 0x7f)
			expect_limit(&fixture, death);
		arena_done(&fixture.arena);
	}
}

static void impossible_deaths_are_refused(void **state)
{
	struct fixture fixture;

	(void)state;
	fixture_begin(&fixture);
	fixture_add_task(&fixture, 500, 0, 500);
	struct task *zombie = fixture_add_task(&fixture, 501, 500, 500);
	zombie->core->tc->task_state = TASK_DEAD;
	zombie->core->tc->exit_code = SIGCHLD;
	fixture_see_refused(&fixture, ERR_IMAGE_INVALID, "signal 17");
	fixture.err = (struct error){ 0 };
	zombie->core->tc->exit_code = SIGTERM | 0x80;
	fixture_see_refused(&fixture, ERR_IMAGE_INVALID, "dumped core");
	arena_done(&fixture.arena);
}

static size_t count_actions(const struct plan *plan, enum action_kind kind)
{
	size_t count = 0;

	for (size_t i = 0; i < plan->n_actions; i++)
		count += plan->actions[i].kind == kind;
	return count;
}

static void parents_wait_for_stopped_children(void **state)
{
	struct fixture fixture;

	(void)state;
	fixture_begin(&fixture);
	fixture_add_task(&fixture, 500, 0, 500);
	fixture_add_task(&fixture, 501, 500, 500)->core->tc->task_state = TASK_STOPPED;
	fixture_add_task(&fixture, 502, 500, 500);
	fixture_make_well(&fixture);
	assert_int_equal(fixture.plan.n_parked, 3);
	assert_int_equal(fixture.plan.n_parked_before_stop, 2);
	assert_int_equal(fixture.plan.gates[GATE_STOPPED].n_waiting, 1);
	assert_true(fixture.plan.tasks[0].waits_for_stop);
	assert_int_equal(count_actions(&fixture.plan, ACTION_STOP), 1);
	assert_int_equal(count_actions(&fixture.plan, ACTION_PARK), 2);
	assert_true(fixture.plan.tasks[1].stopped);
	arena_done(&fixture.arena);
}

static struct task *add_two_threads(struct fixture *fixture)
{
	struct task *task = fixture_add_task(fixture, 500, 0, 500);

	task->pstree->n_threads = task->n_threads = 2;
	task->pstree->threads = arena_array(&fixture->arena, uint32_t, 2);
	task->pstree->threads[0] = 500;
	task->pstree->threads[1] = 510;
	task->threads = arena_array(&fixture->arena, CoreEntry *, 2);
	task->threads[0] = task->core;
	task->threads[1] = fixture_new_core(&fixture->snapshot);
	return task;
}

static void threads_have_programs(void **state)
{
	struct fixture fixture;

	(void)state;
	fixture_begin(&fixture);
	add_two_threads(&fixture);
	fixture_make_well(&fixture);
	const struct op *op = find_call(fixture.plan.tasks[0].program, SYS_clone3);
	assert_int_equal(op->expected, 510);
	assert_int_equal(clone_args_of(&fixture, op).flags, CLONE_VM | CLONE_FS | CLONE_FILES |
								    CLONE_SIGHAND | CLONE_THREAD |
								    CLONE_SYSVSEM);
	assert_string_equal(fixture.plan.tasks[0].threads[1].program->name, "task 500 thread 510");
	assert_int_equal(fixture.plan.tasks[0].threads[1].outer_pid, 510);
	assert_int_equal(fixture.plan.n_parked, 2);
	arena_done(&fixture.arena);
}

static void a_dead_leader_exits_again(void **state)
{
	struct fixture fixture;

	(void)state;
	fixture_begin(&fixture);
	struct task *task = add_two_threads(&fixture);
	task->core->thread_info = NULL;
	task->core->tc->has_leader_exit_code = true;
	task->core->tc->leader_exit_code = 37 << 8;
	struct task *child = fixture_add_task(&fixture, 501, 500, 500);
	child->core->thread_core->pdeath_sig = SIGUSR1;
	fixture_make_well(&fixture);
	const struct program *leader = fixture.plan.tasks[0].program;
	assert_true(fixture.plan.tasks[0].leader_dead);
	assert_int_equal(fixture.plan.gates[GATE_LEADERS].n_waiting, 1);
	assert_int_equal(count_actions(&fixture.plan, ACTION_GATE), 1);
	assert_int_equal(leader->ops[leader->n_ops - 1].nr, SYS_exit);
	assert_int_equal(leader->ops[leader->n_ops - 1].args[0], 37);
	assert_int_equal(leader->ops[leader->n_ops - 2].args[0],
			 fixture.plan.gates[GATE_LEADERS].go_word);
	assert_int_equal(fixture.plan.n_parked, 3);
	arena_done(&fixture.arena);
}

static void deaths_of_threads_by_signals_are_refused(void **state)
{
	struct fixture fixture;

	(void)state;
	fixture_begin(&fixture);
	struct task *task = add_two_threads(&fixture);
	task->core->tc->has_leader_exit_code = true;
	task->core->tc->leader_exit_code = SIGSEGV;
	fixture_see_refused(&fixture, ERR_UNSUPPORTED_TASK, "which no exit gives");
	arena_done(&fixture.arena);
}

/* ---- helpers ---- */

static bool has_program(const struct fixture *fixture, const char *name)
{
	const struct program_set *set = &fixture->plan.programs;

	for (size_t i = 0; i < set->n_programs; i++)
		if (strcmp(set->programs[i]->name, name) == 0)
			return true;
	return false;
}

/* Numbers from 2 on are those of helpers, but for what anybody has, had or is to have. */
static void helpers_take_numbers_that_are_free(void **state)
{
	struct plan_options options = fixture_options;
	struct fixture fixture;

	(void)state;
	options.fresh_pid_namespace = true;
	fixture_begin(&fixture);
	struct task *root = fixture_add_task(&fixture, 500, 0, 500);
	root->core->tc->has_child_subreaper = root->core->tc->child_subreaper = true;
	fixture_add_task(&fixture, 3, 500, 500)->pstree->pgid = 2;
	fixture_add_task(&fixture, 501, 500, 500);
	fixture_add_task(&fixture, 506, 501, 506);
	/* A member of its session that is a child of the root has come from somebody in between. */
	fixture_add_task(&fixture, 530, 500, 506)->pstree->pgid = 506;
	struct task *maker = &fixture.snapshot.tasks[2];
	maker->pstree->n_threads = maker->n_threads = 3;
	maker->pstree->threads =
		arena_copy(&fixture.arena, (const uint32_t[]){ 501, 5, 4 }, 3 * sizeof(uint32_t));
	maker->threads = arena_array(&fixture.arena, CoreEntry *, 3);
	maker->threads[0] = maker->core;
	maker->threads[1] = fixture_new_core(&fixture.snapshot);
	maker->threads[2] = fixture_new_core(&fixture.snapshot);
	if (snapshot_index(&fixture.snapshot, &fixture.err) ||
	    plan_make(&fixture.plan, &fixture.arena, &fixture.snapshot, &fixture_facts,
		      &fixture_table, &options, &fixture.err))
		fail_msg("%s", fixture.err.text);
	assert_true(has_program(&fixture, "helper: dead parent 6"));
	arena_done(&fixture.arena);
}

/* ---- speed and purity ---- */

static void add_large_tree(struct fixture *fixture, uint32_t count)
{
	fixture_add_task(fixture, 500, 0, 500);
	for (uint32_t i = 1; i < count; i++) {
		uint32_t pid = 500 + i;
		/* Broad and deep, with jobs of ten. */
		uint32_t parent = i % 3 ? 500 + i / 2 : pid - 1;
		fixture_add_task(fixture, pid, parent, 500)->pstree->pgid = pid - i % 10;
	}
	fixture_add_file(fixture, 1);
	for (size_t i = 0; i < fixture->snapshot.n_tables; i++)
		for (uint32_t number = 0; number < 3; number++)
			fixture_add_descriptor(fixture, fixture->snapshot.tables[i], number, 1, 0);
}

static void ten_thousand_tasks_take_no_time(void **state)
{
	struct fixture fixture;
	struct timespec start, end;

	(void)state;
	fixture_begin(&fixture);
	add_large_tree(&fixture, 10000);
	assert_int_equal(snapshot_index(&fixture.snapshot, &fixture.err), 0);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
	int result = plan_make(&fixture.plan, &fixture.arena, &fixture.snapshot, &fixture_facts,
			       &fixture_table, &fixture_options, &fixture.err);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
	if (result)
		fail_msg("%s", fixture.err.text);
	double seconds =
		(double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9;
	print_message("10000 tasks: %.3f s\n", seconds);
	assert_true(seconds < 1.0);
	arena_done(&fixture.arena);
}

static void forbid_system_calls(void)
{
#define ALLOW(nr)                                        \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (nr), 0, 1), \
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		ALLOW(SYS_mmap),
		ALLOW(SYS_munmap),
		ALLOW(SYS_mremap),
		ALLOW(SYS_brk),
		ALLOW(SYS_madvise),
		ALLOW(SYS_write),
		ALLOW(SYS_exit_group),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	};
#undef ALLOW
	struct sock_fprog program = { sizeof filter / sizeof *filter, filter };

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		_exit(77);
}

static void planning_makes_no_system_calls(void **state)
{
	struct fixture fixture;
	struct text text;
	int status;

	(void)state;
	fixture_begin(&fixture);
	add_large_tree(&fixture, 200);
	assert_int_equal(snapshot_index(&fixture.snapshot, &fixture.err), 0);
	pid_t pid = fork();
	if (pid == 0) {
		forbid_system_calls();
		if (plan_make(&fixture.plan, &fixture.arena, &fixture.snapshot, &fixture_facts,
			      &fixture_table, &fixture_options, &fixture.err))
			syscall(SYS_exit_group, 1);
		text_init(&text, &fixture.arena);
		plan_print(&fixture.plan, &text);
		plan_print_json(&fixture.plan, &text);
		syscall(SYS_exit_group, text.length > 10000 ? 0 : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(status, 0);
	arena_done(&fixture.arena);
}

static size_t n_rounds;

/* Needs more room than is guessed, and the words that kinds share. */
static int plan_large(const struct planning *planning, struct error *err)
{
	enum { SIZE = 8 * 1024 * 1024 };
	struct plan *plan = planning->plan;
	struct program *program = planning->program;

	(void)err;
	n_rounds++;
	assert_int_equal(plan->gates[GATE_FILTERS_BEFORE_STOP].go_word, 0);
	assert_int_equal(plan->services[SERVICE_FILL].n_requests, 0);
	assert_int_equal(plan->n_calls_at_end, 0);
	assert_int_equal(plan->n_warnings, 0);
	assert_int_equal(plan->n_kind_states, 0);
	plan_wait_at_filters(plan, planning->task, planning->thread, program);
	plan_add_request(plan, SERVICE_FILL, program_word(program->set, 0), NULL);
	plan_call_at_end(plan, planning->task, planning->thread, SYS_getpid, 0, 0, 0);
	plan_warn(plan, "is large");
	plan_kind_state(plan, &n_rounds, 8);
	program_data(program->set, arena_alloc(plan->arena, SIZE), SIZE, 8);
	return 0;
}

static void a_second_round_begins_anew(void **state)
{
	static const struct task_kind large = { .name = "large", .plan = plan_large };
	static const struct task_kind *const larges[] = { &large, NULL };
	struct kind_table with_large = fixture_table;
	struct fixture fixture;

	(void)state;
	fixture_begin(&fixture);
	fixture_add_task(&fixture, 500, 0, 500);
	with_large.tasks[STAGE_PROCESS] = larges;
	assert_int_equal(snapshot_index(&fixture.snapshot, &fixture.err), 0);
	n_rounds = 0;
	assert_int_equal(plan_make(&fixture.plan, &fixture.arena, &fixture.snapshot, &fixture_facts,
				   &with_large, &fixture_options, &fixture.err),
			 0);
	assert_true(n_rounds > 1);
	assert_int_equal(fixture.plan.gates[GATE_FILTERS_BEFORE_STOP].n_waiting, 1);
	assert_int_equal(fixture.plan.n_warnings, 1);
	arena_done(&fixture.arena);
}

static void same_input_gives_the_same_plan(void **state)
{
	struct text texts[2];
	struct fixture fixtures[2];

	(void)state;
	for (int i = 0; i < 2; i++) {
		fixture_begin(&fixtures[i]);
		add_large_tree(&fixtures[i], 100);
		fixture_make_well(&fixtures[i]);
		text_init(&texts[i], &fixtures[i].arena);
		plan_print(&fixtures[i].plan, &texts[i]);
	}
	assert_string_equal(texts[0].string, texts[1].string);
	for (int i = 0; i < 2; i++)
		arena_done(&fixtures[i].arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sessions_outside_need_shell_job),
		cmocka_unit_test(all_reasons_are_listed),
		cmocka_unit_test(numbers_above_the_limit_are_refused),
		cmocka_unit_test(children_share_tables_by_clone),
		cmocka_unit_test(siblings_share_tables_by_clone_parent),
		cmocka_unit_test(distant_tasks_cannot_share),
		cmocka_unit_test(zombies_end_as_they_did),
		cmocka_unit_test(zombies_leave_cores_nowhere),
		cmocka_unit_test(impossible_deaths_are_refused),
		cmocka_unit_test(parents_wait_for_stopped_children),
		cmocka_unit_test(threads_have_programs),
		cmocka_unit_test(a_dead_leader_exits_again),
		cmocka_unit_test(deaths_of_threads_by_signals_are_refused),
		cmocka_unit_test(helpers_take_numbers_that_are_free),
		cmocka_unit_test(ten_thousand_tasks_take_no_time),
		cmocka_unit_test(planning_makes_no_system_calls),
		cmocka_unit_test(a_second_round_begins_anew),
		cmocka_unit_test(same_input_gives_the_same_plan),
	};

	return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
