// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Waiting for the programs. Failures and the last park wake us; what no program can report, the
 * death of a task, is looked for: that of the first one at every tick, of the others when nothing
 * has moved for a while.
 */
#include "base/procfs.h"
#include "run/state.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { N_WATCHED = 1 + SERVICE_KINDS }; /* the first is what is waited for */
enum { TICK_MICROSECONDS = 20 * 1000, STALL_MICROSECONDS = 300 * 1000 };

uint64_t monotonic_microseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

int fail_pid_in_use(const struct run *run, const char *who, const uint32_t *set_tid, size_t n,
		    bool outermost_is_ours, struct error *err)
{
	char path[64], comm[32];
	uint32_t pid = n ? set_tid[n - 1] : 0;
	struct text pids;

	text_init(&pids, run->arena);
	for (size_t i = 0; i < n; i++)
		text_add(&pids, "%s%" PRIu32, i ? ":" : "", set_tid[i]);
	snprintf(path, sizeof path, "/proc/%" PRIu32 "/comm", pid);
	if (outermost_is_ours && pid && procfs_read_into(AT_FDCWD, path, comm, sizeof comm) > 0) {
		comm[strcspn(comm, "\n")] = '\0';
		fail(err, ERR_PID_IN_USE,
		     "cannot restore %s: pid %" PRIu32 " is already in use by \"%s\"", who, pid,
		     comm);
	} else {
		fail(err, ERR_PID_IN_USE, "cannot restore %s: one of the pids %s is already in use",
		     who, pids.string);
	}
	return fail_hint(err, "restore into a fresh pid namespace with --unshare pid, or end who "
			      "has it");
}

/* What the interpreter has recorded, in the words of the printer. */
static int fail_program(const struct run *run, struct error *err)
{
	const struct plan *plan = run->plan;
	const struct program_set *set = &plan->programs;
	int64_t result = run->header->failed_result;
	const struct program *program;
	const struct clone_args *clone;
	size_t index, room;
	struct text text;
	const struct op *op = program_set_find(set, run->header->failed_op, &program, &index);

	if (!op)
		return fail(err, ERR_PROGRAM_FAILED,
			    "a program failed with %" PRId64 " at 0x%" PRIx64 ", which is none",
			    result, run->header->failed_op);
	clone = program_data_at(set, op->args[0], &room);
	if (op->kind == OP_CLONE && result == -EEXIST && clone && room >= sizeof *clone) {
		const uint32_t *set_tid = program_data_at(set, clone->set_tid, &room);

		if (set_tid && room >= clone->set_tid_size * sizeof *set_tid)
			return fail_pid_in_use(run, program->name, set_tid, clone->set_tid_size,
					       !plan->own_pid_namespace, err);
	}
	text_init(&text, run->arena);
	op_print(set, op, &result, &text);
	fail(err, ERR_PROGRAM_FAILED, "%s: op %zu: %s", program->name, index, text.string);
	if (result < 0 && result >= -4095)
		err->os_errno = (int)-result;
	return -1;
}

int run_check_programs(const struct run *run, struct error *err)
{
	return __atomic_load_n(&run->header->failed, __ATOMIC_ACQUIRE) ? fail_program(run, err) : 0;
}

static int fail_died(const char *who, int status, struct error *err)
{
	if (WIFSIGNALED(status))
		return fail(err, ERR_TASK_DIED,
			    "%s was killed by SIG%s while it was being restored", who,
			    sigabbrev_np(WTERMSIG(status)));
	return fail(err, ERR_TASK_DIED, "%s exited with %d while it was being restored", who,
		    WEXITSTATUS(status));
}

static int check_root(struct run *run, struct error *err)
{
	siginfo_t info = { 0 };
	int status;

	/* Somebody else waits for it (fork.c). */
	if (run->orphans_root || run->options->sibling) {
		char state = run_state_of(run->child);

		return state && state != 'Z' ? 0
					     : fail(err, ERR_TASK_DIED, "%s is gone",
						    run->plan->tasks[0].program->name);
	}
	if (waitid(P_PID, (id_t)run->child, &info, WEXITED | WNOHANG | WNOWAIT) < 0)
		return fail_errno(err, ERR_TASK_DIED, "%s cannot be seen",
				  run->plan->tasks[0].program->name);
	if (!info.si_pid)
		return 0;
	status = info.si_code == CLD_EXITED ? info.si_status << 8 : info.si_status;
	return fail_died(run->plan->tasks[0].program->name, status, err);
}

/*
 * A task that should live, but is a zombie. The exit status is field 52 of stat, and what stands
 * there reads 0 for who may not trace the task (proc(5)).
 */
static int check_task(const struct run_thread *thread, struct error *err)
{
	char path[64], stat[1024];
	const char *at;
	char state;
	int status = 0;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)thread->tid);
	if (procfs_read_into(AT_FDCWD, path, stat, sizeof stat) <= 0)
		return 0; /* not made yet */
	at = strrchr(stat, ')');
	if (!at || sscanf(at, ") %c", &state) != 1 || (state != 'Z' && state != 'X'))
		return 0;
	at = strrchr(at, ' ');
	if (at)
		sscanf(at, "%d", &status);
	return fail_died(thread->task->planned->program->name, status, err);
}

static int look_for_the_dead(struct run *run, struct error *err)
{
	struct error ignored = { 0 };
	struct run_thread **threads;
	size_t n = run_threads(run, THREADS_ALL, &threads);

	/* Those that are not there yet have no number, which is no failure here. */
	run_find_pids(run, threads, n, &ignored);
	for (size_t i = 0; i < run->n_tasks; i++)
		if (run->tasks[i].n_threads && run->tasks[i].threads[0].tid &&
		    check_task(&run->tasks[i].threads[0], err))
			return -1;
	return 0;
}

int run_check_interrupted(struct error *err)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
	sigset_t pending;

	sigemptyset(&pending);
	sigpending(&pending);
	for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
		struct sigaction action;

		/* What is blocked is held back even if it is ignored (nohup). */
		sigaction(signals[i], NULL, &action);
		if (sigismember(&pending, signals[i]) && action.sa_handler != SIG_IGN)
			return fail(err, ERR_INTERRUPTED, "SIG%s asked to stop",
				    sigabbrev_np(signals[i]));
	}
	return 0;
}

/* A word that is waited for, and its value when it was last looked at. */
struct watched {
	const uint32_t *word; /* NULL: nothing */
	uint32_t seen;
};

/* Until one of the words changes, or a tick has passed. */
static void wait_for_change(const struct run_header *header, const struct watched *watched,
			    size_t n_watched)
{
	struct futex_waitv words[1 + N_WATCHED] = {
		{ .val = 0, .uaddr = (uintptr_t)&header->failed, .flags = FUTEX_32 },
	};
	unsigned n = 1;
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += TICK_MICROSECONDS * 1000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	for (size_t i = 0; i < n_watched; i++)
		if (watched[i].word)
			words[n++] = (struct futex_waitv){ .val = watched[i].seen,
							   .uaddr = (uintptr_t)watched[i].word,
							   .flags = FUTEX_32 };
	syscall(SYS_futex_waitv, words, n, 0, &until, CLOCK_MONOTONIC);
}

static int fail_timeout(const struct run *run, struct error *err)
{
	uint32_t done = run->header->done;

	return fail(err, ERR_RESTORE_TIMEOUT,
		    "no program has come to its end for %u seconds, %" PRIu32 " of %" PRIu32
		    " are missing",
		    run->options->timeout_seconds, run->plan->n_parked - done, run->plan->n_parked);
}

static void tell_progress(const struct run *run)
{
	if (run->options->progress)
		run->options->progress(run->options->progress_data, "making the tree",
				       run->header->done, run->plan->n_parked);
}

static int wait_word(struct run *run, const uint32_t *word, uint32_t value, bool serving,
		     struct error *err)
{
	struct watched watched[N_WATCHED] = { { .word = word } };
	uint64_t timeout = run->options->timeout_seconds * UINT64_C(1000000);
	uint64_t moved = monotonic_microseconds(), looked = moved, now;
	uint32_t last = 0;

	for (int i = 0; serving && i < SERVICE_KINDS; i++)
		watched[1 + i].word = word_at(run->plan->services[i].word);
	for (;;) {
		/* In this order: a program that failed moves no word any more. */
		for (size_t i = 0; i < N_WATCHED; i++)
			if (watched[i].word)
				watched[i].seen =
					__atomic_load_n(watched[i].word, __ATOMIC_SEQ_CST);
		uint32_t done = __atomic_load_n(&run->header->done, __ATOMIC_SEQ_CST);

		if (run_check_programs(run, err))
			return -1;
		tell_progress(run);
		if (watched[0].seen >= value)
			return 0;
		if (serving && run_serve(run, err))
			return -1;
		if (check_root(run, err) || run_check_interrupted(err))
			return -1;
		now = monotonic_microseconds();
		if (done != last)
			moved = looked = now;
		last = done;
		if (timeout && now - moved > timeout)
			return fail_timeout(run, err);
		if (now - looked > STALL_MICROSECONDS) {
			if (look_for_the_dead(run, err))
				return -1;
			looked = now;
		}
		wait_for_change(run->header, watched, N_WATCHED);
	}
}

int run_wait_word(struct run *run, const uint32_t *word, uint32_t value, struct error *err)
{
	return wait_word(run, word, value, true, err);
}

int run_wait_program(struct run *run, const uint32_t *word, uint32_t value, struct error *err)
{
	return wait_word(run, word, value, false, err);
}

int run_wait_parked(struct run *run, uint32_t parked, struct error *err)
{
	/* Only the park that makes it so many wakes us (interpreter.S). */
	__atomic_store_n(&run->header->wanted, parked, __ATOMIC_SEQ_CST);
	return run_wait_word(run, &run->header->done, parked, err);
}

void run_set_word(uint32_t *word, uint32_t value)
{
	__atomic_store_n(word, value, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, word, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}
