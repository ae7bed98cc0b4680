// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * After a failure nothing that was made may stay. Recorded pids are no guide: one may belong to a
 * stranger, which can be why the restore failed. So whoever is our child is ended and reaped, and
 * since we are the subreaper, the children of those become ours, until there are no more. The
 * init of a pid namespace takes everybody in it along.
 */
#include "base/log.h"
#include "run/state.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LONGEST_MICROSECONDS = 10 * 1000 * 1000 };

static bool was_there_before(const struct run *run, pid_t pid)
{
	for (size_t i = 0; i < run->n_children_before; i++)
		if (run->children_before[i] == pid)
			return true;
	return false;
}

/* Returns how many of our children are still there, one more if there may be some unseen. */
static size_t end_children(struct run *run)
{
	pid_t *children;
	size_t n, left = children_of(run, getpid(), &children, &n) < 0;

	for (size_t i = 0; i < n; i++) {
		if (was_there_before(run, children[i]))
			continue;
		left++;
		kill(children[i], SIGKILL);
	}
	for (size_t i = 0; i < n; i++)
		if (!was_there_before(run, children[i]))
			waitpid(children[i], NULL, __WALL | WNOHANG);
	return left;
}

/*
 * Of a first task that is not our child (rst_sibling): all below it, and it as the last, so that
 * nobody's parent changes before. Its own parent reaps it.
 */
static size_t end_sibling(struct run *run, pid_t pid)
{
	pid_t *children;
	size_t n, left = children_of(run, pid, &children, &n) < 0;
	char state;

	for (size_t i = 0; i < n; i++)
		left += end_sibling(run, children[i]);
	state = run_state_of(pid);
	if (!state || state == 'Z')
		return left;
	kill(pid, SIGKILL);
	return left + 1;
}

void run_undo(struct run *run)
{
	const struct timespec pause = { .tv_nsec = 200 * 1000 };
	uint64_t start = monotonic_microseconds();
	pid_t sibling = run->options->sibling ? run->child : 0;

	run_end_holder(run);
	/* Whoever it traces dies with it, and makes no more while the others are looked for. */
	run_end_executor(run, true);
	/* Looking for them takes descriptors, of which there may be no more. */
	run_close_sources(run);
	while (end_children(run) + (sibling ? end_sibling(run, sibling) : 0) > 0) {
		if (monotonic_microseconds() - start > LONGEST_MICROSECONDS) {
			log_warning("restore", "undo",
				    "tasks that were killed do not end, leaving them");
			break;
		}
		nanosleep(&pause, NULL);
	}
	undo_all(&run->undo);
}
