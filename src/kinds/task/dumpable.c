// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The dumpable mark, last, because the kernel resets it to fs.suid_dumpable whenever ids or
 * capabilities change (commit_creds). It belongs to the address space, so that the last thread to
 * change its ids would decide: every thread sets it after its own change.
 *
 * The value 2 (SUID_DUMP_ROOT) cannot be set (prctl takes 0 and 1), it only arises by such a
 * change. Where fs.suid_dumpable is 2, as on machines that keep cores of all, a change there and
 * back gives it, before the ids are those of the task, and later ones leave it; elsewhere 0 is set
 * in its place, which allows less, and is there already where nobody may change.
 */
#include "kinds/task/task.h"

#include "base/procfs.h"
#include "kinds/task/prctl.h"
#include "plan/plan.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

enum {
	PATH_ROOM = 64,
	MAP_ROOM = 16384,   /* 340 extents */
	SUID_DUMP_ROOT = 2, /* <linux/sched/coredump.h> of the kernel */
};

static void *ask_dumpable(const struct asking *asking)
{
	struct target *target = asking->target;
	struct question *question = arena_new(target->collect->arena, struct question);

	if (asking->thread != target->living)
		return question;
	*question = prctl_ask(asking->probe, "PR_GET_DUMPABLE", PR_GET_DUMPABLE, 0);
	return question;
}

/*
 * The files below /proc/PID of one that is not dumpable belong to root of the user namespace in
 * which its program was executed (task_dump_owner); of others, to its effective uid. That tells
 * nothing of root itself, in whatever namespace.
 */
static bool find_dumpable(const struct target *target, uint64_t *ret_value)
{
	const char *field = procfs_field(target->status, "Uid:");
	char path[PATH_ROOM], map[MAP_ROOM];
	uint64_t ids[4], extent[3];
	struct stat stat;

	if (!field || procfs_numbers(field, 10, ids, 4) != 4 ||
	    target_look(target, "status", &stat) < 0)
		return false;
	snprintf(path, sizeof path, "/proc/%d/uid_map", target->tid);
	if (procfs_read_into(AT_FDCWD, path, map, sizeof map) <= 0 ||
	    procfs_numbers(map, 10, extent, 3) != 3)
		return false;
	*ret_value = stat.st_uid == ids[1];
	return !*ret_value || (ids[1] != 0 && extent[0] == 0 && extent[1] == 0);
}

static int answer_dumpable(const struct asking *asking, void *asked, struct error *err)
{
	struct probe *probe = asking->probe;
	struct target *target = asking->target;
	size_t thread = asking->thread;
	MmEntry *mm = target->task->mm;
	uint64_t value;

	if (thread != target->living)
		return 0;
	int known = 1;
	if (probe_result(probe, ((const struct question *)asked)->call) != PROBE_FORBIDDEN ||
	    !find_dumpable(target, &value))
		known = prctl_answer(probe, target, thread, asked, LOSS_DUMPABLE, &value, err);
	if (known < 0)
		return -1;
	mm->has_dumpable = true;
	mm->dumpable = known ? (int32_t)value : 0;
	return 0;
}

static bool comes_by_change(const struct planning *planning)
{
	const MmEntry *mm = planning->task->mm;

	return mm && mm->has_dumpable && mm->dumpable == SUID_DUMP_ROOT &&
	       planning->plan->facts->suid_dumpable == SUID_DUMP_ROOT;
}

/* The id of the file system's group is the one that nothing else follows. */
static int plan_change(const struct planning *planning, struct error *err)
{
	struct program *program = planning->program;
	uint32_t own = planning->plan->facts->gids[3];

	(void)err;
	if (!comes_by_change(planning) || planning->thread)
		return 0;
	program_call(program, SYS_prctl, PR_SET_DUMPABLE, 0, 0, 0, 0);
	op_any(program_call(program, SYS_setfsgid, own == 0));
	op_any(program_call(program, SYS_setfsgid, own));
	return 0;
}

const struct task_kind dumpable_by_change_kind = {
	.name = "dumpable by change",
	.plan = plan_change,
};

static int plan_dumpable(const struct planning *planning, struct error *err)
{
	const struct task *task = planning->task;
	bool dumpable = !task->mm || !task->mm->has_dumpable || task->mm->dumpable == 1;

	(void)err;
	if (!comes_by_change(planning))
		program_call(planning->program, SYS_prctl, PR_SET_DUMPABLE, dumpable, 0, 0, 0);
	return 0;
}

const struct task_kind dumpable_kind = {
	.name = "dumpable",
	.per_thread = true,
	.ask = ask_dumpable,
	.answer = answer_dumpable,
	.plan = plan_dumpable,
};
