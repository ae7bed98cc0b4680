// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * After a failure nothing that was made may stay. Recorded pids are no guide: one may belong to a
 * stranger, which can be why the restore failed. So whoever is our child is ended and reaped, and
 * since we are the subreaper, the children of those become ours, until there are no more. The
 * init of a pid namespace takes everybody in it along.
 */
#include "base/cleanup.h"
#include "base/log.h"
#include "kernel/syscalls.h"
#include "kinds/kind.h"
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

/* ---- Files that are not to be closed as others ---- */

static const struct file_kind *kind_that_gives_up(const struct run *run, const FileEntry *entry)
{
	const struct file_kind *kind =
		entry && run->plan->kinds ? kind_of_file(run->plan->kinds, entry) : NULL;

	return kind && kind->give_up ? kind : NULL;
}

static void give_up_sources(const struct run *run)
{
	for (size_t i = 0; run->source_fds && i < run->plan->n_sources; i++) {
		const FileEntry *entry = run->plan->sources[i].file;
		const struct file_kind *kind = kind_that_gives_up(run, entry);
		if (!kind)
			continue;
		uint32_t holder = run->source_holders[i];
		autoclose int fetched =
			holder ? run_fetch(run, holder, run->source_numbers[i]) : -1;
		int fd = holder ? fetched : run->source_fds[i];
		if (fd >= 0)
			kind->give_up(entry, fd);
	}
}

/* At numbers that may not be theirs yet; whatever is there will be closed as well. */
static void give_up_descriptors(const struct run *run, const struct task *task, pid_t pid)
{
	autoclose int pidfd = -1;

	for (size_t i = 0; task->table && i < task->table->n_descriptors; i++) {
		const FdinfoEntry *descriptor = task->table->descriptors[i];
		const FileEntry *entry = snapshot_file(run->plan->snapshot, descriptor->id);
		const struct file_kind *kind = kind_that_gives_up(run, entry);
		if (!kind)
			continue;
		if (pidfd < 0)
			pidfd = kernel_pidfd_open(pid, 0);
		autoclose int fd =
			pidfd < 0 ? -1 : kernel_pidfd_getfd(pidfd, (int)descriptor->fd, 0);
		if (fd >= 0)
			kind->give_up(entry, fd);
	}
}

static void give_up_files(struct run *run)
{
	give_up_sources(run);
	for (size_t i = 0; i < run->n_tasks; i++) {
		const struct run_thread *leader = run_leader(&run->tasks[i]);
		if (run->tasks[i].n_threads && leader->tid)
			give_up_descriptors(run, run->tasks[i].planned->task, leader->tid);
	}
}

void run_undo(struct run *run)
{
	const struct timespec pause = { .tv_nsec = 200 * 1000 };
	uint64_t start = monotonic_microseconds();
	pid_t sibling = run->options->sibling ? run->child : 0;

	give_up_files(run);
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
