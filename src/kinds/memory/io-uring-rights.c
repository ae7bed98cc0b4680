// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The rights of the kernel's thread of an io_uring instance (IORING_SETUP_SQPOLL): it has the ids,
 * groups and effective capabilities of who makes the instance, for good (io_sq_offload_create,
 * io_uring/sqpoll.c). A task makes it with all of nestor's rights, so it takes its own ids and
 * capabilities before, and gives them back after it. Permitted capabilities stay the thread's: its
 * requests act with the effective ones, and it does nothing else.
 *
 * Those of the thread are seen in its status, and have to be those of the task: who has given up
 * rights since it made the instance would get a thread with fewer.
 */
#include "kinds/memory/io-uring.h"

#include "base/procfs.h"
#include "collect/collect.h"
#include "kernel/facts.h"
#include "kernel/syscalls.h"
#include "plan/plan.h"

#include <linux/securebits.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

static bool is_same_line(const char *status, const char *other, const char *key)
{
	const char *one = procfs_field(status, key), *two = procfs_field(other, key);

	if (!one || !two)
		return false;
	size_t length = strcspn(one, "\n");
	return strncmp(one, two, length) == 0 && two[length] == '\n';
}

static bool are_same_ids(const char *status, const char *other, const char *key)
{
	enum { REAL, EFFECTIVE, SAVED, OF_FILES, COUNT };
	const char *one = procfs_field(status, key), *two = procfs_field(other, key);
	uint64_t a[COUNT], b[COUNT];

	return one && two && procfs_numbers(one, 10, a, COUNT) == COUNT &&
	       procfs_numbers(two, 10, b, COUNT) == COUNT && a[EFFECTIVE] == b[EFFECTIVE] &&
	       a[OF_FILES] == b[OF_FILES];
}

bool ring_thread_has_rights_of(const char *thread_status, const char *task_status)
{
	return are_same_ids(thread_status, task_status, "Uid:") &&
	       are_same_ids(thread_status, task_status, "Gid:") &&
	       is_same_line(thread_status, task_status, "Groups:") &&
	       is_same_line(thread_status, task_status, "CapEff:");
}

/* ---- Restore ---- */

static uint64_t effective_of(const CredsEntry *creds)
{
	uint64_t effective = 0;

	for (size_t i = 0; i < creds->n_cap_eff && i < 2; i++)
		effective |= (uint64_t)creds->cap_eff[i] << (32 * i);
	return effective;
}

static bool keeps_groups(const struct plan *plan, const CredsEntry *creds)
{
	const struct facts *facts = plan->facts;

	return creds->n_groups == facts->n_groups &&
	       (!creds->n_groups ||
		memcmp(creds->groups, facts->groups, creds->n_groups * sizeof *creds->groups) == 0);
}

static bool keeps_ids(const struct plan *plan, const CredsEntry *creds)
{
	const uint32_t *uids = plan->facts->uids, *gids = plan->facts->gids;

	return creds->uid == uids[0] && creds->euid == uids[1] && creds->suid == uids[2] &&
	       creds->gid == gids[0] && creds->egid == gids[1] && creds->sgid == gids[2];
}

static bool keeps_all(const struct plan *plan, const CredsEntry *creds)
{
	return keeps_ids(plan, creds) && keeps_groups(plan, creds);
}

/* A change of ids takes nestor's own ambient capabilities away (cap_emulate_setxuid). */
bool ring_can_have_rights(const struct plan *plan, const struct task *task)
{
	const CredsEntry *creds = task->core->thread_core->creds;

	return creds && creds->fsuid == creds->euid && creds->fsgid == creds->egid &&
	       !(effective_of(creds) & ~plan->facts->capabilities) &&
	       (keeps_all(plan, creds) || !plan->facts->ambient) && task->user_namespace &&
	       task->user_namespace->depth == 0;
}

static void set_effective(const struct plan *plan, struct program *program, uint64_t effective)
{
	program_set_capabilities(program, effective, plan->facts->permitted,
				 plan->facts->inheritable);
}

static void set_groups(struct program *program, const uint32_t *groups, size_t count)
{
	program_call(program, SYS_setgroups, count,
		     count ? program_data(program->set, groups, count * sizeof *groups, 8) : 0);
}

/* Permitted capabilities stay, by which all of it is taken back. */
static void take_ids(const struct plan *plan, const CredsEntry *creds, struct program *program)
{
	program_call(program, SYS_prctl, PR_SET_KEEPCAPS, 1, 0, 0, 0);
	if (!keeps_groups(plan, creds))
		set_groups(program, creds->groups, creds->n_groups);
	program_call(program, SYS_setresgid, creds->gid, creds->egid, creds->sgid);
	program_call(program, SYS_setresuid, creds->uid, creds->euid, creds->suid);
}

void ring_plan_rights(const struct plan *plan, const struct task *task, struct program *program)
{
	const CredsEntry *creds = task->core->thread_core->creds;

	if (!keeps_all(plan, creds))
		take_ids(plan, creds, program);
	set_effective(plan, program, effective_of(creds));
}

void ring_plan_rights_back(const struct plan *plan, const struct task *task,
			   struct program *program)
{
	const CredsEntry *creds = task->core->thread_core->creds;
	const struct facts *facts = plan->facts;
	const uint32_t *uids = facts->uids, *gids = facts->gids;

	set_effective(plan, program, facts->capabilities);
	if (keeps_all(plan, creds))
		return;
	program_call(program, SYS_setresuid, uids[0], uids[1], uids[2]);
	program_call(program, SYS_setresgid, gids[0], gids[1], gids[2]);
	if (!keeps_groups(plan, creds))
		set_groups(program, facts->groups, facts->n_groups);
	set_effective(plan, program, facts->capabilities);
	program_call(program, SYS_prctl, PR_SET_KEEPCAPS,
		     (facts->securebits & SECBIT_KEEP_CAPS) != 0, 0, 0, 0);
}
