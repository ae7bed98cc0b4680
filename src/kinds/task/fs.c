// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Working directory, root directory and umask (the kernel's fs_struct), which tasks may share
 * (CLONE_FS): then the first of them sets it for all. Both directories are file descriptions of
 * their own; removed ones come back removed.
 */
#include "kinds/task/fs.h"

#include "base/procfs.h"
#include "collect/collect.h"
#include "kernel/facts.h"
#include "model/namespaces.h"
#include "plan/plan.h"

#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>

static int fs_collect(struct target *target, struct error *err)
{
	FsEntry *fs = snapshot_new(target->collect->snapshot, FS_ENTRY, FsEntry);
	uint64_t value = 0;

	target->task->fs = fs;
	if (!procfs_number(target->status, "Umask:", 8, &value))
		return fail(err, ERR_KERNEL_REFUSED, "/proc/%d/status has no umask", target->pid);
	fs->has_umask = true;
	fs->umask = (uint32_t)value;
	if (collect_path(target, "cwd", O_RDONLY | O_DIRECTORY, &fs->cwd_id, err))
		return -1;
	return collect_path(target, "root", O_RDONLY | O_DIRECTORY, &fs->root_id, err);
}

int fs_check_directory(const struct snapshot *snapshot, const struct task *task, uint32_t id,
		       const char *which, struct error *err)
{
	const FileEntry *file = snapshot_file(snapshot, id);

	if (!file || !file->reg)
		return fail(err, ERR_IMAGE_INVALID,
			    "the %s of task %s (file %u) is not in the images", which,
			    task_name(task), id);
	if (file->reg->has_mode && (file->reg->mode & S_IFMT) != S_IFDIR)
		return fail(err, ERR_IMAGE_INVALID, "the %s of task %s is no directory: %s", which,
			    task_name(task), file->reg->name);
	return 0;
}

static int fs_check(const struct snapshot *snapshot, const struct task *task, struct error *err)
{
	if (task_is_zombie(task))
		return 0;
	if (!task->fs)
		return fail(err, ERR_IMAGE_MISSING, "task %s has no record of its directories",
			    task_name(task));
	if (fs_check_directory(snapshot, task, task->fs->cwd_id, "working directory", err))
		return -1;
	return fs_check_directory(snapshot, task, task->fs->root_id, "root directory", err);
}

/* Whether an earlier task has the same fs_struct, and sets it. */
static bool is_shared_with_earlier(const struct snapshot *snapshot, const struct task *task)
{
	if (!task->ids)
		return false;
	for (size_t i = 0; i < task->index; i++) {
		const struct task *earlier = &snapshot->tasks[i];
		if (!task_is_zombie(earlier) && earlier->ids &&
		    earlier->ids->fs_id == task->ids->fs_id)
			return true;
	}
	return false;
}

static void plan_change_directory(struct plan *plan, struct program *program, uint32_t file_id,
				  const void *unused)
{
	uint64_t slot = plan_borrow(plan, program, plan_source(plan, SOURCE_FILE, file_id));

	(void)unused;
	op_argument_from(program_call(program, SYS_fchdir, 0), 0, slot);
}

static void plan_change_root(struct plan *plan, struct program *program, uint32_t file_id,
			     const void *unused)
{
	plan_change_directory(plan, program, file_id, unused);
	program_call(program, SYS_chroot, program_data(program->set, ".", 2, 1));
}

/* Not that of its mount namespace; mounts that are attached nowhere have a "/" each. */
static bool has_own_root(const struct snapshot *snapshot, uint32_t id)
{
	const RegFileEntry *root = snapshot_file(snapshot, id)->reg;
	struct mount_namespace *namespace_;

	return strcmp(root->name, "/") != 0 ||
	       (root->mnt_id >= 0 &&
		snapshot_mount(snapshot, (uint32_t)root->mnt_id, &namespace_, NULL) &&
		namespace_->mounts[0]->detached);
}

static int fs_plan(const struct planning *planning, struct error *err)
{
	struct plan *plan = planning->plan;
	const struct task *task = planning->task;
	struct program *program = planning->program;
	const FsEntry *fs = task->fs;

	(void)err;
	/* Where the first thread goes on to them, thread-fs.c does it. */
	if (is_shared_with_earlier(plan->snapshot, task) ||
	    thread_enters_fs(plan->snapshot, task, 0))
		return 0;
	if (has_own_root(plan->snapshot, fs->root_id))
		plan_let_in(plan, program, fs->root_id, plan_change_root, NULL);
	plan_let_in(plan, program, fs->cwd_id, plan_change_directory, NULL);
	if (fs->has_umask && fs->umask != plan->facts->umask)
		op_expect(program_call(program, SYS_umask, fs->umask), plan->facts->umask);
	return 0;
}

const struct task_kind fs_kind = {
	.name = "working directory, root and umask",
	.collect = fs_collect,
	.check = fs_check,
	.plan = fs_plan,
};
