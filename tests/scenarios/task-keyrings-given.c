// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: task-keyrings-given
 * promise: a session keyring that belongs to another user than who has it, and than all above, as
 *	su(1) has one that pam_keyinit(8) has made, comes back with its owner and key
 * flavours: flat one three
 * needs: initial-user-namespace
 */
#include "scenario.h"

#include <linux/keyctl.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { ANOTHER = 65533, ROOM = 256 };

static void describe(char text[ROOM])
{
	long length =
		syscall(SYS_keyctl, KEYCTL_DESCRIBE, KEY_SPEC_SESSION_KEYRING, text, ROOM - 1);

	scenario_check(length > 0 && length < ROOM, "it cannot be looked at");
}

int main(int argc, char **argv)
{
	char before[ROOM] = "", after[ROOM] = "", byte = 0;
	int32_t keys[4] = { 0 };

	scenario_begin(argc, argv);
	scenario_need(setreuid(ANOTHER, (uid_t)-1) == 0, "another user");
	scenario_need(syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, "given") > 0, "a session");
	scenario_need(setreuid(0, (uid_t)-1) == 0, "root");
	scenario_need(syscall(SYS_add_key, "user", "key", "1", 1, KEY_SPEC_SESSION_KEYRING) > 0,
		      "a key");
	describe(before);
	scenario_need(strncmp(before, "keyring;65533;", 14) == 0, "it is root's: %s", before);

	scenario_ready();

	describe(after);
	scenario_check(strcmp(after, before) == 0, "%s became %s", before, after);
	scenario_check(syscall(SYS_keyctl, KEYCTL_READ, KEY_SPEC_SESSION_KEYRING, keys,
			       sizeof keys) == sizeof *keys &&
			       syscall(SYS_keyctl, KEYCTL_READ, keys[0], &byte, 1) == 1 &&
			       byte == '1',
		       "its key");
	return scenario_end();
}
