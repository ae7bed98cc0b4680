// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Gates (plan/actions.h). Two of them are more than a word:
 *
 * A seccomp filter may forbid the park and the unmapping; PTRACE_O_SUSPEND_SECCOMP keeps it silent
 * until the thread is let go, so every thread with filters is traced before it installs them.
 *
 * First threads that have exited while others of their process go on do it again, once all programs
 * are at rest: who was made by such a thread was tied to it until then. Nobody can wait for a
 * leader that others outlive (delay_group_leader, kernel/exit.c), so that it is over shows in
 * /proc only: the state changes when the children have got another thread for parent.
 */
#include "run/state.h"

#include <sys/ptrace.h>
#include <time.h>

enum { LONGEST_MICROSECONDS = 10 * 1000 * 1000 };

struct waiting {
	struct run_thread **threads;
	size_t n;
};

static int trace_job(struct run *run, void *data, struct error *err)
{
	const struct waiting *waiting = data;

	(void)run;
	for (size_t i = 0; i < waiting->n; i++)
		if (!waiting->threads[i]->seized &&
		    run_seize(waiting->threads[i], PTRACE_O_SUSPEND_SECCOMP, err))
			return -1;
	return 0;
}

static int trace(struct run *run, struct run_thread **threads, size_t n, struct error *err)
{
	struct waiting waiting = { threads, n };

	return run_find_pids(run, threads, n, err) < 0
		       ? -1
		       : run_by_executor(run, trace_job, &waiting, err);
}

static int wait_dead(const struct run *run, const struct run_thread *leader, struct error *err)
{
	const struct timespec pause = { .tv_nsec = 100 * 1000 };
	uint64_t start = monotonic_microseconds();

	for (;;) {
		char state = run_state_of(leader->tid);

		if (state == 'Z')
			return 0;
		if (run_check_programs(run, err))
			return -1;
		if (!state)
			return fail(err, ERR_TASK_DIED, "%s died while it was being finished",
				    leader->planned->program->name);
		if (monotonic_microseconds() - start > LONGEST_MICROSECONDS)
			return fail(err, ERR_RESTORE_TIMEOUT, "%s does not exit",
				    leader->planned->program->name);
		nanosleep(&pause, NULL);
	}
}

int run_pass_gate(struct run *run, const struct gate *gate, struct error *err)
{
	struct run_thread **threads =
		arena_array(run->arena, struct run_thread *, gate->n_waiting + 1);

	for (size_t i = 0; i < gate->n_waiting; i++)
		threads[i] = run_thread(run, gate->waiting[i].task, gate->waiting[i].thread);
	if (gate->arrived_word &&
	    run_wait_word(run, word_at(gate->arrived_word), (uint32_t)gate->n_waiting, err))
		return -1;
	if (gate->way == GATE_WAY_TRACE && trace(run, threads, gate->n_waiting, err) < 0)
		return -1;
	if (gate->way == GATE_WAY_EXIT && run_find_pids(run, threads, gate->n_waiting, err))
		return -1;
	run_set_word(word_at(gate->go_word), 1);
	if (gate == &run->plan->gates[GATE_LATE_FILES])
		run_end_calls(run);
	for (size_t i = 0; gate->way == GATE_WAY_EXIT && i < gate->n_waiting; i++)
		if (wait_dead(run, threads[i], err))
			return -1;
	return 0;
}
