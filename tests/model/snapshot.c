// SPDX-License-Identifier: LGPL-2.1-or-later
/* See snapshot.h. */
#include "snapshot.h"

#include <sched.h>

enum { FIRST_NAMESPACE_ID = 1000 };

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
	bool zombie = at->state == MODEL_ZOMBIE;
	CoreEntry *core = snapshot_new(snapshot, CORE_ENTRY, CoreEntry);
	TaskCoreEntry *tc = snapshot_new(snapshot, TASK_CORE_ENTRY, TaskCoreEntry);

	tc->task_state = zombie ? TASK_DEAD : TASK_ALIVE;
	tc->exit_code = zombie ? at->status : 0;
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
	task->ids->has_user_ns_id = true;
	task->ids->user_ns_id = SNAPSHOT_FIRST_USERS + (uint32_t)at->users;
	if (zombie)
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
			if (model_exists(model, j) && history_in_tree(history, j) &&
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
		int init = model->namespaces[i].init;
		entry->has_ended = entry->ended = init >= 0 && !model_exists(model, init);
		entry->has_userns_id = true;
		entry->userns_id = SNAPSHOT_FIRST_USERS + (uint32_t)model->namespaces[i].owner;
		snapshot_add_namespace(snapshot, entry);
	}
}

static bool is_used(const struct history *history, int users)
{
	const struct model *model = &history->model;

	for (int i = history->root; i < model->n_processes; i++) {
		const struct model_process *at = &model->processes[i];
		if (!model_exists(model, i) || !history_in_tree(history, i))
			continue;
		if (model_users_are_within(model, at->users, users))
			return true;
		for (int j = at->for_children; j > 0; j = model->namespaces[j].parent)
			if (model_users_are_within(model, model->namespaces[j].owner, users))
				return true;
	}
	return false;
}

static UidGidExtent **root_to_root(struct snapshot *snapshot)
{
	UidGidExtent **map = arena_array(snapshot->arena, UidGidExtent *, 1);

	map[0] = snapshot_new(snapshot, UID_GID_EXTENT, UidGidExtent);
	map[0]->count = 1;
	return map;
}

static void add_user_namespaces(const struct history *history, struct snapshot *snapshot)
{
	const struct model *model = &history->model;

	for (int i = 1; i < model->n_users; i++) {
		if (!is_used(history, i))
			continue;
		NsEntry *entry = snapshot_new(snapshot, NS_ENTRY, NsEntry);
		entry->id = SNAPSHOT_FIRST_USERS + (uint32_t)i;
		entry->ns_cflag = CLONE_NEWUSER;
		entry->has_parent_id = true;
		entry->parent_id = SNAPSHOT_FIRST_USERS + (uint32_t)model->users[i].parent;
		entry->has_owner_uid = true;
		entry->has_setgroups_denied = entry->setgroups_denied = true;
		entry->user_ext = snapshot_new(snapshot, USERNS_ENTRY, UsernsEntry);
		entry->user_ext->n_uid_map = model->users[i].mapped;
		entry->user_ext->uid_map = root_to_root(snapshot);
		entry->user_ext->n_gid_map = 1;
		entry->user_ext->gid_map = root_to_root(snapshot);
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
	bool backwards = history->n_calls % 2;

	*snapshot = (struct snapshot){ .arena = arena };
	snapshot->inventory = snapshot_new(snapshot, INVENTORY_ENTRY, InventoryEntry);
	snapshot->inventory->root_ids =
		snapshot_new(snapshot, TASK_KOBJ_IDS_ENTRY, TaskKobjIdsEntry);
	snapshot->inventory->root_ids->has_pid_ns_id = true;
	snapshot->inventory->root_ids->pid_ns_id = FIRST_NAMESPACE_ID;
	snapshot->inventory->root_ids->has_user_ns_id = true;
	snapshot->inventory->root_ids->user_ns_id = SNAPSHOT_FIRST_USERS;
	add_namespaces(history, snapshot);
	add_user_namespaces(history, snapshot);
	queue[n_queued++] = history->root;
	for (int i = 0; i < n_queued; i++) {
		add_task(history, snapshot, queue[i]);
		/* In either order: the init of a namespace may come after others in it. */
		for (int j = 0; j < model->n_processes; j++) {
			int child = backwards ? model->n_processes - 1 - j : j;
			if (model_exists(model, child) &&
			    model->processes[child].parent == queue[i])
				queue[n_queued++] = child;
		}
	}
	return snapshot_index(snapshot, err);
}
