// SPDX-License-Identifier: LGPL-2.1-or-later
/* A dumped tree, as its images describe it. */
#include "view/view.h"

#include "kinds/kind.h"
#include "pipeline/examine.h"

static const char *content_of(struct arena *arena, enum namespace_type type, const NsEntry *entry)
{
	const struct namespace_kind *kind = kinds.namespaces[type];
	struct text text;

	if (!kind || !kind->describe)
		return NULL;
	text_init(&text, arena);
	kind->describe(entry, &text);
	return text.length ? text.string : NULL;
}

static void read_namespaces(struct tree_view *view, const struct snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->n_namespaces; i++) {
		const NsEntry *entry = snapshot->namespaces[i];
		enum namespace_type type;
		if (!namespace_type_of_flag(entry->ns_cflag, &type))
			continue;
		struct view_namespace *found = view_namespace(view, type, entry->id, NULL);
		found->parent = entry->parent_id;
		found->owner = type == NAMESPACE_USER ? entry->parent_id : entry->userns_id;
		found->has_owner_uid = entry->has_owner_uid;
		found->owner_uid = entry->owner_uid;
		found->maps = entry->user_ext;
		found->setgroups_denied = entry->setgroups_denied;
		found->content = content_of(view->arena, type, entry);
	}
	for (size_t i = 0; i < snapshot->n_pid_namespaces; i++) {
		const struct pid_namespace *namespace = snapshot->pid_namespaces[i];
		struct view_namespace *found =
			view_namespace(view, NAMESPACE_PID, namespace->base.id, NULL);
		if (namespace->parent)
			found->parent = namespace->parent->base.id;
	}
}

static void use_namespace(struct tree_view *view, struct view_task *task, enum namespace_type type,
			  uint32_t id)
{
	if (!id)
		return;
	task->namespaces[type] = id;
	view_namespace(view, type, id, NULL)->n_tasks++;
}

static void read_task(struct tree_view *view, const struct task *task)
{
	const TaskKobjIdsEntry *ids = task->ids;
	struct view_task *shown = view_add_task(view);

	if (task->parent)
		shown->parent = task->parent->index;
	shown->pids = task_pids(task);
	shown->groups = task_groups(task);
	shown->sessions = task_sessions(task);
	shown->name = task->core && task->core->tc ? task->core->tc->comm : "?";
	shown->state = task_is_zombie(task)	   ? "zombie"
		       : task_leader_is_dead(task) ? "headless"
		       : task_is_stopped(task)	   ? "stopped"
						   : "alive";
	shown->n_threads = task->n_threads ? task->n_threads : 1;
	if (task->pid_namespace)
		use_namespace(view, shown, NAMESPACE_PID, task->pid_namespace->base.id);
	if (!ids)
		return;
	for (enum namespace_type type = 0; type < NAMESPACE_TYPES; type++)
		if (type != NAMESPACE_PID)
			use_namespace(view, shown, type, ids_namespace(ids, type));
}

int view_read_images(struct tree_view *view, const char *dir, struct error *err)
{
	const struct snapshot *snapshot = examine_images(dir, view->arena, err);

	if (!snapshot)
		return -1;
	read_namespaces(view, snapshot);
	for (size_t i = 0; i < snapshot->n_tasks; i++)
		read_task(view, &snapshot->tasks[i]);
	return 0;
}
