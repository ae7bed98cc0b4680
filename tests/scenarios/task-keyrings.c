// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: task-keyrings
 * promise: a session keyring that a task joined by a name, or put keys into, and the keyrings of a
 *   process and of threads come back with names, owners, permissions and keys; who had it in common
 *   has it in common, and nobody else has it
 * flavours: flat three user user-three
 * arguments: named anonymous process thread
 */
#include "scenario.h"

#include <linux/keyctl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { ROOM = 256, POSSESSOR_READS = 0x1f010000 };

static int32_t ring = KEY_SPEC_SESSION_KEYRING;

static long find(const char *name)
{
	return syscall(SYS_keyctl, KEYCTL_SEARCH, ring, "user", name, 0);
}

/* How the ring and its keys are shown, without their numbers. */
static void look(char text[3][ROOM])
{
	const long keys[] = { ring, find("first"), find("second") };

	memset(text, 0, 3 * (size_t)ROOM);
	for (int i = 0; i < 3; i++)
		scenario_check(syscall(SYS_keyctl, KEYCTL_DESCRIBE, keys[i], text[i], ROOM) > 0,
			       "key %d is not seen", i);
}

static void check_payload(const char *name, const char *payload, size_t size)
{
	char is[ROOM] = "";

	scenario_check(syscall(SYS_keyctl, KEYCTL_READ, find(name), is, sizeof is) == (long)size &&
			       memcmp(is, payload, size) == 0,
		       "%s has another payload", name);
}

/* The number of keys, and no key that is not ours. */
static void check_number(void)
{
	int32_t keys[16];

	scenario_check(syscall(SYS_keyctl, KEYCTL_READ, ring, keys, sizeof keys) ==
			       2 * sizeof *keys,
		       "there are other keys");
}

static void make(void)
{
	long first = syscall(SYS_add_key, "user", "first", "one\0more", 8, ring);
	long second = syscall(SYS_add_key, "user", "second", "two", 3, ring);

	scenario_need(first > 0 && second > 0, "add_key");
	scenario_need(syscall(SYS_keyctl, KEYCTL_SETPERM, second, POSSESSOR_READS | 0x2f) == 0,
		      "permissions");
}

static void check(char was[3][ROOM])
{
	char is[3][ROOM];

	look(is);
	for (int i = 0; i < 3; i++)
		scenario_check(strcmp(is[i], was[i]) == 0, "%s, and was %s", is[i], was[i]);
	check_payload("first", "one\0more", 8);
	check_payload("second", "two", 3);
	check_number();
}

/* What one that has it in common adds to it is seen by the others. */
static int shares(void *was)
{
	scenario_mark("shares");
	scenario_wait_restored();
	check(was);
	scenario_check(syscall(SYS_add_key, "user", "third", "3", 1, ring) > 0,
		       "it cannot be used");
	scenario_mark("third");
	return 0;
}

static int leaves(void *unused)
{
	(void)unused;
	scenario_need(syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) > 0, "join");
	scenario_mark("leaves");
	scenario_wait_restored();
	scenario_check(find("first") < 0, "it has keys of a session that it had left");
	return 0;
}

static void *in_thread(void *was)
{
	shares(was);
	return NULL;
}

/* Its own is another one. */
static void *with_own(void *unused)
{
	char was[3][ROOM];

	scenario_check(find("first") < 0, "it begins with one");
	make();
	look(was);
	scenario_mark("own");
	scenario_wait_restored();
	check(was);
	scenario_check(syscall(SYS_add_key, "user", "third", "3", 1, ring) > 0,
		       "it cannot be used");
	scenario_mark("third");
	return unused;
}

static void join(bool named)
{
	char name[ROOM];

	scenario_own_name(name, sizeof name);
	scenario_need(syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, named ? name : NULL) > 0,
		      "a session keyring");
}

static void check_session(char was[3][ROOM], pid_t other, pid_t gone)
{
	scenario_check(find("third") > 0, "it is not in common");
	syscall(SYS_keyctl, KEYCTL_UNLINK, find("third"), ring);
	check(was);
	scenario_reap(other);
	scenario_reap(gone);
}

static void with_session(bool named)
{
	static char was[3][ROOM];

	join(named);
	make();
	look(was);
	pid_t other = scenario_child(shares, was);
	pid_t gone = scenario_child(leaves, NULL);
	scenario_wait_mark("leaves");
	scenario_wait_mark("shares");
	scenario_ready();
	scenario_wait_mark("third");
	check_session(was, other, gone);
}

static void with_thread(bool own)
{
	static char was[3][ROOM];
	pthread_t thread;

	ring = own ? KEY_SPEC_THREAD_KEYRING : KEY_SPEC_PROCESS_KEYRING;
	make();
	look(was);
	scenario_need(pthread_create(&thread, NULL, own ? with_own : in_thread, was) == 0,
		      "thread");
	scenario_wait_mark(own ? "own" : "shares");
	scenario_ready();
	scenario_wait_mark("third");
	scenario_check((find("third") > 0) == !own, "what the other thread has is not as it was");
	if (!own)
		syscall(SYS_keyctl, KEYCTL_UNLINK, find("third"), ring);
	check(was);
	pthread_join(thread, NULL);
}

int main(int argc, char **argv)
{
	const char *which = argc > 2 ? argv[2] : "named";

	scenario_begin(argc, argv);
	if (strcmp(which, "process") == 0 || strcmp(which, "thread") == 0)
		with_thread(strcmp(which, "thread") == 0);
	else
		with_session(strcmp(which, "named") == 0);
	return scenario_end();
}
