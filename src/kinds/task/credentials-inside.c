// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Ids of threads in a user namespace that does not map all of them. Such an id cannot be set from
 * inside (make_kuid, kernel/sys.c), only brought along: a task enters with the unmapped ids of all
 * its threads, and each thread changes the others to its own there. setres*id(-1) leaves an id as
 * it is, but makes the file system's the effective one, if it does anything. setgroups wants a
 * written gid map, and no `deny` (userns_may_setgroups).
 */
#include "kinds/task/credentials.h"

#include "base/compare.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { EFFECTIVE = 1, FILE_SYSTEM = 3 };

const CredsEntry *credentials_of(const struct task *task, size_t thread)
{
	return task_thread(task, thread)->thread_core->creds;
}

struct thread_ids credentials_ids(const CredsEntry *creds)
{
	return (struct thread_ids){
		.uids = { creds->uid, creds->euid, creds->suid, creds->fsuid },
		.gids = { creds->gid, creds->egid, creds->sgid, creds->fsgid },
		.groups = creds->groups,
		.n_groups = creds->n_groups,
	};
}

static bool is_mapped(const struct task *task, bool group, uint32_t id)
{
	return user_namespace_id_inside(task->user_namespace, group, id, &id);
}

static bool groups_are_mapped(const struct task *task, const struct thread_ids *ids)
{
	for (size_t i = 0; i < ids->n_groups; i++)
		if (!is_mapped(task, true, ids->groups[i]))
			return false;
	return true;
}

static void take_unmapped(const struct task *task, bool group, const uint32_t ids[4],
			  uint32_t entry[4])
{
	for (size_t i = 0; i < 4; i++)
		if (!is_mapped(task, group, ids[i]))
			entry[i] = ids[i];
}

struct thread_ids credentials_entry_ids(const struct task *task)
{
	struct thread_ids entry = credentials_ids(credentials_of(task, 0));

	for (size_t i = 1; i < task->n_threads; i++) {
		struct thread_ids ids = credentials_ids(credentials_of(task, i));
		take_unmapped(task, false, ids.uids, entry.uids);
		take_unmapped(task, true, ids.gids, entry.gids);
		if (!groups_are_mapped(task, &ids)) {
			entry.groups = ids.groups;
			entry.n_groups = ids.n_groups;
		}
	}
	return entry;
}

/* The kernel keeps them sorted; older kernels did not. */
static bool same_groups(struct arena *arena, const struct thread_ids *one,
			const struct thread_ids *other)
{
	size_t size = one->n_groups * sizeof(uint32_t);

	if (one->n_groups != other->n_groups)
		return false;
	if (one->n_groups == 0)
		return true;
	uint32_t *sorted = arena_copy(arena, one->groups, size);
	uint32_t *sorted_other = arena_copy(arena, other->groups, size);
	qsort(sorted, one->n_groups, sizeof *sorted, compare_uint32);
	qsort(sorted_other, one->n_groups, sizeof *sorted, compare_uint32);
	return memcmp(sorted, sorted_other, size) == 0;
}

struct id_changes credentials_differ(struct arena *arena, const struct thread_ids *had,
				     const struct thread_ids *wanted)
{
	return (struct id_changes){
		.user_ids = memcmp(had->uids, wanted->uids, sizeof had->uids) != 0,
		.group_ids = memcmp(had->gids, wanted->gids, sizeof had->gids) != 0,
		.groups = !same_groups(arena, had, wanted),
	};
}

static int refuse_unmapped(const struct task *task, size_t thread, bool group, uint32_t id,
			   struct error *err)
{
	return fail(err, ERR_UNSUPPORTED_TASK,
		    "task %s: thread %zu has the %s id %" PRIu32
		    ", which is not mapped in its user namespace, so it cannot be set there once "
		    "another thread's was brought along",
		    task_name(task), thread, group ? "group" : "user", id);
}

/* One id that stays as it was brought along: there is nothing to be set. */
static bool stays(const uint32_t entry[4], const uint32_t ids[4], size_t which)
{
	bool follows = ids[FILE_SYSTEM] == ids[EFFECTIVE];

	if (which == FILE_SYSTEM)
		return follows;
	/* A call that changes nothing else is none, unless it names the effective id. */
	if (which == EFFECTIVE && follows && ids[FILE_SYSTEM] != entry[FILE_SYSTEM])
		return false;
	return ids[which] == entry[which];
}

/* In numbers of the namespace; -1 for those that stay. */
static int translate_ids(const struct task *task, size_t thread, bool group,
			 const uint32_t entry[4], uint32_t ids[4], struct error *err)
{
	uint32_t inside[4] = { UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX };

	for (size_t i = 0; i < 4; i++)
		if (!stays(entry, ids, i) &&
		    !user_namespace_id_inside(task->user_namespace, group, ids[i], &inside[i]))
			return refuse_unmapped(task, thread, group, ids[i], err);
	memcpy(ids, inside, sizeof inside);
	return 0;
}

static int translate_groups(struct arena *arena, const struct task *task, size_t thread,
			    struct thread_ids *ids, struct error *err)
{
	const NsEntry *namespace = task->user_namespace->base.entry;
	uint32_t *groups = arena_copy(arena, ids->groups, ids->n_groups * sizeof(uint32_t));

	if (namespace->setgroups_denied || !namespace->user_ext || !namespace->user_ext->n_gid_map)
		return fail(err, ERR_UNSUPPORTED_TASK,
			    "task %s: thread %zu has other groups than another thread, and their "
			    "user namespace %s",
			    task_name(task), thread,
			    namespace->setgroups_denied ? "denies setgroups"
							: "has no gid map yet");
	for (size_t i = 0; i < ids->n_groups; i++)
		if (!user_namespace_id_inside(task->user_namespace, true, groups[i], &groups[i]))
			return refuse_unmapped(task, thread, true, groups[i], err);
	ids->groups = groups;
	return 0;
}

int credentials_inside(struct arena *arena, const struct task *task, size_t thread,
		       struct id_changes *ret_changes, struct thread_ids *ret_ids,
		       struct error *err)
{
	struct thread_ids entry = credentials_entry_ids(task);
	struct thread_ids ids = credentials_ids(credentials_of(task, thread));

	*ret_changes = credentials_differ(arena, &entry, &ids);
	if ((ret_changes->user_ids &&
	     translate_ids(task, thread, false, entry.uids, ids.uids, err)) ||
	    (ret_changes->group_ids &&
	     translate_ids(task, thread, true, entry.gids, ids.gids, err)) ||
	    (ret_changes->groups && translate_groups(arena, task, thread, &ids, err)))
		return -1;
	*ret_ids = ids;
	return 0;
}

int credentials_check_inside(const struct task *task, struct error *err)
{
	struct id_changes changes;
	struct thread_ids ids;
	struct arena arena;
	int result = 0;

	arena_init(&arena);
	for (size_t i = 0; i < task->n_threads && result == 0; i++)
		result = credentials_inside(&arena, task, i, &changes, &ids, err);
	arena_done(&arena);
	return result;
}
