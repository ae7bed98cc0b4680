// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: sleeping
 * promise: a task that only waits goes on, as the same process, with its memory
 * flavours: flat fresh one three user user-three unprivileged unprivileged-three ordinary
 */
#include "scenario.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char written[100000];

int main(int argc, char **argv)
{
	char on_stack[64];

	scenario_begin(argc, argv);
	pid_t pid = getpid(), parent = getppid();
	memset(written, 'w', sizeof written);
	snprintf(on_stack, sizeof on_stack, "pid %d", (int)pid);

	scenario_ready();

	scenario_check(getpid() == pid, "getpid() is %d, was %d", (int)getpid(), (int)pid);
	/* The parent of a flat tree's root is the runner, which is outside of the tree. */
	scenario_check(parent != 1 || getppid() == 1, "getppid() is %d, was 1", (int)getppid());
	scenario_check(written[0] == 'w' && !memcmp(written, written + 1, sizeof written - 1),
		       "static memory has another content");
	char expected[64];
	snprintf(expected, sizeof expected, "pid %d", (int)pid);
	scenario_check(!strcmp(on_stack, expected), "the stack has another content");
	return scenario_end();
}
