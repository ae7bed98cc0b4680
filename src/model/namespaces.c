// SPDX-License-Identifier: LGPL-2.1-or-later
/* The types of namespaces, and the plain ones of a snapshot; see namespaces.h. */
#include "model/namespaces.h"

#include <inttypes.h>
#include <linux/sched.h>
#include <string.h>

#define ROW(type, words, link, made_link, flag, plain, late, field)                                \
	{                                                                                          \
		type, words, link, made_link, flag, plain, late,                                   \
			offsetof(TaskKobjIdsEntry, has_##field), offsetof(TaskKobjIdsEntry, field) \
	}
const struct namespace_type_row namespace_types[NAMESPACE_TYPES] = {
	[NAMESPACE_PID] = ROW("pid", "pid", "ns/pid", "ns/pid_for_children", CLONE_NEWPID, false,
			      false, pid_ns_id),
	[NAMESPACE_USER] =
		ROW("user", "user", "ns/user", "ns/user", CLONE_NEWUSER, false, false, user_ns_id),
	[NAMESPACE_MNT] =
		ROW("mnt", "mount", "ns/mnt", "ns/mnt", CLONE_NEWNS, true, true, mnt_ns_id),
	[NAMESPACE_NET] =
		ROW("net", "network", "ns/net", "ns/net", CLONE_NEWNET, true, false, net_ns_id),
	[NAMESPACE_UTS] =
		ROW("uts", "uts", "ns/uts", "ns/uts", CLONE_NEWUTS, true, false, uts_ns_id),
	[NAMESPACE_IPC] =
		ROW("ipc", "ipc", "ns/ipc", "ns/ipc", CLONE_NEWIPC, true, false, ipc_ns_id),
	[NAMESPACE_CGROUP] = ROW("cgroup", "cgroup", "ns/cgroup", "ns/cgroup", CLONE_NEWCGROUP,
				 true, false, cgroup_ns_id),
	[NAMESPACE_TIME] = ROW("time", "time", "ns/time", "ns/time_for_children", CLONE_NEWTIME,
			       true, false, time_ns_id),
};
#undef ROW

bool namespace_type_of_flag(uint32_t flag, enum namespace_type *ret_type)
{
	for (enum namespace_type type = 0; type < NAMESPACE_TYPES; type++)
		if (namespace_types[type].flag == flag) {
			*ret_type = type;
			return true;
		}
	return false;
}

bool namespace_type_of_link(const char *link, enum namespace_type *ret_type)
{
	for (enum namespace_type type = 0; type < NAMESPACE_TYPES; type++) {
		size_t length = strlen(namespace_types[type].name);
		if (strncmp(link, namespace_types[type].name, length) == 0 &&
		    strncmp(link + length, ":[", 2) == 0) {
			*ret_type = type;
			return true;
		}
	}
	return false;
}

bool namespace_can_be_given(enum namespace_type type)
{
	return type == NAMESPACE_NET || type == NAMESPACE_IPC || type == NAMESPACE_UTS;
}

uint32_t ids_namespace(const TaskKobjIdsEntry *ids, enum namespace_type type)
{
	const char *base = (const char *)ids;

	if (!ids || !*(const protobuf_c_boolean *)(base + namespace_types[type].has_id))
		return 0;
	return *(const uint32_t *)(const void *)(base + namespace_types[type].id);
}

void ids_set_namespace(TaskKobjIdsEntry *ids, enum namespace_type type, uint32_t id)
{
	char *base = (char *)ids;

	*(protobuf_c_boolean *)(base + namespace_types[type].has_id) = true;
	*(uint32_t *)(void *)(base + namespace_types[type].id) = id;
}

struct namespace *snapshot_plain_namespace(const struct snapshot *snapshot, uint32_t id)
{
	for (size_t i = 0; i < snapshot->n_plain_namespaces; i++)
		if (snapshot->plain_namespaces[i]->id == id)
			return snapshot->plain_namespaces[i];
	return NULL;
}

static const TaskKobjIdsEntry *dumper_ids(const struct snapshot *snapshot)
{
	return snapshot->inventory ? snapshot->inventory->root_ids : NULL;
}

bool namespace_is_dumpers(const struct snapshot *snapshot, enum namespace_type type, uint32_t id)
{
	return id && id == ids_namespace(dumper_ids(snapshot), type);
}

/* ---- who is in which ---- */

void thread_set_namespace(struct snapshot *snapshot, ThreadCoreEntry *core,
			  enum namespace_type type, uint32_t id)
{
	ThreadNsEntry *entry = snapshot_new(snapshot, THREAD_NS_ENTRY, ThreadNsEntry);

	entry->ns_cflag = namespace_types[type].flag;
	entry->ns_id = id;
	core->namespaces =
		arena_grow(snapshot->arena, core->namespaces, core->n_namespaces, sizeof entry);
	core->namespaces[core->n_namespaces++] = entry;
}

static uint32_t thread_namespace_id(const struct task *task, size_t thread,
				    enum namespace_type type)
{
	const ThreadCoreEntry *core = task_thread(task, thread)->thread_core;

	for (size_t i = 0; core && i < core->n_namespaces; i++)
		if (core->namespaces[i]->ns_cflag == namespace_types[type].flag)
			return core->namespaces[i]->ns_id;
	return ids_namespace(task->ids, type);
}

struct namespace *thread_namespace(const struct snapshot *snapshot, const struct task *task,
				   size_t thread, enum namespace_type type)
{
	/* That of the dumper is never among them (index_plain_namespaces). */
	if (snapshot->n_plain_namespaces == 0 || task_is_zombie(task))
		return NULL;
	return snapshot_plain_namespace(snapshot, thread_namespace_id(task, thread, type));
}

/* May a thread of the task get there, once the task is in its own user namespace? */
static bool is_inside(const struct task *task, const struct namespace *namespace)
{
	return namespace && user_namespace_is_within(namespace->owner, task->user_namespace);
}

struct namespace *task_first_namespace(const struct snapshot *snapshot, const struct task *task,
				       enum namespace_type type)
{
	struct namespace *first = thread_namespace(snapshot, task, 0, type);

	for (size_t i = 1; i < task->n_threads && is_inside(task, first); i++) {
		struct namespace *other = thread_namespace(snapshot, task, i, type);
		if (!is_inside(task, other))
			first = other;
	}
	return first;
}

bool thread_is_late(const struct snapshot *snapshot, const struct task *task, size_t thread,
		    enum namespace_type type)
{
	return thread_namespace(snapshot, task, thread, type) !=
	       task_first_namespace(snapshot, task, type);
}

bool thread_enters_fs(const struct snapshot *snapshot, const struct task *task, size_t thread)
{
	return thread ? task_begins_fs(task, thread)
		      : thread_is_late(snapshot, task, 0, NAMESPACE_MNT);
}

bool thread_is_late_for_any(const struct snapshot *snapshot, const struct task *task, size_t thread)
{
	if (snapshot->n_plain_namespaces == 0 || task_is_zombie(task))
		return false;
	for (enum namespace_type type = 0; type < NAMESPACE_TYPES; type++)
		if (namespace_types[type].plain && thread_is_late(snapshot, task, thread, type))
			return true;
	return false;
}

/* ---- index ---- */

/* Ids are counted over all types: one that has two meanings is none. */
static bool is_taken(const struct snapshot *snapshot, const NsEntry *entry)
{
	if (snapshot_plain_namespace(snapshot, entry->id) ||
	    snapshot_user_namespace(snapshot, entry->id) ||
	    snapshot_pid_namespace(snapshot, entry->id))
		return true;
	for (enum namespace_type type = 0; type < NAMESPACE_TYPES; type++)
		if (namespace_is_dumpers(snapshot, type, entry->id))
			return true;
	return false;
}

static bool told_by_nestor(const struct snapshot *snapshot)
{
	return !snapshot->inventory || snapshot->inventory->nestor_version;
}

static int add_plain(struct snapshot *snapshot, NsEntry *entry, enum namespace_type type,
		     struct error *err)
{
	const char *words = namespace_types[type].words;
	struct user_namespace *owner = snapshot->user_namespaces[0];

	if (entry->id == 0 || is_taken(snapshot, entry))
		return fail(err, ERR_IMAGE_INVALID, "%s namespace %" PRIu32 ": its id is taken",
			    words, entry->id);
	/* Nobody gets more by an omission. */
	if (!entry->has_userns_id && snapshot->n_user_namespaces > 1 && told_by_nestor(snapshot))
		return fail(err, ERR_IMAGE_INVALID,
			    "%s namespace %" PRIu32
			    ": the images do not tell which user namespace owns it",
			    words, entry->id);
	/* Those of CRIU are made with the user namespace of its tree. */
	if (!entry->has_userns_id)
		owner = told_by_nestor(snapshot) ? owner : snapshot->tasks[0].user_namespace;
	else
		owner = snapshot_user_namespace(snapshot, entry->userns_id);
	if (!owner)
		return fail(err, ERR_IMAGE_INVALID,
			    "%s namespace %" PRIu32 ": its owner is not described", words,
			    entry->id);
	struct namespace *new = arena_new(snapshot->arena, struct namespace);
	*new = (struct namespace){ .type = type,
				   .id = entry->id,
				   .index = snapshot->n_plain_namespaces,
				   .entry = entry,
				   .owner = owner };
	snapshot->plain_namespaces = arena_grow(snapshot->arena, snapshot->plain_namespaces,
						snapshot->n_plain_namespaces, sizeof(void *));
	snapshot->plain_namespaces[snapshot->n_plain_namespaces++] = new;
	return 0;
}

static int check_member(const struct snapshot *snapshot, const struct task *task, size_t thread,
			enum namespace_type type, struct error *err)
{
	uint32_t id = thread_namespace_id(task, thread, type);
	const struct namespace *namespace = snapshot_plain_namespace(snapshot, id);
	bool told = ids_namespace(dumper_ids(snapshot), type) != 0;

	if (namespace ? namespace->type == type : !told || namespace_is_dumpers(snapshot, type, id))
		return 0;
	/* Images of CRIU do not tell of what is the same for all. */
	if (!id && !snapshot->n_plain_namespaces)
		return 0;
	if (!namespace && !told_by_nestor(snapshot))
		return fail(err, ERR_IMAGE_UNSUPPORTED,
			    "task %s is in a %s namespace of its own (%" PRIu32 "), which is read "
			    "from images of nestor only",
			    task_name(task), namespace_types[type].words, id);
	return fail(err, ERR_IMAGE_INVALID,
		    "task %s: its %s namespace, %" PRIu32 ", is not described", task_name(task),
		    namespace_types[type].words, id);
}

/*
 * Before a task goes into its user namespace it has been in one namespace of a type that belongs
 * further out, and afterwards it cannot get to another (setns(2) wants CAP_SYS_ADMIN in the owner).
 */
static int check_threads(const struct snapshot *snapshot, const struct task *task,
			 enum namespace_type type, struct error *err)
{
	const struct namespace *first = task_first_namespace(snapshot, task, type);

	for (size_t i = 0; i < task->n_threads; i++) {
		const struct namespace *own = thread_namespace(snapshot, task, i, type);
		if (own != first && !is_inside(task, own))
			return fail(err, ERR_UNSUPPORTED_NAMESPACE,
				    "task %s: its threads are in two %s namespaces of which it "
				    "may enter neither",
				    task_name(task), namespace_types[type].words);
	}
	return 0;
}

static int check_task(const struct snapshot *snapshot, const struct task *task, struct error *err)
{
	for (enum namespace_type type = 0; type < NAMESPACE_TYPES; type++) {
		if (!namespace_types[type].plain)
			continue;
		for (size_t i = 0; i < task->n_threads; i++)
			if (check_member(snapshot, task, i, type, err))
				return -1;
		if (snapshot->n_plain_namespaces && check_threads(snapshot, task, type, err))
			return -1;
	}
	return 0;
}

static int link_maker(const struct snapshot *snapshot, const struct task *task, size_t thread,
		      struct error *err)
{
	const ThreadCoreEntry *core = task_thread(task, thread)->thread_core;
	struct namespace *made = NULL;

	if (!core || !core->has_time_for_children_ns_id)
		return 0;
	if (!task_is_zombie(task))
		made = snapshot_plain_namespace(snapshot, core->time_for_children_ns_id);
	if (!made || made->type != NAMESPACE_TIME || made->maker ||
	    made == thread_namespace(snapshot, task, thread, NAMESPACE_TIME))
		return fail(err, ERR_IMAGE_INVALID,
			    "task %s: the time namespace of its children, %" PRIu32
			    ", is not one that it made",
			    task_name(task), core->time_for_children_ns_id);
	made->maker = task;
	made->maker_thread = thread;
	return 0;
}

/* Who makes one is in another one, which is there before. */
static int check_makers(const struct snapshot *snapshot, struct error *err)
{
	for (size_t i = 0; i < snapshot->n_plain_namespaces; i++) {
		const struct namespace *at = snapshot->plain_namespaces[i];
		size_t steps = 0;
		while (at && at->maker && steps++ <= snapshot->n_plain_namespaces)
			at = thread_namespace(snapshot, at->maker, at->maker_thread, at->type);
		if (steps > snapshot->n_plain_namespaces)
			return fail(err, ERR_IMAGE_INVALID,
				    "time namespaces are made by tasks in one another");
	}
	return 0;
}

static int link_makers(struct snapshot *snapshot, struct error *err)
{
	for (size_t i = 0; i < snapshot->n_tasks; i++)
		for (size_t thread = 0; thread < snapshot->tasks[i].n_threads; thread++)
			if (link_maker(snapshot, &snapshot->tasks[i], thread, err))
				return -1;
	return check_makers(snapshot, err);
}

int index_plain_namespaces(struct snapshot *snapshot, struct error *err)
{
	enum namespace_type type;

	snapshot->plain_namespaces = NULL;
	snapshot->n_plain_namespaces = 0;
	for (size_t i = 0; i < snapshot->n_namespaces; i++) {
		NsEntry *entry = snapshot->namespaces[i];
		if (!namespace_type_of_flag(entry->ns_cflag, &type))
			return fail(err, ERR_IMAGE_INVALID,
				    "namespace %" PRIu32 " is of no known type", entry->id);
		if (namespace_types[type].plain && add_plain(snapshot, entry, type, err))
			return -1;
	}
	for (size_t i = 0; i < snapshot->n_tasks; i++)
		if (!task_is_zombie(&snapshot->tasks[i]) &&
		    check_task(snapshot, &snapshot->tasks[i], err))
			return -1;
	return link_makers(snapshot, err);
}
