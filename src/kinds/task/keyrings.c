// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Keyrings of a thread, its process and its session (keyrings(7)). Serial numbers are the kernel's,
 * and what is in them may be read by nobody but who may: they do not come back, so a task that has
 * made some is refused.
 *
 * A plain session keyring is no state of a task's own: a login, a service manager or a container
 * runtime gave it one ("_ses", "_ses.NAME"), or it is that of the user ("_uid_ses.N"), with nothing
 * in it but a link to the user's keyring and systemd's "invocation_id". The restored task has that
 * of whoever restores it. A session keyring that a task joined by another name, or put keys into,
 * is its own.
 */
#include "kinds/task/task.h"

#include "base/procfs.h"
#include "collect/collect.h"
#include "collect/losses.h"
#include "collect/probe.h"

#include <linux/keyctl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { TEXT_ROOM = 256, MOST_KEYS = 16 };

struct questions {
	size_t of_thread, of_process, text, keys;
	uint64_t text_buffer, keys_buffer;
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
static bool is_plain_key(int32_t key, const uint64_t uids[4])
{
	char text[TEXT_ROOM] = "";
	long length = -1;

	for (size_t i = 0; i < 4 && length < 0; i++)
		length = describe_key(key, (uint32_t)uids[i], text);
	const char *name = length > 0 && length <= TEXT_ROOM ? strrchr(text, ';') : NULL;
	return name && ((starts_with(text, "keyring;") && starts_with(name, ";_uid.")) ||
			(starts_with(text, "user;") && strcmp(name, ";invocation_id") == 0));
}

static bool are_plain_keys(const struct probe *probe, const struct questions *questions,
			   const struct target_thread *thread)
{
	const char *field = procfs_field(thread->status, "Uid:");
	uint64_t uids[4] = { 0 };

	int64_t size = probe_result(probe, questions->keys);
	int32_t keys[MOST_KEYS];

	if (size > (int64_t)sizeof keys || !field || procfs_numbers(field, 10, uids, 4) != 4)
		return false;
	memcpy(keys, probe_bytes(probe, questions->keys_buffer), sizeof keys);
	for (int64_t i = 0; i < size / (int64_t)sizeof *keys; i++)
		if (!is_plain_key(keys[i], uids))
			return false;
	return true;
}

/* "keyring;UID;GID;PERMISSIONS;NAME" */
static bool is_plain_session(const struct probe *probe, const struct questions *questions,
			     const struct target_thread *thread)
{
	const char *text = probe_bytes(probe, questions->text_buffer);
	int64_t length = probe_result(probe, questions->text);

	const char *name;

	if (length < 0) /* there is none, or no keyrings at all */
		return true;
	if (length > TEXT_ROOM || text[length ? length - 1 : 0])
		return false;
	name = strrchr(text, ';');
	return name && (starts_with(name, ";_ses") || starts_with(name, ";_uid_ses.")) &&
	       are_plain_keys(probe, questions, thread);
}

static int answer(const struct asking *asking, void *asked, struct error *err)
{
	struct probe *probe = asking->probe;
	struct target *target = asking->target;
	size_t thread = asking->thread;
	const struct questions *questions = asked;

	(void)err;
	if (probe_result(probe, questions->of_thread) == PROBE_FORBIDDEN ||
	    probe_result(probe, questions->text) == PROBE_FORBIDDEN) {
		loss_forbidden(target, thread, LOSS_KEYRINGS);
		return 0;
	}
	if (probe_result(probe, questions->of_thread) > 0 ||
	    probe_result(probe, questions->of_process) > 0 ||
	    !is_plain_session(probe, questions, &target->threads[thread]))
		loss_add(target, thread, LOSS_KEYRINGS, "has what nestor does not give again");
	return 0;
}

const struct task_kind keyrings_kind = {
	.name = "keyrings",
	.per_thread = true,
	.ask = ask,
	.answer = answer,
};
