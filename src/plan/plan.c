// SPDX-License-Identifier: LGPL-2.1-or-later
/* From a snapshot to programs: the table of contents of planning. */
#include "plan/plan.h"
#include "base/compare.h"
#include "plan/lower/build.h"

#include <inttypes.h>
#include <linux/sched.h>
#include <sched.h>

/* A first guess at the bytes of all programs; addresses are cheap, a second round is not. */
static uint64_t estimate_size(const struct plan *plan)
{
	const struct snapshot *snapshot = plan->snapshot;
	uint64_t size = 1024 * 1024;

	for (size_t i = 0; i < snapshot->n_tasks; i++) {
		const struct task *task = &snapshot->tasks[i];
		size += 64 * 1024 + task->n_threads * UINT64_C(16384);
		if (task->mm)
			size += task->mm->n_vmas * UINT64_C(1024) +
				task->pages.n_runs * UINT64_C(64);
		if (task->table)
			size += task->table->n_descriptors * UINT64_C(512);
	}
	return size;
}

/*
 * Before 6.14 pid_max is one for the host; from then on each pid namespace has its own, which
 * starts at the kernel's limit whatever that of its parent is.
 */
static int check_number(const struct plan *plan, const struct task *task,
			const struct pid_vector *pids, struct error *err)
{
	bool own = plan->own_pid_namespace;
	size_t limited = plan->facts->per_namespace_pid_max ? (own ? 0 : 1) : pids->levels;

	for (size_t level = 0; level < limited && level < pids->levels; level++)
		if (pids->pid[level] >= plan->facts->pid_max)
			return fail(err, ERR_PID_OUT_OF_RANGE,
				    "task %s: id %" PRIu32
				    " is not below the host's limit of %" PRIu32
				    " (kernel.pid_max)",
				    task_name(task), pids->pid[level], plan->facts->pid_max);
	return 0;
}

static int check_numbers(const struct plan *plan, struct error *err)
{
	for (size_t i = 0; i < plan->snapshot->n_tasks; i++) {
		const struct task *task = &plan->snapshot->tasks[i];
		for (size_t thread = 0; thread < task->n_threads; thread++) {
			struct pid_vector tids = thread_pids(task, thread);
			if (check_number(plan, task, &tids, err))
				return -1;
		}
	}
	return 0;
}

static void plan_root_clone(struct plan *plan, const struct node *root)
{
	/* The coordinator may ignore SIGCHLD, and then there would be no zombies. */
	plan->root_clone.flags = CLONE_CLEAR_SIGHAND;
	if (plan->snapshot->own_pid_namespace)
		plan->root_clone.flags |= CLONE_NEWPID;
	if (root->place->namespace->base.owner->depth)
		plan->root_clone.owner = root->place->namespace->base.owner->base.id;
	plan->root_clone.n_set_tid = clone_set_tid(&root->pids, 0, plan->root_clone.set_tid);
}

static void add_programs(struct build *build)
{
	struct plan *plan = build->plan;
	struct tree *tree = build->tree;

	for (size_t i = 0; i < tree->n_nodes; i++) {
		struct node *node = tree->nodes[i];
		const char *name =
			node->task ? arena_printf(plan->arena, "task %s", node->name) : node->name;
		node->lowered = arena_new(plan->arena, struct lowered);
		node->lowered->program = program_new(&plan->programs, name);
		/* Its reaper's program may be built before its creator's. */
		node->lowered->number_slot = node->n_unnamed ? program_word(&plan->programs, 0) : 0;
	}
}

static void describe_processes(struct plan *plan, const struct tree *tree)
{
	plan->n_processes = tree->n_nodes;
	plan->processes = arena_array(plan->arena, struct planned_process, tree->n_nodes);
	for (size_t i = 0; i < tree->n_nodes; i++) {
		const struct node *node = tree->nodes[i];
		plan->processes[node->index] = (struct planned_process){
			.task = node->task,
			.maker = node->creator ? node->creator->index : NO_PROCESS,
		};
	}
}

static void describe_tasks(struct plan *plan, const struct tree *tree)
{
	for (size_t i = 0; i < plan->n_tasks; i++) {
		const struct task *task = &plan->snapshot->tasks[i];
		struct planned_task *planned = &plan->tasks[i];
		*planned = (struct planned_task){
			.task = task,
			.program = tree->nodes[i]->lowered->program,
			.zombie = task_is_zombie(task),
			.stopped = task_is_stopped(task),
			.stop_signal = stopped_signal(plan->snapshot, task),
			.waits_for_stop = tree->has_stopped_child[i] && !task_is_stopped(task),
		};
		if (planned->zombie)
			continue;
		planned->n_threads = task->n_threads;
		planned->threads = arena_array(plan->arena, struct planned_thread, task->n_threads);
		for (size_t thread = 0; thread < task->n_threads; thread++) {
			uint32_t number = thread_pids(task, thread).pid[0];

			planned->threads[thread] = (struct planned_thread){
				.number = number,
				.outer_pid = plan->own_pid_namespace ? 0 : number,
				.core = task->threads[thread],
			};
		}
		planned->threads[0].program = planned->program;
		planned->leader_dead = task_leader_is_dead(task);
		for (size_t thread = 0; i == 0 && thread < task->n_threads; thread++)
			plan->root_has_death_signal |=
				task->threads[thread]->thread_core &&
				task->threads[thread]->thread_core->pdeath_sig;
	}
}

void *plan_kind_state(struct plan *plan, const void *owner, size_t size)
{
	for (size_t i = 0; i < plan->n_kind_states; i++)
		if (plan->kind_states[i].owner == owner)
			return plan->kind_states[i].state;
	plan->kind_states = arena_grow(plan->arena, plan->kind_states, plan->n_kind_states,
				       sizeof *plan->kind_states);
	struct kind_state *state = &plan->kind_states[plan->n_kind_states++];
	*state = (struct kind_state){ owner, arena_alloc(plan->arena, size) };
	return state->state;
}

void plan_warn(struct plan *plan, const char *text)
{
	plan->warnings =
		arena_grow(plan->arena, plan->warnings, plan->n_warnings, sizeof *plan->warnings);
	plan->warnings[plan->n_warnings++] = text;
}

static void warn_of_lost_cores(const struct build *build)
{
	if (build->n_lost_cores)
		plan_warn(
			build->plan,
			arena_printf(build->plan->arena,
				     "%zu zombies dumped core, which cannot be repeated here (see "
				     "sysctl kernel.core_pattern): their status says so no longer",
				     build->n_lost_cores));
}

static int build_programs(struct plan *plan, struct tree *tree, const struct plan_options *options,
			  struct error *err)
{
	struct build build = {
		.plan = plan,
		.tree = tree,
		.options = options,
		.words = arena_array(plan->arena, uint64_t, (size_t)tree->n_words + 1),
	};

	program_set_init(&plan->programs, plan->arena, plan->hole.start);
	/* What a first round, which was too large, left with addresses that are none. */
	actions_forget(plan);
	sources_forget_borrowers(plan);
	add_programs(&build);
	describe_tasks(plan, tree);
	descriptors_share(&build);
	late_files_prepare(&build);
	guided_threads_prepare(&build);
	stopped_count(&build);
	for (size_t i = 0; i < tree->n_order; i++)
		if (build_node(&build, tree->order[i], err))
			return -1;
	if (late_files_check(plan, err))
		return -1;
	program_set_link(&plan->programs);
	warn_of_lost_cores(&build);
	actions_make(plan);
	return 0;
}

/* All that is made is visible at level 0. */
static void list_taken_ids(struct plan *plan, const struct tree *tree)
{
	size_t room = tree->n_nodes;

	plan->n_helpers = tree->n_nodes - plan->n_tasks;
	if (plan->own_pid_namespace)
		return;
	for (size_t i = 0; i < plan->n_tasks; i++)
		room += plan->snapshot->tasks[i].n_threads;
	plan->taken_ids = arena_array(plan->arena, uint32_t, room);
	for (size_t i = 0; i < tree->n_nodes; i++) {
		const struct node *node = tree->nodes[i];
		if (node->n_unnamed == 0)
			plan->taken_ids[plan->n_taken_ids++] = node->pids.pid[0];
		for (size_t thread = 1; node->task && thread < node->task->n_threads; thread++)
			plan->taken_ids[plan->n_taken_ids++] =
				thread_pids(node->task, thread).pid[0];
	}
}

int plan_make(struct plan *plan, struct arena *arena, const struct snapshot *snapshot,
	      const struct facts *facts, const struct kind_table *table,
	      const struct plan_options *options, struct error *err)
{
	struct tree tree;

	*plan = (struct plan){
		.arena = arena,
		.snapshot = snapshot,
		.facts = facts,
		.kinds = table,
		.cgroup_mode = options->cgroups,
		.externals = options->externals,
		.reloads_systemd = options->reloads_systemd,
		.own_pid_namespace = snapshot->own_pid_namespace || options->fresh_pid_namespace,
		.fresh_pid_namespace = !snapshot->own_pid_namespace && options->fresh_pid_namespace,
		.n_tasks = snapshot->n_tasks,
		.tasks = arena_array(arena, struct planned_task, snapshot->n_tasks),
	};
	if (check_snapshot(&tree, arena, snapshot, table, options, err) ||
	    check_numbers(plan, err) || user_namespaces_check(plan, &tree, err) ||
	    sources_make(plan, options, err))
		return -1;
	describe_processes(plan, &tree);
	plan_root_clone(plan, tree.nodes[0]);
	list_taken_ids(plan, &tree);
	for (uint64_t size = estimate_size(plan);; size *= 2) {
		if (holes_find(plan, size, err) || build_programs(plan, &tree, options, err))
			return -1;
		if (plan->programs.size <= holes_room(plan))
			return limits_check(plan, err);
		size = max(size, plan->programs.size);
	}
}
