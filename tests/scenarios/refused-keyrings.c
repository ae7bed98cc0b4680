// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-keyrings
 * promise: a keyring with keys that cannot be read or come to an end, or with keyrings in it, is
 *   refused by name, and stays
 * flavours: flat three user user-three unprivileged
 * arguments: logon nested timeout
 * refused: state-lost
 */
#include "scenario.h"

#include <linux/keyctl.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	const int32_t ring = KEY_SPEC_SESSION_KEYRING;
	const char *type = "user";

	scenario_begin(argc, argv);
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
