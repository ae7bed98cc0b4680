// SPDX-License-Identifier: LGPL-2.1-or-later
/* What kinds of task state plan and refuse, for facts made by hand; no privilege is needed. */
#include "kernel/syscalls.h"
#include "kinds/task/credentials.h"
#include "kinds/task/task.h"
#include "plan/plan.h"

#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/securebits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <cmocka.h>

enum { BASE = 0x10000000, SIGNAL_ENTRIES = 62 };

/* A task of one thread that is what the coordinator is, and the facts that say so. */
struct fixture {
	struct arena arena;
	struct facts facts;
	struct snapshot snapshot;
	struct user_namespace own; /* the coordinator's */
	struct plan plan;
	struct program *program;
	struct task *task;
	TaskCoreEntry *tc;
	ThreadCoreEntry *thread;
	CredsEntry *creds;
	struct error err;
};

static uint32_t *words(struct fixture *fixture, uint64_t set)
{
	uint32_t both[2] = { (uint32_t)set, (uint32_t)(set >> 32) };

	return arena_copy(&fixture->arena, both, sizeof both);
}

static void set_capabilities(struct fixture *fixture, uint64_t permitted, uint64_t bounding)
{
	CredsEntry *creds = fixture->creds;

	creds->n_cap_prm = creds->n_cap_eff = creds->n_cap_bnd = creds->n_cap_inh = 2;
	creds->n_cap_amb = 2;
	creds->cap_prm = words(fixture, permitted);
	creds->cap_eff = words(fixture, permitted);
	creds->cap_bnd = words(fixture, bounding);
	creds->cap_inh = words(fixture, 0);
	creds->cap_amb = words(fixture, 0);
}

static void make_task(struct fixture *fixture)
{
	struct snapshot *snapshot = &fixture->snapshot;
	struct task *task = snapshot_add_task(snapshot);

	task->pstree = snapshot_new(snapshot, PSTREE_ENTRY, PstreeEntry);
	task->pstree->pid = 10;
	task->pstree->threads = arena_array(&fixture->arena, uint32_t, 1);
	task->pstree->threads[0] = 10;
	task->pstree->n_threads = 1;
	task->core = snapshot_new(snapshot, CORE_ENTRY, CoreEntry);
	task->core->tc = fixture->tc = snapshot_new(snapshot, TASK_CORE_ENTRY, TaskCoreEntry);
	task->core->thread_core = fixture->thread =
		snapshot_new(snapshot, THREAD_CORE_ENTRY, ThreadCoreEntry);
	task->core->thread_info = snapshot_new(snapshot, THREAD_INFO_X86, ThreadInfoX86);
	fixture->tc->task_state = TASK_ALIVE;
	fixture->tc->comm = arena_string(&fixture->arena, "task");
	fixture->creds = snapshot_new(snapshot, CREDS_ENTRY, CredsEntry);
	fixture->thread->creds = fixture->creds;
	task->threads = arena_array(&fixture->arena, CoreEntry *, 1);
	task->threads[0] = task->core;
	task->n_threads = 1;
	task->user_namespace = &fixture->own;
	fixture->task = task;
}

static int set_up(void **state)
{
	static struct fixture fixture;

	memset(&fixture, 0, sizeof fixture);
	arena_init(&fixture.arena);
	fixture.snapshot.arena = &fixture.arena;
	fixture.facts.known_capabilities = (UINT64_C(1) << 41) - 1;
	fixture.facts.capabilities =
		fixture.facts.known_capabilities & ~(UINT64_C(1) << CAP_SYS_RESOURCE);
	fixture.facts.permitted = fixture.facts.bounding = fixture.facts.capabilities;
	fixture.facts.in_initial_user_namespace = true;
	fixture.facts.timer_restore_ids = true;
	fixture.facts.dumpable = 1;
	make_task(&fixture);
	set_capabilities(&fixture, fixture.facts.permitted, fixture.facts.bounding);
	program_set_init(&fixture.plan.programs, &fixture.arena, BASE);
	fixture.plan.arena = &fixture.arena;
	fixture.plan.facts = &fixture.facts;
	fixture.plan.snapshot = &fixture.snapshot;
	fixture.program = program_new(&fixture.plan.programs, "task 10");
	*state = &fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	arena_done(&fixture->arena);
	return 0;
}

static int plan_kind(struct fixture *fixture, const struct task_kind *kind)
{
	return kind->plan(&(struct planning){ .plan = &fixture->plan,
					      .task = fixture->task,
					      .program = fixture->program },
			  &fixture->err);
}

/* The kinds of STAGE_IDS and STAGE_CAPABILITIES. */
static int plan_credentials(struct fixture *fixture)
{
	return plan_kind(fixture, &credentials_kind) ? -1
						     : plan_kind(fixture, &capability_sets_kind);
}

static int check_kind(struct fixture *fixture, const struct task_kind *kind)
{
	return kind->check(&fixture->snapshot, fixture->task, &fixture->err);
}

/* The place of a call in the program, -1 if it is not made. */
static int place_of(const struct fixture *fixture, uint32_t nr, uint64_t first)
{
	for (size_t i = 0; i < fixture->program->n_ops; i++)
		if (fixture->program->ops[i].kind == OP_CALL && fixture->program->ops[i].nr == nr &&
		    fixture->program->ops[i].args[0] == first)
			return (int)i;
	return -1;
}

static const void *data_of(const struct fixture *fixture, uint64_t address)
{
	const void *data = program_data_at(&fixture->plan.programs, address, NULL);

	assert_non_null(data);
	return data;
}

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
	/* The second one is not of the chain. */
	const uint64_t *laid_down = fixture->plan.kind_states[0].state;
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
	none[1] = 4;
	see_checked(fixture, &scheduling_kind, true);
	thread->has_io_priority = true;
	thread->io_priority = 4 << 13;
	see_checked(fixture, &scheduling_kind, false);
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
		TEST(limits_are_lowered_not_raised),
		TEST(entries_of_actions_skip_two_signals),
		TEST(what_nestor_ignores_is_set_back),
		TEST(timers_get_their_ids),
		TEST(timers_are_counted_up_to_on_older_kernels),
		TEST(filters_are_installed_oldest_first_behind_the_gate),
		TEST(filters_want_rights_of_the_initial_namespace),
		TEST(a_timer_is_there_once),
		TEST(other_modes_of_seccomp_are_refused),
		TEST(chains_of_filters_are_as_long_as_the_kernel_has_them),
		TEST(a_chain_of_filters_has_to_end),
		TEST(pending_signals_are_queued_to_oneself),
		TEST(clocks_of_timers_are_known),
		TEST(scheduling_is_possible),
		TEST(places_of_threads_are_possible),
		TEST(calls_are_dispatched_by_a_byte),
	};
#undef TEST

	return cmocka_run_group_tests(tests, NULL, NULL);
}
