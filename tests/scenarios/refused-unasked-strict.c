// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-unasked-strict
 * promise: a task in strict mode, which nobody can ask anything, is not guessed at, and not harmed
 * flavours: flat three user-three
 * needs: seccomp-filters
 * refused: state-lost
 */
#include "scenario.h"

#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int go[2], left[2];
	char byte = 0;

	scenario_begin(argc, argv);
	scenario_need(!pipe(go) && !pipe(left), "pipe");
	pid_t child = fork();
	if (child == 0) {
		prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
		syscall(SYS_write, left[1], "r", 1);
		syscall(SYS_read, go[0], &byte, 1);
		syscall(SYS_exit, byte == 'g' ? 0 : 1);
	}
	scenario_need(read(left[0], &byte, 1) == 1, "read");
	scenario_ready();
	scenario_check(write(go[1], "g", 1) == 1, "write");
	scenario_reap(child);
	return scenario_end();
}
