// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Working directory, root directory and umask of threads that have given up sharing them with their
 * process (unshare(CLONE_FS)), as a thread has to before it can be in a mount namespace of its own.
 * Others may share them with it (CLONE_FS).
 *
 * Of those that share, one parts at the start of its program, enters its mount namespace, changes
 * its directories, and makes the others then. setns(2) wants an fs that nobody shares
 * (mntns_install), so all of them are in one mount namespace. What the one needs for that its
 * process fetches while it still can, and keeps until the thread is there (plan_keep).
 *
 * The first thread does the same where it is in a mount namespace from which that of another one
 * cannot be entered (task_first_namespace): it parts when it has made those that part from it.
 */
#include "kinds/task/fs.h"

#include "base/procfs.h"
#include "collect/collect.h"
#include "model/namespaces.h"
#include "plan/plan.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static int collect_directories(struct target *target, size_t index, ThreadFsEntry *fs,
			       struct error *err)
{
	const struct target_thread *thread = &target->threads[index];
	uint64_t umask;
	char name[64];

	if (!procfs_number(thread->status, "Umask:", 8, &umask))
		return fail(err, ERR_KERNEL_REFUSED, "the status of thread %d has no umask",
			    thread->tid);
	fs->umask = (uint32_t)umask;
	snprintf(name, sizeof name, "task/%d/cwd", thread->tid);
	if (collect_path(target, name, O_RDONLY | O_DIRECTORY, &fs->cwd_id, err))
		return -1;
	snprintf(name, sizeof name, "task/%d/root", thread->tid);
	return collect_path(target, name, O_RDONLY | O_DIRECTORY, &fs->root_id, err);
}

/* That of an earlier thread which shares it. */
static const ThreadFsEntry *collected(const struct target *target, size_t index)
{
	for (size_t i = 0; i < index; i++)
		if (target->threads[i].fs_id == target->threads[index].fs_id)
			return task_thread(target->task, i)->thread_core->fs;
	return NULL;
}

static int collect_thread(struct target *target, size_t index, struct error *err)
{
	ThreadFsEntry *fs = snapshot_new(target->collect->snapshot, THREAD_FS_ENTRY, ThreadFsEntry);
	const ThreadFsEntry *same = collected(target, index);

	fs->fs_id = target->threads[index].fs_id;
	if (same) {
		fs->umask = same->umask;
		fs->cwd_id = same->cwd_id;
		fs->root_id = same->root_id;
	} else if (collect_directories(target, index, fs, err)) {
		return -1;
	}
	task_thread(target->task, index)->thread_core->fs = fs;
	return 0;
}

static int thread_fs_collect(struct target *target, struct error *err)
{
	for (size_t i = 0; i < target->n_threads; i++)
		if (target->threads[i].fs_id && collect_thread(target, i, err))
			return -1;
	return 0;
}

/* ---- check ---- */

static bool has_fs(const struct task *task, uint32_t fs_id)
{
	if (task_is_zombie(task))
		return false;
	if (task->ids && task->ids->fs_id == fs_id)
		return true;
	for (size_t i = 0; i < task->n_threads; i++)
		if (task_begins_fs(task, i) && task_thread_fs(task, i)->fs_id == fs_id)
			return true;
	return false;
}

/* Only processes that were born in it could share it with a thread. */
static int check_others(const struct snapshot *snapshot, const struct task *task, size_t thread,
			struct error *err)
{
	uint32_t fs_id = task_thread_fs(task, thread)->fs_id;

	for (size_t i = 0; i < snapshot->n_tasks; i++) {
		const struct task *other = &snapshot->tasks[i];
		if (other == task)
			continue;
		if (has_fs(other, fs_id))
			return fail(err, ERR_SHARED_OBJECT,
				    "thread %zu of task %s shares a working directory, which is "
				    "not its process's, with task %s",
				    thread, task_name(task), task_name(other));
		if (task->table && other->table == task->table)
			return fail(err, ERR_SHARED_OBJECT,
				    "thread %zu of task %s has a working directory of its own, and "
				    "shares its descriptor table with task %s",
				    thread, task_name(task), task_name(other));
	}
	return 0;
}

static bool are_same(const struct snapshot *snapshot, const struct task *task, size_t one,
		     size_t other)
{
	const ThreadFsEntry *a = task_thread_fs(task, one), *b = task_thread_fs(task, other);

	return a->cwd_id == b->cwd_id && a->root_id == b->root_id && a->umask == b->umask &&
	       thread_namespace(snapshot, task, one, NAMESPACE_MNT) ==
		       thread_namespace(snapshot, task, other, NAMESPACE_MNT);
}

static int check_thread(const struct snapshot *snapshot, const struct task *task, size_t thread,
			const ThreadFsEntry *fs, struct error *err)
{
	size_t first = task_fs_first(task, thread);

	if (thread == 0 || (fs->umask & ~(uint32_t)ALLPERMS) || fs->fs_id == task->ids->fs_id)
		return fail(err, ERR_IMAGE_INVALID,
			    "thread %zu of task %s cannot have a working directory of its own, or "
			    "that umask",
			    thread, task_name(task));
	if (first != thread && !are_same(snapshot, task, first, thread))
		return fail(err, ERR_IMAGE_INVALID,
			    "threads %zu and %zu of task %s share their directories, umask and "
			    "mounts, and have others",
			    first, thread, task_name(task));
	if (first != thread)
		return 0;
	if (fs_check_directory(snapshot, task, fs->cwd_id, "working directory", err) ||
	    fs_check_directory(snapshot, task, fs->root_id, "root directory", err))
		return -1;
	if (snapshot_file(snapshot, fs->cwd_id)->reg->fuse ||
	    snapshot_file(snapshot, fs->root_id)->reg->fuse)
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "thread %zu of task %s has a directory of its own in a file system "
			    "whose driver is in the tree (FUSE)",
			    thread, task_name(task));
	return check_others(snapshot, task, thread, err);
}

static int thread_fs_check(const struct snapshot *snapshot, const struct task *task,
			   struct error *err)
{
	for (size_t i = 0; i < task->n_threads && !task_is_zombie(task); i++) {
		const ThreadFsEntry *fs = task_thread_fs(task, i);
		if (fs && check_thread(snapshot, task, i, fs, err))
			return -1;
	}
	return 0;
}

/* ---- restore ---- */

static ThreadFsEntry fs_of(const struct task *task, size_t thread)
{
	if (thread)
		return *task_thread_fs(task, thread);
	return (ThreadFsEntry){ .root_id = task->fs->root_id,
				.cwd_id = task->fs->cwd_id,
				.umask = task->fs->umask };
}

static int keep_for(const struct planning *planning, size_t thread, struct error *err)
{
	const ThreadFsEntry fs = fs_of(planning->task, thread);
	const struct snapshot *snapshot = planning->plan->snapshot;
	const struct namespace *mounts =
		thread_is_late(snapshot, planning->task, thread, NAMESPACE_MNT)
			? thread_namespace(snapshot, planning->task, thread, NAMESPACE_MNT)
			: NULL;

	if (mounts && plan_keep(planning, thread, KEPT_MOUNTS,
				plan_source(planning->plan, SOURCE_NAMESPACE, mounts->id), err))
		return -1;
	if (plan_keep(planning, thread, KEPT_ROOT,
		      plan_source(planning->plan, SOURCE_FILE, fs.root_id), err))
		return -1;
	return plan_keep(planning, thread, KEPT_CWD,
			 plan_source(planning->plan, SOURCE_FILE, fs.cwd_id), err);
}

static int plan_keeping(const struct planning *planning, struct error *err)
{
	for (size_t i = 0; i < planning->task->n_threads; i++)
		if (thread_enters_fs(planning->plan->snapshot, planning->task, i) &&
		    keep_for(planning, i, err))
			return -1;
	return 0;
}

static bool enters(const struct planning *planning)
{
	return thread_enters_fs(planning->plan->snapshot, planning->task, planning->thread);
}

static int plan_parting(const struct planning *planning, struct error *err)
{
	(void)err;
	if (enters(planning))
		program_call(planning->program, SYS_unshare, CLONE_FS);
	return 0;
}

static int plan_directories(const struct planning *planning, struct error *err)
{
	struct program *program = planning->program;

	(void)err;
	if (!enters(planning))
		return 0;
	program_call(program, SYS_fchdir, plan_kept(planning, planning->thread, KEPT_ROOT));
	program_call(program, SYS_chroot, program_data(program->set, ".", 2, 1));
	program_call(program, SYS_fchdir, plan_kept(planning, planning->thread, KEPT_CWD));
	op_any(program_call(program, SYS_umask, fs_of(planning->task, planning->thread).umask));
	return 0;
}

const struct task_kind thread_fs_kind = {
	.name = "directories of threads",
	.collect = thread_fs_collect,
	.check = thread_fs_check,
	.plan = plan_keeping,
};

const struct task_kind thread_parting_kind = {
	.name = "parting of threads",
	.per_thread = true,
	.plan = plan_parting,
};

const struct task_kind thread_directories_kind = {
	.name = "directories of threads, entered",
	.per_thread = true,
	.plan = plan_directories,
};
