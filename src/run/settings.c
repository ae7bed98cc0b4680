// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What is set through /proc while all tasks are parked: OOM scores, and the next pid of the pid
 * namespaces below ours. None of it keeps a tree from running: what is refused is told.
 */
#include "base/cleanup.h"
#include "base/log.h"
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

void run_apply_settings(struct run *run)
{
	const struct snapshot *snapshot = run->plan->snapshot;

	for (size_t i = 0; i < run->n_tasks; i++)
		set_oom_score(run, &run->tasks[i]);
	for (size_t i = 0; i < snapshot->n_pid_namespaces; i++)
		set_pids(run, snapshot->pid_namespaces[i]);
}
