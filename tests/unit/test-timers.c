// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Timers that expire while a tree stands still: what is recorded of each, by where its signal is
 * pending: of a process of three threads, at each of them or at the process.
 */
#include "collect/collect.h"
#include "collect/wait.h"
#include "kinds/task/task.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { THREADS = 3, FIRST_NUMBER = 40, PROCESS = THREADS, SECOND = 1000000000 };

struct fixture {
	struct arena arena;
	struct snapshot snapshot;
	struct collect collect;
	struct target target;
	struct target_thread threads[THREADS];
	TaskTimersEntry *timers;
	struct error err;
};

struct member {
	int fd, index;
	pid_t tid;
};

/* SIGRTMIN + i is pending at thread i; nobody takes any. */
static void *hold_signal(void *data)
{
	struct member *member = data;

	member->tid = (pid_t)syscall(SYS_gettid);
	syscall(SYS_tgkill, getpid(), member->tid, SIGRTMIN + member->index);
	if (write(member->fd, member, sizeof *member) != sizeof *member)
		_exit(1);
	for (;;)
		pause();
	return NULL;
}

/* And SIGRTMIN + PROCESS, SIGALRM and SIGPROF at the process. */
static void be_process(int fd)
{
	static const int at_process[] = { SIGALRM, SIGPROF };
	struct member members[THREADS];
	sigset_t all;
	pthread_t thread;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	kill(getpid(), SIGRTMIN + PROCESS);
	for (size_t i = 0; i < sizeof at_process / sizeof *at_process; i++)
		kill(getpid(), at_process[i]);
	for (int i = THREADS - 1; i >= 0; i--) {
		members[i] = (struct member){ .fd = fd, .index = i };
		if (i == 0)
			hold_signal(&members[i]);
		else if (pthread_create(&thread, NULL, hold_signal, &members[i]))
			_exit(2);
	}
}

/* Numbers of its threads in their own pid namespace are others. */
static void add_task(struct fixture *f)
{
	struct task *task = snapshot_add_task(&f->snapshot);

	task->pstree = snapshot_new(&f->snapshot, PSTREE_ENTRY, PstreeEntry);
	task->pstree->pid = FIRST_NUMBER;
	task->pstree->n_threads = task->n_threads = THREADS;
	task->pstree->threads = arena_array(&f->arena, uint32_t, THREADS);
	for (uint32_t i = 0; i < THREADS; i++)
		task->pstree->threads[i] = FIRST_NUMBER + i;
	task->core = snapshot_new(&f->snapshot, CORE_ENTRY, CoreEntry);
	task->core->tc = snapshot_new(&f->snapshot, TASK_CORE_ENTRY, TaskCoreEntry);
	task->core->tc->timers = f->timers =
		snapshot_new(&f->snapshot, TASK_TIMERS_ENTRY, TaskTimersEntry);
	f->timers->real = snapshot_new(&f->snapshot, ITIMER_ENTRY, ItimerEntry);
	f->timers->virt = snapshot_new(&f->snapshot, ITIMER_ENTRY, ItimerEntry);
	f->timers->prof = snapshot_new(&f->snapshot, ITIMER_ENTRY, ItimerEntry);
	f->target.task = task;
}

/* It was asked a second ago, and its signals were read just now. */
static int set_up(void **state)
{
	static struct fixture f;
	struct member member;
	int ready[2];

	memset(&f, 0, sizeof f);
	arena_init(&f.arena);
	f.snapshot.arena = f.collect.arena = &f.arena;
	f.collect.snapshot = &f.snapshot;
	add_task(&f);
	assert_int_equal(pipe(ready), 0);
	f.target.pid = f.target.tid = fork();
	assert_true(f.target.pid >= 0);
	if (!f.target.pid)
		be_process(ready[1]);
	for (size_t i = 0; i < THREADS; i++) {
		assert_int_equal(read(ready[0], &member, sizeof member), sizeof member);
		f.threads[member.index].tid = member.tid;
	}
	close(ready[0]);
	close(ready[1]);
	f.target.collect = &f.collect;
	f.target.threads = f.threads;
	f.target.n_threads = THREADS;
	f.target.signals_read = wait_clock();
	f.target.asked_from = f.target.asked_to = f.target.signals_read - SECOND;
	*state = &f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	kill(f->target.pid, SIGKILL);
	waitpid(f->target.pid, NULL, 0);
	arena_done(&f->arena);
	return 0;
}

/* Where the signal of one goes, how much it had left and its interval, in milliseconds. */
struct row {
	int at, signal; /* relative to SIGRTMIN */
	clockid_t clock;
	uint64_t left, interval;
	uint64_t first, second; /* left afterwards, and if asked again */
	bool again;
};

static void add_timer(struct fixture *f, const struct row *row)
{
	PosixTimerEntry *timer = snapshot_new(&f->snapshot, POSIX_TIMER_ENTRY, PosixTimerEntry);

	timer->it_sigev_notify = row->at == PROCESS ? SIGEV_SIGNAL : SIGEV_THREAD_ID;
	timer->has_notify_thread_id = row->at != PROCESS;
	timer->notify_thread_id = FIRST_NUMBER + row->at;
	timer->si_signo = (uint32_t)(SIGRTMIN + row->signal);
	timer->clock_id = (uint32_t)row->clock;
	timer->vsec = row->left / 1000;
	timer->vnsec = row->left % 1000 * 1000000;
	timer->isec = row->interval / 1000;
	timer->insec = row->interval % 1000 * 1000000;
	f->timers->posix = arena_array(&f->arena, PosixTimerEntry *, 1);
	f->timers->posix[0] = timer;
	f->timers->n_posix = 1;
}

static const struct row rows[] = {
	/* Its signal is there: off, or wound on once. */
	{ 0, 0, CLOCK_MONOTONIC, 300, 0, 0, 0, true },
	{ 1, 1, CLOCK_MONOTONIC, 300, 0, 0, 0, true },
	{ 2, 2, CLOCK_MONOTONIC, 300, 0, 0, 0, true },
	{ PROCESS, PROCESS, CLOCK_MONOTONIC, 300, 0, 0, 0, true },
	{ 1, 1, CLOCK_REALTIME, 300, 500, 800, 800, true },
	{ 2, 2, CLOCK_BOOTTIME, 900, 1700, 2600, 2600, true },
	/* It is somebody else's. */
	{ 0, 1, CLOCK_MONOTONIC, 700, 0, 700, 700, false },
	{ 1, 0, CLOCK_MONOTONIC, 700, 0, 700, 700, false },
	{ 2, PROCESS, CLOCK_MONOTONIC, 700, 0, 700, 700, false },
	{ PROCESS, 0, CLOCK_MONOTONIC, 700, 0, 700, 700, false },
	/* It cannot have expired when signals were read; it was off. */
	{ 1, 1, CLOCK_MONOTONIC, 5000, 0, 5000, 5000, false },
	{ 1, 1, CLOCK_MONOTONIC, 0, 500, 0, 0, false },
	/* Of processor time, which our questions take 20 ms of at most. */
	{ 2, 2, CLOCK_THREAD_CPUTIME_ID, 10, 0, 0, 0, false },
	{ 2, 2, CLOCK_PROCESS_CPUTIME_ID, 10, 500, 510, 510, false },
	{ 2, 1, CLOCK_PROCESS_CPUTIME_ID, 10, 500, 10, 10, false },
	{ 2, 2, CLOCK_PROCESS_CPUTIME_ID, 30, 500, 30, 30, false },
};

static void timers_that_expire_are_told_once(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		uint64_t expected[] = { rows[i].first, rows[i].second };

		add_timer(f, &rows[i]);
		for (size_t k = 0; k < 2; k++) {
			const PosixTimerEntry *timer = f->timers->posix[0];
			bool again = false;

			assert_int_equal(posix_timers_kind.settle(&f->target, &again, &f->err), 0);
			uint64_t left = timer->vsec * 1000 + timer->vnsec / 1000000;
			if (left != expected[k] || again != (k == 0 && rows[i].again))
				fail_msg("row %zu, look %zu: %d ms, %d", i, k, (int)left, again);
		}
	}
}

static void set_itimer(ItimerEntry *entry, uint64_t left)
{
	entry->vsec = left / 1000;
	entry->vusec = left % 1000 * 1000;
	entry->isec = 3;
	entry->iusec = 250000;
}

static void expect_itimer(const ItimerEntry *entry, uint64_t seconds, uint64_t microseconds)
{
	assert_int_equal(entry->vsec, seconds);
	assert_int_equal(entry->vusec, microseconds);
	assert_int_equal(entry->isec, 3);
	assert_int_equal(entry->iusec, 250000);
}

static void interval_timers_that_expire_are_told_once(void **state)
{
	struct fixture *f = *state;
	bool again = false;

	/* That of real time waits until its signal is taken; SIGVTALRM is not there. */
	set_itimer(f->timers->real, 300);
	set_itimer(f->timers->virt, 10);
	set_itimer(f->timers->prof, 10);
	assert_int_equal(interval_timers_kind.settle(&f->target, &again, &f->err), 0);
	assert_true(again);
	expect_itimer(f->timers->real, 0, 0);
	expect_itimer(f->timers->virt, 0, 10000);
	expect_itimer(f->timers->prof, 3, 250000);
	again = false;
	assert_int_equal(interval_timers_kind.settle(&f->target, &again, &f->err), 0);
	assert_false(again);
	expect_itimer(f->timers->real, 0, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(timers_that_expire_are_told_once, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(interval_timers_that_expire_are_told_once, set_up,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
