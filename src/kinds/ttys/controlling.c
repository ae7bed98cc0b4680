// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Controlling terminals. A session leader takes one (TIOCSCTTY), and whoever is born in the session
 * from then on has it (copy_signal, kernel/fork.c); nobody else can get it later. So the leader
 * takes it as soon as it leads, before it makes anybody. Which group is in the foreground is said
 * when all groups are there, by a call that a member of the session makes at the end: the kernel
 * looks at the caller's session (tiocspgrp, drivers/tty/tty_jobctrl.c). That it is one that nobody
 * of the session is in any more is lost: then it is that of the leader. Its number may lead another
 * session by then (setsid), and the kernel takes none of those.
 */
#include "kinds/ttys/ttys.h"

#include "plan/actions.h"
#include "plan/plan.h"
#include "program/program.h"

#include <asm/ioctls.h>
#include <sys/syscall.h>

/* The terminal that controls the session of this leader; NULL: none. */
static const TtyInfoEntry *terminal_of(const struct snapshot *snapshot, const struct task *leader)
{
	const struct records *terminals = snapshot_records(snapshot, IMAGE_TTY_INFO);
	uint32_t session = task_sessions(leader).pid[0];

	for (size_t i = 0; session && i < terminals->count; i++) {
		const TtyInfoEntry *info = terminals->records[i]->message;
		if (info->sid == session && info->type != TTY_TYPE__CTTY)
			return info;
	}
	return NULL;
}

/* Somebody in the session who has the terminal open, and the number of that descriptor. */
static const struct task *find_speaker(const struct snapshot *snapshot, const TtyInfoEntry *info,
				       uint32_t *ret_number)
{
	for (size_t i = 0; i < snapshot->n_tasks; i++) {
		const struct task *task = &snapshot->tasks[i];
		if (task_is_zombie(task) || task_is_stopped(task) || !task->table ||
		    task_sessions(task).pid[0] != info->sid)
			continue;
		for (size_t j = 0; j < task->table->n_descriptors; j++) {
			const FdinfoEntry *descriptor = task->table->descriptors[j];
			const FileEntry *entry = snapshot_file(snapshot, descriptor->id);
			const TtyInfoEntry *open = entry && entry->type == FD_TYPES__TTY
							   ? tty_info_of(snapshot, entry)
							   : NULL;
			if (open && alias_terminal(snapshot, open) == info) {
				*ret_number = descriptor->fd;
				return task;
			}
		}
	}
	return NULL;
}

static int check(const struct snapshot *snapshot, const struct task *task, struct error *err)
{
	const TtyInfoEntry *info = task_leads_session(task) ? terminal_of(snapshot, task) : NULL;
	uint32_t number;

	if (!info)
		return 0;
	if (info->type == TTY_TYPE__PTY && !pty_is_early(snapshot, info))
		return fail(
			err, ERR_UNSUPPORTED_TASK,
			"its session is controlled by a terminal of a devpts that is mounted in "
			"the tree and is not the tree's own");
	if (info->pgrp && info->pgrp != info->sid && !find_speaker(snapshot, info, &number))
		return fail(err, ERR_UNSUPPORTED_TASK,
			    "nobody in its session has its controlling terminal open");
	return 0;
}

/* ---- Restore ---- */

static void led_session(struct plan *plan, const struct task *task, struct program *program)
{
	const TtyInfoEntry *info = terminal_of(plan->snapshot, task);

	if (!info)
		return;
	uint32_t source = plan_source(plan, SOURCE_TERMINAL, info->id);
	uint64_t slot = plan_hold(plan, program, source);
	op_expect(op_argument_from(program_call(program, SYS_ioctl, 0, TIOCSCTTY, 0), 0, slot), 0);
	plan_let_go(plan, program, source, slot);
}

/* Some member of the group, to tell its number where the speaker is; 0: nobody of the session. */
static uint32_t group_number(const struct snapshot *snapshot, const TtyInfoEntry *info,
			     const struct task *speaker)
{
	size_t level = task_pids(speaker).levels - 1;

	for (size_t i = 0; i < snapshot->n_tasks; i++) {
		struct pid_vector group = task_groups(&snapshot->tasks[i]);
		if (group.pid[0] == info->pgrp && level < group.levels &&
		    task_sessions(&snapshot->tasks[i]).pid[0] == info->sid)
			return group.pid[level];
	}
	return 0;
}

/* What mounts of the tree show has to be there before they are, also if no session has it. */
static void plan_early(struct plan *plan)
{
	const struct records *terminals = snapshot_records(plan->snapshot, IMAGE_TTY_INFO);

	for (size_t i = 0; i < terminals->count; i++) {
		const TtyInfoEntry *info = terminals->records[i]->message;
		if (info->type != TTY_TYPE__CTTY && info->has_mount_id &&
		    pty_is_early(plan->snapshot, info))
			plan_source(plan, SOURCE_TERMINAL, info->id);
	}
}

static int plan_foreground(const struct planning *planning, struct error *err)
{
	struct plan *plan = planning->plan;
	const struct task *task = planning->task;
	const TtyInfoEntry *info =
		task_leads_session(task) ? terminal_of(plan->snapshot, task) : NULL;
	uint32_t number;

	(void)err;
	if (task == &plan->snapshot->tasks[0])
		plan_early(plan);
	if (!info || !info->pgrp || info->pgrp == info->sid)
		return 0;
	const struct task *speaker = find_speaker(plan->snapshot, info, &number);
	uint32_t group = group_number(plan->snapshot, info, speaker);
	if (group)
		plan_call_at_end(plan, speaker, 0, SYS_ioctl, number, TIOCSPGRP,
				 program_data(&plan->programs, &group, sizeof group, sizeof group));
	return 0;
}

const struct task_kind controlling_terminal_kind = {
	.name = "controlling terminal",
	.ask = tty_ask_own,
	.answer = tty_answer_own,
	.check = check,
	.led_session = led_session,
	.plan = plan_foreground,
};
