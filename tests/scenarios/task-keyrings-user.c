// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: task-keyrings-user
 * promise: a session keyring in which that of the user is, as services and logins have it, leads
 *	to the user's keys again, and has none besides
 * flavours: flat one three
 * needs: initial-user-namespace
 */
#include "scenario.h"

#include <linux/keyctl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

static char name[64];

static long find(int32_t ring)
{
	return syscall(SYS_keyctl, KEYCTL_SEARCH, ring, "user", name, 0);
}

static void forget(long key)
{
	syscall(SYS_keyctl, KEYCTL_UNLINK, key, KEY_SPEC_USER_KEYRING);
}

int main(int argc, char **argv)
{
	int32_t keys[4] = { 0 };

	scenario_begin(argc, argv);
	scenario_own_name(name, sizeof name);
	scenario_need(syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) > 0, "a session");
	scenario_need(syscall(SYS_add_key, "user", name, "1", 1, KEY_SPEC_USER_KEYRING) > 0,
		      "a key of the user");
	const long key = find(KEY_SPEC_USER_KEYRING);
	scenario_need(find(KEY_SPEC_SESSION_KEYRING) < 0, "it is in the session already");
	scenario_need(syscall(SYS_keyctl, KEYCTL_LINK, KEY_SPEC_USER_KEYRING,
			      KEY_SPEC_SESSION_KEYRING) == 0,
		      "the user's keyring in the session");

	scenario_ready();

	const long found = find(KEY_SPEC_SESSION_KEYRING);
	const long ring = syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_USER_KEYRING, 0);
	const long size =
		syscall(SYS_keyctl, KEYCTL_READ, KEY_SPEC_SESSION_KEYRING, keys, sizeof keys);
	forget(key);
	scenario_check(found == key, "the user's key is %ld, and was %ld", found, key);
	scenario_check(size == sizeof *keys && keys[0] == ring, "the session has other keys");
	return scenario_end();
}
