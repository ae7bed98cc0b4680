// SPDX-License-Identifier: LGPL-2.1-or-later
/* Running histories on the model, and drawing them. See history.h. */
#include "history.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

enum { ROOT_NUMBER = 500, ROOT_OUTER_NUMBER = 900, NO_SUCH_NUMBER = 4194303, NUMBERS_EACH = 64 };

/* splitmix64: the same everywhere. */
uint32_t history_random(struct history *history, uint32_t below)
{
	uint64_t z = (history->random += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (uint32_t)((z ^ (z >> 31)) >> 16) % below;
}

bool history_in_tree(const struct history *history, int process)
{
	while (process > 0 && process != history->root)
		process = history->model.processes[process].parent;
	return process == history->root;
}

/* ---- running ---- */

void history_start(struct history *history, bool own_namespace)
{
	uint32_t root_number = history->root_number ? history->root_number : ROOT_NUMBER;
	uint32_t numbers[2] = { own_namespace ? 1 : root_number, ROOT_OUTER_NUMBER };
	const struct model_clone clone = { .new_namespace = own_namespace,
					   .numbers = numbers,
					   .n_numbers = own_namespace ? 2 : 1 };

	model_init(&history->model);
	history->model.processes[1].subreaper = history->live;
	if (history->live)
		history->model.processes[1].numbers[0] = history->outer_number;
	history->own_namespace = own_namespace;
	history->root = model_fork(&history->model, 1, &clone);
	history->n_calls = 0;
	history->n_names = 1;
	history->index_of[0] = history->root;
	for (int i = 1; i < MODEL_PROCESSES; i++)
		history->index_of[i] = NOBODY;
	history->name_of[history->root] = 0;
}

static int index_of(const struct history *history, int name)
{
	return name >= 0 && name < MODEL_PROCESSES ? history->index_of[name] : NOBODY;
}

int32_t history_number(const struct history *history, int process, struct reference reference)
{
	const struct model *model = &history->model;

	if (reference.name == NOBODY)
		return reference.number;
	int index = index_of(history, reference.name);
	uint32_t number =
		index < 0 ? 0 : model_number(model, index, model->processes[process].namespace);
	return number ? (int32_t)number : NO_SUCH_NUMBER;
}

bool history_call_traps(const struct history *history, const struct call *call)
{
	int process = index_of(history, call->process);

	return call->kind == CALL_SETPGID && process >= 0 &&
	       model_setpgid_traps(&history->model, process,
				   history_number(history, process, call->target),
				   history_number(history, process, call->group));
}

static int do_fork(struct history *history, int process, const struct call *call)
{
	uint32_t ones[MODEL_LEVELS + 1];
	struct model_clone clone = { .new_namespace = call->new_namespace,
				     .new_users = call->new_users,
				     .same_parent = call->same_parent,
				     .numbers = call->numbers,
				     .n_numbers = call->n_numbers };

	if (call->n_numbers > HISTORY_NUMBERS) {
		for (size_t i = 0; i < call->n_numbers; i++)
			ones[i] = 1;
		clone.numbers = ones;
	}
	int child = model_fork(&history->model, process, &clone);
	if (child < 0)
		return child;
	history->index_of[call->child] = child;
	history->name_of[child] = call->child;
	/* As the caller sees it. */
	return (int)model_number(&history->model, child,
				 history->model.processes[process].namespace);
}

static int run_call(struct history *history, int process, const struct call *call)
{
	struct model *model = &history->model;
	int32_t target = history_number(history, process, call->target);
	int result;

	switch (call->kind) {
	case CALL_FORK:
		return do_fork(history, process, call);
	case CALL_SETSID:
		result = model_setsid(model, process);
		return result ? result
			      : (int)model_number(model, process,
						  model->processes[process].namespace);
	case CALL_SETPGID:
		return model_setpgid(model, process, target,
				     history_number(history, process, call->group));
	case CALL_EXIT:
		model_exit(model, process, (uint32_t)call->value);
		return 0;
	case CALL_WAIT:
		return model_wait(model, process, target, false);
	case CALL_SUBREAPER:
		return model_set_subreaper(model, process, call->value != 0);
	case CALL_UNSHARE:
		result = model_unshare(model, process);
		return result < 0 ? result : 0;
	case CALL_ENTER:
		return model_enter(model, process, target);
	case CALL_UNSHARE_USERS:
		return model_unshare_users(model, process);
	case CALL_ENTER_USERS:
		return model_enter_users(model, process, target);
	case CALL_DROP:
		return model_drop(model, process);
	case CALL_EXEC:
		return model_exec(model, process);
	case CALL_LAST_PID:
		return model_set_last_pid(model, process, call->value);
	case CALL_PID_MAX:
		return model_set_pid_max(model, process, call->value);
	case CALL_KINDS:
		break;
	}
	return -ENOSYS;
}

int history_do(struct history *history, const struct call *call)
{
	int process = index_of(history, call->process);

	if (process < 0 || !model_is_alive(&history->model, process) ||
	    history->n_calls == HISTORY_CALLS)
		return -ENOENT;
	/* A name is used once, also if nobody gets it. */
	if (call->kind == CALL_FORK) {
		if (call->child < history->n_names || call->child >= MODEL_PROCESSES)
			return -ENOENT;
		history->n_names = call->child + 1;
	}
	history->calls[history->n_calls++] = *call;
	return run_call(history, process, call);
}

void history_replay(struct history *ret_history, const struct history *old, const bool *kept)
{
	ret_history->live = old->live;
	ret_history->outer_number = old->outer_number;
	ret_history->root_number = old->root_number;
	history_start(ret_history, old->own_namespace);
	for (size_t i = 0; i < old->n_calls; i++)
		if (!kept || kept[i])
			history_do(ret_history, &old->calls[i]);
}

/* ---- drawing ---- */

static int random_process(struct history *history)
{
	const struct model *model = &history->model;
	int first = history->first_actor ? history->first_actor : history->root;

	for (int tries = 0; tries < 50; tries++) {
		int at = first +
			 (int)history_random(history, (uint32_t)(model->n_processes - first));
		if (model_is_alive(model, at))
			return at;
	}
	return first;
}

static unsigned count_tasks(const struct history *history)
{
	unsigned count = 0;

	for (int i = history->root; i < history->model.n_processes; i++)
		count += model_exists(&history->model, i);
	return count;
}

static bool has_room(const struct history *history, int process, bool new_namespace)
{
	const struct model *model = &history->model;
	int namespace = model->processes[process].for_children;
	unsigned level = (unsigned)model->namespaces[namespace].level + new_namespace;

	if (history->max_tasks && count_tasks(history) >= history->max_tasks)
		return false;
	if (!new_namespace)
		return true;
	return (!history->max_namespaces || model->n_namespaces <= (int)history->max_namespaces) &&
	       (!history->max_levels ||
		level < history->max_levels +
				(unsigned)model
					->namespaces[model->processes[history->root].namespace]
					.level) &&
	       level < HISTORY_NUMBERS;
}

static struct reference name(const struct history *history, int process)
{
	return (struct reference){ .name = process >= history->root ? history->name_of[process]
								    : NOBODY,
				   .number = process >= history->root ? 0 : NO_SUCH_NUMBER };
}

static struct reference plain(int32_t number)
{
	return (struct reference){ .name = NOBODY, .number = number };
}

static int do_simple(struct history *history, int process, enum call_kind kind, int32_t value)
{
	const struct call call = { .kind = kind,
				   .process = history->name_of[process],
				   .value = value };

	return history_do(history, &call);
}

static uint32_t draw_number(struct history *history, int namespace)
{
	/* Many histories may share the outermost namespace. */
	if (namespace == 0 && history->root_number)
		return history->root_number + history_random(history, NUMBERS_EACH);
	return 2 +
	       history_random(history, history->model.n_processes > 1000 ? MODEL_PID_MAX - 2 : 900);
}

/* Numbers at random, so that they say nothing about the order of creation. */
static void fork_somewhere(struct history *history, int process, bool new_namespace,
			   bool same_parent, bool new_users)
{
	const struct model *model = &history->model;
	int namespace = model->processes[process].for_children;
	struct call call = { .kind = CALL_FORK,
			     .process = history->name_of[process],
			     .child = history->n_names,
			     .new_namespace = new_namespace,
			     .new_users = new_users,
			     .same_parent = same_parent };

	if (!has_room(history, process, new_namespace || model->namespaces[namespace].init < 0))
		return;
	if (new_namespace)
		call.numbers[call.n_numbers++] = 1;
	for (int at = namespace; at >= 0; at = model->namespaces[at].parent) {
		if ((at == 0 && history->own_namespace) ||
		    !model_may(model, process, model->namespaces[at].owner))
			break;
		bool first = model->namespaces[at].init < 0;
		call.numbers[call.n_numbers++] = first ? 1 : draw_number(history, at);
	}
	history_do(history, &call);
}

static int do_enter(struct history *history, int process, int namespace_of)
{
	const struct call call = { .kind = CALL_ENTER,
				   .process = history->name_of[process],
				   .target = name(history, namespace_of) };

	return history_do(history, &call);
}

static void enter_and_fork(struct history *history, int process)
{
	struct model *model = &history->model;

	if (do_enter(history, process, random_process(history)) < 0)
		return;
	fork_somewhere(history, process, false, false, false);
	if (history_random(history, 8) && model_is_alive(model, process))
		do_enter(history, process, process);
}

static void do_setpgid(struct history *history, int process, struct reference target, int group)
{
	const struct call call = { .kind = CALL_SETPGID,
				   .process = history->name_of[process],
				   .target = target,
				   .group = group < 0 ? plain(0) : name(history, group) };

	if (history->live && history_call_traps(history, &call))
		return;
	/* The group of the host: known by number only. */
	if (group == 1 && !history->own_namespace) {
		struct call outside = call;
		outside.group = plain((int32_t)history->model.processes[1].numbers[0]);
		history_do(history, &outside);
		return;
	}
	history_do(history, &call);
}

static void change_group(struct history *history, int process)
{
	int other = random_process(history);

	if (history_random(history, 2))
		do_setpgid(history, process, plain(0), -1);
	else
		do_setpgid(history, process, plain(0), history->model.processes[other].group);
}

static void move_child(struct history *history, int process)
{
	struct model *model = &history->model;

	for (int i = 0; i < model->n_processes; i++) {
		if (!model_is_alive(model, i) || model->processes[i].parent != process ||
		    history_random(history, 2))
			continue;
		int other = random_process(history);
		do_setpgid(history, process, name(history, i), model->processes[other].group);
	}
}

/* An init dies alone, or rarely: others of its namespace die with it. */
static bool may_exit(struct history *history, int process)
{
	const struct model *model = &history->model;
	int namespace = model->processes[process].namespace;

	if (process == history->root)
		return false;
	if (!model_is_init(model, process) || history_random(history, 12) == 0)
		return true;
	for (int i = 0; i < model->n_processes; i++)
		if (i != process && model_exists(model, i) &&
		    (model_is_within(model, model->processes[i].namespace, namespace) ||
		     model_is_within(model, model->processes[i].for_children, namespace)))
			return false;
	return model->processes[process].for_children == namespace;
}

static void reap_some(struct history *history)
{
	struct model *model = &history->model;

	for (int i = history->first_actor ? history->first_actor : history->root + 1;
	     i < model->n_processes; i++) {
		int parent = model->processes[i].parent;
		if (!model_is_zombie(model, i) || history_random(history, 2) == 0)
			continue;
		const struct call call = { .kind = CALL_WAIT,
					   .process = history->name_of[parent],
					   .target = name(history, i) };
		if (parent >= history->root)
			history_do(history, &call);
		else if (!history->live)
			model_reap(model, i);
	}
}

static void enter_users(struct history *history, int process)
{
	const struct call call = { .kind = CALL_ENTER_USERS,
				   .process = history->name_of[process],
				   .target = name(history, random_process(history)) };

	history_do(history, &call);
}

static void do_something(struct history *history)
{
	const struct history_weights *weights = &history->weights;
	struct model *model = &history->model;
	int process = random_process(history);
	const unsigned parts[] = {
		weights->fork,	 weights->nest,		 weights->enter,       weights->sibling,
		weights->setsid, weights->setpgid,	 weights->move_child,  weights->exit,
		weights->reap,	 weights->subreaper,	 weights->unshare,     weights->stay,
		weights->users,	 weights->unshare_users, weights->enter_users, weights->drop
	};
	unsigned all = 0, choice = 0;

	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
		all += parts[i];
	uint32_t drawn = history_random(history, all);
	while (drawn >= parts[choice])
		drawn -= parts[choice++];
	switch (choice) {
	case 0:
		fork_somewhere(history, process, false, false, false);
		break;
	case 1:
		fork_somewhere(history, process, true, false, false);
		break;
	case 2:
		enter_and_fork(history, process);
		break;
	case 3:
		fork_somewhere(history, process, history_random(history, 6) == 0, true, false);
		break;
	case 4:
		do_simple(history, process, CALL_SETSID, 0);
		break;
	case 5:
		change_group(history, process);
		break;
	case 6:
		move_child(history, process);
		break;
	case 7:
		if (may_exit(history, process))
			do_simple(history, process, CALL_EXIT,
				  history_random(history, 2)
					  ? (int32_t)history_random(history, 256) << 8
					  : SIGKILL);
		break;
	case 8:
		reap_some(history);
		break;
	case 9:
		do_simple(history, process, CALL_SUBREAPER, !model->processes[process].subreaper);
		break;
	case 10:
		do_simple(history, process, CALL_UNSHARE, 0);
		break;
	case 11:
		do_enter(history, process, random_process(history));
		break;
	case 12:
		fork_somewhere(history, process, history_random(history, 2), false, true);
		break;
	case 13:
		do_simple(history, process, CALL_UNSHARE_USERS, 0);
		break;
	case 14:
		enter_users(history, process);
		break;
	default:
		do_simple(history, process, CALL_DROP, 0);
		break;
	}
}

void history_make(struct history *history, uint64_t seed, bool own_namespace, unsigned length)
{
	history->random = seed;
	history_start(history, own_namespace);
	history_go_on(history, length);
}

void history_go_on(struct history *history, unsigned length)
{
	for (unsigned i = 0; i < length; i++)
		do_something(history);
}

/* ---- judging ---- */

/* Those who lead it are dead, gone from the tree, or were never in it. */
static bool is_leaderless(const struct history *history, int leader)
{
	return !model_exists(&history->model, leader) || !history_in_tree(history, leader);
}

bool history_is_ambiguous(const struct history *history)
{
	const struct model *model = &history->model;
	const struct model_process *root = &model->processes[history->root];

	if (root->namespace != 0)
		return false;
	if (root->group != 1 && is_leaderless(history, root->group))
		return true;
	for (int i = history->root; i < model->n_processes; i++)
		if (model_exists(model, i) && history_in_tree(history, i) && root->session != 1 &&
		    (model->processes[i].session == 1 || model->processes[i].group == 1))
			return true;
	return false;
}

bool history_is_at_rest(const struct history *history)
{
	const struct model *model = &history->model;

	for (int i = history->root; i < model->n_processes; i++)
		if (model->processes[i].state == MODEL_EXITING && history_in_tree(history, i))
			return false;
	return true;
}

static bool has_outer_init(const struct history *history, int namespace)
{
	const struct model *model = &history->model;
	int top = model->processes[history->root].namespace;

	for (; namespace != top && namespace >= 0;
	     namespace = model->namespaces[namespace].parent) {
		int init = model->namespaces[namespace].init;
		if (init >= 0 && model_exists(model, init) && !history_in_tree(history, init))
			return true;
	}
	return false;
}

bool history_is_whole(const struct history *history)
{
	const struct model *model = &history->model;

	for (int i = history->root; i < model->n_processes; i++) {
		const struct model_process *at = &model->processes[i];
		if (model_exists(model, i) && history_in_tree(history, i) &&
		    (has_outer_init(history, at->namespace) ||
		     has_outer_init(history, at->for_children)))
			return false;
	}
	return true;
}
