// SPDX-License-Identifier: LGPL-2.1-or-later
/* A dumped tree, as its images describe it. */
#include "commands/tree-view.h"

#include "base/cleanup.h"
#include "images/images.h"
#include "pipeline/load.h"

#include <fcntl.h>
#include <sched.h>

static const uint32_t clone_flags[NAMESPACE_TYPES] = {
	[NAMESPACE_PID] = CLONE_NEWPID,	      [NAMESPACE_USER] = CLONE_NEWUSER,
	[NAMESPACE_MNT] = CLONE_NEWNS,	      [NAMESPACE_NET] = CLONE_NEWNET,
	[NAMESPACE_UTS] = CLONE_NEWUTS,	      [NAMESPACE_IPC] = CLONE_NEWIPC,
	[NAMESPACE_CGROUP] = CLONE_NEWCGROUP, [NAMESPACE_TIME] = 0x80 /* CLONE_NEWTIME */,
};

static void read_namespaces(struct tree_view *view, const struct snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->n_namespaces; i++) {
		const NsEntry *entry = snapshot->namespaces[i];
		for (int type = 0; type < NAMESPACE_TYPES; type++) {
			if (entry->ns_cflag != clone_flags[type])
				continue;
			struct view_namespace *found =
				view_namespace(view, (enum namespace_type)type, entry->id, NULL);
			found->parent = entry->parent_id;
			found->owner = type == NAMESPACE_USER ? entry->parent_id : entry->userns_id;
			found->has_owner_uid = entry->has_owner_uid;
			found->owner_uid = entry->owner_uid;
			found->maps = entry->user_ext;
			found->setgroups_denied = entry->setgroups_denied;
		}
	}
	for (size_t i = 0; i < snapshot->n_pid_namespaces; i++) {
		const struct pid_namespace *namespace = snapshot->pid_namespaces[i];
		struct view_namespace *found =
			view_namespace(view, NAMESPACE_PID, namespace->id, NULL);
		if (namespace->parent)
			found->parent = namespace->parent->id;
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
		use_namespace(view, shown, NAMESPACE_PID, task->pid_namespace->id);
	if (!ids)
		return;
	use_namespace(view, shown, NAMESPACE_USER, ids->user_ns_id);
	use_namespace(view, shown, NAMESPACE_MNT, ids->mnt_ns_id);
	use_namespace(view, shown, NAMESPACE_NET, ids->net_ns_id);
	use_namespace(view, shown, NAMESPACE_UTS, ids->uts_ns_id);
	use_namespace(view, shown, NAMESPACE_IPC, ids->ipc_ns_id);
	use_namespace(view, shown, NAMESPACE_CGROUP, ids->cgroup_ns_id);
	use_namespace(view, shown, NAMESPACE_TIME, ids->time_ns_id);
}

int view_read_images(struct tree_view *view, const char *dir, struct error *err)
{
	autoclose int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct snapshot snapshot = { .arena = view->arena };

	if (dir_fd < 0)
		return fail_errno(err, ERR_IO, "cannot open the images directory %s", dir);
	struct images *images = load_images(dir_fd, view->arena, &snapshot, err);
	if (!images)
		return -1;
	images_free(images);
	read_namespaces(view, &snapshot);
	for (size_t i = 0; i < snapshot.n_tasks; i++)
		read_task(view, &snapshot.tasks[i]);
	return 0;
}
