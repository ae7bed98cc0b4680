// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A tree that is looked at as it runs: its tasks by what /proc says, and nothing of what only
 * ptrace tells (registers, masks, filters). Nobody is stopped, so that who ends meanwhile is left
 * out, and who is born meanwhile is not seen.
 */
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/compare.h"
#include "base/listing.h"
#include "base/procfs.h"
#include "collect/collect.h"
#include "collect/seize.h"
#include "collect/thread-state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_ROOM = 64, TEXT_ROOM = 16384 };

struct seen_process {
	pid_t pid, parent;
};

struct seen_processes {
	struct seen_process *list;
	size_t n;
};

/* 0 if it is gone, -1 with errno. */
static pid_t parent_of(const char *pid)
{
	char path[PATH_ROOM + 256], text[TEXT_ROOM];
	const char *field;

	snprintf(path, sizeof path, "/proc/%s/status", pid);
	if (procfs_read_into(AT_FDCWD, path, text, sizeof text) < 0)
		return procfs_is_gone(errno) ? 0 : -1;
	field = procfs_field(text, "PPid:");
	return field ? atoi(field) : 0;
}

static int list_processes(struct arena *arena, struct seen_processes *processes, struct error *err)
{
	autoclosedir DIR *proc = listing_open(AT_FDCWD, "/proc");

	for (const char *name; listing_next(proc, &name);) {
		pid_t pid = atoi(name);
		pid_t parent = pid > 0 ? parent_of(name) : 0;

		if (parent < 0)
			return fail_errno(err, ERR_KERNEL_REFUSED, "cannot read /proc/%s/status",
					  name);
		if (parent == 0)
			continue;
		processes->list =
			arena_grow(arena, processes->list, processes->n, sizeof *processes->list);
		processes->list[processes->n++] = (struct seen_process){ pid, parent };
	}
	return errno ? fail_errno(err, ERR_KERNEL_REFUSED, "cannot list /proc") : 0;
}

/* Breadth first, as list_targets of a stopped tree. */
static int list_targets(struct collect *collect, struct error *err)
{
	struct arena *arena = collect->arena;
	struct seen_processes processes = { 0 };

	if (list_processes(arena, &processes, err))
		return -1;
	collect->targets = arena_array(arena, struct target, processes.n + 1);
	collect->targets[0] = (struct target){ .collect = collect, .pid = collect->options->pid };
	collect->n_targets = 1;
	for (size_t i = 0; i < collect->n_targets; i++)
		for (size_t k = 0; k < processes.n; k++) {
			if (processes.list[k].parent != collect->targets[i].pid ||
			    collect->n_targets > processes.n)
				continue;
			if (processes.list[k].pid == getpid())
				return fail(err, ERR_UNSUPPORTED_TASK,
					    "nestor itself (pid %d) is part of the tree", getpid());
			collect->targets[collect->n_targets++] =
				(struct target){ .collect = collect,
						 .pid = processes.list[k].pid,
						 .parent = &collect->targets[i] };
		}
	return 0;
}

static int compare_tids(const void *left, const void *right)
{
	const struct target_thread *a = left, *b = right;

	return compare_values(a->tid, b->tid);
}

/* The leader first; one that has exited before the others is there too. */
static int list_threads(struct target *target, struct error *err)
{
	struct arena *arena = target->collect->arena;
	char path[PATH_ROOM];

	snprintf(path, sizeof path, "/proc/%d/task", target->pid);
	autoclosedir DIR *directory = listing_open(AT_FDCWD, path);
	const char *name;

	target->threads = arena_grow(arena, NULL, 0, sizeof *target->threads);
	target->threads[0] = (struct target_thread){ .tid = target->pid };
	target->n_threads = 1;
	while (listing_next(directory, &name)) {
		pid_t tid = atoi(name);

		if (tid <= 0 || tid == target->pid)
			continue;
		target->threads = arena_grow(arena, target->threads, target->n_threads,
					     sizeof *target->threads);
		target->threads[target->n_threads++] = (struct target_thread){ .tid = tid };
	}
	if (errno)
		return fail_errno(err, procfs_error(errno), "cannot list the threads of pid %d",
				  target->pid);
	qsort(target->threads + 1, target->n_threads - 1, sizeof *target->threads, compare_tids);
	return 0;
}

/* *ret_gone: it has ended since it was listed. */
static int look_at_thread(struct target *target, struct target_thread *thread, bool *ret_gone,
			  struct error *err)
{
	struct thread_state state;
	struct error traced = { 0 };

	if (thread_state_read(target->pid, thread->tid, &state, err))
		return -1;
	*ret_gone = state.state == 0 || state.state == 'X';
	thread->dead = state.state == 'Z';
	if (*ret_gone || !state.tracer)
		return 0;
	thread_fail_traced(target->pid, &state, &traced);
	return collect_pass(target->collect, &traced);
}

static int look_at_threads(struct target *target, struct error *err)
{
	size_t n = 0;

	for (size_t i = 0; i < target->n_threads; i++) {
		bool gone;

		if (look_at_thread(target, &target->threads[i], &gone, err))
			return -1;
		if (gone && i == 0)
			return fail(err, ERR_TREE_CHANGED, "pid %d has ended", target->pid);
		/* Of the dead only the leader stays. */
		if (!gone && (i == 0 || !target->threads[i].dead))
			target->threads[n++] = target->threads[i];
	}
	target->n_threads = n;
	target->zombie = n == 1 && target->threads[0].dead;
	target->living = n > 1 && target->threads[0].dead;
	target->tid = target->threads[target->living].tid;
	return 0;
}

static int look_at(struct target *target, struct error *err)
{
	if (list_threads(target, err) || look_at_threads(target, err))
		return -1;
	return target_read_running(target, err);
}

/* Who has ended goes, and so do those of whom it was the parent: they have another one now. */
static void leave_out(struct collect *collect, size_t index)
{
	const struct target *gone = &collect->targets[index];
	size_t n = index;

	for (size_t i = index + 1; i < collect->n_targets; i++) {
		struct target target = collect->targets[i];

		if (target.parent == gone)
			target.parent = gone->parent;
		else if (target.parent > gone)
			target.parent--;
		collect->targets[n++] = target;
	}
	collect->n_targets = n;
}

int collect_look_tree(struct collect *collect, struct error *err)
{
	if (procfs_check(err) || check_root(collect->options->pid, err) ||
	    list_targets(collect, err))
		return -1;
	for (size_t i = 0; i < collect->n_targets;) {
		struct error reason = { 0 };

		if (look_at(&collect->targets[i], &reason) == 0) {
			i++;
			continue;
		}
		if (!collect_is_gone(&reason) || i == 0) {
			*err = reason;
			return -1;
		}
		leave_out(collect, i);
	}
	if (collect->targets[0].zombie)
		return fail(err, ERR_NO_SUCH_TASK, "process %d has exited", collect->options->pid);
	collect_add_tasks(collect);
	return 0;
}
