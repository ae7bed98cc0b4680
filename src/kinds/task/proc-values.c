// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * State that only files of /proc tell and take, written by the coordinator, or by the task where
 * it may set its own alone:
 *
 *  - coredump_filter (core(5)), a part of the address space, inherited by fork.
 *  - the nice value of the autogroup (sched(7)). The kernel makes one for each session, so the
 *    leader of a session has that of the session; those whose session began outside of the tree
 *    are with whoever restores them.
 *  - the login uid, by the task.
 */
#include "kinds/task/task.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/procfs.h"
#include "collect/collect.h"
#include "plan/plan.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
	FILTER_BITS = 0x1ff,
	LOWEST_NICE = -20,
	HIGHEST_NICE = 19,
	ATTEMPTS = 500
}; /* MMF_DUMP_FILTER_MASK */

/* Without CAP_SYS_ADMIN the nice value of an autogroup can be set ten times a second (EAGAIN). */
static bool write_patiently(int fd, const char *value, size_t length)
{
	const struct timespec pause = { .tv_nsec = 10 * 1000 * 1000 };

	for (int i = 0; i < ATTEMPTS; i++) {
		if (write(fd, value, length) == (ssize_t)length)
			return true;
		if (errno != EAGAIN)
			return false;
		nanosleep(&pause, NULL);
	}
	return false;
}

static int write_value(const struct applied_thread *thread, const char *name, const char *value,
		       struct error *err)
{
	size_t length = strlen(value);
	autoclose int fd = -1;
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/%s", (int)thread->tid, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || !write_patiently(fd, value, length))
		return fail_errno(err, ERR_KERNEL_REFUSED, "task %s: cannot set %s to %s",
				  task_name(thread->task), name, value);
	return 0;
}

/* --- coredump_filter ---------------------------------------------------------------------- */

static int collect_filter(struct target *target, struct error *err)
{
	TaskCoreEntry *tc = target->task->core->tc;
	const char *text = target_read(target, "coredump_filter", err);

	if (!text)
		return -1;
	tc->has_coredump_filter = true;
	tc->coredump_filter = (uint32_t)strtoul(text, NULL, 16);
	return 0;
}

static int check_filter(const struct snapshot *snapshot, const struct task *task, struct error *err)
{
	(void)snapshot;
	if (task->core->tc->coredump_filter & ~(uint32_t)FILTER_BITS)
		return fail(err, ERR_IMAGE_INVALID, "task %s: coredump_filter 0x%" PRIx32,
			    task_name(task), task->core->tc->coredump_filter);
	return 0;
}

static bool applies_filter(const struct planning *planning)
{
	const TaskCoreEntry *tc = planning->task->core->tc;

	return tc->has_coredump_filter &&
	       tc->coredump_filter != planning->plan->facts->coredump_filter;
}

static int apply_filter(const struct applied_thread *thread, struct error *err)
{
	char text[32];

	snprintf(text, sizeof text, "0x%" PRIx32, thread->task->core->tc->coredump_filter);
	return write_value(thread, "coredump_filter", text, err);
}

const struct task_kind coredump_filter_kind = {
	.name = "coredump_filter",
	.collect = collect_filter,
	.check = check_filter,
	.applies = applies_filter,
	.apply = apply_filter,
};

/* A file that not every kernel has. */
static int may_be_absent(const struct target *target, const char *name, struct error *err)
{
	return errno == ENOENT ? 0
			       : fail_errno(err, procfs_error(errno), "cannot read /proc/%d/%s",
					    target->pid, name);
}

/* --- the login uid ------------------------------------------------------------------------ */

/*
 * Of the audit system: who is held to account for what a task does, and who getlogin(3) says it is.
 * A task can set its own only, once, or with CAP_AUDIT_CONTROL (audit_set_loginuid_perm): where it
 * may not, it has that of whoever restores it, and a warning says so. It is a number of nestor's
 * user namespace as long as the task has not entered its own.
 */
static int collect_login(struct target *target, struct error *err)
{
	TaskCoreEntry *tc = target->task->core->tc;
	autofree char *text = NULL;

	/* Without CONFIG_AUDIT there is none. */
	if (target_text(target, "loginuid", &text) < 0)
		return may_be_absent(target, "loginuid", err);
	tc->has_loginuid = true;
	tc->loginuid = (uint32_t)strtoul(text, NULL, 10);
	return 0;
}

static bool differs_in_one(const struct plan *plan)
{
	for (size_t i = 0; i < plan->snapshot->n_tasks; i++) {
		const TaskCoreEntry *tc = plan->snapshot->tasks[i].core->tc;
		if (tc && tc->has_loginuid && tc->loginuid != plan->facts->loginuid)
			return true;
	}
	return false;
}

/* Whoever has another one may hand it down: then all set their own. Looked for once. */
static bool somebody_differs(struct plan *plan)
{
	static const char owner;
	struct {
		bool known, differs;
	} *found = plan_kind_state(plan, &owner, sizeof *found);

	if (!found->known)
		found->differs = differs_in_one(plan);
	found->known = true;
	return found->differs;
}

static bool applies_login(const struct planning *planning)
{
	return planning->task->core->tc->has_loginuid && somebody_differs(planning->plan);
}

static int plan_login(const struct planning *planning, struct error *err)
{
	struct plan *plan = planning->plan;
	struct program *program = planning->program;
	static const char name[] = "thread-self/loginuid";
	char text[16];

	(void)err;
	if (!applies_login(planning))
		return 0;
	int length = snprintf(text, sizeof text, "%" PRIu32, planning->task->core->tc->loginuid);
	uint64_t proc = plan_borrow(plan, program, plan_source(plan, SOURCE_PROC, 0));
	uint64_t file = program_word(program->set, 0);
	/* Whether it came about is looked at afterwards. */
	op_store(op_any(op_argument_from(
			 program_call(program, SYS_openat, 0,
				      program_data(program->set, name, sizeof name, 1),
				      O_WRONLY | O_CLOEXEC),
			 0, proc)),
		 file);
	op_any(op_argument_from(program_call(program, SYS_write, 0,
					     program_data(program->set, text, (size_t)length, 1),
					     length),
				0, file));
	op_any(op_argument_from(program_call(program, SYS_close, 0), 0, file));
	return 0;
}

static int apply_login(const struct applied_thread *thread, struct error *err)
{
	uint32_t wanted = thread->task->core->tc->loginuid;
	char path[64], *text;

	snprintf(path, sizeof path, "/proc/%d/loginuid", (int)thread->tid);
	if (procfs_read(thread->opener->arena, AT_FDCWD, path, &text) < 0)
		return errno == ENOENT
			       ? 0
			       : fail_errno(err, procfs_error(errno), "cannot read %s", path);
	uint32_t now = (uint32_t)strtoul(text, NULL, 10);
	if (now != wanted)
		log_warning("restore", task_name(thread->task),
			    "its login uid is %" PRIu32 " and was %" PRIu32, now, wanted);
	return 0;
}

const struct task_kind login_kind = {
	.name = "login uid",
	.collect = collect_login,
	.plan = plan_login,
	.applies = applies_login,
	.apply = apply_login,
};

/* --- the nice value of the autogroup ------------------------------------------------------ */

static bool leads_session(const struct task *task)
{
	return task->pstree->pid == task->pstree->sid;
}

static int collect_autogroup(struct target *target, struct error *err)
{
	TaskCoreEntry *tc = target->task->core->tc;
	autofree char *text = NULL;

	if (!leads_session(target->task))
		return 0;
	/* Without CONFIG_SCHED_AUTOGROUP there is none. */
	if (target_text(target, "autogroup", &text) < 0)
		return may_be_absent(target, "autogroup", err);
	const char *nice = strstr(text, " nice ");
	tc->has_autogroup_nice = nice != NULL;
	tc->autogroup_nice = nice ? atoi(nice + strlen(" nice ")) : 0;
	return 0;
}

static int check_autogroup(const struct snapshot *snapshot, const struct task *task,
			   struct error *err)
{
	int32_t nice = task->core->tc->autogroup_nice;

	(void)snapshot;
	if (nice < LOWEST_NICE || nice > HIGHEST_NICE)
		return fail(err, ERR_IMAGE_INVALID, "task %s: its autogroup has the nice value %d",
			    task_name(task), nice);
	return 0;
}

static bool applies_autogroup(const struct planning *planning)
{
	const struct task *task = planning->task;
	const TaskCoreEntry *tc = task->core->tc;

	return leads_session(task) && tc->has_autogroup_nice && tc->autogroup_nice;
}

static int apply_autogroup(const struct applied_thread *thread, struct error *err)
{
	char text[32];

	snprintf(text, sizeof text, "%d", thread->task->core->tc->autogroup_nice);
	return write_value(thread, "autogroup", text, err);
}

const struct task_kind autogroup_kind = {
	.name = "nice value of the autogroup",
	.collect = collect_autogroup,
	.check = check_autogroup,
	.applies = applies_autogroup,
	.apply = apply_autogroup,
};
