// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: task-strict
 * promise: a task in the strict mode of seccomp comes back with it; it is also what tests/commands
 *   dumps without the right to suspend that mode, and so without asking it anything
 * flavours: flat user
 * needs: seccomp-filters
 */
#include "scenario.h"

#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static int ends[2];

/* read, write, exit and sigreturn are all it may do. */
static int strict(void *data)
{
	char byte;

	(void)data;
	scenario_mark("inside");
	prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
	long got = syscall(SYS_read, ends[0], &byte, 1);
	syscall(SYS_exit, got == 1 && byte == 's' ? 0 : 1);
	return 1;
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	scenario_need(pipe(ends) == 0, "pipe");
	pid_t child = scenario_child(strict, NULL);
	scenario_wait_mark("inside");
	scenario_sleep_ms(20);

	scenario_ready();

	scenario_check(write(ends[1], "s", 1) == 1, "write");
	scenario_reap(child);
	return scenario_end();
}
