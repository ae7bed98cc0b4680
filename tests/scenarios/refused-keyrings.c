// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-keyrings
 * promise: a keyring with keys that cannot be read or come to an end, or with keyrings in it, or
 *   that not all threads have, is refused by name, and stays
 * flavours: flat three user user-three unprivileged
 * arguments: logon nested timeout thread session process
 * refused: state-lost
 */
#include "scenario.h"

#include <linux/keyctl.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The session keyring or that of the process, which one of two threads has alone. */
static int32_t own_ring;
static pthread_barrier_t barrier;

static long make_own(void)
{
	long ring = own_ring == KEY_SPEC_SESSION_KEYRING
			    ? syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL)
			    : syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, own_ring, 1);

	scenario_need(ring > 0 && syscall(SYS_add_key, "user", "k:k", "value", 5, own_ring) > 0,
		      "a keyring of its own");
	return ring;
}

static long seen(void)
{
	return syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, own_ring, 0);
}

static void *live(void *has_it)
{
	long ring = has_it ? make_own() : seen();

	pthread_barrier_wait(&barrier);
	scenario_wait_restored();
	scenario_check(seen() == ring, "the thread has another keyring");
	return NULL;
}

static int keep_in_one(int32_t which, bool in_thread)
{
	pthread_t thread = 0;

	own_ring = which;
	scenario_need(pthread_barrier_init(&barrier, NULL, 2) == 0 &&
			      pthread_create(&thread, NULL, live, in_thread ? &thread : NULL) == 0,
		      "a thread");
	pthread_barrier_wait(&barrier);
	long ring = in_thread ? seen() : make_own();
	scenario_ready();
	scenario_check(seen() == ring, "the first thread has another keyring");
	pthread_join(thread, NULL);
	return scenario_end();
}

int main(int argc, char **argv)
{
	const int32_t ring = KEY_SPEC_SESSION_KEYRING;
	const char *type = "user";

	scenario_begin(argc, argv);
	if (strcmp(argv[2], "thread") == 0)
		return keep_in_one(KEY_SPEC_SESSION_KEYRING, true);
	if (strcmp(argv[2], "session") == 0)
		return keep_in_one(KEY_SPEC_SESSION_KEYRING, false);
	if (strcmp(argv[2], "process") == 0)
		return keep_in_one(KEY_SPEC_PROCESS_KEYRING, false);
	scenario_need(syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) > 0,
		      "a session keyring");
	if (strcmp(argv[2], "logon") == 0)
		type = "logon";
	if (strcmp(argv[2], "nested") == 0)
		type = "keyring";
	bool empty = strcmp(type, "keyring") == 0;
	long key = syscall(SYS_add_key, type, "k:k", empty ? NULL : "value", empty ? 0 : 5, ring);
	scenario_need(key > 0, "add_key");
	scenario_need(strcmp(argv[2], "timeout") != 0 ||
			      syscall(SYS_keyctl, KEYCTL_SET_TIMEOUT, key, 1000) == 0,
		      "a time");
	scenario_ready();
	scenario_check(syscall(SYS_keyctl, KEYCTL_SEARCH, ring, type, "k:k", 0) == key,
		       "the key is gone");
	return scenario_end();
}
