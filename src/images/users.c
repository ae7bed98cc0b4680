// SPDX-License-Identifier: LGPL-2.1-or-later
/* See users.h. */
#include "images/users.h"

#include "model/ids.h"

#include <inttypes.h>
#include <string.h>

struct adoption {
	const struct user_namespace *namespace;
	const char *whose;
	struct error *err;
};

static int adopt(const struct adoption *adoption, bool group, uint32_t *id)
{
	if (user_namespace_id_outside(adoption->namespace, group, *id, id))
		return 0;
	return fail(adoption->err, ERR_IMAGE_INVALID,
		    "%s: %s %" PRIu32 " is nobody in user namespace %" PRIu32, adoption->whose,
		    group ? "gid" : "uid", *id, adoption->namespace->base.id);
}

static int adopt_credentials(const struct adoption *adoption, CredsEntry *creds)
{
	uint32_t *uids[] = { &creds->uid, &creds->euid, &creds->suid, &creds->fsuid };
	uint32_t *gids[] = { &creds->gid, &creds->egid, &creds->sgid, &creds->fsgid };

	for (size_t i = 0; i < sizeof uids / sizeof *uids; i++)
		if (adopt(adoption, false, uids[i]) || adopt(adoption, true, gids[i]))
			return -1;
	for (size_t i = 0; i < creds->n_groups; i++)
		if (adopt(adoption, true, &creds->groups[i]))
			return -1;
	return 0;
}

static int adopt_task(const struct task *task, struct error *err)
{
	struct adoption adoption = { task->user_namespace, task_name(task), err };

	for (size_t i = 0; i < task->n_threads; i++) {
		ThreadCoreEntry *thread = task->threads[i]->thread_core;
		if (thread->creds && adopt_credentials(&adoption, thread->creds))
			return -1;
	}
	return 0;
}

static int adopt_one(void *data, bool group, uint32_t *id, const char *what)
{
	struct adoption *adoption = data;

	/* Who owns cgroups is told as CRIU itself sees it. */
	if (strcmp(what, cgroup_entry__descriptor.name) == 0)
		return 0;
	adoption->whose = what;
	return adopt(adoption, group, id);
}

int users_adopt(struct snapshot *snapshot, struct error *err)
{
	struct adoption objects = { snapshot->tasks[0].user_namespace, NULL, err };

	for (size_t i = 0; i < snapshot->n_tasks; i++)
		if (adopt_task(&snapshot->tasks[i], err))
			return -1;
	return snapshot_each_id(snapshot, adopt_one, &objects);
}
