// SPDX-License-Identifier: LGPL-2.1-or-later
/* Children of deputies; see deputy.h. The C library has no clone3 that takes a stack. */
#include "kernel/deputy.h"

#include "kernel/end-child.h"

#include <errno.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* On the deputy's own. */
enum { STACK_BYTES = 64 << 10 };

/* The child's registers are the caller's, but for stack and result. */
static long clone_working(const struct clone_args *args, const struct deputy_child *child)
{
	long result;

	__asm__ volatile("syscall\n\t"
			 "testq %%rax, %%rax\n\t"
			 "jnz 1f\n\t"
			 "movq %[data], %%rdi\n\t"
			 "callq *%[work]\n\t"
			 "xorl %%edi, %%edi\n\t"
			 "movl %[exit], %%eax\n\t"
			 "syscall\n\t"
			 "ud2\n"
			 "1:"
			 : "=a"(result)
			 : "a"(SYS_clone3), "D"(args), "S"(sizeof *args), [data] "r"(child->data),
			   [work] "r"(child->work), [exit] "i"(SYS_exit)
			 : "rcx", "r11", "memory");
	return result;
}

pid_t deputy_bear(const struct deputy_child *child)
{
	_Alignas(16) uint8_t stack[STACK_BYTES];
	struct clone_args args = {
		.flags = CLONE_VM | CLONE_VFORK | CLONE_FILES,
		.stack = (uintptr_t)stack,
		.stack_size = sizeof stack,
		.set_tid = (uintptr_t)child->numbers,
		.set_tid_size = child->n,
	};
	long result = clone_working(&args, child);

	if (result < 0)
		errno = (int)-result;
	return result < 0 ? -1 : (pid_t)result;
}

/* It may change nothing, as what it would change is the deputy's: errno, too. */
static void be_there(void *data)
{
	const pid_t *deputy = data;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (getppid() == *deputy)
		syscall(SYS_pause);
}

int deputy_beside_child(uint64_t namespaces,
			int (*meanwhile)(pid_t child, void *data, struct error *err), void *data,
			struct error *err)
{
	_Alignas(16) uint8_t stack[STACK_BYTES];
	pid_t deputy = getpid();
	const struct deputy_child child = { .work = be_there, .data = &deputy };
	struct clone_args args = {
		.flags = CLONE_VM | CLONE_FILES | namespaces,
		.stack = (uintptr_t)stack,
		.stack_size = sizeof stack,
	};
	long pid = clone_working(&args, &child);

	if (pid < 0) {
		errno = (int)-pid;
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot make a process");
	}
	int result = meanwhile((pid_t)pid, data, err);
	end_child((pid_t)pid);
	/* It was in use until here. */
	__asm__ volatile("" : : "r"(stack) : "memory");
	return result;
}
