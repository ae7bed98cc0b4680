// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Keyrings of a session, a process and a thread, with their keys (keyrings(7)).
 * Serial numbers are the kernel's and are others afterwards. A payload may be read by nobody but
 * who possesses the key: the task is asked for it.
 *
 * A plain session keyring is no state of a task's own: a login, a service manager or a container
 * runtime gave it one ("_ses", "_ses.NAME"), or it is that of the user ("_uid_ses.N"), with nothing
 * in it but a link to the user's keyring and systemd's "invocation_id". The restored task has that
 * of whoever restores it. A session keyring that a task joined by another name, or put keys into,
 * is its own. How it is made: keyrings-plan.c.
 *
 * Refused: threads that have others of their session or process than the first one, keyrings in
 * keyrings, keys of other types than "user", with an end to their time, that cannot be read, or in
 * the keyring of a thread and not the thread's own.
 */
#include "kinds/task/keyrings.h"
#include "kinds/task/task.h"

#include "base/cleanup.h"
#include "base/procfs.h"
#include "base/table.h"
#include "collect/collect.h"
#include "collect/losses.h"
#include "collect/probe.h"

#include <fcntl.h>
#include <linux/keyctl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { TEXT_ROOM = 256, MOST_KEYS = 16, LINE_ROOM = 16, MOST_KEYRINGS = 3, MOST_LOOKERS = 16 };

/* A keyring that is read, key by key. */
struct reading {
	int32_t special; /* KEY_SPEC_*_KEYRING; 0: there is nothing to be read */
	struct known_keyring *keyring;
	int32_t keys[MOST_KEYS];
	size_t n_keys, at;
};

struct questions {
	size_t of_thread, of_process, text, keys;
	uint64_t text_buffer, keys_buffer;
	struct reading readings[MOST_KEYRINGS];
	/* What was asked last: a keyring, or one of its keys. */
	struct reading *asked;
	size_t serial, content;
	uint64_t content_buffer;
};

struct known_keyring {
	KeyringEntry *entry;
	bool whole; /* all of it has been read */
};

/* Kept over a dump: struct known_keyring by serial number. */
struct known_keyrings {
	struct table by_serial;
	uint32_t last_id;
};

static void *ask(const struct asking *asking)
{
	struct probe *probe = asking->probe;
	struct questions *questions = arena_new(asking->target->collect->arena, struct questions);

	/* Without a third argument these make none. */
	questions->of_thread = probe_ask(probe, SYS_keyctl, KEYCTL_GET_KEYRING_ID,
					 (uint64_t)KEY_SPEC_THREAD_KEYRING, 0);
	questions->of_process = probe_ask(probe, SYS_keyctl, KEYCTL_GET_KEYRING_ID,
					  (uint64_t)KEY_SPEC_PROCESS_KEYRING, 0);
	questions->text_buffer = probe_buffer(probe, TEXT_ROOM);
	questions->text =
		probe_ask(probe, SYS_keyctl, KEYCTL_DESCRIBE, (uint64_t)KEY_SPEC_SESSION_KEYRING,
			  questions->text_buffer, TEXT_ROOM);
	questions->keys_buffer = probe_buffer(probe, MOST_KEYS * sizeof(int32_t));
	questions->keys =
		probe_ask(probe, SYS_keyctl, KEYCTL_READ, (uint64_t)KEY_SPEC_SESSION_KEYRING,
			  questions->keys_buffer, MOST_KEYS * sizeof(int32_t));
	return questions;
}

static bool starts_with(const char *name, const char *start)
{
	return strncmp(name, start, strlen(start)) == 0;
}

/* Users with whose ids we look at keys. */
struct lookers {
	uint32_t uids[MOST_LOOKERS];
	size_t count;
};

static void add_lookers(struct lookers *lookers, const char *status)
{
	const char *field = procfs_field(status, "Uid:");
	uint64_t uids[4];
	size_t known;

	if (!field || procfs_numbers(field, 10, uids, 4) != 4)
		return;
	for (size_t i = 0; i < 4 && lookers->count < MOST_LOOKERS; i++) {
		for (known = 0; known < lookers->count && lookers->uids[known] != uids[i]; known++)
			;
		lookers->uids[known] = (uint32_t)uids[i];
		lookers->count += known == lookers->count;
	}
}

/*
 * Whose the keyring is that the thread has told of ("keyring;UID;GID;PERMISSIONS;NAME"): pam_keyinit
 * gives who becomes another one by su(1) a session keyring of that one, and su stays root's. In a
 * user namespace below, whose numbers these are, it is mostly somebody else, who sees nothing more.
 */
static void add_owner(struct lookers *lookers, const char *text)
{
	const char *uid = memchr(text, '\0', TEXT_ROOM) ? strchr(text, ';') : NULL;

	if (uid)
		lookers->uids[lookers->count++] = (uint32_t)strtoul(uid + 1, NULL, 10);
}

/*
 * Of a thread, or of who may have given it the key before it changed its ids: those above it; and
 * of what it has told.
 */
static struct lookers lookers_of(const struct asking *asking, const char *text)
{
	struct lookers lookers = { 0 };

	add_owner(&lookers, text);
	add_lookers(&lookers, asking->target->threads[asking->thread].status);
	for (const struct target *above = asking->target->parent; above; above = above->parent)
		add_lookers(&lookers, above->status);
	return lookers;
}

/*
 * Its owner may look at a key, and root alone not: so we look with the id for accesses of the task
 * (fsuid, which is what the kernel compares; key_task_permission, security/keys/permission.c).
 */
static long describe_key(int32_t key, uint32_t owner, char text[TEXT_ROOM])
{
	long length = syscall(SYS_keyctl, KEYCTL_DESCRIBE, key, text, TEXT_ROOM);

	if (length >= 0)
		return length;
	long own = syscall(SYS_setfsuid, owner);
	length = syscall(SYS_keyctl, KEYCTL_DESCRIBE, key, text, TEXT_ROOM);
	syscall(SYS_setfsuid, own);
	return length;
}

/* One that we may not look at is not plain. */
static bool is_plain_key(int32_t key, const struct lookers *lookers)
{
	char text[TEXT_ROOM] = "";
	long length = -1;

	for (size_t i = 0; i < lookers->count && length < 0; i++)
		length = describe_key(key, lookers->uids[i], text);
	const char *name = length > 0 && length <= TEXT_ROOM ? strrchr(text, ';') : NULL;
	return name && ((starts_with(text, "keyring;") && starts_with(name, ";_uid.")) ||
			(starts_with(text, "user;") && strcmp(name, ";invocation_id") == 0));
}

static bool are_plain_keys(const struct asking *asking, const struct questions *questions)
{
	const struct lookers lookers =
		lookers_of(asking, probe_bytes(asking->probe, questions->text_buffer));
	int64_t size = probe_result(asking->probe, questions->keys);
	int32_t keys[MOST_KEYS];

	if (size > (int64_t)sizeof keys)
		return false;
	memcpy(keys, probe_bytes(asking->probe, questions->keys_buffer), sizeof keys);
	for (int64_t i = 0; i < size / (int64_t)sizeof *keys; i++)
		if (!is_plain_key(keys[i], &lookers))
			return false;
	return true;
}

/* "keyring;UID;GID;PERMISSIONS;NAME" */
static bool is_plain_session(const struct asking *asking, const struct questions *questions)
{
	const char *text = probe_bytes(asking->probe, questions->text_buffer);
	const char *name;

	if (probe_result(asking->probe, questions->text) < 0) /* none, or no keyrings at all */
		return true;
	/* Of what has no room nothing is given. */
	if (!memchr(text, '\0', TEXT_ROOM))
		return false;
	name = strrchr(text, ';');
	return name && (starts_with(name, ";_ses") || starts_with(name, ";_uid_ses.")) &&
	       are_plain_keys(asking, questions);
}

/* --- keyrings of its own ------------------------------------------------------------------ */

/* What the kernel tells of a key without reading it (/proc/keys), in our numbers. */
struct key_facts {
	uint32_t uid, gid, permissions;
	bool lasts; /* it is as it was made, and has no end to its time */
};

/* "serial flags usage timeout permissions uid gid type description" */
static bool find_key(const char *text, int32_t key, struct key_facts *ret)
{
	char serial[LINE_ROOM], flags[LINE_ROOM], timeout[LINE_ROOM];

	snprintf(serial, sizeof serial, "%08x ", (unsigned)key);
	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, serial, strlen(serial)) != 0)
			continue;
		if (sscanf(line, "%*x %15s %*d %15s %x %u %u", flags, timeout, &ret->permissions,
			   &ret->uid, &ret->gid) != 5)
			return false;
		/* Revoked, dead, under construction, negative, invalidated. */
		ret->lasts = strcmp(timeout, "perm") == 0 && !strpbrk(flags, "RDUNi");
		return true;
	}
	return false;
}

/* As this user. 1, 0, or -1 with errno. */
static int look_as(uint32_t uid, bool as_we_are, int32_t key, struct key_facts *ret)
{
	long own = as_we_are ? 0 : syscall(SYS_setfsuid, uid);
	autofree char *text = NULL;
	ssize_t length = procfs_read_new(AT_FDCWD, "/proc/keys", &text);
	int failure = length < 0 ? errno : 0;

	if (!as_we_are)
		syscall(SYS_setfsuid, own);
	errno = failure;
	if (length < 0)
		return errno_tells_nothing(errno) ? -1 : 0;
	return find_key(text, key, ret);
}

/*
 * Shown to whoever may look at it, which its owner mostly may: as describe_key. 1, 0, or -1 with an
 * error.
 */
static int look_at_key(const struct asking *asking, const struct questions *questions, int32_t key,
		       struct key_facts *ret, struct error *err)
{
	const struct lookers lookers =
		lookers_of(asking, probe_bytes(asking->probe, questions->text_buffer));
	int found = look_as(0, true, key, ret);

	for (size_t i = 0; i < lookers.count && !found; i++)
		found = look_as(lookers.uids[i], false, key, ret);
	if (found < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot read /proc/keys");
	return found && ret->lasts;
}

static const char known_owner = 0;

static struct known_keyrings *known_keyrings(struct collect *collect)
{
	void **kept = collect_state(collect, &known_owner);

	if (!*kept)
		*kept = arena_new(collect->arena, struct known_keyrings);
	return *kept;
}

static void *ask_more(const struct asking *asking, void *asked)
{
	struct questions *questions = asked;
	struct reading *reading = questions->readings;

	while (reading < &questions->readings[MOST_KEYRINGS - 1] && !reading->special)
		reading++;
	uint64_t key = (uint64_t)reading->special;
	if (!reading->special)
		return NULL;
	questions->asked = reading;
	if (!reading->keyring)
		questions->serial = probe_ask(asking->probe, SYS_keyctl, KEYCTL_GET_KEYRING_ID,
					      (uint64_t)reading->special, 0);
	else
		key = (uint64_t)reading->keys[reading->at];
	questions->text_buffer = probe_buffer(asking->probe, TEXT_ROOM);
	questions->text = probe_ask(asking->probe, SYS_keyctl, KEYCTL_DESCRIBE, key,
				    questions->text_buffer, TEXT_ROOM);
	questions->content_buffer = probe_buffer(asking->probe, KEY_PAYLOAD_ROOM);
	questions->content = probe_ask(asking->probe, SYS_keyctl, KEYCTL_READ, key,
				       questions->content_buffer, KEY_PAYLOAD_ROOM);
	return questions;
}

static int lose(const struct asking *asking, struct reading *reading, const char *why)
{
	reading->special = 0;
	loss_add(asking->target, asking->thread, LOSS_KEYRINGS, why);
	return 0;
}

/* What DESCRIBE said after the four things before; NULL if it could not. */
static const char *name_of(const struct asking *asking, const struct questions *questions)
{
	const char *text = probe_bytes(asking->probe, questions->text_buffer);
	int64_t length = probe_result(asking->probe, questions->text);

	for (int fields = 0; fields < 4 && text; fields++) {
		text = length > 0 && length <= TEXT_ROOM ? strchr(text, ';') : NULL;
		text = text ? text + 1 : NULL;
	}
	return text && *text ? arena_printf(asking->target->collect->arena, "%s", text) : NULL;
}

static struct known_keyring *new_keyring(struct collect *collect, const char *name,
					 const struct key_facts *facts)
{
	struct known_keyring *keyring = arena_new(collect->arena, struct known_keyring);
	KeyringEntry *entry = snapshot_new(collect->snapshot, KEYRING_ENTRY, KeyringEntry);

	keyring->entry = entry;
	entry->id = ++known_keyrings(collect)->last_id;
	entry->name = (char *)(uintptr_t)name;
	entry->uid = facts->uid;
	entry->gid = facts->gid;
	entry->permissions = facts->permissions;
	return keyring;
}

/* Where the id of a keyring is recorded. */
struct place {
	protobuf_c_boolean *has;
	uint32_t *id;
};

static struct place place_of(const struct asking *asking, int32_t special)
{
	const struct task *task = asking->target->task;
	TaskCoreEntry *core = task->core->tc;
	ThreadCoreEntry *thread = task->threads[asking->thread]->thread_core;

	switch (special) {
	case KEY_SPEC_SESSION_KEYRING:
		return (struct place){ &core->has_session_keyring, &core->session_keyring };
	case KEY_SPEC_PROCESS_KEYRING:
		return (struct place){ &core->has_process_keyring, &core->process_keyring };
	default:
		return (struct place){ &thread->has_keyring, &thread->keyring };
	}
}

/* Has all of it the ids that it gets when the thread makes it, once it has no right to others? */
static bool is_thread_own(const struct target_thread *thread, const KeyringEntry *keyring)
{
	enum { REAL, FILE_SYSTEM = 3, IDS };
	const char *users = procfs_field(thread->status, "Uid:");
	const char *groups = procfs_field(thread->status, "Gid:");
	uint64_t uids[IDS], gids[IDS];

	if (!users || !groups || procfs_numbers(users, 10, uids, IDS) != IDS ||
	    procfs_numbers(groups, 10, gids, IDS) != IDS)
		return false;
	bool own =
		keyring->uid == uids[REAL] && keyring->gid == gids[REAL] && !keyring->user_keyring;
	for (size_t i = 0; i < keyring->n_keys; i++)
		own = own && keyring->keys[i]->uid == uids[FILE_SYSTEM] &&
		      keyring->keys[i]->gid == gids[FILE_SYSTEM];
	return own;
}

/* It has been read as a whole. Of threads the first one that is asked speaks for all. */
static int have_keyring(const struct asking *asking, struct reading *reading)
{
	struct known_keyring *keyring = reading->keyring;
	struct place place = place_of(asking, reading->special);

	if (reading->special == KEY_SPEC_THREAD_KEYRING) {
		if (!is_thread_own(&asking->target->threads[asking->thread], keyring->entry))
			return lose(asking, reading, "has one with keys that are not its own");
	} else if (asking->thread != asking->target->living && *place.id != keyring->entry->id) {
		return lose(asking, reading, "has others than the first thread");
	}
	if (!keyring->whole)
		snapshot_add_record(asking->target->collect->snapshot, IMAGE_KEYRINGS,
				    keyring->entry->id, keyring->entry);
	keyring->whole = true;
	*place.has = true;
	*place.id = keyring->entry->id;
	reading->special = 0;
	return 0;
}

static int answer_keyring(const struct asking *asking, struct questions *questions,
			  struct error *err)
{
	struct reading *reading = questions->asked;
	struct collect *collect = asking->target->collect;
	struct table *known = &known_keyrings(collect)->by_serial;
	int64_t serial = probe_result(asking->probe, questions->serial);
	int64_t size = probe_result(asking->probe, questions->content);
	const char *name = name_of(asking, questions);
	struct key_facts facts;

	int seen = serial <= 0 || size < 0 || size > (int64_t)sizeof reading->keys || !name
			   ? 0
			   : look_at_key(asking, questions, (int32_t)serial, &facts, err);
	if (seen < 0)
		return -1;
	if (!seen)
		return lose(asking, reading, "has one that cannot be read");
	reading->keyring = table_find(known, (uint64_t)serial);
	if (reading->keyring)
		return reading->keyring->whole
			       ? have_keyring(asking, reading)
			       : lose(asking, reading, "has one that cannot be read");
	reading->keyring = new_keyring(collect, name, &facts);
	table_add(known, collect->arena, (uint64_t)serial, reading->keyring);
	memcpy(reading->keys, probe_bytes(asking->probe, questions->content_buffer),
	       sizeof reading->keys);
	reading->n_keys = (size_t)size / sizeof *reading->keys;
	return reading->n_keys ? 0 : have_keyring(asking, reading);
}

static void add_key(const struct asking *asking, struct reading *reading, const char *name,
		    const struct key_facts *facts, const void *payload, size_t size)
{
	struct collect *collect = asking->target->collect;
	KeyEntry *key = snapshot_new(collect->snapshot, KEY_ENTRY, KeyEntry);
	KeyringEntry *ring = reading->keyring->entry;

	key->description = (char *)(uintptr_t)name;
	key->uid = facts->uid;
	key->gid = facts->gid;
	key->permissions = facts->permissions;
	key->payload.data = arena_copy(collect->arena, payload, size);
	key->payload.len = size;
	ring->keys = arena_grow(collect->arena, ring->keys, ring->n_keys, sizeof *ring->keys);
	ring->keys[ring->n_keys++] = key;
}

/*
 * Is it the user's keyring of our root, in a keyring of his? By its name alone it may be that of a
 * root of another user namespace, who has no right to what ours has.
 */
static bool is_roots_own(const KeyringEntry *keyring, const char *name,
			 const struct key_facts *facts)
{
	return strcmp(name, "_uid.0") == 0 && facts->uid == 0 && keyring->uid == 0;
}

static void link_user_keyring(KeyringEntry *keyring)
{
	keyring->has_user_keyring = true;
	keyring->user_keyring = true;
}

static int answer_key(const struct asking *asking, struct questions *questions, struct error *err)
{
	struct reading *reading = questions->asked;
	int64_t size = probe_result(asking->probe, questions->content);
	const char *text = probe_bytes(asking->probe, questions->text_buffer);
	const char *name = name_of(asking, questions);
	struct key_facts facts;

	int seen =
		name ? look_at_key(asking, questions, reading->keys[reading->at], &facts, err) : 0;
	if (seen < 0)
		return -1;
	if (!seen)
		return lose(asking, reading, "has a key that cannot be looked at, or has an end");
	if (starts_with(text, "keyring;") && is_roots_own(reading->keyring->entry, name, &facts))
		link_user_keyring(reading->keyring->entry);
	else if (!starts_with(text, "user;"))
		return lose(asking, reading, "has a key that is not of the type user");
	else if (size <= 0 || size > KEY_PAYLOAD_ROOM)
		return lose(asking, reading, "has a key that cannot be read, or is large");
	else
		add_key(asking, reading, name, &facts,
			probe_bytes(asking->probe, questions->content_buffer), (size_t)size);
	return ++reading->at == reading->n_keys ? have_keyring(asking, reading) : 0;
}

static int answer_more(const struct asking *asking, void *more, struct error *err)
{
	struct questions *questions = more;

	return questions->asked->keyring ? answer_key(asking, questions, err)
					 : answer_keyring(asking, questions, err);
}

static int answer(const struct asking *asking, void *asked, struct error *err)
{
	struct probe *probe = asking->probe;
	struct target *target = asking->target;
	size_t thread = asking->thread;
	struct questions *questions = asked;

	(void)err;
	if (probe_result(probe, questions->of_thread) == PROBE_FORBIDDEN ||
	    probe_result(probe, questions->text) == PROBE_FORBIDDEN) {
		loss_forbidden(target, thread, LOSS_KEYRINGS);
		return 0;
	}
	bool plain = is_plain_session(asking, questions);
	bool process = probe_result(probe, questions->of_process) > 0;
	const TaskCoreEntry *core = target->task->core->tc;
	if (thread != target->living &&
	    ((plain && core->has_session_keyring) || (!process && core->has_process_keyring))) {
		loss_add(target, thread, LOSS_KEYRINGS, "has others than the first thread");
		return 0;
	}
	struct reading *reading = questions->readings;
	if (!plain)
		reading++->special = KEY_SPEC_SESSION_KEYRING;
	if (process)
		reading++->special = KEY_SPEC_PROCESS_KEYRING;
	if (probe_result(probe, questions->of_thread) > 0)
		reading->special = KEY_SPEC_THREAD_KEYRING;
	return 0;
}

const struct task_kind keyrings_kind = {
	.name = "keyrings",
	.per_thread = true,
	.ask = ask,
	.answer = answer,
	.ask_more = ask_more,
	.answer_more = answer_more,
	.check = keyrings_check,
	.plan = keyrings_plan,
	.hand_down = keyrings_hand_down,
};
