// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: memory-no-vdso
 * promise: a task that has unmapped its vdso is asked nevertheless, and has none afterwards; data
 *	of it that was kept is where it was, and the program itself is as its file has it
 * flavours: flat one three user user-three
 * arguments: all code
 * rounds: 2
 */
#include "vdso.h"

#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern const char __executable_start[], etext[];

static unsigned long sum_of_program(void)
{
	unsigned long sum = 0;

	for (const char *at = __executable_start; at < etext; at++)
		sum = sum * 31 + (unsigned char)*at;
	return sum;
}

struct child {
	int told[2], asked[2];
	bool code_only;
};

/* A child, since the runner's side of a program asks for the time. */
static int live_without(void *data)
{
	const struct child *child = data;
	struct vdso_areas before, after;
	unsigned long sum = sum_of_program();
	char byte;

	vdso_unmap(child->code_only);
	vdso_find(&before, false);
	signal(SIGUSR1, SIG_IGN);
	scenario_need(write(child->told[1], "", 1) == 1, "write");
	syscall(SYS_read, child->asked[0], &byte, 1);
	vdso_find(&after, false);
	bool same = after.n_code == 0 && after.n == before.n && sum == sum_of_program() &&
		    signal(SIGUSR1, SIG_DFL) == SIG_IGN;
	for (size_t i = 0; i < after.n && same; i++)
		same = after.starts[i] == before.starts[i] && after.ends[i] == before.ends[i];
	return same ? 0 : 1;
}

int main(int argc, char **argv)
{
	struct child child;
	pid_t pid;
	char byte;
	int status;

	scenario_begin(argc, argv);
	child.code_only = !strcmp(argv[2], "code");
	scenario_need(!pipe(child.told) && !pipe(child.asked), "pipe");
	pid = scenario_child(live_without, &child);
	scenario_need(read(child.told[0], &byte, 1) == 1, "read");
	scenario_ready();
	scenario_need(write(child.asked[1], "", 1) == 1, "write");
	scenario_need(waitpid(pid, &status, 0) == pid, "waitpid");
	scenario_check(status == 0, "the child ended with %x", (unsigned)status);
	return scenario_end();
}
