// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Credentials of each thread: four user and four group ids, supplementary groups, the five
 * capability sets, securebits (with keepcaps), no_new_privs.
 *
 * Everything but securebits is in /proc/PID/task/TID/status: ids as this nestor sees them,
 * whatever user namespace the task is in, capability sets as that namespace means them. How they
 * are given back: credentials-plan.c.
 */
#include "kinds/task/credentials.h"
#include "kinds/task/task.h"

#include "base/log.h"
#include "base/procfs.h"
#include "collect/collect.h"
#include "collect/losses.h"
#include "collect/probe.h"
#include "kernel/facts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

enum { CAPABILITY_WORDS = 2, MAX_GROUPS = 65536 /* NGROUPS_MAX */ };

static void set_words(struct snapshot *snapshot, uint64_t set, size_t *count, uint32_t **words)
{
	*words = arena_array(snapshot->arena, uint32_t, CAPABILITY_WORDS);
	(*words)[0] = (uint32_t)set;
	(*words)[1] = (uint32_t)(set >> 32);
	*count = CAPABILITY_WORDS;
}

static void read_capabilities(struct snapshot *snapshot, const char *status, CredsEntry *creds)
{
	set_words(snapshot, procfs_value(status, "CapInh:", 16), &creds->n_cap_inh,
		  &creds->cap_inh);
	set_words(snapshot, procfs_value(status, "CapPrm:", 16), &creds->n_cap_prm,
		  &creds->cap_prm);
	set_words(snapshot, procfs_value(status, "CapEff:", 16), &creds->n_cap_eff,
		  &creds->cap_eff);
	set_words(snapshot, procfs_value(status, "CapBnd:", 16), &creds->n_cap_bnd,
		  &creds->cap_bnd);
	set_words(snapshot, procfs_value(status, "CapAmb:", 16), &creds->n_cap_amb,
		  &creds->cap_amb);
}

static int read_ids(const char *status, const char *key, uint64_t ids[4])
{
	const char *field = procfs_field(status, key);

	return field && procfs_numbers(field, 10, ids, 4) == 4 ? 0 : -1;
}

static void read_groups(struct snapshot *snapshot, const char *status, CredsEntry *creds)
{
	const char *text = procfs_field(status, "Groups:");

	while (text && *text >= '0' && *text <= '9') {
		char *end;
		uint32_t group = (uint32_t)strtoul(text, &end, 10);
		creds->groups = arena_grow(snapshot->arena, creds->groups, creds->n_groups,
					   sizeof *creds->groups);
		creds->groups[creds->n_groups++] = group;
		text = end + strspn(end, " ");
	}
}

static int collect_thread(struct snapshot *snapshot, const struct target_thread *thread,
			  ThreadCoreEntry *state, struct error *err)
{
	CredsEntry *creds = snapshot_new(snapshot, CREDS_ENTRY, CredsEntry);
	const char *no_new_privs = procfs_field(thread->status, "NoNewPrivs:");
	uint64_t uids[4], gids[4];

	if (read_ids(thread->status, "Uid:", uids) || read_ids(thread->status, "Gid:", gids))
		return fail(err, ERR_KERNEL_REFUSED, "the status of thread %d has no ids",
			    thread->tid);
	creds->uid = (uint32_t)uids[0];
	creds->euid = (uint32_t)uids[1];
	creds->suid = (uint32_t)uids[2];
	creds->fsuid = (uint32_t)uids[3];
	creds->gid = (uint32_t)gids[0];
	creds->egid = (uint32_t)gids[1];
	creds->sgid = (uint32_t)gids[2];
	creds->fsgid = (uint32_t)gids[3];
	read_groups(snapshot, thread->status, creds);
	read_capabilities(snapshot, thread->status, creds);
	creds->has_no_new_privs = no_new_privs && *no_new_privs == '1';
	creds->no_new_privs = creds->has_no_new_privs;
	state->creds = creds;
	return 0;
}

/* The label of a security module is inherited; one that differs would have to be given. */
static int check_security_context(struct target *target, struct error *err)
{
	const char *own = target->collect->facts->security_context;

	if (!own)
		return 0;
	const char *context = target_read(target, "attr/current", err);
	if (!context)
		return -1;
	if (strcmp(context, own) == 0)
		return 0;
	return fail(err, ERR_UNSUPPORTED_TASK,
		    "pid %d is confined by a security module (%.*s), other than nestor (%.*s)",
		    target->pid, (int)strcspn(context, "\n"), context, (int)strcspn(own, "\n"),
		    own);
}

static int collect(struct target *target, struct error *err)
{
	if (!target->zombie && check_security_context(target, err))
		return -1;
	for (size_t i = 0; i < target->n_threads; i++)
		if (collect_thread(target->collect->snapshot, &target->threads[i],
				   task_thread(target->task, i)->thread_core, err))
			return -1;
	return 0;
}

static void *ask(const struct asking *asking)
{
	size_t *call = arena_new(asking->target->collect->arena, size_t);

	*call = probe_ask(asking->probe, SYS_prctl, PR_GET_SECUREBITS, 0, 0, 0, 0);
	return call;
}

static int answer(const struct asking *asking, void *asked, struct error *err)
{
	struct target *target = asking->target;
	size_t thread = asking->thread;
	int64_t result = probe_result(asking->probe, *(const size_t *)asked);
	CredsEntry *creds = target->task->threads[thread]->thread_core->creds;

	if (result == PROBE_FORBIDDEN) {
		loss_forbidden(target, thread, LOSS_SECUREBITS);
		return 0;
	}
	if (result < 0)
		return fail(err, ERR_PROBE_FAILED, "thread %d: PR_GET_SECUREBITS: %s",
			    target->threads[thread].tid, strerror((int)-result));
	creds->secbits = (uint32_t)result;
	return 0;
}

static uint64_t set_of(size_t count, const uint32_t *words)
{
	uint64_t set = count > 0 ? words[0] : 0;

	return count > 1 ? set | (uint64_t)words[1] << 32 : set;
}

struct capabilities capabilities_of(const CredsEntry *creds)
{
	return (struct capabilities){
		.inheritable = set_of(creds->n_cap_inh, creds->cap_inh),
		.permitted = set_of(creds->n_cap_prm, creds->cap_prm),
		.effective = set_of(creds->n_cap_eff, creds->cap_eff),
		.bounding = set_of(creds->n_cap_bnd, creds->cap_bnd),
		.ambient = set_of(creds->n_cap_amb, creds->cap_amb),
	};
}

static int check_thread(const struct task *task, size_t index, const CredsEntry *creds,
			struct error *err)
{
	if (!creds)
		return fail(err, ERR_IMAGE_UNSUPPORTED, "task %s: thread %zu has no credentials",
			    task_name(task), index);
	struct capabilities sets = capabilities_of(creds);
	if (sets.effective & ~sets.permitted || sets.ambient & ~(sets.permitted & sets.inheritable))
		return fail(err, ERR_IMAGE_INVALID,
			    "task %s: thread %zu has capabilities that it is not permitted",
			    task_name(task), index);
	if (creds->n_groups > MAX_GROUPS)
		return fail(err, ERR_IMAGE_INVALID, "task %s: thread %zu has %zu groups",
			    task_name(task), index, creds->n_groups);
	return 0;
}

static int check(const struct snapshot *snapshot, const struct task *task, struct error *err)
{
	(void)snapshot;
	if (task_is_zombie(task))
		return task->core->thread_core
			       ? check_thread(task, 0, task->core->thread_core->creds, err)
			       : 0;
	for (size_t i = 0; i < task->n_threads; i++)
		if (check_thread(task, i, task->threads[i]->thread_core->creds, err))
			return -1;
	return task->user_namespace->depth > 0 ? credentials_check_inside(task, err) : 0;
}

const struct task_kind credentials_kind = {
	.name = "credentials",
	.per_thread = true,
	.of_zombies = true,
	.collect = collect,
	.ask = ask,
	.answer = answer,
	.check = check,
	.plan = credentials_plan_ids,
};
