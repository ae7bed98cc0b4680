// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Credentials of each thread: four user and four group ids, supplementary groups, the five
 * capability sets, securebits (with keepcaps), no_new_privs.
 *
 * Everything but securebits is in /proc/PID/task/TID/status. Threads are created with the
 * coordinator's credentials and change to their own, each for itself, in an order in which every
 * step still has the privilege it needs:
 *
 *  1. SECBIT_NO_SETUID_FIXUP, or leaving uid 0 would take all capabilities at once;
 *  2. groups, then group ids, then user ids;
 *  3. the inheritable set, while it may hold what the bounding set will not (cap_capset asks for
 *     inheritable within inheritable | bounding), then the ambient set, which has to be within
 *     inheritable and permitted;
 *  4. dropping from the bounding set and the final securebits (both want CAP_SETPCAP), and
 *     no_new_privs;
 *  5. permitted and effective: last of all stages (capabilities_kind), because timers and seccomp
 *     filters may need a privilege that the thread no longer has once it runs.
 *
 * What equals the coordinator's is left alone. What this nestor cannot give is refused while
 * planning: nobody can get a capability that nestor lacks.
 */
#include "kinds/task/task.h"

#include "base/log.h"
#include "base/procfs.h"
#include "collect/collect.h"
#include "collect/probe.h"
#include "kernel/facts.h"
#include "kernel/syscalls.h"
#include "plan/plan.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

enum { CAPABILITY_WORDS = 2, MAX_GROUPS = 65536 /* NGROUPS_MAX */ };

struct capabilities {
	uint64_t inheritable, permitted, effective, bounding, ambient;
};

/* --- collecting -------------------------------------------------------------------------- */

static void set_words(struct snapshot *snapshot, uint64_t set, size_t *count, uint32_t **words)
{
	*words = arena_array(snapshot->arena, uint32_t, CAPABILITY_WORDS);
	(*words)[0] = (uint32_t)set;
	(*words)[1] = (uint32_t)(set >> 32);
	*count = CAPABILITY_WORDS;
}

static uint64_t status_set(const char *status, const char *key)
{
	const char *field = procfs_field(status, key);
	uint64_t set = 0;

	if (field)
		procfs_numbers(field, 16, &set, 1);
	return set;
}

static void read_capabilities(struct snapshot *snapshot, const char *status, CredsEntry *creds)
{
	set_words(snapshot, status_set(status, "CapInh:"), &creds->n_cap_inh, &creds->cap_inh);
	set_words(snapshot, status_set(status, "CapPrm:"), &creds->n_cap_prm, &creds->cap_prm);
	set_words(snapshot, status_set(status, "CapEff:"), &creds->n_cap_eff, &creds->cap_eff);
	set_words(snapshot, status_set(status, "CapBnd:"), &creds->n_cap_bnd, &creds->cap_bnd);
	set_words(snapshot, status_set(status, "CapAmb:"), &creds->n_cap_amb, &creds->cap_amb);
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
	if (check_security_context(target, err))
		return -1;
	for (size_t i = 0; i < target->n_threads; i++)
		if (collect_thread(target->collect->snapshot, &target->threads[i],
				   target->task->threads[i]->thread_core, err))
			return -1;
	return 0;
}

static void *ask(struct probe *probe, struct target *target, size_t thread)
{
	size_t *call = arena_new(target->collect->arena, size_t);

	(void)thread;
	*call = probe_ask(probe, SYS_prctl, PR_GET_SECUREBITS, 0, 0, 0, 0);
	return call;
}

static int answer(struct probe *probe, struct target *target, size_t thread, void *asked,
		  struct error *err)
{
	int64_t result = probe_result(probe, *(const size_t *)asked);
	CredsEntry *creds = target->task->threads[thread]->thread_core->creds;

	if (result == PROBE_FORBIDDEN) {
		log_warning("collect", task_name(target->task),
			    "the seccomp filter of thread %d forbids PR_GET_SECUREBITS: taking it "
			    "that none is set",
			    target->threads[thread].tid);
		return 0;
	}
	if (result < 0)
		return fail(err, ERR_PROBE_FAILED, "thread %d: PR_GET_SECUREBITS: %s",
			    target->threads[thread].tid, strerror((int)-result));
	creds->secbits = (uint32_t)result;
	return 0;
}

/* --- checking ---------------------------------------------------------------------------- */

static uint64_t set_of(size_t count, const uint32_t *words)
{
	uint64_t set = count > 0 ? words[0] : 0;

	return count > 1 ? set | (uint64_t)words[1] << 32 : set;
}

static struct capabilities capabilities_of(const CredsEntry *creds)
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
	for (size_t i = 0; i < task->n_threads; i++)
		if (check_thread(task, i, task->threads[i]->thread_core->creds, err))
			return -1;
	return 0;
}

/* --- planning ---------------------------------------------------------------------------- */

/* What of a thread's credentials differs from what the coordinator passes on. */
struct changes {
	bool user_ids, group_ids, groups;
	uint64_t dropped; /* from the bounding set */
	uint32_t first_securebits, last_securebits;
};

static struct capabilities known_capabilities_of(const struct facts *facts, const CredsEntry *creds)
{
	struct capabilities sets = capabilities_of(creds);

	/* An older kernel lacks the newest capabilities: nobody has them, nothing asks for them. */
	sets.inheritable &= facts->known_capabilities;
	sets.permitted &= facts->known_capabilities;
	sets.effective &= facts->known_capabilities;
	sets.bounding &= facts->known_capabilities;
	sets.ambient &= facts->known_capabilities;
	return sets;
}

static bool ids_differ(const uint32_t inherited[4], uint32_t real, uint32_t effective,
		       uint32_t saved, uint32_t file_system)
{
	return inherited[0] != real || inherited[1] != effective || inherited[2] != saved ||
	       inherited[3] != file_system;
}

static int compare_groups(const void *a, const void *b)
{
	uint32_t one = *(const uint32_t *)a, other = *(const uint32_t *)b;

	return one < other ? -1 : one > other;
}

static bool groups_differ(struct arena *arena, const struct facts *facts, const CredsEntry *creds)
{
	if (creds->n_groups != facts->n_groups)
		return true;
	if (creds->n_groups == 0)
		return false;
	/* The kernel keeps them sorted; older kernels did not. */
	size_t size = creds->n_groups * sizeof(uint32_t);
	uint32_t *wanted = arena_copy(arena, creds->groups, size);
	uint32_t *inherited = arena_copy(arena, facts->groups, size);
	qsort(wanted, creds->n_groups, sizeof *wanted, compare_groups);
	qsort(inherited, creds->n_groups, sizeof *inherited, compare_groups);
	return memcmp(wanted, inherited, size) != 0;
}

static struct changes find_changes(struct arena *arena, const struct facts *facts,
				   const CredsEntry *creds)
{
	struct capabilities wanted = known_capabilities_of(facts, creds);
	struct changes changes = {
		.user_ids =
			ids_differ(facts->uids, creds->uid, creds->euid, creds->suid, creds->fsuid),
		.group_ids =
			ids_differ(facts->gids, creds->gid, creds->egid, creds->sgid, creds->fsgid),
		.groups = groups_differ(arena, facts, creds),
		.dropped = facts->bounding & ~wanted.bounding,
		.first_securebits = facts->securebits,
		.last_securebits = creds->secbits,
	};

	if (changes.user_ids)
		changes.first_securebits |= SECBIT_NO_SETUID_FIXUP;
	return changes;
}

static int refuse_capability(const struct task *task, size_t thread, const char *set,
			     uint64_t missing, struct error *err)
{
	fail(err, ERR_NO_PRIVILEGE,
	     "task %s: thread %zu has capabilities in its %s set that nestor lacks: 0x%" PRIx64,
	     task_name(task), thread, set, missing);
	return fail_hint(err, "run nestor with these capabilities (capsh --decode=%" PRIx64 ")",
			 missing);
}

static int require(const struct facts *facts, int capability, const char *name,
		   const struct task *task, const char *what, struct error *err)
{
	if (facts_has_capability(facts, capability))
		return 0;
	return fail(err, ERR_NO_PRIVILEGE, "task %s: restoring its %s needs %s", task_name(task),
		    what, name);
}

static int check_privileges(const struct facts *facts, const struct task *task, size_t thread,
			    const CredsEntry *creds, const struct changes *changes,
			    struct error *err)
{
	struct capabilities wanted = known_capabilities_of(facts, creds);
	uint64_t may_inherit = facts->inheritable | facts->bounding;

	if (wanted.permitted & ~facts->permitted)
		return refuse_capability(task, thread, "permitted",
					 wanted.permitted & ~facts->permitted, err);
	if (wanted.bounding & ~facts->bounding)
		return refuse_capability(task, thread, "bounding",
					 wanted.bounding & ~facts->bounding, err);
	if (wanted.inheritable & ~may_inherit)
		return refuse_capability(task, thread, "inheritable",
					 wanted.inheritable & ~may_inherit, err);
	if (facts->no_new_privs && !creds->no_new_privs)
		return fail(err, ERR_NO_PRIVILEGE,
			    "task %s has no no_new_privs mark, nestor has it and cannot help to "
			    "pass it on",
			    task_name(task));
	if (changes->user_ids && require(facts, CAP_SETUID, "CAP_SETUID", task, "user ids", err))
		return -1;
	if ((changes->group_ids || changes->groups) &&
	    require(facts, CAP_SETGID, "CAP_SETGID", task, "group ids", err))
		return -1;
	if ((changes->dropped || changes->first_securebits != facts->securebits ||
	     changes->last_securebits != facts->securebits) &&
	    require(facts, CAP_SETPCAP, "CAP_SETPCAP", task, "bounding set and securebits", err))
		return -1;
	return 0;
}

/* setfsuid and setfsgid report no error, only the former id: the second call tells. */
static void plan_file_system_id(struct program *program, uint32_t nr, uint32_t id)
{
	op_any(program_call(program, nr, id));
	op_expect(program_call(program, nr, id), id);
}

static void plan_ids(struct program *program, const CredsEntry *creds,
		     const struct changes *changes)
{
	if (changes->groups)
		program_call(program, SYS_setgroups, creds->n_groups,
			     creds->n_groups ? program_data(program->set, creds->groups,
							    creds->n_groups * sizeof(uint32_t), 8)
					     : 0);
	if (changes->group_ids) {
		program_call(program, SYS_setresgid, creds->gid, creds->egid, creds->sgid);
		if (creds->fsgid != creds->egid)
			plan_file_system_id(program, SYS_setfsgid, creds->fsgid);
	}
	if (changes->user_ids) {
		program_call(program, SYS_setresuid, creds->uid, creds->euid, creds->suid);
		if (creds->fsuid != creds->euid)
			plan_file_system_id(program, SYS_setfsuid, creds->fsuid);
	}
}

static void plan_capset(struct program *program, uint64_t effective, uint64_t permitted,
			uint64_t inheritable)
{
	const struct capability_header header = { CAPABILITY_VERSION, 0 };
	const struct capability_data data[2] = {
		{ (uint32_t)effective, (uint32_t)permitted, (uint32_t)inheritable },
		{ (uint32_t)(effective >> 32), (uint32_t)(permitted >> 32),
		  (uint32_t)(inheritable >> 32) },
	};

	program_call(program, SYS_capset, program_data(program->set, &header, sizeof header, 8),
		     program_data(program->set, data, sizeof data, 8));
}

static void plan_ambient(const struct facts *facts, struct program *program,
			 const struct capabilities *wanted)
{
	uint64_t have = facts->ambient;

	if (have & ~wanted->ambient) {
		program_call(program, SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
		have = 0;
	}
	for (unsigned capability = 0; capability < 64; capability++)
		if ((wanted->ambient & ~have) >> capability & 1)
			program_call(program, SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE,
				     capability, 0, 0);
}

static int plan_credentials(struct plan *plan, const struct task *task, size_t thread,
			    struct program *program, struct error *err)
{
	const struct facts *facts = plan->facts;
	const CredsEntry *creds = task->threads[thread]->thread_core->creds;
	struct capabilities wanted = known_capabilities_of(facts, creds);
	struct changes changes = find_changes(plan->arena, facts, creds);

	if (check_privileges(facts, task, thread, creds, &changes, err))
		return -1;
	if (changes.first_securebits != facts->securebits)
		program_call(program, SYS_prctl, PR_SET_SECUREBITS, changes.first_securebits, 0, 0,
			     0);
	plan_ids(program, creds, &changes);
	if (wanted.inheritable != facts->inheritable)
		plan_capset(program, facts->capabilities, facts->permitted, wanted.inheritable);
	plan_ambient(facts, program, &wanted);
	for (unsigned capability = 0; capability < 64; capability++)
		if (changes.dropped >> capability & 1)
			program_call(program, SYS_prctl, PR_CAPBSET_DROP, capability, 0, 0, 0);
	if (changes.last_securebits != changes.first_securebits)
		program_call(program, SYS_prctl, PR_SET_SECUREBITS, changes.last_securebits, 0, 0,
			     0);
	if (creds->no_new_privs && !facts->no_new_privs)
		program_call(program, SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	return 0;
}

const struct task_kind credentials_kind = {
	.name = "credentials",
	.per_thread = true,
	.collect = collect,
	.ask = ask,
	.answer = answer,
	.check = check,
	.plan = plan_credentials,
};

static int plan_capabilities(struct plan *plan, const struct task *task, size_t thread,
			     struct program *program, struct error *err)
{
	const struct facts *facts = plan->facts;
	const CredsEntry *creds = task->threads[thread]->thread_core->creds;
	struct capabilities wanted = known_capabilities_of(facts, creds);

	(void)err;
	if (wanted.permitted != facts->permitted || wanted.effective != facts->capabilities)
		plan_capset(program, wanted.effective, wanted.permitted, wanted.inheritable);
	return 0;
}

const struct task_kind capabilities_kind = {
	.name = "capabilities",
	.per_thread = true,
	.plan = plan_capabilities,
};
