// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A tree for tests/faults/dumps: sleepers N [stopped | large | filtered]. A root with N children
 * that all sleep; every other child is stopped, or the root has a GiB of addresses, or the children
 * have a filter that kills them for anything else. Says "r" when all is there.
 */
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void sleep_for_ever(void)
{
	for (;;)
		pause();
}

static void filter(void)
{
	struct sock_filter instructions[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pause, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	};
	const struct sock_fprog program = { sizeof instructions / sizeof *instructions,
					    instructions };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program))
		_exit(1);
}

int main(int argc, char **argv)
{
	int n = argc > 1 ? atoi(argv[1]) : 0;
	bool stopped = argc > 2 && strcmp(argv[2], "stopped") == 0;
	bool filtered = argc > 2 && strcmp(argv[2], "filtered") == 0;

	if (argc > 2 && !stopped && !filtered &&
	    mmap(NULL, 1 << 30, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		 -1, 0) == MAP_FAILED)
		return 1;

	for (int i = 0; i < n; i++) {
		pid_t pid = fork();

		if (pid < 0)
			return 1;
		if (pid == 0) {
			dup2(STDIN_FILENO, STDOUT_FILENO);
			if (stopped && i % 2)
				raise(SIGSTOP);
			if (filtered)
				filter();
			sleep_for_ever();
		}
		if (stopped && i % 2)
			waitpid(pid, NULL, WUNTRACED);
	}
	if (write(STDOUT_FILENO, "r", 1) != 1)
		return 1;
	dup2(STDIN_FILENO, STDOUT_FILENO);
	sleep_for_ever();
}
