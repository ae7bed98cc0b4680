// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Files that are opened when all processes exist, and what connects files with each other; see
 * plan/lower/late-files.c for what the tasks do meanwhile.
 */
#include "base/cleanup.h"
#include "kernel/syscalls.h"
#include "run/state.h"

#include <inttypes.h>
#include <sys/syscall.h>
#include <unistd.h>

static uint32_t *word_at(uint64_t address)
{
	return (uint32_t *)(uintptr_t)address;
}

static int find_processes(struct run *run, struct error *err)
{
	pid_t *pids = arena_array(run->arena, pid_t, run->n_tasks + 1);

	if (run_find_task_pids(run, pids, err) < 0)
		return -1;
	run->opener.pids = pids;
	/* The first task, or the init of a fresh namespace. */
	run->opener.level_0 = run->plan->own_pid_namespace ? run->child : getpid();
	return 0;
}

static int take(const struct run *run, const struct source *source, struct error *err)
{
	pid_t pid = run->opener.pids[source->opened_by->index];
	autoclose int pidfd = kernel_pidfd_open(pid, 0);
	int fd = pidfd < 0 ? -1 : kernel_pidfd_getfd(pidfd, (int)source->opened_at, 0);

	if (fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "task %s: cannot take descriptor %" PRIu32,
				  task_name(source->opened_by), source->opened_at);
	return fd;
}

static int open_one(struct run *run, size_t index, struct error *err)
{
	const struct source *source = &run->plan->sources[index];
	int fd = source->way == FILE_BY_TASK ? take(run, source, err)
					     : run_open_source(run, source, err);

	if (fd < 0)
		return -1;
	run->source_fds[index] = run_lift(run, fd, err);
	if (run->source_fds[index] < 0)
		return -1;
	if (source->number_slot)
		*(uint64_t *)(uintptr_t)source->number_slot = (uint64_t)run->source_fds[index];
	return 0;
}

int run_open_late_files(struct run *run, struct error *err)
{
	const struct plan *plan = run->plan;

	if (!plan->late_word)
		return 0;
	if (run_wait_word(run, word_at(plan->makers_word), plan->n_makers, err) < 0 ||
	    run_wait_word(run, word_at(plan->opened_word), plan->n_opened_by_tasks, err) < 0 ||
	    find_processes(run, err) < 0)
		return -1;
	for (size_t i = 0; i < plan->n_sources; i++)
		if (plan->sources[i].way != FILE_EARLY && open_one(run, i, err) < 0)
			return -1;
	run_set_word(word_at(plan->late_word), 1);
	return 0;
}

int run_connect_files(struct run *run, struct error *err)
{
	const struct plan *plan = run->plan;

	for (size_t i = 0; i < plan->n_sources; i++) {
		const struct source *source = &plan->sources[i];
		if (source->kind != SOURCE_FILE || run->source_fds[i] < 0)
			continue;
		const FileEntry *entry = snapshot_file(plan->snapshot, (uint32_t)source->id);
		const struct file_kind *kind = kind_of_file(plan->kinds, entry);
		if (kind->connect &&
		    kind->connect(&run->opener, entry, run->source_fds[i], err) < 0)
			return -1;
	}
	return 0;
}
