// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Giving threads their credentials. They are created with the coordinator's and change to their
 * own, each for itself, in an order in which every step still has the privilege it needs:
 *
 *  1. SECBIT_NO_SETUID_FIXUP, or leaving uid 0 would take all capabilities at once;
 *  2. groups, then group ids, then user ids (credentials_kind);
 *  3. a task of another user namespace enters it here (plan/lower/user-namespaces.c);
 *  4. the inheritable set, while it may hold what the bounding set will not (cap_capset asks for
 *     inheritable within inheritable | bounding), then the ambient set, which has to be within
 *     inheritable and permitted;
 *  5. dropping from the bounding set and the final securebits (both want CAP_SETPCAP), and
 *     no_new_privs (capability_sets_kind);
 *  6. permitted and effective: last of all stages (capabilities_kind), because timers and seccomp
 *     filters may need a privilege that the thread no longer has once it runs.
 *
 * Ids come before the namespace is entered, so that they are numbers of the coordinator's
 * namespace, and may be such that the task's own does not map. Entering gives all capabilities
 * there, and clears securebits, inheritable and ambient set (set_cred_user_ns). Threads other than
 * the leader are made after that, with the leader's credentials of that moment; where ids of
 * threads differ, they change them inside, the leader last of all (credentials-inside.c).
 *
 * What equals the inherited is left alone. What this nestor cannot give is refused while planning:
 * in its own user namespace nobody can get a capability that nestor lacks.
 */
#include "kinds/task/credentials.h"
#include "kinds/task/task.h"

#include "kernel/facts.h"
#include "kernel/syscalls.h"
#include "plan/plan.h"

#include <inttypes.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

struct inherited_sets {
	struct capabilities sets;
	uint32_t securebits;
};

static bool is_nested(const struct task *task)
{
	return task->user_namespace->depth > 0;
}

/* ---- ids ---- */

/* What the coordinator passes on. */
static struct thread_ids inherited_ids(const struct facts *facts)
{
	struct thread_ids ids = { .groups = facts->groups, .n_groups = facts->n_groups };

	memcpy(ids.uids, facts->uids, sizeof ids.uids);
	memcpy(ids.gids, facts->gids, sizeof ids.gids);
	return ids;
}

static int require(const struct facts *facts, int capability, const char *name,
		   const struct task *task, const char *what, struct error *err)
{
	if (facts_has_capability(facts, capability))
		return 0;
	return fail(err, ERR_NO_PRIVILEGE, "task %s: restoring its %s needs %s", task_name(task),
		    what, name);
}

static int check_id_privileges(const struct facts *facts, const struct task *task,
			       const struct id_changes *changes, struct error *err)
{
	if (changes->user_ids && require(facts, CAP_SETUID, "CAP_SETUID", task, "user ids", err))
		return -1;
	if ((changes->group_ids || changes->groups) &&
	    require(facts, CAP_SETGID, "CAP_SETGID", task, "group ids", err))
		return -1;
	return 0;
}

/* setfsuid and setfsgid report no error, only the former id: the second call tells. */
static void add_file_system_id(struct program *program, uint32_t nr, uint32_t id)
{
	op_any(program_call(program, nr, id));
	op_expect(program_call(program, nr, id), id);
}

/* Where both are -1, setres*id has made the file system's id the effective one. */
static void add_ids(struct program *program, const struct thread_ids *ids,
		    const struct id_changes *changes)
{
	const uint32_t *uids = ids->uids, *gids = ids->gids;

	if (changes->groups)
		program_call(program, SYS_setgroups, ids->n_groups,
			     ids->n_groups ? program_data(program->set, ids->groups,
							  ids->n_groups * sizeof(uint32_t), 8)
					   : 0);
	if (changes->group_ids) {
		program_call(program, SYS_setresgid, gids[0], gids[1], gids[2]);
		if (gids[3] != gids[1] && gids[3] != UINT32_MAX)
			add_file_system_id(program, SYS_setfsgid, gids[3]);
	}
	if (changes->user_ids) {
		program_call(program, SYS_setresuid, uids[0], uids[1], uids[2]);
		if (uids[3] != uids[1] && uids[3] != UINT32_MAX)
			add_file_system_id(program, SYS_setfsuid, uids[3]);
	}
}

static void add_securebits(struct program *program, uint32_t securebits)
{
	program_call(program, SYS_prctl, PR_SET_SECUREBITS, securebits, 0, 0, 0);
}

/* Securebits while ids change. */
static uint32_t securebits_for_ids(uint32_t inherited, const struct id_changes *changes)
{
	return changes->user_ids ? inherited | SECBIT_NO_SETUID_FIXUP : inherited;
}

static void change_ids(struct program *program, uint32_t securebits, const struct thread_ids *ids,
		       const struct id_changes *changes)
{
	if (securebits_for_ids(securebits, changes) != securebits)
		add_securebits(program, securebits_for_ids(securebits, changes));
	add_ids(program, ids, changes);
}

static int plan_ids_inside(struct plan *plan, const struct task *task, size_t thread,
			   struct program *program, struct error *err)
{
	struct id_changes changes;
	struct thread_ids ids;

	if (credentials_inside(plan->arena, task, thread, &changes, &ids, err))
		return -1;
	change_ids(program, SECUREBITS_DEFAULT, &ids, &changes);
	return 0;
}

/* Those that a thread has outside of its user namespace, if it is one that enters it. */
static struct thread_ids outer_ids(const struct task *task, size_t thread)
{
	return is_nested(task) ? credentials_entry_ids(task)
			       : credentials_ids(credentials_of(task, thread));
}

int credentials_plan_ids(const struct planning *planning, struct error *err)
{
	struct plan *plan = planning->plan;
	const struct task *task = planning->task;
	size_t thread = planning->thread;
	struct program *program = planning->program;
	struct thread_ids inherited = inherited_ids(plan->facts);
	struct thread_ids wanted = outer_ids(task, thread);

	if (is_nested(task) && thread > 0)
		return plan_ids_inside(plan, task, thread, program, err);
	struct id_changes changes = credentials_differ(plan->arena, &inherited, &wanted);
	if (check_id_privileges(plan->facts, task, &changes, err))
		return -1;
	change_ids(program, plan->facts->securebits, &wanted, &changes);
	return 0;
}

/* ---- capability sets, securebits, no_new_privs ---- */

/* What a thread has when its ids are right, and it has entered its user namespace. */
static struct inherited_sets inherited_sets(const struct plan *plan, const struct task *task,
					    size_t thread)
{
	const struct facts *facts = plan->facts;
	struct thread_ids had =
		is_nested(task) ? credentials_entry_ids(task) : inherited_ids(facts);
	struct thread_ids wanted = credentials_ids(credentials_of(task, thread));
	struct id_changes changes = credentials_differ(plan->arena, &had, &wanted);

	if (is_nested(task))
		return (struct inherited_sets){
			.sets = { .permitted = facts->known_capabilities,
				  .effective = facts->known_capabilities,
				  .bounding = facts->known_capabilities },
			.securebits = securebits_for_ids(SECUREBITS_DEFAULT, &changes),
		};
	return (struct inherited_sets){
		.sets = { .inheritable = facts->inheritable,
			  .permitted = facts->permitted,
			  .effective = facts->capabilities,
			  .bounding = facts->bounding,
			  .ambient = facts->ambient },
		.securebits = securebits_for_ids(facts->securebits, &changes),
	};
}

static struct capabilities wanted_sets(const struct facts *facts, const CredsEntry *creds)
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

static int refuse_capability(const struct task *task, size_t thread, const char *set,
			     uint64_t missing, struct error *err)
{
	fail(err, ERR_NO_PRIVILEGE,
	     "task %s: thread %zu has capabilities in its %s set that nestor lacks: 0x%" PRIx64,
	     task_name(task), thread, set, missing);
	return fail_hint(err, "run nestor with these capabilities (capsh --decode=%" PRIx64 ")",
			 missing);
}

static int check_sets(const struct facts *facts, const struct task *task, size_t thread,
		      const struct inherited_sets *inherited, const struct capabilities *wanted,
		      const CredsEntry *creds, struct error *err)
{
	const struct capabilities *had = &inherited->sets;
	const struct {
		const char *name;
		uint64_t missing;
	} sets[] = {
		{ "permitted", wanted->permitted & ~had->permitted },
		{ "bounding", wanted->bounding & ~had->bounding },
		{ "inheritable", wanted->inheritable & ~(had->inheritable | had->bounding) },
	};

	for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
		if (sets[i].missing)
			return refuse_capability(task, thread, sets[i].name, sets[i].missing, err);
	if (facts->no_new_privs && !creds->no_new_privs)
		return fail(err, ERR_NO_PRIVILEGE,
			    "task %s has no no_new_privs mark, nestor has it and cannot help to "
			    "pass it on",
			    task_name(task));
	if (!is_nested(task) &&
	    (had->bounding & ~wanted->bounding || inherited->securebits != facts->securebits ||
	     creds->secbits != facts->securebits))
		return require(facts, CAP_SETPCAP, "CAP_SETPCAP", task,
			       "bounding set and securebits", err);
	return 0;
}

static void add_ambient(struct program *program, uint64_t have, uint64_t wanted)
{
	if (have & ~wanted) {
		program_call(program, SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
		have = 0;
	}
	for (unsigned capability = 0; capability < 64; capability++)
		if ((wanted & ~have) >> capability & 1)
			program_call(program, SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE,
				     capability, 0, 0);
}

static int plan_sets(const struct planning *planning, struct error *err)
{
	struct plan *plan = planning->plan;
	const struct task *task = planning->task;
	size_t thread = planning->thread;
	struct program *program = planning->program;
	const CredsEntry *creds = credentials_of(task, thread);
	struct capabilities wanted = wanted_sets(plan->facts, creds);
	struct inherited_sets inherited = inherited_sets(plan, task, thread);
	const struct capabilities *had = &inherited.sets;

	/* Its threads are made with the ids that it brought along. */
	if (is_nested(task) && thread == 0 && plan_ids_inside(plan, task, thread, program, err))
		return -1;
	if (check_sets(plan->facts, task, thread, &inherited, &wanted, creds, err))
		return -1;
	if (wanted.inheritable != had->inheritable)
		program_set_capabilities(program, had->effective, had->permitted,
					 wanted.inheritable);
	add_ambient(program, had->ambient, wanted.ambient);
	for (unsigned capability = 0; capability < 64; capability++)
		if ((had->bounding & ~wanted.bounding) >> capability & 1)
			program_call(program, SYS_prctl, PR_CAPBSET_DROP, capability, 0, 0, 0);
	if (creds->secbits != inherited.securebits)
		add_securebits(program, creds->secbits);
	if (creds->no_new_privs && !plan->facts->no_new_privs)
		program_call(program, SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	return 0;
}

const struct task_kind capability_sets_kind = {
	.name = "capability sets",
	.per_thread = true,
	.of_zombies = true,
	.plan = plan_sets,
};

static int plan_capabilities(const struct planning *planning, struct error *err)
{
	struct plan *plan = planning->plan;
	const struct task *task = planning->task;
	size_t thread = planning->thread;
	struct capabilities wanted = wanted_sets(plan->facts, credentials_of(task, thread));
	struct inherited_sets inherited = inherited_sets(plan, task, thread);

	(void)err;
	if (wanted.permitted != inherited.sets.permitted ||
	    wanted.effective != inherited.sets.effective)
		program_set_capabilities(planning->program, wanted.effective, wanted.permitted,
					 wanted.inheritable);
	return 0;
}

const struct task_kind capabilities_kind = {
	.name = "capabilities",
	.per_thread = true,
	.of_zombies = true,
	.plan = plan_capabilities,
};
