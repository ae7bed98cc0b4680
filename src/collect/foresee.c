// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What shows at once, of a stopped tree of which nothing has been read, that the tasks cannot be
 * asked unless nobody can end us meanwhile (kernel/guard.h): reading it twice takes twice as long.
 * What does not show here is seen when the tasks are asked.
 */
#include "base/procfs.h"
#include "collect/collect.h"
#include "collect/seccomp.h"

#include <linux/keyctl.h>
#include <linux/membarrier.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>

/* Each task is asked these; where a filter looks at more, it is not known, and no matter. */
static bool filters_harm(const struct seccomp_filters *filters)
{
	static const struct {
		uint32_t nr;
		uint64_t first;
	} questions[] = {
		{ SYS_rt_sigaction, SIGINT },
		{ SYS_getitimer, ITIMER_REAL },
		{ SYS_sigaltstack, 0 },
		{ SYS_prctl, PR_GET_SECUREBITS },
		{ SYS_membarrier, MEMBARRIER_CMD_QUERY },
		{ SYS_keyctl, KEYCTL_GET_KEYRING_ID },
	};

	for (size_t i = 0; i < sizeof questions / sizeof *questions; i++) {
		const uint64_t args[6] = { questions[i].first };
		if (seccomp_judge_any(filters, questions[i].nr, args, 1) == SECCOMP_HARMS)
			return true;
	}
	return false;
}

static void look_at(struct target *target, const struct target_thread *thread)
{
	struct error unseen = { 0 };

	uint64_t mode = procfs_value(thread->status, "Seccomp:", 10);
	struct seccomp_filters filters = { 0 };

	/* What keeps them from being read is told with all else, when the task is asked. */
	if (mode == SECCOMP_MODE_FILTER &&
	    seccomp_read_filters(thread->tid, target->collect->arena, &filters, &unseen))
		return;
	if (mode == SECCOMP_MODE_STRICT || filters_harm(&filters))
		target->collect->wants_guard = true;
}

void collect_foresee(struct collect *collect)
{
	for (size_t i = 0; i < collect->n_targets && !collect->wants_guard; i++) {
		struct target *target = &collect->targets[i];
		for (size_t j = 0; j < target->n_threads && !target->zombie; j++)
			if (!target->threads[j].dead)
				look_at(target, &target->threads[j]);
	}
}
