// SPDX-License-Identifier: LGPL-2.1-or-later
/* See play.h. */
#include "play.h"

#include "kernel/pidfd.h"
#include "snapshot.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/sched.h>
#include <linux/wait.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/* Helpers get numbers that the tree does not have (run/pids.c). */
enum { FIRST_PIDFD = 1000000, FIRST_PLACE_FD = 2000000, HELPERS_FROM = 20000 };

enum outcome { GOES_ON, BLOCKED, ENDED };

struct player {
	const struct plan *plan;
	struct model *model;
	struct text *problem;
	uint8_t *memory; /* at plan->programs.base */
	struct running {
		const struct program *program;
		size_t next;
		bool ended;
	} running[MODEL_PROCESSES];
	uint64_t random;
	uint32_t parked;
};

static void *memory_at(const struct player *player, uint64_t address)
{
	return player->memory + (address - player->plan->programs.base);
}

static uint64_t argument(const struct player *player, const struct op *op, unsigned index)
{
	uint64_t value = op->args[index];

	if (op->indirect >> index & 1)
		memcpy(&value, memory_at(player, value), sizeof value);
	return value;
}

static int64_t play_clone(struct player *player, int process, const struct op *op)
{
	struct clone_args args;
	uint32_t numbers[MODEL_LEVELS];
	size_t index;
	const struct program *program;

	memcpy(&args, memory_at(player, argument(player, op, 0)), sizeof args);
	if (args.set_tid_size > MODEL_LEVELS)
		return -EINVAL;
	if (args.set_tid_size)
		memcpy(numbers, memory_at(player, args.set_tid),
		       args.set_tid_size * sizeof *numbers);
	const struct model_clone clone = { .new_namespace = args.flags & CLONE_NEWPID,
					   .new_users = args.flags & CLONE_NEWUSER,
					   .same_parent = args.flags & CLONE_PARENT,
					   .numbers = numbers,
					   .n_numbers = args.set_tid_size };
	int child = model_fork(player->model, process, &clone);
	if (child < 0)
		return child;
	program_set_find(&player->plan->programs, op->target, &program, &index);
	player->running[child] = (struct running){ .program = program, .next = index };
	return model_number(player->model, child, player->model->processes[process].namespace);
}

/* The user namespace that the coordinator has made, by the number of its source. */
static int users_of_source(const struct player *player, uint64_t number)
{
	const struct plan *plan = player->plan;

	if (number < plan->first_source || number - plan->first_source >= plan->n_sources)
		return -1;
	const struct source *source = &plan->sources[number - plan->first_source];
	if (source->kind != SOURCE_NAMESPACE)
		return -1;
	for (int i = 0; i < player->model->n_users; i++)
		if (player->model->users[i].id == source->id - SNAPSHOT_FIRST_USERS)
			return i;
	return -1;
}

static int64_t play_setns(struct player *player, int process, uint64_t fd, uint64_t flags)
{
	struct model *model = player->model;
	int target = (int)(fd - FIRST_PIDFD), place = (int)(fd - FIRST_PLACE_FD);

	if (flags == CLONE_NEWUSER) {
		int users = users_of_source(player, fd);
		return users < 0 ? -EBADF : model_join_users(model, process, users);
	}
	if (flags != CLONE_NEWPID)
		return -EINVAL;
	if (place >= 0 && place < model->n_namespaces)
		return model_setns(model, process, place);
	if (target < 0 || target >= model->n_processes)
		return -EBADF;
	if (!model_may_look(model, process, target))
		return -EPERM;
	if (!model_is_alive(model, target))
		return -ESRCH;
	return model_setns(model, process, model->processes[target].namespace);
}

/* Requests on pidfds for namespaces. */
static int64_t play_ioctl(const struct player *player, int process, uint64_t fd, uint64_t request)
{
	const struct model *model = player->model;
	int target = (int)(fd - FIRST_PIDFD), result;

	if (target < 0 || target >= model->n_processes)
		return -EBADF;
	if (request == PIDFD_PID_NAMESPACE_FOR_CHILDREN)
		result = model_for_children(model, process, target);
	else if (!model_may_look(model, process, target))
		result = -EPERM;
	else
		result = model->processes[target].namespace;
	return result < 0 ? result : FIRST_PLACE_FD + result;
}

static int64_t play_wait(struct player *player, int process, const struct op *op, bool *blocked)
{
	const struct model *model = player->model;
	int child = model_find(model, model->processes[process].namespace,
			       (uint32_t)argument(player, op, 1));

	if (child < 0 || model->processes[child].parent != process)
		return -ECHILD;
	if (!model_is_zombie(model, child)) {
		*blocked = true;
		return 0;
	}
	if (!(argument(player, op, 3) & WNOWAIT))
		model_reap(player->model, child);
	return 0;
}

static int64_t play_kill(struct player *player, int process, uint64_t pid, uint64_t signal)
{
	struct model *model = player->model;
	int target = model_find(model, model->processes[process].namespace, (uint32_t)pid);

	if (target < 0)
		return -ESRCH;
	/* The init of a namespace is immune against what comes from inside (SIGNAL_UNKILLABLE). */
	if (target == process &&
	    model->namespaces[model->processes[process].namespace].init == process)
		return 0;
	model_exit(model, target, (uint32_t)signal);
	player->running[target].ended = true;
	return 0;
}

static int64_t play_prctl(struct player *player, int process, const struct op *op)
{
	struct model_process *at = &player->model->processes[process];

	if (argument(player, op, 0) == PR_SET_CHILD_SUBREAPER)
		at->subreaper = argument(player, op, 1) != 0;
	else if (argument(player, op, 0) == PR_SET_PDEATHSIG)
		at->death_signal = (int)argument(player, op, 1);
	return 0;
}

static int64_t play_call(struct player *player, int process, const struct op *op, bool *blocked)
{
	struct model *model = player->model;
	int namespace = model->processes[process].namespace;
	int target;

	switch (op->nr) {
	case SYS_setsid:
		return model_setsid(model, process)
			       ? -EPERM
			       : (int64_t)model_number(model, process, namespace);
	case SYS_setpgid:
		return model_setpgid(model, process, (uint32_t)argument(player, op, 0),
				     (uint32_t)argument(player, op, 1));
	case SYS_getpid:
		return model_number(model, process, namespace);
	case SYS_pidfd_open:
		target = model_find(model, namespace, (uint32_t)argument(player, op, 0));
		return target < 0 ? -ESRCH : FIRST_PIDFD + target;
	case SYS_setns:
		return play_setns(player, process, argument(player, op, 0),
				  argument(player, op, 1));
	case SYS_ioctl:
		return play_ioctl(player, process, argument(player, op, 0),
				  argument(player, op, 1));
	case SYS_unshare:
		target = model_unshare(model, process);
		return target < 0 ? target : 0;
	case SYS_waitid:
		return play_wait(player, process, op, blocked);
	case SYS_kill:
		return play_kill(player, process, argument(player, op, 0), argument(player, op, 1));
	case SYS_prctl:
		return play_prctl(player, process, op);
	default:
		/* What fills the task is taken to work. */
		return op->check == CHECK_EQUALS ? op->expected : 0;
	}
}

static bool is_word_set(const struct player *player, const struct op *op)
{
	uint32_t word;

	memcpy(&word, memory_at(player, op->args[0]), sizeof word);
	return word >= op->args[1];
}

static void complain(struct player *player, int process, const struct op *op, int64_t result)
{
	text_add(player->problem, "%s, op %zu: ", player->running[process].program->name,
		 player->running[process].next);
	op_print(&player->plan->programs, op, &result, player->problem);
	text_add(player->problem, "\n");
}

static enum outcome play_op(struct player *player, int process, const struct op *op)
{
	bool blocked = false;
	int64_t result;
	uint32_t word;

	switch (op->kind) {
	case OP_WAIT:
		return is_word_set(player, op) ? GOES_ON : BLOCKED;
	case OP_WAKE:
		memcpy(&word, memory_at(player, op->args[0]), sizeof word);
		word++;
		memcpy(memory_at(player, op->args[0]), &word, sizeof word);
		return GOES_ON;
	case OP_PARK:
		player->parked++;
		return ENDED;
	case OP_CLONE:
		result = play_clone(player, process, op);
		break;
	default:
		if (op->nr == SYS_exit_group) {
			model_exit(player->model, process,
				   (uint32_t)(argument(player, op, 0) & 0xff) << 8);
			return ENDED;
		}
		result = play_call(player, process, op, &blocked);
		if (blocked)
			return BLOCKED;
	}
	if (op->result)
		memcpy(memory_at(player, op->result), &result, sizeof result);
	if ((op->check == CHECK_EQUALS && result != op->expected) ||
	    (op->check == CHECK_NO_ERROR && result < 0))
		complain(player, process, op, result);
	return GOES_ON;
}

/* One operation of a process; false if it can do nothing now. */
static bool play_once(struct player *player, int process)
{
	struct running *running = &player->running[process];

	if (!running->program || running->ended)
		return false;
	const struct op *op = &running->program->ops[running->next];
	enum outcome outcome = play_op(player, process, op);
	if (outcome == BLOCKED)
		return false;
	running->next++;
	running->ended |= outcome == ENDED;
	return true;
}

static void play_all(struct player *player)
{
	struct history dice = { .random = player->random };
	bool progress = true;

	while (progress && !player->problem->length) {
		progress = false;
		uint32_t count = (uint32_t)player->model->n_processes;
		uint32_t first = history_random(&dice, count);
		for (uint32_t i = 0; i < count && !player->problem->length; i++) {
			int process = (int)((first + i) % count);
			/* Some go far ahead of the others. */
			uint32_t steps = 1 + history_random(&dice, 40);
			while (steps-- && !player->problem->length && play_once(player, process))
				progress = true;
		}
	}
}

static void check_ends(struct player *player)
{
	for (int i = 2; i < player->model->n_processes && !player->problem->length; i++) {
		const struct running *running = &player->running[i];
		if (player->model->processes[i].killed)
			text_add(player->problem, "%s: dies with its parent\n",
				 running->program->name);
		if (running->ended)
			continue;
		text_add(player->problem, "%s, op %zu: waits for ever at ", running->program->name,
			 running->next);
		op_print(&player->plan->programs, &running->program->ops[running->next], NULL,
			 player->problem);
		text_add(player->problem, "\n");
	}
	if (!player->problem->length && player->parked != player->plan->n_parked)
		text_add(player->problem, "%" PRIu32 " programs parked instead of %" PRIu32 "\n",
			 player->parked, player->plan->n_parked);
}

/* What the coordinator does before (run/user-namespaces.c). */
static void make_users(struct player *player)
{
	const struct snapshot *snapshot = player->plan->snapshot;
	struct model *model = player->model;

	for (size_t i = 1; i < snapshot->n_user_namespaces; i++) {
		const struct user_namespace *namespace = snapshot->user_namespaces[i];
		bool mapped = namespace->base.entry->user_ext->n_uid_map;
		int parent = 0;
		while (model->users[parent].id != namespace->parent->base.id - SNAPSHOT_FIRST_USERS)
			parent++;
		int users = model_add_users(model, parent, mapped);
		model->users[users].id = namespace->base.id - SNAPSHOT_FIRST_USERS;
	}
}

void play_plan(const struct plan *plan, struct model *model, uint64_t seed, struct text *problem)
{
	struct player player = { .plan = plan, .model = model, .problem = problem, .random = seed };

	player.memory = arena_alloc(plan->arena, plan->programs.size);
	program_set_write(&plan->programs, player.memory);
	model_init(model);
	const struct model_clone clone = { .new_namespace = plan->root_clone.flags & CLONE_NEWPID,
					   .numbers = plan->root_clone.set_tid,
					   .n_numbers = plan->root_clone.n_set_tid };
	int root = model_fork(model, 1, &clone);
	if (root < 0) {
		text_add(problem, "the root cannot be made: %s\n", strerror(-root));
		return;
	}
	model->namespaces[0].next = HELPERS_FROM;
	make_users(&player);
	player.running[root].program = plan->tasks[0].program;
	play_all(&player);
	check_ends(&player);
}

/* ---- comparing ---- */

static int outermost(const struct model *model, int root)
{
	return model->processes[root].namespace;
}

/* How a process sees another, dead or alive, at all levels of the tree. */
static void compare_seen(const struct model *one, int one_process, int one_other,
			 const struct model *two, int two_process, int two_other, int root,
			 const char *what, struct text *problem)
{
	int first = one->processes[one_process].namespace;
	int second = two->processes[two_process].namespace;

	for (;;) {
		uint32_t recorded = model_number(one, one_other, first);
		uint32_t made = model_number(two, two_other, second);
		if (recorded != made)
			text_add(problem,
				 "%s of %" PRIu32 " is %" PRIu32 " instead of %" PRIu32 "\n", what,
				 model_number(one, one_process, outermost(one, root)), made,
				 recorded);
		if (first == outermost(one, root) || second == outermost(two, 2))
			break;
		first = one->namespaces[first].parent;
		second = two->namespaces[second].parent;
	}
	if ((first == outermost(one, root)) != (second == outermost(two, 2)))
		text_add(problem, "%s: another depth of namespaces\n", what);
}

static void compare_owners(const struct model *one, int first, const struct model *two, int second,
			   int root, struct text *problem)
{
	while (first != outermost(one, root) && second != outermost(two, 2)) {
		uint32_t recorded = one->users[one->namespaces[first].owner].id;
		uint32_t made = two->users[two->namespaces[second].owner].id;
		if (recorded != made)
			text_add(problem,
				 "a pid namespace belongs to %" PRIu32 " instead of %" PRIu32 "\n",
				 made, recorded);
		first = one->namespaces[first].parent;
		second = two->namespaces[second].parent;
	}
}

/* Whom they see as the init of the namespace; one that is gone had any numbers further out. */
static void compare_children_place(const struct history *history, int recorded,
				   const struct model *made, int copy, struct text *problem)
{
	const struct model *model = &history->model;
	int first = model->processes[recorded].for_children;
	int second = made->processes[copy].for_children;
	int first_init = model->namespaces[first].init, second_init = made->namespaces[second].init;

	if ((first == model->processes[recorded].namespace) !=
		    (second == made->processes[copy].namespace) ||
	    (first_init < 0) != (second_init < 0) ||
	    model->namespaces[first].closed != made->namespaces[second].closed)
		text_add(problem, "pid_for_children differs\n");
	else if (first_init >= 0 && model_exists(model, first_init))
		compare_seen(model, recorded, first_init, made, copy, second_init, history->root,
			     "init for children", problem);
	else if (second_init >= 0 && model_exists(made, second_init))
		text_add(problem, "an init is left\n");
}

static void compare_process(const struct history *history, int recorded, const struct model *made,
			    int copy, struct text *problem)
{
	const struct model *model = &history->model;
	const struct model_process *one = &model->processes[recorded];
	const struct model_process *two = &made->processes[copy];
	int root = history->root;

	compare_seen(model, recorded, recorded, made, copy, copy, root, "number", problem);
	compare_seen(model, recorded, one->group, made, copy, two->group, root, "group", problem);
	compare_seen(model, recorded, one->session, made, copy, two->session, root, "session",
		     problem);
	if (recorded != root)
		compare_seen(model, recorded, one->parent, made, copy, two->parent, root, "parent",
			     problem);
	if (model->users[one->users].id != made->users[two->users].id)
		text_add(problem, "user namespace %" PRIu32 " instead of %" PRIu32 "\n",
			 made->users[two->users].id, model->users[one->users].id);
	compare_owners(model, one->namespace, made, two->namespace, root, problem);
	bool zombie = one->state == MODEL_ZOMBIE;

	if (one->state != two->state || (zombie && one->status != two->status))
		text_add(problem, "state or status of %s differs\n", "a process");
	if (two->subreaper)
		text_add(problem, "a subreaper mark is left\n");
	if (!zombie)
		compare_owners(model, one->for_children, made, two->for_children, root, problem);
	if (!zombie)
		compare_children_place(history, recorded, made, copy, problem);
}

void play_compare(const struct history *history, const struct model *made, struct text *problem)
{
	const struct model *model = &history->model;
	int top = model->processes[history->root].namespace, n_recorded = 0, n_made = 0;

	for (int i = history->root; i < model->n_processes; i++) {
		if (!model_exists(model, i) || !history_in_tree(history, i))
			continue;
		n_recorded++;
		int copy =
			model_find(made, made->processes[2].namespace, model_number(model, i, top));
		if (copy < 0)
			text_add(problem, "process %" PRIu32 " is missing\n",
				 model_number(model, i, top));
		else
			compare_process(history, i, made, copy, problem);
	}
	for (int i = 2; i < made->n_processes; i++)
		n_made += model_exists(made, i);
	if (n_made != n_recorded)
		text_add(problem, "%d processes instead of %d\n", n_made, n_recorded);
}
