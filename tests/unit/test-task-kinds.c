// SPDX-License-Identifier: LGPL-2.1-or-later
/* What kinds of task state plan and refuse, for facts made by hand; no privilege is needed. */
#include "task-fixture.h"

#include "kinds/memory/memory.h"

static void set_limit(struct fixture *fixture, uint64_t soft, uint64_t hard)
{
	TaskRlimitsEntry *limits =
		snapshot_new(&fixture->snapshot, TASK_RLIMITS_ENTRY, TaskRlimitsEntry);
	RlimitEntry *limit = snapshot_new(&fixture->snapshot, RLIMIT_ENTRY, RlimitEntry);

	limit->cur = soft;
	limit->max = hard;
	limits->rlimits = arena_array(&fixture->arena, RlimitEntry *, 1);
	limits->rlimits[limits->n_rlimits++] = limit;
	fixture->tc->rlimits = limits;
}

static void limits_are_lowered_not_raised(void **state)
{
	struct fixture *fixture = *state;

	fixture->facts.rlimits[0] = (struct rlimit){ 100, 200 };
	set_limit(fixture, 100, 200);
	assert_int_equal(plan_kind(fixture, &resource_limits_kind), 0);
	assert_int_equal(fixture->program->n_ops, 0);
	set_limit(fixture, 50, 150);
	assert_int_equal(plan_kind(fixture, &resource_limits_kind), 0);
	assert_int_equal(fixture->program->n_ops, 1);
	assert_int_equal(fixture->program->ops[0].nr, SYS_prlimit64);
	set_limit(fixture, 50, 201);
	assert_int_equal(plan_kind(fixture, &resource_limits_kind), -1);
	assert_int_equal(fixture->err.name, ERR_LIMIT_TOO_LOW);
	fixture->facts.capabilities |= UINT64_C(1) << CAP_SYS_RESOURCE;
	assert_int_equal(plan_kind(fixture, &resource_limits_kind), 0);
}

static void add_actions(struct fixture *fixture)
{
	fixture->tc->sigactions = arena_array(&fixture->arena, SaEntry *, SIGNAL_ENTRIES);
	for (size_t i = 0; i < SIGNAL_ENTRIES; i++)
		fixture->tc->sigactions[fixture->tc->n_sigactions++] =
			snapshot_new(&fixture->snapshot, SA_ENTRY, SaEntry);
}

static void entries_of_actions_skip_two_signals(void **state)
{
	struct fixture *fixture = *state;

	add_actions(fixture);
	fixture->tc->sigactions[SIGUSR1 - 2]->sigaction = 0x1000; /* behind SIGKILL */
	fixture->tc->sigactions[61]->sigaction = 0x2000;
	assert_int_equal(check_kind(fixture, &signal_actions_kind), 0);
	assert_int_equal(plan_kind(fixture, &signal_actions_kind), 0);
	assert_int_equal(fixture->program->n_ops, 3);
	assert_int_equal(fixture->program->ops[0].args[0], SIGCHLD);
	assert_int_equal(fixture->program->ops[1].args[0], SIGUSR1);
	assert_int_equal(fixture->program->ops[2].args[0], 64);
	const struct kernel_sigaction *action = data_of(fixture, fixture->program->ops[2].args[1]);
	assert_int_equal(action->handler, 0x2000);
}

static void what_nestor_ignores_is_set_back(void **state)
{
	struct fixture *fixture = *state;

	add_actions(fixture);
	fixture->facts.ignored_signals = UINT64_C(1) << (SIGHUP - 1);
	assert_int_equal(plan_kind(fixture, &signal_actions_kind), 0);
	assert_int_equal(fixture->program->n_ops, 2);
	assert_int_equal(fixture->program->ops[1].args[0], SIGHUP);
}

static void add_timer(struct fixture *fixture, uint32_t id)
{
	TaskTimersEntry *timers = fixture->tc->timers;

	if (!timers) {
		timers = snapshot_new(&fixture->snapshot, TASK_TIMERS_ENTRY, TaskTimersEntry);
		timers->real = snapshot_new(&fixture->snapshot, ITIMER_ENTRY, ItimerEntry);
		timers->virt = snapshot_new(&fixture->snapshot, ITIMER_ENTRY, ItimerEntry);
		timers->prof = snapshot_new(&fixture->snapshot, ITIMER_ENTRY, ItimerEntry);
		fixture->tc->timers = timers;
	}
	PosixTimerEntry *timer =
		snapshot_new(&fixture->snapshot, POSIX_TIMER_ENTRY, PosixTimerEntry);
	timer->it_id = id;
	timer->vsec = 1;
	timers->posix = arena_grow(&fixture->arena, timers->posix, timers->n_posix, sizeof(void *));
	timers->posix[timers->n_posix++] = timer;
}

static void timers_get_their_ids(void **state)
{
	struct fixture *fixture = *state;

	add_timer(fixture, 9);
	add_timer(fixture, 2);
	assert_int_equal(plan_kind(fixture, &posix_timers_kind), 0);
	/* On, two timers, off, two settings. */
	assert_int_equal(fixture->program->n_ops, 6);
	const uint64_t *id = data_of(fixture, fixture->program->ops[1].args[2]);
	assert_int_equal(*id, 2);
}

static void timers_are_counted_up_to_on_older_kernels(void **state)
{
	struct fixture *fixture = *state;
	size_t created = 0, deleted = 0;

	fixture->facts.timer_restore_ids = false;
	add_timer(fixture, 4);
	add_timer(fixture, 1);
	assert_int_equal(plan_kind(fixture, &posix_timers_kind), 0);
	for (size_t i = 0; i < fixture->program->n_ops; i++) {
		created += fixture->program->ops[i].nr == SYS_timer_create;
		deleted += fixture->program->ops[i].nr == SYS_timer_delete;
	}
	assert_int_equal(created, 5);
	assert_int_equal(deleted, 3);
	add_timer(fixture, 1000000);
	assert_int_equal(plan_kind(fixture, &posix_timers_kind), -1);
	assert_int_equal(fixture->err.name, ERR_KERNEL_TOO_OLD);
}

static void a_timer_is_there_once(void **state)
{
	struct fixture *fixture = *state;

	add_timer(fixture, 4);
	add_timer(fixture, 1);
	add_timer(fixture, 4);
	assert_int_equal(plan_kind(fixture, &posix_timers_kind), -1);
	assert_int_equal(fixture->err.name, ERR_IMAGE_INVALID);
}

static void add_pending(struct fixture *fixture, int signal, size_t size)
{
	SignalQueueEntry *queue =
		snapshot_new(&fixture->snapshot, SIGNAL_QUEUE_ENTRY, SignalQueueEntry);
	SiginfoEntry *entry = snapshot_new(&fixture->snapshot, SIGINFO_ENTRY, SiginfoEntry);

	entry->siginfo.data = arena_alloc(&fixture->arena, size);
	entry->siginfo.len = size;
	memcpy(entry->siginfo.data, &signal, sizeof signal);
	queue->signals = arena_array(&fixture->arena, SiginfoEntry *, 1);
	queue->signals[queue->n_signals++] = entry;
	fixture->thread->signals_p = queue;
}

static void pending_signals_are_queued_to_oneself(void **state)
{
	struct fixture *fixture = *state;

	add_pending(fixture, SIGUSR2, 128);
	assert_int_equal(check_kind(fixture, &pending_signals_kind), 0);
	assert_int_equal(plan_kind(fixture, &pending_signals_kind), 0);
	assert_int_equal(fixture->program->ops[0].nr, SYS_rt_tgsigqueueinfo);
	assert_int_equal(fixture->program->ops[0].args[0], 10);
	assert_int_equal(fixture->program->ops[0].args[1], 10);
	assert_int_equal(fixture->program->ops[0].args[2], SIGUSR2);
	add_pending(fixture, SIGSTOP, 128);
	assert_int_equal(check_kind(fixture, &pending_signals_kind), -1);
	add_pending(fixture, SIGUSR2, 12);
	assert_int_equal(check_kind(fixture, &pending_signals_kind), -1);
}

/* ---- what the kernel would refuse once tasks exist ---- */

static void see_checked(struct fixture *fixture, const struct task_kind *kind, bool possible)
{
	fixture->err = (struct error){ 0 };
	assert_int_equal(check_kind(fixture, kind), possible ? 0 : -1);
	assert_int_equal(fixture->err.name != ERR_NONE, !possible);
}

/* Of a process, and which: 4 for a thread, 2 the time of the scheduler, 3 for a descriptor. */
#define CPU_CLOCK(pid, which) ((int)(~(uint32_t)(pid) << 3 | (which)))

static void clocks_of_timers_are_known(void **state)
{
	struct fixture *fixture = *state;
	static const struct {
		int clock;
		bool possible;
	} clocks[] = {
		{ 0, true },
		{ 1, true },
		{ 4, false }, /* CLOCK_MONOTONIC_RAW */
		{ 11, true },
		{ 12, false },
		{ CPU_CLOCK(0, 2), true },
		{ CPU_CLOCK(10, 6), true },
		{ CPU_CLOCK(11, 2), false },
		{ CPU_CLOCK(3, 3), false },
	};

	add_timer(fixture, 1);
	PosixTimerEntry *timer = fixture->tc->timers->posix[0];
	timer->si_signo = SIGUSR1;
	for (size_t i = 0; i < sizeof clocks / sizeof *clocks; i++) {
		timer->clock_id = (uint32_t)clocks[i].clock;
		see_checked(fixture, &posix_timers_kind, clocks[i].possible);
	}
	timer->clock_id = 0;
	timer->it_sigev_notify = 3;
	see_checked(fixture, &posix_timers_kind, false);
	timer->it_sigev_notify = SIGEV_SIGNAL;
	timer->si_signo = 0;
	see_checked(fixture, &posix_timers_kind, false);
}

static void scheduling_is_possible(void **state)
{
	struct fixture *fixture = *state;
	ThreadCoreEntry *thread = fixture->thread;
	static const struct {
		uint32_t policy, priority;
		bool possible;
	} policies[] = {
		{ 0, 0, true },	   { 0, 1, false }, { 1, 0, false },	     { 1, 99, true },
		{ 2, 100, false }, { 4, 0, false }, { 0x40000001, 5, true }, { 9, 0, false },
	};

	thread->has_sched_policy = true;
	for (size_t i = 0; i < sizeof policies / sizeof *policies; i++) {
		thread->sched_policy = policies[i].policy;
		thread->sched_prio = policies[i].priority;
		see_checked(fixture, &scheduling_kind, policies[i].possible);
	}
	thread->sched_policy = 6; /* SCHED_DEADLINE */
	thread->sched_prio = 0;
	see_checked(fixture, &scheduling_kind, false);
	thread->sched_runtime = 10000000;
	thread->sched_deadline = thread->sched_period = 20000000;
	see_checked(fixture, &scheduling_kind, true);
	thread->sched_deadline = 30000000;
	see_checked(fixture, &scheduling_kind, false);
	thread->sched_policy = 0;
	uint8_t none[8] = { 0 };
	thread->has_cpu_affinity = true;
	thread->cpu_affinity = (ProtobufCBinaryData){ sizeof none, none };
	see_checked(fixture, &scheduling_kind, false);
	none[sizeof none - 1] = 4;
	see_checked(fixture, &scheduling_kind, true);
	thread->has_io_priority = true;
	thread->io_priority = 4 << 13;
	see_checked(fixture, &scheduling_kind, false);
}

/* Whoever it is of. */
static void contexts_of_aio_are_prepared_for(void **state)
{
	MmEntry none = MM_ENTRY__INIT, one = MM_ENTRY__INIT;
	struct task tasks[3] = { { .mm = &none }, { .mm = NULL }, { .mm = &none } };
	const struct snapshot snapshot = { .tasks = tasks, .n_tasks = 3 };

	(void)state;
	one.n_aios = 1;
	assert_false(aio_kind.prepares(&snapshot));
	for (size_t i = 0; i < 3; i++) {
		MmEntry *before = tasks[i].mm;
		tasks[i].mm = &one;
		assert_true(aio_kind.prepares(&snapshot));
		tasks[i].mm = before;
	}
}

static void places_of_threads_are_possible(void **state)
{
	struct fixture *fixture = *state;
	RseqEntry *rseq = snapshot_new(&fixture->snapshot, RSEQ_ENTRY, RseqEntry);
	ThreadSasEntry *stack = snapshot_new(&fixture->snapshot, THREAD_SAS_ENTRY, ThreadSasEntry);

	rseq->rseq_abi_pointer = 0x1000;
	rseq->rseq_abi_size = 32;
	fixture->thread->rseq_entry = rseq;
	see_checked(fixture, &rseq_kind, true);
	rseq->rseq_abi_size = 16;
	see_checked(fixture, &rseq_kind, false);
	rseq->rseq_abi_size = 32;
	rseq->rseq_abi_pointer = 0x1008;
	see_checked(fixture, &rseq_kind, false);
	fixture->thread->sas = stack;
	stack->ss_flags = SS_DISABLE;
	see_checked(fixture, &alternate_stack_kind, true);
	stack->ss_flags = 0;
	stack->ss_size = 1024;
	see_checked(fixture, &alternate_stack_kind, false);
	stack->ss_size = 8192;
	see_checked(fixture, &alternate_stack_kind, true);
}

static void calls_are_dispatched_by_a_byte(void **state)
{
	struct fixture *fixture = *state;
	ThreadDispatchEntry *entry =
		snapshot_new(&fixture->snapshot, THREAD_DISPATCH_ENTRY, ThreadDispatchEntry);

	fixture->thread->dispatch = entry;
	see_checked(fixture, &syscall_dispatch_kind, false);
	entry->selector = 0x1000;
	see_checked(fixture, &syscall_dispatch_kind, true);
	entry->offset = 0x2000;
	see_checked(fixture, &syscall_dispatch_kind, false);
	entry->length = 1;
	see_checked(fixture, &syscall_dispatch_kind, true);
	entry->length = UINT64_MAX;
	see_checked(fixture, &syscall_dispatch_kind, false);
	entry->length = 1;
	entry->selector = UINT64_MAX;
	see_checked(fixture, &syscall_dispatch_kind, false);
}

/* The lowest and the highest that there is, and what is beyond. */
static void numbers_are_in_their_ranges(void **state)
{
	struct fixture *fixture = *state;
	TaskCoreEntry *tc = fixture->tc;

	tc->has_oom_score_adj = true;
	for (int32_t at = -1001; at <= 1001; at += at == -1000 ? 2000 : 1) {
		tc->oom_score_adj = at;
		see_checked(fixture, &oom_score_kind, at >= -1000 && at <= 1000);
	}
	tc->has_autogroup_nice = true;
	for (int32_t nice = -21; nice <= 20; nice++) {
		tc->autogroup_nice = nice;
		see_checked(fixture, &autogroup_kind, nice >= -20 && nice <= 19);
	}
	for (uint32_t signal = 0; signal <= 65; signal++) {
		fixture->thread->pdeath_sig = signal;
		see_checked(fixture, &parent_death_signal_kind, signal <= 64);
	}
	for (uint32_t bit = 0; bit < 32; bit++) {
		tc->coredump_filter = UINT32_C(1) << bit;
		see_checked(fixture, &coredump_filter_kind, bit < 9);
	}
	tc->personality = UINT32_MAX;
	see_checked(fixture, &personality_kind, false);
	tc->personality = UINT32_MAX - 1;
	see_checked(fixture, &personality_kind, true);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(limits_are_lowered_not_raised),
		TEST(entries_of_actions_skip_two_signals),
		TEST(what_nestor_ignores_is_set_back),
		TEST(timers_get_their_ids),
		TEST(timers_are_counted_up_to_on_older_kernels),
		TEST(a_timer_is_there_once),
		TEST(pending_signals_are_queued_to_oneself),
		TEST(clocks_of_timers_are_known),
		TEST(scheduling_is_possible),
		TEST(places_of_threads_are_possible),
		TEST(contexts_of_aio_are_prepared_for),
		TEST(calls_are_dispatched_by_a_byte),
		TEST(numbers_are_in_their_ranges),
	};
#undef TEST

	return cmocka_run_group_tests(tests, NULL, NULL);
}
