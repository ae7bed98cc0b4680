// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The threads of a task. All of them are made by the leader, while it still has every privilege:
 * set_tid needs CAP_CHECKPOINT_RESTORE at each level.
 */
#include "plan/build.h"

/* A kind that leaves calls to the coordinator has parked the program itself (program_park). */
static bool is_parked(const struct program *program)
{
	size_t end = program->n_ops;

	while (end > 0 && program->ops[end - 1].kind == OP_CALL)
		end--;
	return end > 0 && program->ops[end - 1].kind == OP_PARK;
}

static int build_own_state(struct build *build, struct node *node, size_t thread,
			   struct program *program, struct error *err)
{
	if (build_stage(build, STAGE_THREAD, node->task, thread, program, err))
		return -1;
	build_children_place(build, node, thread, program);
	if (build_stage(build, STAGE_CREDENTIALS, node->task, thread, program, err) ||
	    build_stage(build, STAGE_LAST, node->task, thread, program, err))
		return -1;
	if (!is_parked(program))
		program_park(program);
	return 0;
}

static struct program *thread_program(struct build *build, const struct node *node, size_t thread)
{
	struct arena *arena = build->plan->arena;
	struct pid_vector tids = thread_pids(node->task, thread);

	return program_new(
		&build->plan->programs,
		arena_printf(arena, "task %s thread %s", node->name, pid_vector_text(&tids)));
}

int build_threads(struct build *build, struct node *node, struct error *err)
{
	struct planned_task *planned = &build->plan->tasks[node->index];

	for (size_t i = 1; i < node->task->n_threads; i++) {
		planned->threads[i].program = thread_program(build, node, i);
		build_thread_clone(build, node, i, planned->threads[i].program);
	}
	for (size_t i = 0; i < node->task->n_threads; i++)
		if (build_own_state(build, node, i, planned->threads[i].program, err))
			return -1;
	return 0;
}
