// SPDX-License-Identifier: LGPL-2.1-or-later
/* See history.h. */
#include "history.h"

#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <string.h>

enum { ROOT_NUMBER = 500, FIRST_NAMESPACE_ID = 100 };

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

static int random_process(struct history *history)
{
	const struct model *model = &history->model;

	for (int tries = 0; tries < 50; tries++) {
		int at = history->root +
			 (int)history_random(history,
					     (uint32_t)(model->n_processes - history->root));
		if (model->processes[at].alive)
			return at;
	}
	return history->root;
}

/* Numbers at random, so that they say nothing about the order of creation. */
static int fork_somewhere(struct history *history, int process, bool new_namespace)
{
	struct model *model = &history->model;
	int namespace = model->processes[process].for_children;
	uint32_t numbers[MODEL_LEVELS];
	size_t count = 0;

	if (new_namespace)
		numbers[count++] = 1;
	for (int at = namespace; at >= 0; at = model->namespaces[at].parent) {
		if (at == 0 && history->root > 0 && model->processes[history->root].namespace != 0)
			break;
		bool first = !new_namespace && at == namespace && model->namespaces[at].init < 0 &&
			     at != 0;
		numbers[count++] = first ? 1 : 2 + history_random(history, 900);
	}
	return model_fork(model, process, new_namespace, false, numbers, count);
}

static void enter_and_fork(struct history *history, int process)
{
	struct model *model = &history->model;
	int other = random_process(history);
	int before = model->processes[process].for_children;
	int namespace = model->processes[other].namespace;

	if (model_setns(model, process, namespace) < 0)
		return;
	fork_somewhere(history, process, false);
	if (history_random(history, 8))
		model_setns(model, process, before);
}

static void change_group(struct history *history, int process)
{
	struct model *model = &history->model;
	int other = random_process(history);
	int namespace = model->processes[process].namespace;

	if (history_random(history, 2))
		model_setpgid(model, process, 0, 0);
	else
		model_setpgid(model, process, 0,
			      model_number(model, model->processes[other].group, namespace));
}

static void move_child(struct history *history, int process)
{
	struct model *model = &history->model;
	int namespace = model->processes[process].namespace;

	for (int i = 0; i < model->n_processes; i++) {
		if (!model->processes[i].alive || model->processes[i].parent != process ||
		    history_random(history, 2))
			continue;
		int other = random_process(history);
		model_setpgid(model, process, model_number(model, i, namespace),
			      model_number(model, model->processes[other].group, namespace));
	}
}

/* An init dies alone: others of its namespace would die with it. */
static bool may_exit(const struct model *model, int process)
{
	int namespace = model->processes[process].namespace;

	if (namespace == 0 || model->namespaces[namespace].init != process)
		return true;
	for (int i = 0; i < model->n_processes; i++)
		if (i != process && (model->processes[i].alive || model->processes[i].zombie) &&
		    model_is_within(model, model->processes[i].namespace, namespace))
			return false;
	/* Nobody may be about to fork into it either, and get ENOMEM. */
	for (int i = 0; i < model->n_processes; i++)
		if (i != process && model->processes[i].alive &&
		    model_is_within(model, model->processes[i].for_children, namespace))
			return false;
	return model->processes[process].for_children == namespace;
}

static void reap_some(struct history *history)
{
	struct model *model = &history->model;

	for (int i = history->root + 1; i < model->n_processes; i++)
		if (model->processes[i].zombie && history_random(history, 2))
			model_reap(model, i);
}

static void do_something(struct history *history)
{
	const struct history_weights *weights = &history->weights;
	struct model *model = &history->model;
	int process = random_process(history);
	const unsigned parts[] = { weights->fork,   weights->nest,    weights->enter,
				   weights->setsid, weights->setpgid, weights->move_child,
				   weights->exit,   weights->reap,    weights->subreaper,
				   weights->unshare };
	unsigned all = 0, choice = 0;

	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
		all += parts[i];
	uint32_t drawn = history_random(history, all);
	while (drawn >= parts[choice])
		drawn -= parts[choice++];
	switch (choice) {
	case 0:
		fork_somewhere(history, process, false);
		break;
	case 1:
		fork_somewhere(history, process, true);
		break;
	case 2:
		enter_and_fork(history, process);
		break;
	case 3:
		model_setsid(model, process);
		break;
	case 4:
		change_group(history, process);
		break;
	case 5:
		move_child(history, process);
		break;
	case 6:
		if (process != history->root && may_exit(model, process))
			model_exit(model, process,
				   history_random(history, 2) ? history_random(history, 256) << 8
							      : SIGKILL);
		break;
	case 7:
		reap_some(history);
		break;
	case 8:
		model->processes[process].subreaper ^= true;
		break;
	default:
		model_unshare(model, process);
		break;
	}
}

void history_make(struct history *history, uint64_t seed, bool own_namespace, unsigned length)
{
	uint32_t numbers[2] = { own_namespace ? 1 : ROOT_NUMBER, 900 };

	model_init(&history->model);
	history->random = seed;
	history->root = model_fork(&history->model, 1, own_namespace, false, numbers,
				   own_namespace ? 2 : 1);
	for (unsigned i = 0; i < length; i++)
		do_something(history);
}

/* Those who lead it are dead, gone from the tree, or were never in it. */
static bool is_leaderless(const struct history *history, int leader)
{
	const struct model_process *at = &history->model.processes[leader];

	return !(at->alive || at->zombie) || !history_in_tree(history, leader);
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
		if ((model->processes[i].alive || model->processes[i].zombie) &&
		    history_in_tree(history, i) && root->session != 1 &&
		    (model->processes[i].session == 1 || model->processes[i].group == 1))
			return true;
	return false;
}

/* ---- snapshot ---- */

struct vectors {
	uint32_t *pid, *group, *session;
	size_t levels;
};

static struct vectors see(const struct history *history, struct arena *arena, int process)
{
	const struct model *model = &history->model;
	const struct model_process *at = &model->processes[process];
	int base = model->namespaces[model->processes[history->root].namespace].level;
	struct vectors vectors = { .levels = (size_t)(model->namespaces[at->namespace].level -
						      base + 1) };

	vectors.pid = arena_array(arena, uint32_t, vectors.levels);
	vectors.group = arena_array(arena, uint32_t, vectors.levels);
	vectors.session = arena_array(arena, uint32_t, vectors.levels);
	int namespace = at->namespace;
	for (size_t i = vectors.levels; i-- > 0; namespace = model->namespaces[namespace].parent) {
		vectors.pid[i] = model_number(model, process, namespace);
		vectors.group[i] = model_number(model, at->group, namespace);
		vectors.session[i] = model_number(model, at->session, namespace);
	}
	return vectors;
}

static void add_state(struct snapshot *snapshot, struct task *task, const struct model_process *at,
		      uint32_t files_id)
{
	CoreEntry *core = snapshot_new(snapshot, CORE_ENTRY, CoreEntry);
	TaskCoreEntry *tc = snapshot_new(snapshot, TASK_CORE_ENTRY, TaskCoreEntry);

	tc->task_state = at->zombie ? TASK_DEAD : TASK_ALIVE;
	tc->exit_code = at->zombie ? at->status : 0;
	tc->comm = (char *)"model";
	core->tc = tc;
	core->thread_core = snapshot_new(snapshot, THREAD_CORE_ENTRY, ThreadCoreEntry);
	core->thread_info = snapshot_new(snapshot, THREAD_INFO_X86, ThreadInfoX86);
	task->core = core;
	task->ids = snapshot_new(snapshot, TASK_KOBJ_IDS_ENTRY, TaskKobjIdsEntry);
	task->ids->vm_id = task->ids->files_id = task->ids->fs_id = task->ids->sighand_id =
		files_id;
	task->ids->has_pid_ns_id = true;
	task->ids->pid_ns_id = FIRST_NAMESPACE_ID + (uint32_t)at->namespace;
	if (at->zombie)
		return;
	task->threads = arena_array(snapshot->arena, CoreEntry *, 1);
	task->threads[0] = core;
	task->n_threads = 1;
	task->mm = snapshot_new(snapshot, MM_ENTRY, MmEntry);
	task->fs = snapshot_new(snapshot, FS_ENTRY, FsEntry);
	if (at->for_children != at->namespace) {
		core->thread_core->has_pid_for_children_ns_id = true;
		core->thread_core->pid_for_children_ns_id =
			FIRST_NAMESPACE_ID + (uint32_t)at->for_children;
	}
	snapshot_add_table(snapshot, files_id);
}

static void add_task(const struct history *history, struct snapshot *snapshot, int process)
{
	const struct model_process *at = &history->model.processes[process];
	struct vectors vectors = see(history, snapshot->arena, process);
	struct task *task = snapshot_add_task(snapshot);
	PstreeEntry *pstree = snapshot_new(snapshot, PSTREE_ENTRY, PstreeEntry);
	NsTid *tid = snapshot_new(snapshot, NS_TID, NsTid);

	pstree->pid = vectors.pid[0];
	pstree->pgid = vectors.group[0];
	pstree->sid = vectors.session[0];
	pstree->n_ns_pid = pstree->n_ns_pgid = pstree->n_ns_sid = tid->n_tid = vectors.levels;
	pstree->ns_pid = tid->tid = vectors.pid;
	pstree->ns_pgid = vectors.group;
	pstree->ns_sid = vectors.session;
	if (process != history->root)
		pstree->ppid = see(history, snapshot->arena, at->parent).pid[0];
	pstree->n_threads = pstree->n_ns_tids = 1;
	pstree->threads = arena_array(snapshot->arena, uint32_t, 1);
	pstree->threads[0] = pstree->pid;
	pstree->ns_tids = arena_array(snapshot->arena, NsTid *, 1);
	pstree->ns_tids[0] = tid;
	task->pstree = pstree;
	add_state(snapshot, task, at, (uint32_t)snapshot->n_tasks);
}

static void add_namespaces(const struct history *history, struct snapshot *snapshot)
{
	const struct model *model = &history->model;
	int top = model->processes[history->root].namespace;

	for (int i = 0; i < model->n_namespaces; i++) {
		bool used = false;
		for (int j = history->root; j < model->n_processes; j++)
			if ((model->processes[j].alive || model->processes[j].zombie) &&
			    history_in_tree(history, j) &&
			    (model_is_within(model, model->processes[j].namespace, i) ||
			     model_is_within(model, model->processes[j].for_children, i)))
				used = true;
		if (!used || !model_is_within(model, i, top))
			continue;
		NsEntry *entry = snapshot_new(snapshot, NS_ENTRY, NsEntry);
		entry->id = FIRST_NAMESPACE_ID + (uint32_t)i;
		entry->ns_cflag = CLONE_NEWPID;
		entry->has_parent_id = i != top;
		entry->parent_id =
			i != top ? FIRST_NAMESPACE_ID + (uint32_t)model->namespaces[i].parent : 0;
		snapshot_add_namespace(snapshot, entry);
	}
}

int history_snapshot(const struct history *history, struct arena *arena,
		     struct snapshot *ret_snapshot, struct error *err)
{
	const struct model *model = &history->model;
	struct snapshot *snapshot = ret_snapshot;
	int *queue = arena_array(arena, int, (size_t)model->n_processes + 1);
	int n_queued = 0;

	*snapshot = (struct snapshot){ .arena = arena };
	snapshot->inventory = snapshot_new(snapshot, INVENTORY_ENTRY, InventoryEntry);
	snapshot->inventory->root_ids =
		snapshot_new(snapshot, TASK_KOBJ_IDS_ENTRY, TaskKobjIdsEntry);
	snapshot->inventory->root_ids->has_pid_ns_id = true;
	snapshot->inventory->root_ids->pid_ns_id = FIRST_NAMESPACE_ID;
	add_namespaces(history, snapshot);
	queue[n_queued++] = history->root;
	for (int i = 0; i < n_queued; i++) {
		add_task(history, snapshot, queue[i]);
		for (int j = 0; j < model->n_processes; j++)
			if ((model->processes[j].alive || model->processes[j].zombie) &&
			    model->processes[j].parent == queue[i])
				queue[n_queued++] = j;
	}
	return snapshot_index(snapshot, err);
}
