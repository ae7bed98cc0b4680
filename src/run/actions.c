// SPDX-License-Identifier: LGPL-2.1-or-later
/* Carrying out the coordinator's part of a plan: a row for each kind of action. */
#include "run/state.h"

#include <unistd.h>

static int count_past_ids(struct run *run, const struct action *action, struct error *err)
{
	(void)action;
	(void)err;
	run_count_past_ids(run->plan);
	return 0;
}

static int start_executor(struct run *run, const struct action *action, struct error *err)
{
	(void)action;
	return run_start_executor(run, err);
}

static int make_user_namespace(struct run *run, const struct action *action, struct error *err)
{
	return run_make_user_namespace(run, action->namespace, err);
}

static int make_pid_namespace(struct run *run, const struct action *action, struct error *err)
{
	return run_make_root_pid_namespace(run, action->namespace, err);
}

static int make_namespace(struct run *run, const struct action *action, struct error *err)
{
	return run_make_namespace(run, action->plain, err);
}

static int join_namespace(struct run *run, const struct action *action, struct error *err)
{
	return run_join_namespace(run, action->plain, err);
}

static int fill_namespace(struct run *run, const struct action *action, struct error *err)
{
	return run_fill_namespace(run, action->plain, err);
}

static int finish_namespace(struct run *run, const struct action *action, struct error *err)
{
	return run_finish_namespace(run, action->plain, err);
}

static int make_mounts(struct run *run, const struct action *action, struct error *err)
{
	(void)action;
	return run_make_trees(run, err);
}

static int open_source(struct run *run, const struct action *action, struct error *err)
{
	return run_open_source(run, action->source, err);
}

static int hold_sources(struct run *run, const struct action *action, struct error *err)
{
	return run_hold_sources(run, action->count, err);
}

static int leave_sources(struct run *run, const struct action *action, struct error *err)
{
	(void)action;
	return run_leave_all(run, err);
}

static int connect_source(struct run *run, const struct action *action, struct error *err)
{
	return run_connect_source(run, action->source, err);
}

static int await(struct run *run, const struct action *action, struct error *err)
{
	return run_wait_word(run, word_at(action->await.word), action->await.count, err);
}

static int map_programs(struct run *run, const struct action *action, struct error *err)
{
	(void)action;
	if (run_map_programs(run, err) || run_apply_fault(run, err))
		return -1;
	run_tell_numbers(run);
	run_watch_life(run);
	return 0;
}

static int make_first_task(struct run *run, const struct action *action, struct error *err)
{
	(void)action;
	run->forked = monotonic_microseconds();
	return run_fork(run, err);
}

static int pass_gate(struct run *run, const struct action *action, struct error *err)
{
	return run_pass_gate(run, action->gate, err);
}

static int wait_parked(struct run *run, const struct action *action, struct error *err)
{
	return run_wait_parked(run, action->count, err);
}

static int stop_tasks(struct run *run, const struct action *action, struct error *err)
{
	(void)action;
	return run_stop_tasks(run, err);
}

/* All programs are at rest. No task may run while somebody else still holds its pipe ends. */
static int close_sources(struct run *run, const struct action *action, struct error *err)
{
	struct run_thread **threads;
	size_t n = run_threads(run, THREADS_ALL, &threads);

	(void)action;
	run->parked = monotonic_microseconds();
	if (run_empty_holder(run, err))
		return -1;
	run->opener.at_rest = true;
	run_close_sources(run);
	run_close_namespaces(run);
	return run_find_pids(run, threads, n, err);
}

static int set_limits(struct run *run, const struct action *action, struct error *err)
{
	return run_set_user_limits(run, action->limits, err);
}

static int set_last_pids(struct run *run, const struct action *action, struct error *err)
{
	(void)action;
	return run_end_guides(run, true, err);
}

static int prepare(struct run *run, const struct action *action, struct error *err)
{
	return action->prepared->prepare(&run->opener, err);
}

static int apply(struct run *run, const struct action *action, struct error *err)
{
	const struct run_thread *thread = run_thread(run, action->apply.task, action->apply.thread);
	const struct applied_thread applied = {
		.plan = run->plan,
		.task = thread->task->planned->task,
		.thread = action->apply.thread,
		.tid = thread->tid,
		.opener = &run->opener,
	};

	if (action->apply.kind->apply(&applied, err) < 0)
		return fail_while(err, "%s", thread->planned->program->name);
	return 0;
}

static int tell_namespaces(struct run *run, const struct action *action, struct error *err)
{
	(void)action;
	return run_tell_namespaces(run, err);
}

static int announce(struct run *run, const struct action *action, struct error *err)
{
	const struct run_options *options = run->options;
	struct run_thread *root = run_leader(&run->tasks[0]);

	(void)action;
	if (run_find_pids(run, &root, 1, err))
		return -1;
	run->root_pid = root->tid;
	for (size_t i = 0; options->take_master && i < run->opener.n_masters; i++)
		if (options->take_master(options->before_release_data, run->opener.masters[i], err))
			return -1;
	return options->before_release
		       ? options->before_release(options->before_release_data, root->tid, err)
		       : 0;
}

static int let_go(struct run *run, const struct action *action, struct error *err)
{
	(void)action;
	return run_before_release(run, err) ? -1 : run_let_go(run, err);
}

static int (*const doings[ACTION_KINDS])(struct run *run, const struct action *action,
					 struct error *err) = {
	[ACTION_COUNT_PAST_IDS] = count_past_ids,
	[ACTION_START_EXECUTOR] = start_executor,
	[ACTION_MAKE_USER_NAMESPACE] = make_user_namespace,
	[ACTION_MAKE_PID_NAMESPACE] = make_pid_namespace,
	[ACTION_MAKE_NAMESPACE] = make_namespace,
	[ACTION_JOIN_NAMESPACE] = join_namespace,
	[ACTION_FILL_NAMESPACE] = fill_namespace,
	[ACTION_FINISH_NAMESPACE] = finish_namespace,
	[ACTION_MAKE_MOUNTS] = make_mounts,
	[ACTION_OPEN] = open_source,
	[ACTION_HOLD] = hold_sources,
	[ACTION_LEAVE] = leave_sources,
	[ACTION_CONNECT] = connect_source,
	[ACTION_AWAIT] = await,
	[ACTION_MAP_PROGRAMS] = map_programs,
	[ACTION_FORK] = make_first_task,
	[ACTION_GATE] = pass_gate,
	[ACTION_PARK] = wait_parked,
	[ACTION_STOP] = stop_tasks,
	[ACTION_CLOSE] = close_sources,
	[ACTION_SET_LIMITS] = set_limits,
	[ACTION_SET_LAST_PIDS] = set_last_pids,
	[ACTION_PREPARE] = prepare,
	[ACTION_APPLY] = apply,
	[ACTION_TELL_NAMESPACES] = tell_namespaces,
	[ACTION_ANNOUNCE] = announce,
	[ACTION_FINISH] = let_go,
};

/* For tests: as if the action had failed, before it has done anything or when all is done. */
static int fail_action(const struct run *run, size_t index, struct error *err)
{
	struct text text;

	text_init(&text, run->arena);
	action_describe(run->plan, &run->plan->actions[index], &text);
	return fail(err, ERR_PROGRAM_FAILED, "coordinator: action %zu: %s: was made to fail", index,
		    text.string);
}

static bool is_to_fail(const struct run *run, size_t index, bool afterwards)
{
	const struct run_fault *fault = &run->options->fault;

	return fault->kind == FAULT_ACTION && fault->number == index &&
	       fault->afterwards == afterwards;
}

int run_carry_out(struct run *run, struct error *err)
{
	const struct plan *plan = run->plan;

	for (size_t i = 0; i < plan->n_actions; i++) {
		const struct action *action = &plan->actions[i];

		if (is_to_fail(run, i, false))
			return fail_action(run, i, err);
		if (doings[action->kind](run, action, err) < 0)
			return -1;
		if (is_to_fail(run, i, true))
			return fail_action(run, i, err);
	}
	return 0;
}
