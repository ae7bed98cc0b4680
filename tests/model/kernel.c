// SPDX-License-Identifier: LGPL-2.1-or-later
/* The rules, each with the place in Linux 6.18 that it was read from or probed against. */
#include "kernel.h"

#include <errno.h>
#include <string.h>

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

static bool exists(const struct model_process *process)
{
	return process->alive || process->zombie;
}

/* A struct pid lives as long as a process, a session or a group uses it (kernel/pid.c). */
static bool number_taken(const struct model *model, int namespace, uint32_t number)
{
	for (int i = 0; i < model->n_processes; i++) {
		const struct model_process *at = &model->processes[i];
		if (exists(at) && (model_number(model, i, namespace) == number ||
				   model_number(model, at->session, namespace) == number ||
				   model_number(model, at->group, namespace) == number))
			return true;
	}
	return false;
}

int model_find(const struct model *model, int namespace, uint32_t number)
{
	for (int i = 0; i < model->n_processes; i++)
		if (exists(&model->processes[i]) && model_number(model, i, namespace) == number)
			return i;
	return -1;
}

static int add_namespace(struct model *model, int parent)
{
	if (model->n_namespaces == MODEL_NAMESPACES)
		return -ENOSPC;
	int level = parent < 0 ? 0 : model->namespaces[parent].level + 1;
	if (level >= MODEL_LEVELS)
		return -ENOSPC;
	model->namespaces[model->n_namespaces] =
		(struct model_namespace){ .parent = parent, .level = level, .init = -1 };
	model->next_number[model->n_namespaces] = 1;
	return model->n_namespaces++;
}

void model_init(struct model *model)
{
	memset(model, 0, sizeof *model);
	add_namespace(model, -1);
	model->processes[0] =
		(struct model_process){ .alive = true, .parent = -1, .numbers = { 1 } };
	model->processes[1] = (struct model_process){
		.alive = true, .numbers = { 200 }, .session = 1, .group = 1
	};
	model->n_processes = 2;
	model->next_number[0] = 1000;
}

/* alloc_pid, kernel/pid.c */
static int choose_numbers(struct model *model, int namespace, const uint32_t *numbers,
			  size_t n_numbers, uint32_t *ret_numbers)
{
	for (size_t i = 0; namespace >= 0; i++, namespace = model->namespaces[namespace].parent) {
		const struct model_namespace *at = &model->namespaces[namespace];
		uint32_t number = i < n_numbers ? numbers[i] : 0;
		if (i >= n_numbers && at->init < 0 && namespace != 0)
			number = 1;
		if (i < n_numbers &&
		    (number < 1 || (at->init < 0 && namespace != 0 && number != 1)))
			return -EINVAL;
		while (number == 0) {
			uint32_t next = model->next_number[namespace]++;
			if (!number_taken(model, namespace, next))
				number = next;
		}
		if (number_taken(model, namespace, number))
			return -EEXIST;
		ret_numbers[at->level] = number;
	}
	return 0;
}

int model_fork(struct model *model, int process, bool new_namespace, bool same_parent,
	       const uint32_t *numbers, size_t n_numbers)
{
	struct model_process *parent = &model->processes[process];
	int namespace = parent->for_children;

	if (model->n_processes == MODEL_PROCESSES)
		return -EAGAIN;
	/* copy_pid_ns: only while children are born in the own namespace. */
	if (new_namespace && namespace != parent->namespace)
		return -EINVAL;
	if (same_parent && model->namespaces[parent->namespace].init == process)
		return -EINVAL;
	if (new_namespace && (namespace = add_namespace(model, namespace)) < 0)
		return namespace;
	int init = model->namespaces[namespace].init;
	if (init >= 0 && !model->processes[init].alive && namespace != 0)
		return -ENOMEM;
	if (n_numbers > (size_t)model->namespaces[namespace].level + 1)
		return -EINVAL;
	struct model_process child = {
		.alive = true,
		.parent = same_parent ? parent->parent : process,
		.namespace = namespace,
		.for_children = namespace,
		.session = parent->session,
		.group = parent->group,
	};
	int result = choose_numbers(model, namespace, numbers, n_numbers, child.numbers);
	if (result)
		return result;
	if (init < 0 && namespace != 0)
		model->namespaces[namespace].init = model->n_processes;
	model->processes[model->n_processes] = child;
	return model->n_processes++;
}

/* ksys_setsid, kernel/sys.c */
int model_setsid(struct model *model, int process)
{
	for (int i = 0; i < model->n_processes; i++)
		if (exists(&model->processes[i]) && model->processes[i].group == process)
			return -EPERM;
	model->processes[process].session = model->processes[process].group = process;
	return 0;
}

static int find_group(const struct model *model, int namespace, uint32_t number)
{
	for (int i = 0; i < model->n_processes; i++) {
		const struct model_process *at = &model->processes[i];
		if (exists(at) && model_number(model, at->group, namespace) == number)
			return at->group;
	}
	return -1;
}

/* SYSCALL_DEFINE2(setpgid), kernel/sys.c; nobody in this model has called exec. */
int model_setpgid(struct model *model, int process, uint32_t pid, uint32_t group)
{
	int namespace = model->processes[process].namespace;
	int target = pid ? model_find(model, namespace, pid) : process;

	if (target < 0)
		return -ESRCH;
	struct model_process *changed = &model->processes[target];
	if (changed->parent == process) {
		if (changed->session != model->processes[process].session)
			return -EPERM;
	} else if (target != process) {
		return -ESRCH;
	}
	if (changed->session == target)
		return -EPERM;
	if (group == 0 || group == model_number(model, target, namespace)) {
		changed->group = target;
		return 0;
	}
	int wanted = find_group(model, namespace, group);
	if (wanted < 0)
		return -EPERM;
	for (int i = 0; i < model->n_processes; i++)
		if (exists(&model->processes[i]) && model->processes[i].group == wanted &&
		    model->processes[i].session != model->processes[process].session)
			return -EPERM;
	changed->group = wanted;
	return 0;
}

/* pidns_install, kernel/pid_namespace.c */
int model_setns(struct model *model, int process, int namespace)
{
	if (!model_is_within(model, namespace, model->processes[process].namespace))
		return -EINVAL;
	model->processes[process].for_children = namespace;
	return 0;
}

int model_unshare(struct model *model, int process)
{
	if (model->processes[process].for_children != model->processes[process].namespace)
		return -EINVAL;
	int namespace = add_namespace(model, model->processes[process].namespace);
	if (namespace < 0)
		return namespace;
	model->processes[process].for_children = namespace;
	return 0;
}

/* find_new_reaper, kernel/exit.c: the walk does not leave the level of the dead process. */
static int new_reaper(const struct model *model, int process)
{
	int namespace = model->processes[process].namespace;

	for (int at = model->processes[process].parent;
	     at > 0 && model->processes[at].namespace == namespace;
	     at = model->processes[at].parent)
		if (model->processes[at].subreaper && model->processes[at].alive)
			return at;
	return namespace == 0 ? 0 : model->namespaces[namespace].init;
}

void model_exit(struct model *model, int process, uint32_t status)
{
	int reaper = new_reaper(model, process);

	for (int i = 0; i < model->n_processes; i++) {
		struct model_process *child = &model->processes[i];
		if (!exists(child) || child->parent != process)
			continue;
		child->parent = reaper;
		child->killed |= child->death_signal != 0;
	}
	model->processes[process].alive = false;
	model->processes[process].zombie = true;
	model->processes[process].status = status;
}

void model_reap(struct model *model, int process)
{
	model->processes[process].zombie = false;
}
