// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: task-unasked
 * promise: what a filter kills for being asked comes back all the same: an alternate stack, an
 *	interval timer, a handler and its flags, whom a task adopts, whose end it is told of, what
 *	its capabilities do; and nobody is killed. Afterwards the filter still kills
 * flavours: flat three user user-three
 * needs: seccomp-filters initial-user-namespace
 */
#include "scenario.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

/* The filter lets through who has this as sixth argument, at which none of these calls looks. */
enum { WORD = 0x6e657374, STACK_SIZE = 16384, SECONDS = 5000, KERNEL_SIGSET = 8 };

static const int asked[] = { SYS_prctl, SYS_sigaltstack, SYS_getitimer, SYS_rt_sigaction,
			     SYS_keyctl };
enum { N_ASKED = sizeof asked / sizeof *asked };

static char *stack;

static long call(int number, long first, long second, long third, long fourth)
{
	return syscall(number, first, second, third, fourth, 0L, (long)WORD);
}

static void install(void)
{
	struct sock_filter filter[N_ASKED + 5];
	size_t n = 0;

	filter[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
						   offsetof(struct seccomp_data, args[5]));
	filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, WORD, N_ASKED + 1, 0);
	filter[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
						   offsetof(struct seccomp_data, nr));
	for (size_t i = 0; i < N_ASKED; i++)
		filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
							   (unsigned)asked[i], N_ASKED - i, 0);
	filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
	const struct sock_fprog program = { (unsigned short)n, filter };
	scenario_need(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
			      !syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program),
		      "seccomp: %s", strerror(errno));
}

static void handle(int signal)
{
	(void)signal;
}

static void set_up(void)
{
	const stack_t alternate = { .ss_sp = stack, .ss_size = STACK_SIZE };
	const struct itimerval timer = { .it_value.tv_sec = SECONDS };
	struct sigaction action = { .sa_handler = handle, .sa_flags = SA_ONSTACK | SA_NODEFER };

	sigaddset(&action.sa_mask, SIGWINCH);
	scenario_need(sigaltstack(&alternate, NULL) == 0 &&
			      setitimer(ITIMER_VIRTUAL, &timer, NULL) == 0 &&
			      sigaction(SIGUSR2, &action, NULL) == 0 &&
			      prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0 &&
			      prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0) == 0 &&
			      prctl(PR_SET_PDEATHSIG, SIGWINCH, 0, 0, 0) == 0,
		      "setting up: %s", strerror(errno));
}

struct kernel_action {
	void (*handler)(int);
	unsigned long flags;
	void (*restorer)(void);
	uint64_t mask;
};

static void check(void)
{
	struct kernel_action action;
	struct itimerval timer;
	stack_t alternate;
	int adopts = 0, death = 0;

	scenario_check(call(SYS_sigaltstack, 0, (long)&alternate, 0, 0) == 0 &&
			       alternate.ss_sp == stack && alternate.ss_size == STACK_SIZE,
		       "the alternate stack is another one");
	scenario_check(call(SYS_getitimer, ITIMER_VIRTUAL, (long)&timer, 0, 0) == 0 &&
			       timer.it_value.tv_sec > SECONDS / 2,
		       "the timer is another one");
	scenario_check(call(SYS_rt_sigaction, SIGUSR2, 0, (long)&action, KERNEL_SIGSET) == 0 &&
			       action.handler == handle &&
			       (action.flags & (SA_ONSTACK | SA_NODEFER)) ==
				       (SA_ONSTACK | SA_NODEFER) &&
			       action.mask == UINT64_C(1) << (SIGWINCH - 1),
		       "the handler is another one");
	scenario_check(call(SYS_prctl, PR_GET_CHILD_SUBREAPER, (long)&adopts, 0, 0) == 0 && adopts,
		       "it adopts nobody");
	scenario_check(call(SYS_prctl, PR_GET_SECUREBITS, 0, 0, 0) == SECBIT_NO_SETUID_FIXUP,
		       "its securebits are others");
	scenario_check(call(SYS_prctl, PR_GET_PDEATHSIG, (long)&death, 0, 0) == 0 &&
			       death == SIGWINCH,
		       "the signal for the end of its parent is another one");
}

static void check_filter(void)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		syscall(SYS_prctl, PR_GET_DUMPABLE, 0, 0, 0, 0);
		_exit(0);
	}
	scenario_check(pid > 0 && waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) &&
			       WTERMSIG(status) == SIGSYS,
		       "the filter does not kill any more");
}

static int filtered(void *unused)
{
	(void)unused;
	set_up();
	install();
	scenario_mark("filtered");
	scenario_wait_restored();
	check();
	check_filter();
	return 0;
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	scenario_need(stack != MAP_FAILED, "mmap: %s", strerror(errno));
	pid_t pid = scenario_child_in(0, filtered, NULL);
	scenario_wait_mark("filtered");

	scenario_ready();

	scenario_reap(pid);
	return scenario_end();
}
