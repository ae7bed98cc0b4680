// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What is set from outside while all tasks are parked: scheduling, where threads may not set it
 * themselves, OOM scores, and the next pid of the pid namespaces below ours. The last two keep no
 * tree from running: what is refused there is told.
 */
#include "base/cleanup.h"
#include "base/log.h"
#include "kinds/task/task.h"
#include "run/state.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* The file takes its value in one write; 0 or an errno. */
static int write_number(const char *path, int64_t number)
{
	autoclose int fd = open(path, O_WRONLY | O_CLOEXEC);
	char text[32];
	int length = snprintf(text, sizeof(text), "%" PRId64, number);

	if (fd < 0 || write(fd, text, (size_t)length) != length)
		return errno;
	return 0;
}

static void set_oom_score(const struct run *run, const struct run_task *task)
{
	const CoreEntry *core = task->planned->task->core;
	const struct facts *facts = run->plan->facts;
	char path[64];
	int failed;

	if (!task->n_threads || !core || !core->tc || !core->tc->has_oom_score_adj ||
	    core->tc->oom_score_adj == facts->oom_score_adj)
		return;
	snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", (int)task->threads[0].tid);
	failed = write_number(path, core->tc->oom_score_adj);
	if (failed)
		/* Lowering needs CAP_SYS_RESOURCE (proc(5)). */
		log_warning("restore", task_name(task->planned->task),
			    "cannot set oom_score_adj to %" PRId32 ": %s, leaving it at %" PRId32,
			    core->tc->oom_score_adj, strerror(failed), facts->oom_score_adj);
}

/* Writes act on the writer's own pid namespace (kernel/pid_namespace.c): a task born into it. */
static int write_inside(pid_t init, const NsEntry *entry, bool write_maximum)
{
	autoclose int init_fd = (int)syscall(SYS_pidfd_open, init, 0);
	int status, failed = 0;
	pid_t writer;

	if (init_fd < 0 || setns(init_fd, CLONE_NEWPID) < 0)
		return errno;
	writer = fork();
	if (writer < 0)
		return errno;
	if (!writer) {
		if (entry->has_pid_max && write_maximum)
			failed = write_number("/proc/sys/kernel/pid_max", entry->pid_max);
		if (!failed && entry->has_last_pid)
			failed = write_number("/proc/sys/kernel/ns_last_pid", entry->last_pid);
		_exit(failed);
	}
	while (waitpid(writer, &status, 0) < 0)
		if (errno != EINTR)
			return errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : ECHILD;
}

static void set_pids(const struct run *run, const struct pid_namespace *namespace)
{
	bool write_maximum = run->plan->facts->per_namespace_pid_max;
	const struct run_task *init;
	pid_t helper;
	int status = 0;

	if (!namespace->entry || !namespace->init ||
	    (!namespace->entry->has_last_pid && !namespace->entry->has_pid_max))
		return;
	init = &run->tasks[namespace->init->index];
	/* That of the outermost level is ours unless the first task got its own. */
	if (!init->n_threads ||
	    (!namespace->level && !(run->plan->root_clone.flags & CLONE_NEWPID)))
		return;
	helper = fork();
	if (!helper)
		_exit(write_inside(init->threads[0].tid, namespace->entry, write_maximum));
	while (helper > 0 && waitpid(helper, &status, 0) < 0 && errno == EINTR)
		;
	if (helper < 0 || !WIFEXITED(status) || WEXITSTATUS(status))
		log_warning("restore", task_name(namespace->init),
			    "cannot set the next pid of pid namespace %" PRIu32
			    ": %s, leaving it as it is",
			    namespace->id,
			    strerror(WIFEXITED(status) ? WEXITSTATUS(status) : ECHILD));
}

static int set_scheduling(const struct run_task *task, struct error *err)
{
	if (!task->n_threads || !scheduling_is_applied(task->planned->task))
		return 0;
	for (size_t i = 0; i < task->n_threads; i++)
		if (scheduling_apply(task->threads[i].tid,
				     task->threads[i].planned->core->thread_core, err) < 0)
			return fail_while(err, "%s", task->planned->program->name);
	return 0;
}

int run_apply_settings(struct run *run, struct error *err)
{
	const struct snapshot *snapshot = run->plan->snapshot;

	for (size_t i = 0; i < run->n_tasks; i++)
		if (set_scheduling(&run->tasks[i], err) < 0)
			return -1;
	for (size_t i = 0; i < run->n_tasks; i++)
		set_oom_score(run, &run->tasks[i]);
	for (size_t i = 0; i < snapshot->n_pid_namespaces; i++)
		set_pids(run, snapshot->pid_namespaces[i]);
	return 0;
}
