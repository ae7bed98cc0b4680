// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Stopping a running tree: PTRACE_SEIZE and PTRACE_INTERRUPT for each thread.
 *
 * A tree that runs changes while it is looked at: a thread that was told to stop may still clone
 * or fork before it does. So passes are made over everything known, until one that began with
 * all known threads stopped finds nothing new; only then are the lists of children and threads
 * final (proc(5): `children` is reliable if all of them are stopped).
 *
 * How a thread comes to rest, and is let go: stops.c.
 *
 * A leader that has exited while others go on can be neither seized nor waited for: it is a zombie
 * of which nobody hears before the last thread has ended. What a process has in common is then
 * found by a living thread: /proc/TID of that one is a folder like /proc/PID.
 *
 * No PTRACE_O_ options: nothing may happen to the tree if we die.
 */
#include "collect/seize.h"
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/listing.h"
#include "base/procfs.h"
#include "collect/collect.h"
#include "collect/stops.h"
#include "collect/thread-state.h"
#include "collect/wait.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <time.h>

enum {
	TEXT_ROOM = 16384,
	PATH_ROOM = 64,
};

static struct found_task *find_task(const struct found_tree *tree, pid_t pid)
{
	struct found_task *task = tree->buckets[(unsigned)pid % FOUND_BUCKETS];

	while (task && (task->pid != pid || task->gone))
		task = task->next_in_bucket;
	return task;
}

/* Whether there is such a process, and which one, is seen when it is seized. */
static struct found_task *add_task(struct found_tree *tree, pid_t pid)
{
	struct found_task *task, **bucket = &tree->buckets[(unsigned)pid % FOUND_BUCKETS];

	task = arena_new(tree->arena, struct found_task);
	*task = (struct found_task){ .pid = pid, .next_in_bucket = *bucket };
	*bucket = task;
	tree->tasks = arena_grow(tree->arena, tree->tasks, tree->n_tasks, sizeof *tree->tasks);
	tree->tasks[tree->n_tasks++] = task;
	tree->changed = true;
	return task;
}

void found_task_gone(struct found_tree *tree, struct found_task *task)
{
	task->gone = true;
	tree->changed = true;
}

static int add_thread(struct found_tree *tree, struct found_task *task, pid_t tid,
		      struct error *err)
{
	task->threads =
		arena_grow(tree->arena, task->threads, task->n_threads, sizeof *task->threads);
	task->threads[task->n_threads++] = (struct found_thread){ .tid = tid };
	tree->changed = true;
	if (tid == task->pid) { /* one that called execve when the leader was dead */
		task->threads[task->n_threads - 1] = task->threads[0];
		task->threads[0] = (struct found_thread){ .tid = tid };
		task->leader_dead = task->leader_seized = false;
	}
	for (size_t i = 0; i < task->n_threads; i++)
		if (task->threads[i].tid == tid)
			interrupted_look(tid, &task->threads[i].sleep);
	/* It can have died since; waiting will tell. */
	if (ptrace(PTRACE_INTERRUPT, tid, NULL, NULL) < 0 && errno != ESRCH)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot stop thread %d of pid %d", tid,
				  task->pid);
	return 0;
}

int found_task_leader_dead(struct found_tree *tree, struct found_task *task, bool seized,
			   struct error *err)
{
	size_t count;

	if (thread_count(task->pid, &count, err))
		return -1;
	if (task->n_threads == 0 && count <= 1) {
		task->zombie = true;
		return 0;
	}
	if (task->n_threads == 0 && task->leader_dead) /* the others are on their way out */
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	if (task->n_threads == 0 || !task->leader_dead)
		tree->changed = true;
	task->leader_dead = true;
	task->leader_seized = task->leader_seized || seized;
	return 0;
}

/*
 * PTRACE_SEIZE was refused (EPERM), and /proc knows nobody of that number: gone, or hidden from
 * us (hidepid of proc(5)), which must not be taken for the same.
 */
static int judge_unseen(struct found_tree *tree, struct found_task *task, pid_t tid,
			struct error *err)
{
	if (kill(tid, 0) < 0 && errno == ESRCH) {
		if (tid == task->pid)
			found_task_gone(tree, task);
		return 0;
	}
	return fail(err, ERR_NO_PRIVILEGE, "not allowed to see pid %d in /proc", tid);
}

/* PTRACE_SEIZE was refused: who is it? A zombie is a finding, not an error. */
static int judge_refusal(struct found_tree *tree, struct found_task *task, pid_t tid,
			 struct error *err)
{
	struct thread_state state;

	if (thread_state_read(task->pid, tid, &state, err))
		return -1;
	if (state.state == 0)
		return judge_unseen(tree, task, tid, err);
	if (state.state == 'Z' || state.state == 'X')
		return tid == task->pid
			       ? found_task_leader_dead(tree, task, state.tracer == getpid(), err)
			       : 0;
	/* A thread of ours that called execve has become the leader. */
	if (state.tracer == getpid())
		return add_thread(tree, task, tid, err);
	if (state.tracer)
		return thread_fail_traced(task->pid, &state, err);
	return fail(err, ERR_NO_PRIVILEGE, "not allowed to stop pid %d (%s)", task->pid,
		    state.name);
}

static int seize_thread(struct found_tree *tree, struct found_task *task, pid_t tid,
			struct error *err)
{
	if (ptrace(PTRACE_SEIZE, tid, NULL, NULL) == 0)
		return add_thread(tree, task, tid, err);
	if (errno == ESRCH && tid != task->pid)
		return 0;
	if (errno == ESRCH || errno == EPERM)
		return judge_refusal(tree, task, tid, err);
	return fail_errno(err, ERR_KERNEL_REFUSED, "cannot trace thread %d of pid %d", tid,
			  task->pid);
}

/* The kernel lists threads in the order in which they were met: `hint` is mostly right. */
static bool has_thread(const struct found_task *task, pid_t tid, size_t *hint)
{
	if (*hint < task->n_threads && task->threads[*hint].tid == tid) {
		++*hint;
		return true;
	}
	for (size_t i = 0; i < task->n_threads; i++)
		if (task->threads[i].tid == tid) {
			*hint = i + 1;
			return true;
		}
	return false;
}

static int seize_listed(struct found_tree *tree, struct found_task *task, DIR *directory,
			struct error *err)
{
	const char *name;
	size_t hint = 0;

	task->n_workers = 0;
	while (listing_next(directory, &name)) {
		pid_t tid = isdigit((unsigned char)name[0]) ? atoi(name) : 0;

		if (!tid || has_thread(task, tid, &hint))
			continue;
		/* They come and go by themselves, and stand still when those who ask them do. */
		int worker = tid == task->pid ? 0 : thread_is_kernel_worker(task->pid, tid, err);
		if (worker < 0 || (!worker && seize_thread(tree, task, tid, err)))
			return -1;
		task->n_workers += worker > 0;
	}
	if (errno && !procfs_is_gone(errno)) /* waiting will tell */
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot list the threads of pid %d",
				  task->pid);
	return 0;
}

static int seize_threads(struct found_tree *tree, struct found_task *task, struct error *err)
{
	autoclosedir DIR *directory = NULL;
	char path[PATH_ROOM];
	size_t count;

	/* The leader first, so that threads[0] is the leader. */
	if (task->n_threads == 0 && seize_thread(tree, task, task->pid, err))
		return -1;
	if ((task->n_threads == 0 && !task->leader_dead) || task->zombie)
		return 0;
	if (thread_count(task->pid, &count, err))
		return -1;
	if (count == task->n_threads + task->n_workers + task->leader_dead)
		return 0;
	snprintf(path, sizeof path, "/proc/%d/task", task->pid);
	directory = listing_open(AT_FDCWD, path);
	return seize_listed(tree, task, directory, err);
}

static int saw_child(struct found_tree *tree, struct found_task *parent, pid_t pid,
		     struct error *err)
{
	struct found_task *child = find_task(tree, pid);

	if (pid == getpid())
		return fail(err, ERR_UNSUPPORTED_TASK, "nestor itself (pid %d) is part of the tree",
			    pid);
	if (!child)
		child = add_task(tree, pid);
	if (child->pass == tree->pass)
		return 0;
	child->pass = tree->pass;
	child->parent = parent;
	child->first_child = child->last_child = child->next_sibling = NULL;
	if (parent->last_child)
		parent->last_child->next_sibling = child;
	else
		parent->first_child = child;
	parent->last_child = child;
	return 0;
}

static int find_children(struct found_tree *tree, struct found_task *task, struct error *err)
{
	for (size_t i = 0; i < task->n_threads; i++) {
		char path[PATH_ROOM], buffer[TEXT_ROOM], *text = buffer, *end;
		ssize_t length;

		snprintf(path, sizeof path, "/proc/%d/task/%d/children", task->pid,
			 task->threads[i].tid);
		length = procfs_read_into(AT_FDCWD, path, buffer, sizeof buffer);
		if (length < 0 && errno == E2BIG)
			length = procfs_read(tree->arena, AT_FDCWD, path, &text);
		if (length < 0 && procfs_is_gone(errno))
			continue; /* the thread has just died */
		if (length < 0)
			return thread_fail_unread(task->pid, task->threads[i].tid, "children", err);
		for (pid_t pid; (pid = (pid_t)strtol(text, &end, 10)) > 0 && end != text;
		     text = end)
			if (saw_child(tree, task, pid, err))
				return -1;
	}
	return 0;
}

/* One entry of /proc; *ret_parent is 0 if it is no process, or gone. */
static int read_parent(const char *name, pid_t *ret_parent, struct error *err)
{
	char path[PATH_ROOM + 256], text[TEXT_ROOM];
	const char *field;

	*ret_parent = 0;
	if (!isdigit((unsigned char)name[0]))
		return 0;
	snprintf(path, sizeof path, "/proc/%s/status", name);
	if (procfs_read_into(AT_FDCWD, path, text, sizeof text) < 0)
		return procfs_is_gone(errno)
			       ? 0
			       : fail_errno(err, ERR_KERNEL_REFUSED, "cannot read %s", path);
	field = procfs_field(text, "PPid:");
	*ret_parent = field ? atoi(field) : 0;
	return 0;
}

static int find_in_proc_once(struct found_tree *tree, struct error *err)
{
	autoclosedir DIR *proc = listing_open(AT_FDCWD, "/proc");
	const char *name;

	while (listing_next(proc, &name)) {
		struct found_task *parent;
		pid_t pid;

		if (read_parent(name, &pid, err))
			return -1;
		parent = pid > 0 ? find_task(tree, pid) : NULL;
		if (parent && saw_child(tree, parent, atoi(name), err))
			return -1;
	}
	return errno ? fail_errno(err, ERR_KERNEL_REFUSED, "cannot list /proc") : 0;
}

/* Where there are no `children` files: everybody whose parent is known. */
static int find_children_in_proc(struct found_tree *tree, struct error *err)
{
	size_t before;

	do {
		before = tree->n_tasks;
		if (find_in_proc_once(tree, err))
			return -1;
	} while (tree->n_tasks > before);
	return 0;
}

static int make_pass(struct found_tree *tree, struct error *err)
{
	tree->pass++;
	tree->tasks[0]->pass = tree->pass;
	tree->tasks[0]->first_child = tree->tasks[0]->last_child = NULL;
	for (size_t i = 0; i < tree->n_tasks; i++) {
		struct found_task *task = tree->tasks[i];

		if (task->gone || task->zombie)
			continue;
		if (collect_go_on(tree->collect, err) || seize_threads(tree, task, err))
			return -1;
		if (!tree->scan_proc && find_children(tree, task, err))
			return -1;
	}
	return tree->scan_proc ? find_children_in_proc(tree, err) : 0;
}

/* Tasks that the last pass did not meet: zombies that were reaped, orphans that left the tree. */
static void drop_unseen(struct found_tree *tree)
{
	for (size_t i = 1; i < tree->n_tasks; i++) {
		struct found_task *task = tree->tasks[i];

		if (!task->gone && task->pass != tree->pass) {
			found_task_release(task);
			found_task_gone(tree, task);
		}
	}
}

/* /proc has to be there, and to be that of the pid namespace in which we count. */
static int check_proc(struct found_tree *tree, struct error *err)
{
	if (procfs_check(err))
		return -1;
	if (access("/proc/thread-self/children", F_OK) == 0)
		return 0;
	if (errno != ENOENT)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot look at /proc/thread-self");
	tree->scan_proc = true; /* no CONFIG_PROC_CHILDREN */
	return 0;
}

int check_root(pid_t root, struct error *err)
{
	char path[PATH_ROOM], text[TEXT_ROOM];
	const char *field;

	if (root == getpid())
		return fail(err, ERR_UNSUPPORTED_TASK, "nestor cannot dump itself (pid %d)", root);
	snprintf(path, sizeof path, "/proc/%d/status", root);
	if (procfs_read_into(AT_FDCWD, path, text, sizeof text) < 0) {
		if (!procfs_is_gone(errno))
			return fail_errno(err, ERR_KERNEL_REFUSED, "cannot read %s", path);
		if (kill(root, 0) == 0 || errno != ESRCH)
			return fail(err, ERR_NO_PRIVILEGE, "not allowed to see pid %d in /proc",
				    root);
		return fail(err, ERR_NO_SUCH_TASK, "there is no process %d", root);
	}
	field = procfs_field(text, "Tgid:");
	if (field && atoi(field) != root)
		return fail(err, ERR_NO_SUCH_TASK, "%d is no process, but a thread of process %d",
			    root, atoi(field));
	return 0;
}

/* Nobody stops before it is thawed, and nothing changes: all are told first. */
static int pass_frozen(struct found_tree *tree, struct error *err)
{
	const struct collect_freezer *freezer = &tree->collect->freezer;

	do {
		tree->changed = false;
		if (make_pass(tree, err))
			return -1;
	} while (tree->changed && wait_clock() < tree->deadline);
	return freezer->thaw(freezer->data, err);
}

/*
 * One by one, since they may wait for each other, while all others run: those are not even traced,
 * as a signal would hold them up until somebody waits for them.
 */
static enum stop_outcome stop_late(struct found_tree *tree, struct error *err)
{
	const struct late_threads late = *tree->late;
	uint64_t patience = tree->patience;
	enum stop_outcome outcome = STOP_DONE;

	for (size_t i = 0; i < late.n && outcome == STOP_DONE; i++) {
		const struct late_thread *thread = &late.threads[i];
		struct found_task *task = find_task(tree, thread->pid);

		if (!task)
			task = add_task(tree, thread->pid);
		if (seize_thread(tree, task, thread->tid, err))
			return STOP_FAILED;
		/* While nobody has stopped, it waits for nobody who has. */
		tree->patience = i == 0 ? UINT64_MAX : patience;
		outcome = found_tree_wait(tree, err);
	}
	tree->patience = patience;
	return outcome;
}

enum stop_outcome find_and_stop(struct found_tree *tree, pid_t root, struct error *err)
{
	if (check_proc(tree, err) || check_root(root, err))
		return STOP_FAILED;
	add_task(tree, root);
	if (tree->collect->freezer.thaw && pass_frozen(tree, err) < 0)
		return STOP_FAILED;
	enum stop_outcome outcome = tree->late->n ? stop_late(tree, err) : STOP_DONE;
	if (outcome != STOP_DONE)
		return outcome;
	do {
		tree->changed = false;
		if (make_pass(tree, err))
			return STOP_FAILED;
		outcome = found_tree_wait(tree, err);
		if (outcome != STOP_DONE)
			return outcome;
		if (wait_clock() > tree->deadline) {
			fail(err, ERR_STOP_TIMEOUT,
			     "the tree of pid %d grows faster than it can be stopped", root);
			return STOP_FAILED;
		}
	} while (tree->changed);
	drop_unseen(tree);
	if (tree->tasks[0]->gone || tree->tasks[0]->zombie) {
		fail(err, ERR_NO_SUCH_TASK, "process %d has exited", root);
		return STOP_FAILED;
	}
	return STOP_DONE;
}
