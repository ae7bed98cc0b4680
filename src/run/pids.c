// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Which of our numbers the tasks have. In our own pid namespace they are the recorded ones; a tree
 * in a namespace of its own has other numbers here. From 6.11 the kernel translates them
 * (NS_GET_PID_FROM_PIDNS); before, the NSpid lines of all descendants tell.
 */
#include "base/cleanup.h"
#include "base/compare.h"
#include "base/listing.h"
#include "base/procfs.h"
#include "run/state.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#ifndef NS_GET_PID_FROM_PIDNS
#define NS_GET_PID_FROM_PIDNS _IOR(0xb7, 0x6, int)
#endif

static uint32_t outermost(const struct run_thread *thread)
{
	return thread->planned->number;
}

static void add_pid(struct run *run, pid_t **pids, size_t *n, pid_t pid)
{
	*pids = arena_grow(run->arena, *pids, *n, sizeof(**pids));
	(*pids)[(*n)++] = pid;
}

/* Without CONFIG_PROC_CHILDREN: the parent of every process is looked at. */
static int children_by_parent(struct run *run, pid_t pid, pid_t **ret_pids, size_t *ret_count)
{
	autoclosedir DIR *proc = listing_open(AT_FDCWD, "/proc");
	const char *name;

	while (listing_next(proc, &name)) {
		char path[300], stat[1024];
		const char *at;
		int parent;

		if (!isdigit((unsigned char)name[0]))
			continue;
		snprintf(path, sizeof path, "/proc/%s/stat", name);
		if (procfs_read_into(AT_FDCWD, path, stat, sizeof stat) < 0) {
			if (!procfs_is_gone(errno))
				return -1;
			continue;
		}
		at = strrchr(stat, ')');
		if (at && sscanf(at, ") %*c %d", &parent) == 1 && parent == pid)
			add_pid(run, ret_pids, ret_count, (pid_t)strtol(name, NULL, 10));
	}
	return errno ? -1 : 0;
}

static int add_children(struct run *run, pid_t pid, const char *thread, pid_t **pids, size_t *n)
{
	char path[300], *text, *end;

	snprintf(path, sizeof path, "/proc/%d/task/%s/children", (int)pid, thread);
	if (procfs_read(run->arena, AT_FDCWD, path, &text) < 0)
		return procfs_is_gone(errno) ? 0 : -1;
	for (long child = strtol(text, &end, 10); end != text;
	     text = end, child = strtol(text, &end, 10))
		add_pid(run, pids, n, (pid_t)child);
	return 0;
}

int children_of(struct run *run, pid_t pid, pid_t **ret_pids, size_t *ret_count)
{
	char path[64];
	const char *thread;

	*ret_pids = NULL;
	*ret_count = 0;
	if (!run->plan->facts->children_file)
		return children_by_parent(run, pid, ret_pids, ret_count);
	snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
	autoclosedir DIR *threads = listing_open(AT_FDCWD, path);
	while (listing_next(threads, &thread))
		if (add_children(run, pid, thread, ret_pids, ret_count) < 0)
			return -1;
	return errno && !procfs_is_gone(errno) ? -1 : 0;
}

/* All descendants of our child, itself included; who cannot be seen is missed later. */
static size_t descendants(struct run *run, pid_t **ret_pids)
{
	size_t n = 0;

	*ret_pids = NULL;
	add_pid(run, ret_pids, &n, run->child);
	for (size_t i = 0; i < n; i++) {
		pid_t *children;
		size_t n_children;

		children_of(run, (*ret_pids)[i], &children, &n_children);
		for (size_t k = 0; k < n_children; k++)
			add_pid(run, ret_pids, &n, children[k]);
	}
	return n;
}

static int by_outermost(const void *a, const void *b)
{
	uint32_t left = outermost(*(struct run_thread *const *)a);
	uint32_t right = outermost(*(struct run_thread *const *)b);

	return compare_values(left, right);
}

/* Gives the thread with this number at level 0, if it is one of the sorted, its tid. */
static void set_tid_of(struct run_thread **sorted, size_t n, uint32_t number, pid_t tid)
{
	size_t low = 0, high = n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (outermost(sorted[middle]) < number)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < n && outermost(sorted[low]) == number)
		sorted[low]->tid = tid;
}

static void read_threads_of(pid_t pid, struct run_thread **sorted, size_t n)
{
	char path[300], status[8192];
	autoclosedir DIR *threads = NULL;
	const char *thread;

	snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
	threads = listing_open(AT_FDCWD, path);
	while (listing_next(threads, &thread)) {
		uint64_t numbers[MAX_PID_LEVELS];
		const char *field;

		snprintf(path, sizeof path, "/proc/%d/task/%s/status", (int)pid, thread);
		if (procfs_read_into(AT_FDCWD, path, status, sizeof status) <= 0)
			continue;
		field = procfs_field(status, "NSpid:");
		/* Ours first, then that of the tree's outermost namespace: level 0. */
		if (field && procfs_numbers(field, 10, numbers, MAX_PID_LEVELS) >= 2)
			set_tid_of(sorted, n, (uint32_t)numbers[1], (pid_t)numbers[0]);
	}
}

static void find_by_status(struct run *run, struct run_thread **missing, size_t n_missing)
{
	pid_t *pids;
	size_t n = descendants(run, &pids);

	qsort(missing, n_missing, sizeof *missing, by_outermost);
	for (size_t i = 0; i < n; i++)
		read_threads_of(pids[i], missing, n_missing);
}

/* False if the kernel cannot translate. A number that is not there is left out. */
static bool find_by_namespace(struct run *run, struct run_thread **missing, size_t n_missing)
{
	char path[64];
	autoclose int namespace_fd = -1;

	snprintf(path, sizeof path, "/proc/%d/ns/pid", (int)run->child);
	namespace_fd = open(path, O_RDONLY | O_CLOEXEC);
	if (namespace_fd < 0)
		return false;
	for (size_t i = 0; i < n_missing; i++) {
		int tid = ioctl(namespace_fd, NS_GET_PID_FROM_PIDNS,
				(unsigned long)outermost(missing[i]));

		if (tid < 0 && errno != ESRCH)
			return false;
		if (tid > 0)
			missing[i]->tid = tid;
	}
	return true;
}

int run_find_pids(struct run *run, struct run_thread **threads, size_t n_threads, struct error *err)
{
	struct run_thread **missing = arena_array(run->arena, struct run_thread *, n_threads + 1);
	size_t n_missing = 0;

	for (size_t i = 0; i < n_threads; i++) {
		if (!threads[i]->tid)
			threads[i]->tid = (pid_t)threads[i]->planned->outer_pid;
		if (!threads[i]->tid)
			missing[n_missing++] = threads[i];
	}
	if (n_missing && !find_by_namespace(run, missing, n_missing))
		find_by_status(run, missing, n_missing);
	for (size_t i = 0; i < n_missing; i++)
		if (!missing[i]->tid)
			return fail(err, ERR_TASK_DIED, "%s is not there after its program ended",
				    missing[i]->planned->program->name);
	return 0;
}

static int open_pid_namespace(const struct run *run)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/ns/pid", (int)run->child);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* Of several, none of which is another: those that are not there stay as they are. */
static void pids_by_status(struct run *run, const uint32_t *numbers, pid_t *pids, size_t n)
{
	struct planned_thread *planned = arena_array(run->arena, struct planned_thread, n + 1);
	struct run_thread *threads = arena_array(run->arena, struct run_thread, n + 1);
	struct run_thread **missing = arena_array(run->arena, struct run_thread *, n + 1);

	for (size_t i = 0; i < n; i++) {
		planned[i].number = numbers[i];
		threads[i] = (struct run_thread){ .planned = &planned[i], .tid = pids[i] };
		missing[i] = &threads[i];
	}
	find_by_status(run, missing, n);
	for (size_t i = 0; i < n; i++)
		pids[i] = threads[i].tid;
}

static int pids_by_namespace(const struct run *run, const uint32_t *numbers, pid_t *pids, size_t n)
{
	autoclose int namespace_fd = open_pid_namespace(run);

	if (namespace_fd < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		pids[i] = ioctl(namespace_fd, NS_GET_PID_FROM_PIDNS, (unsigned long)numbers[i]);
		if (pids[i] < 0 && errno != ESRCH)
			return -1;
	}
	return 0;
}

/* -1 for those that are not there; -1 with errno if that cannot be known. */
static int pids_of_numbers(struct run *run, const uint32_t *numbers, pid_t *pids, size_t n)
{
	for (size_t i = 0; i < n; i++)
		pids[i] = run->plan->own_pid_namespace ? -1 : (pid_t)numbers[i];
	if (!run->plan->own_pid_namespace || pids_by_namespace(run, numbers, pids, n) == 0)
		return 0;
	if (errno != ENOTTY)
		return -1;
	pids_by_status(run, numbers, pids, n);
	return 0;
}

pid_t run_pid_of_number(struct run *run, uint32_t number)
{
	pid_t pid;

	if (pids_of_numbers(run, &number, &pid, 1))
		return -1;
	errno = ESRCH;
	return pid;
}

/* Those that threads do not tell: of zombies, and where the outermost numbers are not ours. */
int run_find_task_pids(struct run *run, pid_t *ret_pids, struct error *err)
{
	uint32_t *numbers = arena_array(run->arena, uint32_t, run->n_tasks + 1);

	for (size_t i = 0; i < run->n_tasks; i++)
		numbers[i] = task_pids(run->plan->tasks[i].task).pid[0];
	if (pids_of_numbers(run, numbers, ret_pids, run->n_tasks))
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "cannot find the processes of the tree's pid namespace");
	for (size_t i = 0; i < run->n_tasks; i++)
		if (ret_pids[i] <= 0)
			return fail(err, ERR_TASK_DIED, "%s is not there",
				    run->plan->tasks[i].program->name);
	return 0;
}
