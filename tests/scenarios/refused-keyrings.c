// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-keyrings
 * promise: a task with a keyring of its own, of a thread, its process or a session that it
 *   joined, is refused by name, and keeps it
 * flavours: flat three user user-three unprivileged
 * arguments: thread process session content
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
	int32_t ring = KEY_SPEC_SESSION_KEYRING;

	scenario_begin(argc, argv);
	if (strcmp(argv[2], "thread") == 0)
		ring = KEY_SPEC_THREAD_KEYRING;
	else if (strcmp(argv[2], "process") == 0)
		ring = KEY_SPEC_PROCESS_KEYRING;
	else
		scenario_need(syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING,
				      strcmp(argv[2], "session") == 0 ? "mine" : NULL) > 0,
			      "a session keyring");
	long key = syscall(SYS_add_key, "user", "k", "value", 5, ring);
	scenario_need(key > 0, "add_key");
	syscall(SYS_add_key, "user", "other", "value", 5, ring);
	scenario_ready();
	scenario_check(syscall(SYS_keyctl, KEYCTL_SEARCH, ring, "user", "k", 0) == key,
		       "the key is gone");
	return scenario_end();
}
