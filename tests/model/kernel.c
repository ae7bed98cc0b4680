// SPDX-License-Identifier: LGPL-2.1-or-later
/* The rules, each with the function of Linux 6.18 that has it. */
#include "kernel.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

enum {
	RESERVED_PIDS = 300, /* kernel/pid.c: where numbers start again after the limit */
	HOST_LIMIT = 32768,
};

bool model_is_within(const struct model *model, int namespace, int outer)
{
	while (namespace >= 0 && namespace != outer)
	namespace = model->namespaces[namespace].parent;
	return namespace == outer;
}

uint32_t model_number(const struct model *model, int process, int namespace)
{
	const struct model_process *at = &model->processes[process];

	if (!model_is_within(model, at->namespace, namespace))
		return 0;
	return at->numbers[model->namespaces[namespace].level];
}

bool model_exists(const struct model *model, int process)
{
	return model->processes[process].state != MODEL_GONE;
}

bool model_is_alive(const struct model *model, int process)
{
	return model->processes[process].state == MODEL_ALIVE;
}

bool model_is_zombie(const struct model *model, int process)
{
	return model->processes[process].state == MODEL_ZOMBIE;
}

bool model_is_init(const struct model *model, int process)
{
	return model->namespaces[model->processes[process].namespace].init == process;
}

/* A struct pid lives as long as a process, session or group uses it (free_pid, kernel/pid.c). */
static bool is_used(const struct model *model, int leader)
{
	for (int i = 0; i < model->n_processes; i++) {
		const struct model_process *at = &model->processes[i];
		if (at->state != MODEL_GONE &&
		    (i == leader || at->session == leader || at->group == leader))
			return true;
	}
	return false;
}

static bool number_taken(const struct model *model, int namespace, uint32_t number)
{
	for (int i = 0; i < model->n_processes; i++)
		if (model_number(model, i, namespace) == number && is_used(model, i))
			return true;
	return false;
}

int model_find(const struct model *model, int namespace, uint32_t number)
{
	for (int i = 0; i < model->n_processes; i++)
		if (model_exists(model, i) && model_number(model, i, namespace) == number)
			return i;
	return -1;
}

/* create_pid_namespace, kernel/pid_namespace.c */
static int add_namespace(struct model *model, int parent, int owner)
{
	int level = parent < 0 ? 0 : model->namespaces[parent].level + 1;

	if (parent >= 0 && !model_users_are_within(model, owner, model->namespaces[parent].owner))
		return -EINVAL;
	if (model->n_namespaces == MODEL_NAMESPACES || level >= MODEL_LEVELS)
		return -ENOSPC;
	model->namespaces[model->n_namespaces] = (struct model_namespace){
		.parent = parent,
		.level = level,
		.owner = owner,
		.init = -1,
		.limit = MODEL_PID_MAX,
	};
	return model->n_namespaces++;
}

void model_init(struct model *model)
{
	memset(model, 0, sizeof *model);
	model_add_users(model, -1, true);
	add_namespace(model, -1, 0);
	model->namespaces[0].init = 0;
	model->namespaces[0].next = 1000;
	model->namespaces[0].limit = HOST_LIMIT;
	model->processes[0] =
		(struct model_process){ .state = MODEL_ALIVE, .parent = -1, .numbers = { 1 } };
	model->processes[1] = (struct model_process){
		.state = MODEL_ALIVE, .numbers = { 200 }, .session = 1, .group = 1
	};
	model->n_processes = 2;
}

/* ---- fork ---- */

/* idr_alloc_cyclic, as alloc_pid calls it: the cursor moves although the fork may still fail. */
static int next_number(struct model *model, int namespace)
{
	struct model_namespace *at = &model->namespaces[namespace];
	uint32_t lowest = at->next > RESERVED_PIDS ? RESERVED_PIDS : 1;
	uint32_t start = at->next < lowest ? lowest : at->next;

	for (uint32_t number = start; number < at->limit; number++)
		if (!number_taken(model, namespace, number))
			return (int)(at->next = number + 1) - 1;
	for (uint32_t number = lowest; number < start && number < at->limit; number++)
		if (!number_taken(model, namespace, number))
			return (int)(at->next = number + 1) - 1;
	return -EAGAIN;
}

static int check_wanted(const struct model *model, int process, int namespace, uint32_t number)
{
	const struct model_namespace *at = &model->namespaces[namespace];

	if (number < 1 || number >= at->limit || (number != 1 && at->init < 0))
		return -EINVAL;
	if (!model_may(model, process, at->owner))
		return -EPERM;
	return number_taken(model, namespace, number) ? -EEXIST : (int)number;
}

/* alloc_pid, kernel/pid.c: from the innermost level outwards. */
static int choose_numbers(struct model *model, int process, int namespace,
			  const struct model_clone *clone, uint32_t *ret_numbers)
{
	int innermost = namespace;

	if (clone->n_numbers > (size_t)model->namespaces[namespace].level + 1)
		return -EINVAL;
	for (size_t i = 0; namespace >= 0; i++, namespace = model->namespaces[namespace].parent) {
		int number = i < clone->n_numbers
				     ? check_wanted(model, process, namespace, clone->numbers[i])
				     : next_number(model, namespace);
		if (number < 0)
			return number;
		ret_numbers[model->namespaces[namespace].level] = (uint32_t)number;
	}
	return model->namespaces[innermost].closed ? -ENOMEM : 0;
}

/* copy_process, kernel/fork.c */
static int add_child(struct model *model, int process, int namespace, int users,
		     const struct model_clone *clone)
{
	const struct model_process *parent = &model->processes[process];
	struct model_process child = {
		.state = MODEL_ALIVE,
		.parent = clone->same_parent ? parent->parent : process,
		.namespace = namespace,
		.for_children = namespace,
		.session = parent->session,
		.group = parent->group,
		.users = users,
		.powerless = parent->powerless && !clone->new_users,
	};
	int result = choose_numbers(model, process, namespace, clone, child.numbers);

	/* Where nobody has ever been, the first number is 1 again (alloc_pid). */
	if (result < 0 && model->namespaces[namespace].init < 0)
		model->namespaces[namespace].next = 0;
	if (result < 0)
		return result;
	if (model->namespaces[namespace].init < 0)
		model->namespaces[namespace].init = model->n_processes;
	model->processes[model->n_processes] = child;
	return model->n_processes++;
}

/* The namespace that the child will be in; copy_namespaces, kernel/nsproxy.c. */
static int place_child(struct model *model, int process, int users, const struct model_clone *clone)
{
	int namespace = model->processes[process].for_children;

	if (!clone->new_namespace)
		return namespace;
	/* Its maker is the owner of a new user namespace. */
	if (!clone->new_users && !model_may(model, process, users))
		return -EPERM;
	/* copy_pid_ns: only while children are born in the own namespace. */
	if (namespace != model->processes[process].namespace)
		return -EINVAL;
	return add_namespace(model, namespace, users);
}

int model_fork(struct model *model, int process, const struct model_clone *clone)
{
	int users = model->processes[process].users;
	int n_namespaces = model->n_namespaces, n_users = model->n_users;

	if (model->n_processes == MODEL_PROCESSES)
		return -EAGAIN;
	/* copy_clone_args_from_user */
	if (clone->n_numbers > MODEL_LEVELS)
		return -EINVAL;
	/* An init has no siblings (SIGNAL_UNKILLABLE, copy_process). */
	if (clone->same_parent && model_is_init(model, process))
		return -EINVAL;
	if (clone->new_users && (users = model_make_users(model, process)) < 0)
		return users;
	int namespace = place_child(model, process, users, clone);
	int result = namespace < 0 ? namespace : add_child(model, process, namespace, users, clone);
	if (result < 0) {
		model->n_namespaces = n_namespaces;
		model->n_users = n_users;
	}
	return result;
}

/* ---- sessions and groups ---- */

/* Someone in the group led by `leader`, or -1. */
static int member_of_group(const struct model *model, int leader)
{
	for (int i = 0; i < model->n_processes; i++)
		if (model_exists(model, i) && model->processes[i].group == leader)
			return i;
	return -1;
}

static void settle_inits(struct model *model);

/* ksys_setsid, kernel/sys.c */
int model_setsid(struct model *model, int process)
{
	if (member_of_group(model, process) >= 0)
		return -EPERM;
	model->processes[process].session = model->processes[process].group = process;
	settle_inits(model);
	return 0;
}

static int find_group(const struct model *model, int namespace, uint32_t number)
{
	for (int i = 0; i < model->n_processes; i++)
		if (model_exists(model, i) &&
		    model_number(model, model->processes[i].group, namespace) == number)
			return model->processes[i].group;
	return -1;
}

/* SYSCALL_DEFINE2(setpgid), kernel/sys.c */
static int setpgid_error(const struct model *model, int process, int target, int group)
{
	const struct model_process *caller = &model->processes[process];
	const struct model_process *changed = &model->processes[target];

	if (changed->parent == process) {
		if (changed->session != caller->session)
			return -EPERM;
		if (changed->executed)
			return -EACCES;
	} else if (target != process) {
		return -ESRCH;
	}
	if (changed->session == target || group < 0)
		return -EPERM;
	if (group != target &&
	    model->processes[member_of_group(model, group)].session != caller->session)
		return -EPERM;
	return 0;
}

int model_setpgid(struct model *model, int process, int32_t pid, int32_t group)
{
	int namespace = model->processes[process].namespace;

	if (pid == 0)
		pid = (int32_t)model_number(model, process, namespace);
	if (group == 0)
		group = pid;
	if (group < 0)
		return -EINVAL;
	int target = pid > 0 ? model_find(model, namespace, (uint32_t)pid) : -1;
	if (target < 0)
		return -ESRCH;
	int wanted = group == pid ? target : find_group(model, namespace, (uint32_t)group);
	int error = setpgid_error(model, process, target, wanted);
	if (error)
		return error;
	model->processes[target].group = wanted;
	settle_inits(model);
	return 0;
}

bool model_setpgid_traps(const struct model *model, int process, int32_t pid, int32_t group)
{
	int namespace = model->processes[process].namespace;
	int target = pid > 0 ? model_find(model, namespace, (uint32_t)pid) : process;

	if (target < 0 || group <= 0 || !model_is_init(model, target))
		return false;
	int wanted = find_group(model, namespace, (uint32_t)group);
	return wanted >= 0 && wanted != target &&
	       model_number(model, wanted, model->processes[target].namespace);
}

/* ---- namespaces ---- */

/* pidns_install, kernel/pid_namespace.c */
int model_setns(struct model *model, int process, int namespace)
{
	if (!model_may(model, process, model->namespaces[namespace].owner) ||
	    !model_may(model, process, model->processes[process].users))
		return -EPERM;
	if (!model_is_within(model, namespace, model->processes[process].namespace))
		return -EINVAL;
	model->processes[process].for_children = namespace;
	return 0;
}

/* A zombie has no namespaces any more (validate_nsset, kernel/nsproxy.c). */
int model_look_up(const struct model *model, int process, int32_t number)
{
	if (number <= 0)
		return -EINVAL;
	int target = model_find(model, model->processes[process].namespace, (uint32_t)number);
	if (target < 0)
		return -ESRCH;
	if (!model_may_look(model, process, target))
		return -EPERM;
	return model_is_alive(model, target) ? target : -ESRCH;
}

int model_enter(struct model *model, int process, int32_t number)
{
	int target = model_look_up(model, process, number);
	if (target < 0)
		return target;
	return model_setns(model, process, model->processes[target].namespace);
}

int model_for_children(const struct model *model, int process, int target)
{
	if (!model_may_look(model, process, target))
		return -EPERM;
	return model_is_alive(model, target) ? model->processes[target].for_children : -ESRCH;
}

int model_unshare(struct model *model, int process)
{
	if (!model_may(model, process, model->processes[process].users))
		return -EPERM;
	if (model->processes[process].for_children != model->processes[process].namespace)
		return -EINVAL;
	int namespace = add_namespace(model, model->processes[process].namespace,
				      model->processes[process].users);
	if (namespace < 0)
		return namespace;
	model->processes[process].for_children = namespace;
	return 0;
}

/* pid_ns_ctl_handler, kernel/pid_namespace.c: that of the writer. */
int model_set_last_pid(struct model *model, int process, int32_t last)
{
	struct model_namespace *at = &model->namespaces[model->processes[process].namespace];

	if (!model_may(model, process, at->owner))
		return -EPERM;
	if (last < 0 || (uint32_t)last > at->limit)
		return -EINVAL;
	at->next = (uint32_t)last + 1;
	return 0;
}

int model_set_pid_max(struct model *model, int process, int32_t limit)
{
	struct model_namespace *at = &model->namespaces[model->processes[process].namespace];

	if (limit <= RESERVED_PIDS || limit > MODEL_PID_MAX)
		return -EINVAL;
	at->limit = (uint32_t)limit;
	return 0;
}

/* ---- ends ---- */

int model_set_subreaper(struct model *model, int process, bool on)
{
	model->processes[process].subreaper = on;
	return 0;
}

/* It clears PF_FORKNOEXEC, which setpgid looks at; root gets capabilities, nobody none. */
int model_exec(struct model *model, int process)
{
	struct model_process *at = &model->processes[process];

	at->executed = true;
	at->powerless = !model->users[at->users].mapped;
	return 0;
}

/*
 * find_new_reaper, kernel/exit.c: the walk does not leave the level of the dead process. The flag
 * has_child_subreaper only says whether it is worth it.
 */
static int new_reaper(const struct model *model, int process)
{
	int namespace = model->processes[process].namespace;

	for (int at = model->processes[process].parent;
	     at > 0 && model->processes[at].namespace == namespace;
	     at = model->processes[at].parent)
		if (model->processes[at].subreaper && model_is_alive(model, at))
			return at;
	return model->namespaces[namespace].init;
}

static void give_children_away(struct model *model, int process)
{
	int reaper = new_reaper(model, process);

	for (int i = 0; i < model->n_processes; i++) {
		struct model_process *child = &model->processes[i];
		if (i == process || !model_exists(model, i) || child->parent != process)
			continue;
		child->parent = reaper;
		child->killed |= child->death_signal != 0;
	}
}

static void end(struct model *model, int process, uint32_t status)
{
	model->processes[process].state = MODEL_ZOMBIE;
	model->processes[process].status = status;
}

/* Numbers that the namespace has given out: what zap_pid_ns_processes waits for to become one. */
static int count_used(const struct model *model, int namespace)
{
	int count = 0;

	for (int i = 0; i < model->n_processes; i++)
		count += model_number(model, i, namespace) != 0 && is_used(model, i);
	return count;
}

/*
 * An init is not gone before its namespace is empty: zombies with a parent outside, and groups
 * whose leader was in it, keep it from that.
 */
static void settle_inits(struct model *model)
{
	bool progress = true;

	while (progress) {
		progress = false;
		for (int i = model->n_namespaces - 1; i > 0; i--) {
			int init = model->namespaces[i].init;
			if (init < 0 || model->processes[init].state != MODEL_EXITING ||
			    count_used(model, i) > 1)
				continue;
			give_children_away(model, init);
			model->processes[init].state = MODEL_ZOMBIE;
			progress = true;
			/* Its own init is waiting as well, and takes it. */
			int parent = model->processes[init].parent;
			if (model->processes[parent].state == MODEL_EXITING)
				model->processes[init].state = MODEL_GONE;
		}
	}
}

/* zap_pid_ns_processes, kernel/pid_namespace.c */
static void end_namespace(struct model *model, int namespace)
{
	for (int i = 0; i < model->n_processes; i++)
		if (model->processes[i].state == MODEL_ALIVE &&
		    model->processes[i].namespace != namespace && model_is_init(model, i) &&
		    model_is_within(model, model->processes[i].namespace, namespace)) {
			model->processes[i].state = MODEL_EXITING;
			model->processes[i].status = SIGKILL;
			model->namespaces[model->processes[i].namespace].closed = true;
		}
	for (int i = 0; i < model->n_processes; i++)
		if (model->processes[i].state == MODEL_ALIVE &&
		    model_is_within(model, model->processes[i].namespace, namespace)) {
			give_children_away(model, i);
			end(model, i, SIGKILL);
		}
	/* The inits wait for all children that they have or get. */
	for (int i = 0; i < model->n_processes; i++)
		if (model_is_zombie(model, i) &&
		    model->processes[model->processes[i].parent].state == MODEL_EXITING)
			model->processes[i].state = MODEL_GONE;
}

void model_exit(struct model *model, int process, uint32_t status)
{
	if (!model_is_alive(model, process))
		return;
	if (model_is_init(model, process)) {
		model->namespaces[model->processes[process].namespace].closed = true;
		model->processes[process].state = MODEL_EXITING;
		model->processes[process].status = status;
		end_namespace(model, model->processes[process].namespace);
	} else {
		give_children_away(model, process);
		end(model, process, status);
	}
	settle_inits(model);
}

void model_reap(struct model *model, int process)
{
	model->processes[process].state = MODEL_GONE;
	settle_inits(model);
}

int model_wait(struct model *model, int process, int32_t number, bool leave)
{
	if (number <= 0)
		return -EINVAL;
	int child = model_find(model, model->processes[process].namespace, (uint32_t)number);
	if (child < 0 || model->processes[child].parent != process)
		return -ECHILD;
	if (!model_is_zombie(model, child))
		return 0;
	if (!leave)
		model_reap(model, child);
	return number;
}
