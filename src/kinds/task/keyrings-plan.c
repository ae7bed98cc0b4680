// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Making keyrings again (keyrings.c). A session keyring is handed down to whoever a process makes,
 * so it comes first in the program of the process: who is not born with the right one joins a new
 * one. Tasks that have one in common and have it from nobody in common cannot get it: they are
 * refused. That of a process is made before it has threads, that of a thread when its ids are what
 * they are to be: it belongs to them, and a change of them changes whose it is.
 *
 * keyctl(KEYCTL_JOIN_SESSION_KEYRING) with a name joins one of this name, if there is one that may
 * be searched; a name in an image must lead to nobody else's. So it is called by an id for accesses
 * that nobody has, and what it gives has to be empty.
 */
#include "kinds/task/keyrings.h"
#include "kinds/task/task.h"

#include "plan/plan.h"

#include <linux/keyctl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

/* The kernel gives it to keyrings without a name (install_session_keyring_to_cred). */
#define ANONYMOUS "_ses"

enum {
	NAME_ROOM = 256,
	KNOWN_PERMISSIONS = 0x3f3f3f3f,
	NOBODY_AT_ALL = -2, /* the last number that a user may have */
};

/* --- check -------------------------------------------------------------------------------- */

static bool is_name(const char *name)
{
	/* The kernel keeps those with a dot for itself. */
	return *name && *name != '.' && strlen(name) < NAME_ROOM;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The kernel would have changed the first of two of a name. */
static bool are_different(struct arena *arena, const KeyringEntry *keyring)
{
	const char **names = arena_array(arena, const char *, keyring->n_keys + 1);

	for (size_t i = 0; i < keyring->n_keys; i++)
		names[i] = keyring->keys[i]->description;
	qsort(names, keyring->n_keys, sizeof *names, compare_names);
	for (size_t i = 1; i < keyring->n_keys; i++)
		if (strcmp(names[i - 1], names[i]) == 0)
			return false;
	return true;
}

static int check_keys(struct arena *arena, const KeyringEntry *keyring, struct error *err)
{
	for (size_t i = 0; i < keyring->n_keys; i++) {
		const KeyEntry *key = keyring->keys[i];

		if (!is_name(key->description) || !key->payload.len ||
		    key->payload.len > KEY_PAYLOAD_ROOM || key->permissions & ~KNOWN_PERMISSIONS)
			return fail(err, ERR_IMAGE_INVALID, "keyring %u: key %zu is none",
				    keyring->id, i);
	}
	return are_different(arena, keyring)
		       ? 0
		       : fail(err, ERR_IMAGE_INVALID, "keyring %u has a key twice", keyring->id);
}

static int check_keyring(const struct snapshot *snapshot, const struct task *task, uint32_t id,
			 struct error *err)
{
	const struct record *record = snapshot_record(snapshot, IMAGE_KEYRINGS, id);
	const KeyringEntry *keyring = record ? record->message : NULL;

	if (!keyring || record->next)
		return fail(err, ERR_IMAGE_INVALID, "task %s: there is no keyring %u, or several",
			    task_name(task), id);
	if (!is_name(keyring->name) || keyring->permissions & ~KNOWN_PERMISSIONS ||
	    (keyring->user_keyring && keyring->uid != 0))
		return fail(err, ERR_IMAGE_INVALID, "keyring %u is none", id);
	return check_keys(snapshot->arena, keyring, err);
}

int keyrings_check(const struct snapshot *snapshot, const struct task *task, struct error *err)
{
	const TaskCoreEntry *core = task->core->tc;

	for (size_t i = 0; i < task->n_threads; i++) {
		const ThreadCoreEntry *thread = task->threads[i]->thread_core;
		if (thread && thread->has_keyring &&
		    check_keyring(snapshot, task, thread->keyring, err))
			return -1;
	}
	if (core->has_session_keyring && check_keyring(snapshot, task, core->session_keyring, err))
		return -1;
	return core->has_process_keyring ? check_keyring(snapshot, task, core->process_keyring, err)
					 : 0;
}

/* --- plan --------------------------------------------------------------------------------- */

static uint64_t text_of(struct plan *plan, const char *text)
{
	return program_data(&plan->programs, text, strlen(text) + 1, 1);
}

static void give(const struct facts *facts, struct program *program, uint64_t slot, uint32_t uid,
		 uint32_t gid, uint32_t permissions)
{
	if (facts && (uid != facts->uids[0] || gid != facts->gids[0]))
		op_argument_from(
			op_expect(program_call(program, SYS_keyctl, KEYCTL_CHOWN, 0, uid, gid), 0),
			1, slot);
	op_argument_from(
		op_expect(program_call(program, SYS_keyctl, KEYCTL_SETPERM, 0, permissions), 0), 1,
		slot);
}

/* `facts`: of who makes it; NULL: whose it is anyway. */
static void fill(struct plan *plan, const struct facts *facts, struct program *program,
		 const KeyringEntry *keyring, uint64_t slot)
{
	uint64_t type = keyring->n_keys ? text_of(plan, "user") : 0;

	/* New, and not one that was there. */
	op_argument_from(op_expect(program_call(program, SYS_keyctl, KEYCTL_READ, 0, 0, 0), 0), 1,
			 slot);
	if (keyring->user_keyring)
		op_argument_from(op_expect(program_call(program, SYS_keyctl, KEYCTL_LINK,
							(uint64_t)KEY_SPEC_USER_KEYRING, 0),
					   0),
				 2, slot);
	for (size_t i = 0; i < keyring->n_keys; i++) {
		const KeyEntry *key = keyring->keys[i];
		uint64_t key_slot = program_word(&plan->programs, 0);

		op_store(op_argument_from(
				 program_call(program, SYS_add_key, type,
					      text_of(plan, key->description),
					      program_data(&plan->programs, key->payload.data,
							   key->payload.len, 1),
					      key->payload.len, 0),
				 4, slot),
			 key_slot);
		give(facts, program, key_slot, key->uid, key->gid, key->permissions);
	}
	give(facts, program, slot, keyring->uid, keyring->gid, keyring->permissions);
}

static void join(struct plan *plan, struct program *program, const KeyringEntry *keyring)
{
	uint64_t slot = program_word(&plan->programs, 0), own = plan->facts->uids[3];

	if (strcmp(keyring->name, ANONYMOUS) == 0) {
		op_store(program_call(program, SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, 0), slot);
	} else {
		op_any(program_call(program, SYS_setfsuid, (uint32_t)NOBODY_AT_ALL));
		op_store(program_call(program, SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING,
				      text_of(plan, keyring->name)),
			 slot);
		op_any(program_call(program, SYS_setfsuid, own));
	}
	fill(plan, plan->facts, program, keyring, slot);
}

/* The session keyring of a process; 0: that of whoever restores. */
static uint32_t session_of(const struct plan *plan, size_t process)
{
	const struct task *task;

	while (process != NO_PROCESS) {
		task = plan->processes[process].task;
		if (task && !task_is_zombie(task))
			return task->core->tc->has_session_keyring ? task->core->tc->session_keyring
								   : 0;
		process = plan->processes[process].maker;
	}
	return 0;
}

struct made_keyrings {
	uint32_t *ids;
	size_t n_ids;
	bool warned;
};

static bool is_made(struct plan *plan, uint32_t id)
{
	struct made_keyrings *made = plan_kind_state(plan, &keyrings_kind, sizeof *made);

	for (size_t i = 0; i < made->n_ids; i++)
		if (made->ids[i] == id)
			return true;
	made->ids = arena_grow(plan->arena, made->ids, made->n_ids, sizeof *made->ids);
	made->ids[made->n_ids++] = id;
	return false;
}

/* Serial numbers may be anywhere in the memory of whoever asked for them. */
static void warn_once(struct plan *plan)
{
	struct made_keyrings *made = plan_kind_state(plan, &keyrings_kind, sizeof *made);

	if (!made->warned)
		plan_warn(plan, "keyrings and keys have other serial numbers");
	made->warned = true;
}

int keyrings_hand_down(struct plan *plan, size_t process, struct program *program,
		       struct error *err)
{
	uint32_t id = session_of(plan, process);
	size_t maker = plan->processes[process].maker;
	const struct task *task = plan->processes[process].task;

	if (!task || id == session_of(plan, maker))
		return 0;
	if (!id) {
		program_call(program, SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, 0);
		return 0;
	}
	if (is_made(plan, id))
		return fail(
			err, ERR_STATE_LOST,
			"it shares a session keyring with others that it does not descend from");
	join(plan, program, snapshot_record(plan->snapshot, IMAGE_KEYRINGS, id)->message);
	warn_once(plan);
	return 0;
}

static void plan_special(const struct planning *planning, int32_t special, uint32_t id,
			 const struct facts *facts)
{
	struct plan *plan = planning->plan;
	const KeyringEntry *keyring = snapshot_record(plan->snapshot, IMAGE_KEYRINGS, id)->message;
	uint64_t slot = program_word(&plan->programs, 0);

	op_store(program_call(planning->program, SYS_keyctl, KEYCTL_GET_KEYRING_ID,
			      (uint64_t)special, 1),
		 slot);
	fill(plan, facts, planning->program, keyring, slot);
	warn_once(plan);
}

static int plan_process_keyring(const struct planning *planning, struct error *err)
{
	const TaskCoreEntry *core = planning->task->core->tc;

	(void)err;
	if (core->has_process_keyring)
		plan_special(planning, KEY_SPEC_PROCESS_KEYRING, core->process_keyring,
			     planning->plan->facts);
	return 0;
}

int keyrings_plan(const struct planning *planning, struct error *err)
{
	const ThreadCoreEntry *thread = planning->task->threads[planning->thread]->thread_core;

	(void)err;
	if (thread->has_keyring)
		plan_special(planning, KEY_SPEC_THREAD_KEYRING, thread->keyring, NULL);
	return 0;
}

const struct task_kind process_keyring_kind = {
	.name = "process keyring",
	.plan = plan_process_keyring,
};
