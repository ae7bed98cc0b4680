// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Stopping a running tree: PTRACE_SEIZE and PTRACE_INTERRUPT for each thread.
 *
 * A tree that runs changes while it is looked at: a thread that was told to stop may still clone
 * or fork before it does. So passes are made over everything known, until one that began with
 * all known threads stopped finds nothing new; only then are the lists of children and threads
 * final (proc(5): `children` is reliable if all of them are stopped).
 *
 * A seized thread stops without a signal. Where a signal gets in first (a signal-delivery-stop)
 * it is let through, with its siginfo, and the stop that was asked for follows. A thread that is
 * part of a group stop reports the signal of that, and goes back to it when it is let go.
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
#include "base/procfs.h"
#include "collect/wait.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

enum {
	TEXT_ROOM = 16384,
	PATH_ROOM = 64,
	DIRECTORY_LINKS = 2,	   /* of /proc/PID/task, beside one per thread */
	VFORK_PATIENCE = 20000000, /* nanoseconds until we ask why a thread does not stop */
	TASK_NAME_ROOM = 64,
};

static struct found_task *find_task(const struct found_tree *tree, pid_t pid)
{
	struct found_task *task = tree->buckets[(unsigned)pid % FOUND_BUCKETS];

	while (task && (task->pid != pid || task->gone))
		task = task->next_in_bucket;
	return task;
}

/* NULL if there is no such process (any more). */
static struct found_task *add_task(struct found_tree *tree, pid_t pid)
{
	char path[PATH_ROOM];
	struct found_task *task, **bucket = &tree->buckets[(unsigned)pid % FOUND_BUCKETS];
	int proc_fd;

	snprintf(path, sizeof path, "/proc/%d", pid);
	proc_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (proc_fd < 0)
		return NULL;
	task = arena_new(tree->arena, struct found_task);
	*task = (struct found_task){ .pid = pid, .proc_fd = proc_fd, .next_in_bucket = *bucket };
	*bucket = task;
	tree->tasks = arena_grow(tree->arena, tree->tasks, tree->n_tasks, sizeof(*tree->tasks));
	tree->tasks[tree->n_tasks++] = task;
	tree->changed = true;
	return task;
}

static void task_gone(struct found_tree *tree, struct found_task *task)
{
	if (task->proc_fd >= 0)
		close(task->proc_fd);
	task->proc_fd = -1;
	task->gone = true;
	tree->changed = true;
}

/* The Name and State of a thread, and of whom it is traced; for people and for decisions. */
struct thread_facts {
	char name[TASK_NAME_ROOM];
	char state; /* 0 if the thread is gone */
	pid_t tracer;
};

static struct thread_facts read_thread_facts(const struct found_task *task, pid_t tid)
{
	struct thread_facts facts = { .name = "?" };
	char path[PATH_ROOM], text[TEXT_ROOM];
	const char *field;

	snprintf(path, sizeof path, "task/%d/status", tid);
	if (procfs_read_into(task->proc_fd, path, text, sizeof text) < 0)
		return facts;
	field = procfs_field(text, "Name:");
	if (field)
		snprintf(facts.name, sizeof facts.name, "%.*s", (int)strcspn(field, "\n"), field);
	field = procfs_field(text, "State:");
	facts.state = field ? *field : 0;
	field = procfs_field(text, "TracerPid:");
	facts.tracer = field ? atoi(field) : 0;
	return facts;
}

static size_t count_threads(const struct found_task *task)
{
	struct stat stat;

	if (fstatat(task->proc_fd, "task", &stat, 0) < 0 || stat.st_nlink < DIRECTORY_LINKS)
		return 0;
	return stat.st_nlink - DIRECTORY_LINKS;
}

static int fail_traced(const struct found_task *task, const struct thread_facts *facts,
		       struct error *err)
{
	char path[PATH_ROOM], name[TASK_NAME_ROOM] = "?";

	snprintf(path, sizeof path, "/proc/%d/comm", facts->tracer);
	if (procfs_read_into(AT_FDCWD, path, name, sizeof name) > 0)
		name[strcspn(name, "\n")] = 0;
	fail(err, ERR_TASK_TRACED, "pid %d (%s) is being traced by pid %d (%s)", task->pid,
	     facts->name, facts->tracer, name);
	return fail_hint(err, "end the tracer (a debugger, strace, another dump) and try again");
}

static void add_thread(struct found_tree *tree, struct found_task *task, pid_t tid)
{
	task->threads =
		arena_grow(tree->arena, task->threads, task->n_threads, sizeof(*task->threads));
	task->threads[task->n_threads++] = (struct found_thread){ .tid = tid };
	tree->changed = true;
	if (tid == task->pid) { /* one that called execve when the leader was dead */
		task->threads[task->n_threads - 1] = task->threads[0];
		task->threads[0] = (struct found_thread){ .tid = tid };
		task->leader_dead = task->leader_seized = false;
	}
	/* It can only have died since; waiting will tell. */
	ptrace(PTRACE_INTERRUPT, tid, NULL, NULL);
}

/* A zombie, unless there are others. Of a process that is just ending those will be seen to die. */
static void leader_is_dead(struct found_tree *tree, struct found_task *task, bool seized)
{
	if (task->n_threads == 0 && count_threads(task) <= 1) {
		task->zombie = true;
		return;
	}
	if (task->n_threads == 0 && task->leader_dead) /* the others are on their way out */
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	if (task->n_threads == 0 || !task->leader_dead)
		tree->changed = true;
	task->leader_dead = true;
	task->leader_seized = task->leader_seized || seized;
}

/* PTRACE_SEIZE was refused: who is it? A zombie is a finding, not an error. */
static int judge_refusal(struct found_tree *tree, struct found_task *task, pid_t tid,
			 struct error *err)
{
	struct thread_facts facts = read_thread_facts(task, tid);

	if (facts.state == 0) {
		if (tid == task->pid)
			task_gone(tree, task);
		return 0;
	}
	if (facts.state == 'Z' || facts.state == 'X') {
		if (tid == task->pid)
			leader_is_dead(tree, task, facts.tracer == getpid());
		return 0;
	}
	/* A thread of ours that called execve has become the leader. */
	if (facts.tracer == getpid()) {
		add_thread(tree, task, tid);
		return 0;
	}
	if (facts.tracer)
		return fail_traced(task, &facts, err);
	return fail(err, ERR_NO_PRIVILEGE, "not allowed to stop pid %d (%s)", task->pid,
		    facts.name);
}

static int seize_thread(struct found_tree *tree, struct found_task *task, pid_t tid,
			struct error *err)
{
	if (ptrace(PTRACE_SEIZE, tid, NULL, NULL) < 0) {
		if (errno == ESRCH && tid != task->pid)
			return 0;
		return judge_refusal(tree, task, tid, err);
	}
	add_thread(tree, task, tid);
	return 0;
}

static bool has_thread(const struct found_task *task, pid_t tid)
{
	for (size_t i = 0; i < task->n_threads; i++)
		if (task->threads[i].tid == tid)
			return true;
	return false;
}

static int seize_threads(struct found_tree *tree, struct found_task *task, struct error *err)
{
	autoclosedir DIR *directory = NULL;
	const struct dirent *entry;
	int fd;

	/* The leader first, so that threads[0] is the leader. */
	if (task->n_threads == 0 && seize_thread(tree, task, task->pid, err) < 0)
		return -1;
	if ((task->n_threads == 0 && !task->leader_dead) || task->zombie ||
	    count_threads(task) == task->n_threads + task->leader_dead)
		return 0;
	fd = openat(task->proc_fd, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0)
		directory = fdopendir(fd);
	if (!directory) {
		if (fd >= 0)
			close(fd);
		return 0; /* it is gone: waiting will tell */
	}
	while ((entry = readdir(directory))) {
		pid_t tid = isdigit((unsigned char)entry->d_name[0]) ? atoi(entry->d_name) : 0;

		if (tid && !has_thread(task, tid) && seize_thread(tree, task, tid, err) < 0)
			return -1;
	}
	return 0;
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
	if (!child || child->pass == tree->pass)
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

		snprintf(path, sizeof path, "task/%d/children", task->threads[i].tid);
		length = procfs_read_into(task->proc_fd, path, buffer, sizeof buffer);
		if (length < 0 && errno == E2BIG)
			length = procfs_read(tree->arena, task->proc_fd, path, &text);
		if (length < 0) {
			/* Without CONFIG_PROC_CHILDREN; or the thread has just died. */
			if (errno == ENOENT && i == 0 && count_threads(task) > 0)
				tree->scan_proc = true;
			continue;
		}
		for (pid_t pid; (pid = (pid_t)strtol(text, &end, 10)) > 0 && end != text;
		     text = end)
			if (saw_child(tree, task, pid, err) < 0)
				return -1;
	}
	return 0;
}

/* Where there are no `children` files: everybody whose parent is known. */
static int find_children_in_proc(struct found_tree *tree, struct error *err)
{
	size_t before;

	do {
		autoclosedir DIR *proc = opendir("/proc");
		const struct dirent *entry;

		before = tree->n_tasks;
		while (proc && (entry = readdir(proc))) {
			char path[PATH_ROOM + sizeof entry->d_name], text[TEXT_ROOM];
			struct found_task *parent;
			const char *field;

			if (!isdigit((unsigned char)entry->d_name[0]))
				continue;
			snprintf(path, sizeof path, "/proc/%s/status", entry->d_name);
			if (procfs_read_into(AT_FDCWD, path, text, sizeof text) < 0)
				continue;
			field = procfs_field(text, "PPid:");
			parent = field ? find_task(tree, atoi(field)) : NULL;
			if (parent && saw_child(tree, parent, atoi(entry->d_name), err) < 0)
				return -1;
		}
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
		if (seize_threads(tree, task, err) < 0)
			return -1;
		if (!tree->scan_proc && find_children(tree, task, err) < 0)
			return -1;
	}
	return tree->scan_proc ? find_children_in_proc(tree, err) : 0;
}

static void thread_died(struct found_tree *tree, struct found_task *task, size_t index)
{
	bool is_leader = task->threads[index].tid == task->pid;

	task->n_threads--;
	memmove(&task->threads[index], &task->threads[index + 1],
		(task->n_threads - index) * sizeof(*task->threads));
	tree->changed = true;
	if (is_leader)
		task->leader_dead = task->leader_seized = true;
	if (task->n_threads == 0) {
		struct thread_facts facts = read_thread_facts(task, task->pid);

		if (facts.state == 'Z')
			leader_is_dead(tree, task, false);
		else if (facts.state == 0 || facts.state == 'X')
			task_gone(tree, task);
	}
}

/* A vfork parent is in state D in the call until its child, which we hold, execs or ends. */
static bool waits_for_vfork(const struct found_task *task, pid_t tid)
{
	char path[PATH_ROOM], text[TEXT_ROOM];
	long nr;

	if (read_thread_facts(task, tid).state != 'D')
		return false;
	snprintf(path, sizeof path, "task/%d/syscall", tid);
	if (procfs_read_into(task->proc_fd, path, text, sizeof text) <= 0 || !isdigit(text[0]))
		return false;
	nr = strtol(text, NULL, 10);
	return nr == SYS_vfork || nr == SYS_clone || nr == SYS_clone3;
}

static enum stop_outcome fail_vfork(const struct found_task *task, pid_t tid, struct error *err)
{
	struct thread_facts facts = read_thread_facts(task, tid);

	fail(err, ERR_VFORK_IN_PROGRESS,
	     "pid %d (%s) waits for its vfork child to execute a program or to end", task->pid,
	     facts.name);
	fail_hint(err, "try again when the child has done so");
	return STOP_AGAIN;
}

static enum stop_outcome fail_timeout(const struct found_task *task, pid_t tid, struct error *err)
{
	struct thread_facts facts = read_thread_facts(task, tid);
	char path[PATH_ROOM], wchan[TASK_NAME_ROOM] = "";

	snprintf(path, sizeof path, "task/%d/wchan", tid);
	if (procfs_read_into(task->proc_fd, path, wchan, sizeof wchan) < 0)
		wchan[0] = 0;
	if (tid == task->pid)
		fail(err, ERR_STOP_TIMEOUT,
		     "pid %d (%s) did not stop, it is in state %c in wchan %s", tid, facts.name,
		     facts.state ? facts.state : '?', wchan[0] ? wchan : "?");
	else
		fail(err, ERR_STOP_TIMEOUT,
		     "thread %d of pid %d (%s) did not stop, it is in state %c in wchan %s", tid,
		     task->pid, facts.name, facts.state ? facts.state : '?',
		     wchan[0] ? wchan : "?");
	fail_hint(err, "a longer --timeout may help");
	return STOP_FAILED;
}

/* Waits until one thread is at rest or dead; *ret_stop_signal is that of a group stop. */
static enum stop_outcome wait_stopped(const struct found_tree *tree, const struct found_task *task,
				      struct found_thread *thread, bool *ret_died,
				      int *ret_stop_signal, struct error *err)
{
	uint64_t patience = wait_clock() + VFORK_PATIENCE;

	for (;;) {
		uint64_t until = patience < tree->deadline ? patience : tree->deadline;
		int status, found = wait_for(thread->tid, until, &status);

		/* Nobody hears of a leader's end before that of the others. */
		if (found == 0 && task->n_threads > 1 && thread->tid == task->pid &&
		    read_thread_facts(task, thread->tid).state == 'Z') {
			*ret_died = true;
			return STOP_DONE;
		}
		if (found == 0 && waits_for_vfork(task, thread->tid))
			return fail_vfork(task, thread->tid, err);
		if (found == 0 && wait_clock() >= tree->deadline)
			return fail_timeout(task, thread->tid, err);
		if (found == 0) {
			patience = wait_clock() + VFORK_PATIENCE;
			continue;
		}
		if (found < 0 || !WIFSTOPPED(status)) {
			*ret_died = true;
			return STOP_DONE;
		}
		if (status >> 16 == PTRACE_EVENT_STOP) {
			thread->stopped = true;
			*ret_stop_signal = WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status);
			return STOP_DONE;
		}
		/* A signal was on its way: let it come, the stop that was asked for follows. */
		ptrace(PTRACE_CONT, thread->tid, NULL, (long)(status >> 16 ? 0 : WSTOPSIG(status)));
	}
}

static enum stop_outcome wait_all_stopped(struct found_tree *tree, struct error *err)
{
	for (size_t i = 0; i < tree->n_tasks; i++) {
		struct found_task *task = tree->tasks[i];

		/* From the last thread to the first: a leader's death is reported after theirs. */
		for (size_t at = task->n_threads; at-- > 0;) {
			bool died = false;
			int stop_signal = 0;
			enum stop_outcome outcome;

			if (task->threads[at].stopped)
				continue;
			outcome = wait_stopped(tree, task, &task->threads[at], &died, &stop_signal,
					       err);
			if (outcome != STOP_DONE)
				return outcome;
			if (died)
				thread_died(tree, task, at);
			else if (stop_signal)
				task->stop_signal = stop_signal;
		}
	}
	return STOP_DONE;
}

static void release_task(struct found_task *task)
{
	for (size_t i = 0; i < task->n_threads; i++) {
		int status;

		/* Only a stopped thread can be let go; one that is not is let go when we exit. */
		if (!task->threads[i].stopped &&
		    waitpid(task->threads[i].tid, &status, __WALL | WNOHANG) > 0 &&
		    WIFSTOPPED(status) && status >> 16 == 0) {
			ptrace(PTRACE_DETACH, task->threads[i].tid, NULL, (long)WSTOPSIG(status));
			continue;
		}
		ptrace(PTRACE_DETACH, task->threads[i].tid, NULL, NULL);
	}
	task->n_threads = 0;
}

/* Tasks that the last pass did not meet: zombies that were reaped, orphans that left the tree. */
static void drop_unseen(struct found_tree *tree)
{
	for (size_t i = 1; i < tree->n_tasks; i++) {
		struct found_task *task = tree->tasks[i];

		if (!task->gone && task->pass != tree->pass) {
			release_task(task);
			task_gone(tree, task);
		}
	}
}

/* Where the leader is dead, /proc/PID shows neither memory nor descriptors; the first of them. */
static enum stop_outcome open_living(struct found_tree *tree, struct error *err)
{
	for (size_t i = 0; i < tree->n_tasks; i++) {
		struct found_task *task = tree->tasks[i];
		char path[PATH_ROOM];
		pid_t tid;
		int fd;

		if (task->gone || task->zombie || !task->leader_dead)
			continue;
		tid = task->threads[0].tid;
		for (size_t k = 1; k < task->n_threads; k++)
			if (task->threads[k].tid < tid)
				tid = task->threads[k].tid;
		snprintf(path, sizeof path, "/proc/%d", tid);
		fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0) {
			fail_errno(err, ERR_TREE_CHANGED, "pid %d is gone: cannot open %s",
				   task->pid, path);
			return STOP_FAILED;
		}
		close(task->proc_fd);
		task->proc_fd = fd;
	}
	return STOP_DONE;
}

enum stop_outcome find_and_stop(struct found_tree *tree, pid_t root, struct error *err)
{
	if (root == getpid()) {
		fail(err, ERR_UNSUPPORTED_TASK, "nestor cannot dump itself (pid %d)", root);
		return STOP_FAILED;
	}
	if (!add_task(tree, root)) {
		fail(err, ERR_NO_SUCH_TASK, "there is no process %d", root);
		return STOP_FAILED;
	}
	do {
		enum stop_outcome outcome;

		tree->changed = false;
		if (make_pass(tree, err) < 0)
			return STOP_FAILED;
		outcome = wait_all_stopped(tree, err);
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
	return open_living(tree, err);
}

void found_tree_release(struct found_tree *tree)
{
	for (size_t i = 0; i < tree->n_tasks; i++) {
		release_task(tree->tasks[i]);
		if (tree->tasks[i]->proc_fd >= 0)
			close(tree->tasks[i]->proc_fd);
		tree->tasks[i]->proc_fd = -1;
	}
}
