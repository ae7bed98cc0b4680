// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Seeing a snapshot from inside one of its user namespaces. A restore without privileges makes
 * that namespace for itself first and works in it; then all numbers of users and groups have to
 * be those that it knows.
 */
#include "model/ids.h"
#include "model/namespaces.h"
#include "model/snapshot.h"

enum { OVERFLOW_ID = 65534 }; /* kernel.overflowuid, which hardly anybody changes */

bool user_namespace_holds_tree(const struct snapshot *snapshot, const struct user_namespace *base)
{
	for (size_t i = 0; i < snapshot->n_tasks; i++)
		if (!user_namespace_is_within(snapshot->tasks[i].user_namespace, base))
			return false;
	/* One that the tree shares is not made again: a restore puts the tree into another. */
	for (size_t i = snapshot->own_pid_namespace ? 0 : 1; i < snapshot->n_pid_namespaces; i++)
		if (!user_namespace_is_within(snapshot->pid_namespaces[i]->base.owner, base))
			return false;
	for (size_t i = 0; i < snapshot->n_plain_namespaces; i++)
		if (!user_namespace_is_within(snapshot->plain_namespaces[i]->owner, base))
			return false;
	for (size_t i = 1; i < snapshot->n_user_namespaces; i++)
		if (snapshot->user_namespaces[i]->depth <= base->depth &&
		    !user_namespace_is_within(base, snapshot->user_namespaces[i]))
			return false;
	return true;
}

static void translate(const struct user_namespace *base, bool group, uint32_t *id)
{
	if (!user_namespace_id_inside(base, group, *id, id))
		*id = OVERFLOW_ID;
}

static void translate_credentials(const struct user_namespace *base, CredsEntry *creds)
{
	uint32_t *const users[] = { &creds->uid, &creds->euid, &creds->suid, &creds->fsuid };
	uint32_t *const groups[] = { &creds->gid, &creds->egid, &creds->sgid, &creds->fsgid };

	for (size_t i = 0; i < sizeof users / sizeof *users; i++) {
		translate(base, false, users[i]);
		translate(base, true, groups[i]);
	}
	for (size_t i = 0; i < creds->n_groups; i++)
		translate(base, true, &creds->groups[i]);
}

static void translate_tasks(struct snapshot *snapshot, const struct user_namespace *base)
{
	for (size_t i = 0; i < snapshot->n_tasks; i++) {
		const struct task *task = &snapshot->tasks[i];
		size_t n = task_is_zombie(task) ? 1 : task->n_threads;
		for (size_t k = 0; k < n; k++) {
			const ThreadCoreEntry *thread = task_thread(task, k)->thread_core;
			if (thread && thread->creds)
				translate_credentials(base, thread->creds);
		}
	}
}

static int translate_one(void *data, bool group, uint32_t *id, const char *what)
{
	(void)what;
	translate(data, group, id);
	return 0;
}

static void translate_objects(struct snapshot *snapshot, const struct user_namespace *base)
{
	snapshot_each_id(snapshot, translate_one, (void *)base);
	for (size_t i = 0; i < snapshot->n_user_namespaces; i++) {
		const struct user_namespace *namespace = snapshot->user_namespaces[i];
		if (namespace->depth > base->depth)
			translate(base, false, &namespace->base.entry->owner_uid);
	}
}

/* Those above the base, and the base, are no longer the restore's to make. */
static void drop_outer(struct snapshot *snapshot, const struct user_namespace *base)
{
	size_t kept = 0;

	for (size_t i = 0; i < snapshot->n_namespaces; i++) {
		const struct user_namespace *namespace =
			snapshot_user_namespace(snapshot, snapshot->namespaces[i]->id);
		bool outer = namespace && namespace->base.entry == snapshot->namespaces[i] &&
			     namespace->depth <= base->depth;
		if (!outer)
			snapshot->namespaces[kept++] = snapshot->namespaces[i];
	}
	snapshot->n_namespaces = kept;
}

int snapshot_rebase(struct snapshot *snapshot, struct user_namespace *base, struct error *err)
{
	TaskKobjIdsEntry *dumper = snapshot->inventory ? snapshot->inventory->root_ids : NULL;

	if (!dumper || !user_namespace_holds_tree(snapshot, base))
		return fail(err, ERR_UNSUPPORTED_NAMESPACE,
			    "the tree is not all in user namespace %u", (unsigned)base->base.id);
	translate_tasks(snapshot, base);
	translate_objects(snapshot, base);
	snapshot->base = base->base.entry;
	drop_outer(snapshot, base);
	if (!snapshot->own_pid_namespace && snapshot->pid_namespaces[0]->base.entry)
		snapshot->pid_namespaces[0]->base.entry->userns_id = base->base.id;
	dumper->has_user_ns_id = true;
	dumper->user_ns_id = base->base.id;
	return snapshot_index(snapshot, err);
}
