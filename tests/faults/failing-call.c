// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Runs a program and lets one of its system calls fail, without making it:
 *
 *	failing-call REPORT INDEX ERRNO[:NR[:TIMES]] PROGRAM ARGUMENTS...
 *
 * With an ERRNO of 0 the program is killed where it would make that call, its children are not.
 *
 * The calls of all threads are counted from 1, from main on; those that cannot fail, or that the C
 * library cannot do without, are not; with NR only those of that number are, unless it is -1. So
 * many as TIMES fail, one after another. INDEX 0 fails none; "older" and "oldest" all that such a
 * kernel refuses (older-kernel.h), as it does; "short" none, but those that may do less do half
 * (short-call.h).
 * REPORT gets a line "COUNT NR CHILD": how many calls there were, the number of the one that failed,
 * or -1, and whether it was a child's; with INDEX 0 also a line "NR COUNT" for each number. Children are followed, and theirs, until they execute
 * something or somebody else begins to trace them: what a restore has made comes to its end
 * unwatched. Exits as the program does; 128 and the signal if it was killed.
 */
#include "older-kernel.h"
#include "short-call.h"

#include <errno.h>
#include <linux/ptrace.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

/* sys/ptrace.h does not go together with linux/ptrace.h. */
extern long ptrace(int request, ...);

enum {
	MAX_THREADS = 4096,
	MAX_NUMBER = 512, /* of a system call */
	FOLLOW = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK |
		 PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC,
};

static struct thread {
	pid_t tid;
	int failing; /* errno of the call that it is in, which was not made */
} threads[MAX_THREADS];

static pid_t program;
static long count, wanted, times = 1, failed_nr = -1;
static bool failed_in_child;
static int wanted_errno;
static long counts[MAX_NUMBER];
static long only_nr = -1;
static bool in_main, is_short;
static enum kernel_age age;
static const char *report_path;

/* NULL if it is not followed. */
static struct thread *find_thread(pid_t tid)
{
	for (size_t i = 0; i < MAX_THREADS; i++)
		if (threads[i].tid == tid)
			return &threads[i];
	return NULL;
}

static struct thread *add_thread(pid_t tid)
{
	struct thread *thread = find_thread(0);

	if (!thread)
		abort();
	*thread = (struct thread){ .tid = tid };
	return thread;
}

static bool is_of_program(pid_t tid)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/task/%d", program, tid);
	return access(path, F_OK) == 0;
}

/* Nobody has to expect these to fail: the kernel says so, or the C library aborts. */
static bool is_counted(const struct ptrace_syscall_info *info)
{
	if (only_nr >= 0 && (long)info->entry.nr != only_nr)
		return false;
	switch (info->entry.nr) {
	case SYS_exit:
	case SYS_exit_group:
	case SYS_rt_sigreturn:
	case SYS_restart_syscall:
	case SYS_rt_sigprocmask:
	case SYS_getpid:
	case SYS_gettid:
	case SYS_getppid:
	case SYS_getpgrp:
	case SYS_getuid:
	case SYS_geteuid:
	case SYS_getgid:
	case SYS_getegid:
	case SYS_setfsuid: /* tell what it was */
	case SYS_setfsgid:
	case SYS_umask:
	case SYS_sched_yield:
	case SYS_futex:
	case SYS_set_robust_list:
	case SYS_set_tid_address:
	case SYS_close: /* closes whatever it returns */
	case SYS_munmap:
	case SYS_brk:
	case SYS_madvise:
		return false;
	case SYS_mmap: /* memory of the C library's: without it nothing goes on */
		return info->entry.args[3] != 0x22 && info->entry.args[3] != 0x20022 &&
		       info->entry.args[3] != 0x4022;
	case SYS_mprotect:
	case SYS_rseq: /* of a new thread */
		return false;
	default:
		return true;
	}
}

static int write_report(const char *path)
{
	FILE *report = fopen(path, "w");

	if (!report)
		return -1;
	fprintf(report, "%ld %ld %d\n", count, failed_nr, failed_in_child);
	for (int i = 0; i < MAX_NUMBER && !wanted; i++)
		if (counts[i])
			fprintf(report, "%d %ld\n", i, counts[i]);
	return fclose(report);
}

static void fail_call(struct thread *thread, int problem)
{
	struct user_regs_struct regs;
	struct iovec vector = { &regs, sizeof regs };

	ptrace(PTRACE_GETREGSET, thread->tid, 1, &vector);
	failed_nr = (long)regs.orig_rax;
	failed_in_child = !is_of_program(thread->tid);
	regs.orig_rax = (unsigned long long)-1;
	ptrace(PTRACE_SETREGSET, thread->tid, 1, &vector);
	thread->failing = problem;
	write_report(report_path); /* in case that it hangs */
}

static void return_error(struct thread *thread)
{
	struct user_regs_struct regs;
	struct iovec vector = { &regs, sizeof regs };

	ptrace(PTRACE_GETREGSET, thread->tid, 1, &vector);
	regs.rax = (unsigned long long)-thread->failing;
	ptrace(PTRACE_SETREGSET, thread->tid, 1, &vector);
	thread->failing = 0;
}

static void let_go(struct thread *thread)
{
	if (thread->failing)
		return_error(thread);
	ptrace(PTRACE_DETACH, thread->tid, 0, 0);
	thread->tid = 0;
}

/* Somebody wants to trace it. */
static void give_up(struct thread *thread)
{
	int status;

	ptrace(PTRACE_INTERRUPT, thread->tid, 0, 0);
	if (waitpid(thread->tid, &status, __WALL) == thread->tid && WIFSTOPPED(status))
		let_go(thread);
	else
		thread->tid = 0;
}

/* What it has started outlives us, too. */
static void kill_program(void)
{
	for (size_t i = 0; i < MAX_THREADS; i++)
		if (threads[i].tid && !is_of_program(threads[i].tid))
			give_up(&threads[i]);
	kill(program, SIGKILL);
}

static bool is_wanted(const struct ptrace_syscall_info *info)
{
	long index = ++count;

	if (info->entry.nr < MAX_NUMBER)
		counts[info->entry.nr]++;
	return wanted && index >= wanted && index < wanted + times;
}

/* Whether the caller is still followed. */
static bool see_entry(struct thread *thread, const struct ptrace_syscall_info *info)
{
	struct thread *other;
	int problem = 0;

	/* The loader's last call before main gives back the cache of libraries. */
	if (!in_main) {
		in_main = info->entry.nr == SYS_munmap;
		return true;
	}
	if (is_short)
		shorten_call(thread->tid, info);
	else if (age != KERNEL_OWN)
		problem = older_kernel_refuses(age, thread->tid, info);
	else if (is_counted(info) && is_wanted(info) && !(problem = wanted_errno)) {
		kill_program();
		return true;
	}
	if (problem) {
		fail_call(thread, problem);
		return true;
	}
	if (info->entry.nr != SYS_ptrace)
		return true;
	if (info->entry.args[0] == PTRACE_TRACEME) {
		let_go(thread);
		return false;
	}
	other = find_thread((pid_t)info->entry.args[1]);
	if (info->entry.args[0] == PTRACE_SEIZE && other && other != thread)
		give_up(other);
	return true;
}

static bool see_call(struct thread *thread)
{
	struct ptrace_syscall_info info;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, thread->tid, sizeof info, &info) <= 0)
		return true;
	if (info.op == PTRACE_SYSCALL_INFO_EXIT && thread->failing)
		return_error(thread);
	return info.op != PTRACE_SYSCALL_INFO_ENTRY || see_entry(thread, &info);
}

static bool is_stop(int signal)
{
	return signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU;
}

static void see_stop(pid_t tid, int status)
{
	int event = status >> 16, signal = WSTOPSIG(status);
	struct thread *thread = find_thread(tid);

	if (!thread) {
		/* What outlives the program is to be seen. */
		ptrace(PTRACE_SETOPTIONS, tid, 0, FOLLOW);
		thread = add_thread(tid);
	}
	if (event == PTRACE_EVENT_EXEC && tid != program) {
		let_go(thread);
		return;
	}
	if (event == PTRACE_EVENT_STOP && is_stop(signal)) {
		ptrace(PTRACE_LISTEN, tid, 0, 0);
		return;
	}
	if (signal == (SIGTRAP | 0x80) && !see_call(thread))
		return;
	ptrace(PTRACE_SYSCALL, tid, 0, event || signal == (SIGTRAP | 0x80) ? 0L : (long)signal);
}

static int follow(void)
{
	for (;;) {
		int status;
		pid_t tid = waitpid(-1, &status, __WALL);

		if (tid < 0 && errno != EINTR)
			return 127;
		if (tid > 0 && WIFSTOPPED(status))
			see_stop(tid, status);
		else if (tid == program)
			return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
		else if (tid > 0 && find_thread(tid))
			find_thread(tid)->tid = 0;
	}
}

int main(int argc, char **argv)
{
	int status;

	if (argc < 5)
		return 127;
	report_path = argv[1];
	is_short = strcmp(argv[2], "short") == 0;
	age = strcmp(argv[2], "older") == 0    ? KERNEL_OLDER
	      : strcmp(argv[2], "oldest") == 0 ? KERNEL_OLDEST
					       : KERNEL_OWN;
	wanted = atol(argv[2]);
	wanted_errno = atoi(argv[3]);
	sscanf(argv[3], "%*d:%ld:%ld", &only_nr, &times);
	program = fork();
	if (program == 0) {
		raise(SIGSTOP);
		execv(argv[4], argv + 4);
		_exit(127);
	}
	waitpid(program, &status, WUNTRACED);
	if (ptrace(PTRACE_SEIZE, program, 0, FOLLOW | PTRACE_O_EXITKILL) < 0)
		return 127;
	add_thread(program);
	kill(program, SIGCONT);
	status = follow();
	if (write_report(report_path) < 0)
		return 127;
	return status;
}
