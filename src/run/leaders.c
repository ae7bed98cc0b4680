// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * First threads that have exited while others of their process go on. Their programs do it again,
 * once all programs are at rest: who was made by such a thread was tied to it until then. Nobody
 * can wait for a leader that others outlive (delay_group_leader, kernel/exit.c), so that it is
 * over shows in /proc only: the state changes when the children have got another thread for parent.
 */
#include "run/state.h"

#include <time.h>

enum { STOPPED_LEADERS = 1, ALL_LEADERS = 2, LONGEST_MICROSECONDS = 10 * 1000 * 1000 };

static int wait_dead(const struct run *run, const struct run_thread *leader, struct error *err)
{
	const struct timespec pause = { .tv_nsec = 100 * 1000 };
	uint64_t start = monotonic_microseconds();

	for (;;) {
		char state = run_state_of(leader->tid);

		if (state == 'Z')
			return 0;
		if (run_check_programs(run, err) < 0)
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

int run_end_leaders(struct run *run, bool of_stopped_tasks, struct error *err)
{
	struct run_thread **leaders =
		arena_array(run->arena, struct run_thread *, run->n_tasks + 1);
	size_t n = 0;

	if (!run->plan->leaders_word)
		return 0;
	for (size_t i = 0; i < run->n_tasks; i++)
		if (run->tasks[i].dead_leader && run->tasks[i].planned->stopped == of_stopped_tasks)
			leaders[n++] = run->tasks[i].dead_leader;
	if (run_find_pids(run, leaders, n, err) < 0)
		return -1;
	run_set_word((uint32_t *)(uintptr_t)run->plan->leaders_word,
		     of_stopped_tasks ? STOPPED_LEADERS : ALL_LEADERS);
	for (size_t i = 0; i < n; i++)
		if (wait_dead(run, leaders[i], err) < 0)
			return -1;
	return 0;
}
