// SPDX-License-Identifier: LGPL-2.1-or-later
/* The program of a process: its history first, then its state, stage by stage. */
#include "plan/lower/build.h"

#include <sys/syscall.h>

int build_stage(struct build *build, enum task_stage stage, const struct task *task, size_t thread,
		struct program *program, struct error *err)
{
	const struct task_kind *const *kind = build->plan->kinds->tasks[stage];
	const struct planning planning = {
		.plan = build->plan, .task = task, .thread = thread, .program = program
	};

	for (; kind && *kind; kind++) {
		if (!(*kind)->plan || (thread > 0 && !(*kind)->per_thread) ||
		    (task_is_zombie(task) && !(*kind)->of_zombies))
			continue;
		if ((*kind)->plan(&planning, err))
			return fail_while(err, "task %s: %s", task_name(task), (*kind)->name);
	}
	return 0;
}

static int build_task(struct build *build, struct node *node, struct error *err)
{
	const struct task *task = node->task;
	struct program *program = node->lowered->program;

	if (build_descriptors(build, node, err))
		return -1;
	/* Those that are to end make calls for late files first, as does this one. */
	build_zombie_waits(build, node);
	if (build_stage(build, STAGE_FILES, task, 0, program, err))
		return -1;
	build_last_files(build, node);
	if (build_files_at_end(build, node, err))
		return -1;
	if (build_stage(build, STAGE_MEMORY, task, 0, program, err))
		return -1;
	build_closing(build, node);
	build_stopped_wait(build, node);
	if (build_stage(build, STAGE_PROCESS, task, 0, program, err))
		return -1;
	return build_threads(build, node, err);
}

/* What those that the process makes are to be born with. */
static int build_handing_down(struct build *build, const struct node *node, struct error *err)
{
	struct plan *plan = build->plan;

	for (enum task_stage stage = 0; stage < STAGE_COUNT; stage++)
		for (const struct task_kind *const *kind = plan->kinds->tasks[stage]; kind && *kind;
		     kind++)
			if ((*kind)->hand_down &&
			    (*kind)->hand_down(plan, node->index, node->lowered->program, err))
				return fail_while(err, "%s: %s", node->name, (*kind)->name);
	return 0;
}

int build_node(struct build *build, struct node *node, struct error *err)
{
	if (node == build->tree->nodes[0])
		build_skeleton(build, node->lowered->program);
	if (node->as_helper.silent)
		program_call(node->lowered->program, SYS_exit_group, 0);
	if (build_handing_down(build, node, err))
		return -1;
	build_history(build, node);
	if (!node->task)
		return 0;
	if (!task_is_zombie(node->task))
		return build_task(build, node, err);
	return build_zombie(build, node, err);
}
