// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The threads of a task. They are made by the leader, while it still has every privilege: set_tid
 * needs CAP_CHECKPOINT_RESTORE at each level. Only where the task has to enter another user
 * namespace first (see user-namespaces.c) are they made with what that leaves.
 *
 * Of threads that share directories which are not the leader's (kinds/task/thread-fs.c) the first
 * one makes the others, as soon as it is there: before any other of its own state, so that
 * they are born with what they would have from the leader.
 */
#include "model/namespaces.h"
#include "plan/lower/build.h"

#include <linux/seccomp.h>
#include <signal.h>
#include <sys/syscall.h>

/*
 * A leader that has exited while others went on did so once more, last of all: whoever it has made
 * is tied to it until then (STEP_TIE), and gets the signal of that when this very thread exits.
 */
static void build_exit(struct build *build, const struct node *node, struct program *program)
{
	/* Counts as parked. */
	program_wake(program, program_set_header(&build->plan->programs) + RUN_DONE, 1);
	plan_wait_at_gate(build->plan,
			  task_is_stopped(node->task) ? GATE_STOPPED_LEADERS : GATE_LEADERS,
			  node->task, 0, program);
	if (node->task->core->tc->leader_exit_code == SIGSYS)
		build_filtered_death(program, SECCOMP_RET_KILL_THREAD);
	else
		program_call(program, SYS_exit, node->task->core->tc->leader_exit_code >> 8 & 0xff);
}

/* The end of every program: what wants the fewest rights. */
static int build_end(struct build *build, struct node *node, size_t thread, bool closes,
		     struct program *program, struct error *err)
{
	if (build_stage(build, STAGE_CAPABILITIES, node->task, thread, program, err))
		return -1;
	if (closes)
		build_close_namespaces(build, node, program);
	if (build_stage(build, STAGE_LAST, node->task, thread, program, err))
		return -1;
	if (thread == 0 && task_leader_is_dead(node->task))
		build_exit(build, node, program);
	else
		program_park(program);
	return 0;
}

enum which { ALL, THOSE_THAT_PART, OTHERS };

static bool is_made_by(const struct task *task, size_t thread, size_t maker, enum which which)
{
	bool parts = task_begins_fs(task, thread);

	if (parts ? which == OTHERS : which == THOSE_THAT_PART)
		return false;
	return (parts ? 0 : task_fs_first(task, thread)) == maker;
}

/* The maker's program goes on in the one that is returned. */
static struct program *make_threads(struct build *build, struct node *node, size_t maker,
				    enum which which, struct program *program)
{
	const struct planned_task *planned = &build->plan->tasks[node->index];

	for (size_t i = maker + 1; i < node->task->n_threads; i++)
		if (is_made_by(node->task, i, maker, which))
			program =
				build_thread(build, node, i, program, planned->threads[i].program);
	return program;
}

/* They are in the order of their birth (/proc/PID/task), as far as those allow it that part. */
static struct program *build_parting(struct build *build, struct node *node, size_t thread,
				     struct program *program, struct error *err)
{
	bool enters = thread_enters_fs(build->plan->snapshot, node->task, thread);

	if (thread == 0)
		program = make_threads(build, node, 0, enters ? THOSE_THAT_PART : ALL, program);
	if (build_stage(build, STAGE_PARTING, node->task, thread, program, err))
		return NULL;
	return enters ? make_threads(build, node, thread, OTHERS, program) : program;
}

static int build_own_state(struct build *build, struct node *node, size_t thread,
			   struct program *program, struct error *err)
{
	program = build_parting(build, node, thread, program, err);
	if (!program || build_stage(build, STAGE_THREAD, node->task, thread, program, err))
		return -1;
	if (thread && thread_parts(build, node, thread))
		program_wake(program, node->lowered->late_word, late_threads(build, node));
	build_children_place(build, node, thread, program);
	if (build_stage(build, STAGE_IDS, node->task, thread, program, err))
		return -1;
	/* Others may share its descriptor table and wait for it. */
	if (thread == 0)
		build_close_namespaces(build, node, program);
	return build_end(build, node, thread, false, program, err);
}

static struct program *thread_program(struct build *build, const struct node *node, size_t thread)
{
	struct arena *arena = build->plan->arena;
	struct pid_vector tids = thread_pids(node->task, thread);

	return program_new(
		&build->plan->programs,
		arena_printf(arena, "task %s thread %s", node->name, pid_vector_text(&tids)));
}

/* A leader that enters its user namespace before it makes the others. */
static int build_nested_leader(struct build *build, struct node *node, struct error *err)
{
	struct program *program = node->lowered->program;
	bool place_is_inside = children_place_is_inside(build, node, 0);
	bool late = late_threads(build, node) != 0;
	/* It goes on into its namespaces when its threads are made. */
	bool last = node->task->n_threads > 1 && thread_parts(build, node, 0);

	if (build_stage(build, STAGE_THREAD, node->task, 0, program, err))
		return -1;
	if (!place_is_inside)
		build_children_place(build, node, 0, program);
	build_fetch_children_places(build, node);
	if (build_stage(build, STAGE_IDS, node->task, 0, program, err))
		return -1;
	build_enter_user_namespace(build, node);
	if (!late && !last)
		build_close_namespaces(build, node, program);
	program = build_parting(build, node, 0, program, err);
	if (!program)
		return -1;
	if (late && !last)
		build_close_namespaces(build, node, program);
	if (place_is_inside)
		build_children_place(build, node, 0, program);
	return build_end(build, node, 0, last, program, err);
}

int build_threads(struct build *build, struct node *node, struct error *err)
{
	struct planned_task *planned = &build->plan->tasks[node->index];
	size_t next = 0;

	if (late_threads(build, node))
		node->lowered->late_word = program_word(&build->plan->programs, 0);
	for (size_t i = 1; i < node->task->n_threads; i++)
		planned->threads[i].program = thread_program(build, node, i);
	if (node_enters_user_namespace(node)) {
		if (build_nested_leader(build, node, err))
			return -1;
		next = 1;
	}
	for (; next < node->task->n_threads; next++)
		if (build_own_state(build, node, next, planned->threads[next].program, err))
			return -1;
	return 0;
}
