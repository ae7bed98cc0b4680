// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The gate in front of seccomp filters (plan.h, filters_word). A filter may forbid the park and
 * the unmapping; PTRACE_O_SUSPEND_SECCOMP keeps it silent until the thread is let go, so every
 * thread with filters is traced before it installs them.
 *
 * A parent of stopped tasks comes to the gate only after those are finished, and they may have
 * filters as well: then the gate is opened twice, and is closed in between.
 */
#include "run/state.h"

#include <sys/ptrace.h>

static uint32_t *word_at(uint64_t address)
{
	return (uint32_t *)(uintptr_t)address;
}

int run_open_filter_gate(struct run *run, enum thread_group group, struct error *err)
{
	const struct plan *plan = run->plan;
	struct run_thread **threads;
	size_t n;

	if (!plan->filters_word)
		return 0;
	n = run_threads(run, group, &threads);
	if (run_wait_word(run, word_at(plan->filters_arrived_word), (uint32_t)n, err) < 0 ||
	    run_find_pids(run, threads, n, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (!threads[i]->seized && !threads[i]->task->finished &&
		    run_seize(threads[i], PTRACE_O_SUSPEND_SECCOMP, err) < 0)
			return -1;
	run_set_word(word_at(plan->filters_word), 1);
	return 0;
}

void run_close_filter_gate(struct run *run)
{
	if (run->plan->filters_word)
		run_set_word(word_at(run->plan->filters_word), 0);
}
