// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What a helper does, and how it is born: with set_tid, which leaves the cyclic counters of its
 * namespaces alone (alloc_pid, kernel/pid.c: idr_alloc, not idr_alloc_cyclic), as far as the caller
 * may choose numbers; so births and deaths of helpers disturb no level that can be set. Another
 * task, the maker, born in the same way, enters the namespaces and makes them, with the caller as
 * their parent. ns_last_pid acts on the active pid namespace of whoever writes
 * (pid_ns_ctl_handler).
 */
#include "pids/helper.h"

#include "kernel/raw.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/*
 * Numbers to be tried: near the default pid_max, where few tasks have theirs, at first others for
 * each level, as a helper has its number at the outer levels too; and, where pid_max is lower,
 * below RESERVED_PIDS, which the counter skips when it comes round.
 */
enum { MAX_LEVELS = 33, HIGH_NUMBER = 32767, HIGH_TRIES = 32, LOW_NUMBER = 299, LAST_NUMBER = 2 };
enum { ATTEMPTS_TO_KILL = 100 };

/* How long a helper waits for the end of the opening, and a parent for answers. */
static const struct timespec opening_wait = { .tv_sec = 10 };
static const struct timespec answer_wait = { .tv_nsec = 50 * 1000 * 1000 };

/* Runs on a stack that no sanitizer knows, with the thread pointer of another task. */
#define IN_HELPER __attribute__((no_sanitize("address", "undefined"), no_stack_protector))
#define IN_HELPER_ALWAYS_INLINE \
	__attribute__((always_inline, no_sanitize("address", "undefined"))) static inline

IN_HELPER_ALWAYS_INLINE uint32_t load(const uint32_t *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

IN_HELPER_ALWAYS_INLINE long open_last_pid(void)
{
	/* A shared table is parted from first, so that the parent's stays as it is. */
	raw_call(SYS_close_range, 0, UINT_MAX, CLOSE_RANGE_UNSHARE, 0, 0);
	return raw_call(SYS_openat, (uint64_t)AT_FDCWD, (uintptr_t) "/proc/sys/kernel/ns_last_pid",
			O_WRONLY | O_CLOEXEC, 0, 0);
}

IN_HELPER_ALWAYS_INLINE void answer(struct helper *helper, long result)
{
	helper->result = result < 0 ? (int32_t)-result : 0;
	__atomic_add_fetch(&helper->answers, 1, __ATOMIC_RELEASE);
	if (__atomic_sub_fetch(&helper->meeting->pending, 1, __ATOMIC_ACQ_REL) == 0)
		raw_call(SYS_futex, (uintptr_t)&helper->meeting->pending, FUTEX_WAKE_PRIVATE, 1, 0,
			 0);
}

/*
 * The parent's death kills it. Had the parent died before prctl, nothing would say so (getppid
 * tells nothing about other namespaces): then `opened` is never set.
 */
IN_HELPER_ALWAYS_INLINE long settle(struct helper *helper)
{
	const uint32_t *opened = &helper->meeting->opened;

	raw_call(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	raw_call(SYS_prctl, PR_SET_NAME, (uintptr_t) "nestor-last-pid", 0, 0, 0);
	long fd = open_last_pid();
	answer(helper, fd);
	while (!load(opened))
		if (raw_call(SYS_futex, (uintptr_t)opened, FUTEX_WAIT_PRIVATE, 0,
			     (uintptr_t)&opening_wait, 0) == -ETIMEDOUT)
			raw_call(SYS_exit, 1, 0, 0, 0, 0);
	return fd;
}

/* From 6.14 on the file shows the namespace of whoever opens it. */
IN_HELPER_ALWAYS_INLINE uint32_t read_pid_max(void)
{
	char text[NUMBER_TEXT_SIZE];
	uint32_t number = 0;
	long fd = raw_call(SYS_openat, (uint64_t)AT_FDCWD, (uintptr_t) "/proc/sys/kernel/pid_max",
			   O_RDONLY | O_CLOEXEC, 0, 0);
	long length = raw_call(SYS_read, (uint64_t)fd, (uintptr_t)text, sizeof text, 0, 0);

	if (fd >= 0)
		raw_call(SYS_close, (uint64_t)fd, 0, 0, 0, 0);
	for (long i = 0; i < length && text[i] >= '0' && text[i] <= '9'; i++)
		number = number * 10 + (uint32_t)(text[i] - '0');
	return number;
}

/* A number is taken by a task or by a process group; one that only a session has is not seen. */
IN_HELPER_ALWAYS_INLINE long check_next(uint32_t number)
{
	int64_t next = (int64_t)number + 1;

	if (next >= read_pid_max())
		return -ERANGE;
	if (raw_call(SYS_kill, (uint64_t)next, 0, 0, 0, 0) != -ESRCH ||
	    raw_call(SYS_kill, (uint64_t)-next, 0, 0, 0, 0) != -ESRCH)
		return -EEXIST;
	return 0;
}

IN_HELPER_ALWAYS_INLINE long act(const struct helper *helper, long fd)
{
	if (helper->action == HELPER_CHECK)
		return check_next(helper->number);
	return raw_call(SYS_pwrite64, (uint64_t)fd, (uintptr_t)helper->text, helper->length, 0, 0);
}

/* The generation is read before the request: a call that comes in between is not slept over. */
IN_HELPER __attribute__((noreturn)) static void helper_main(struct helper *helper)
{
	struct helper_meeting *meeting = helper->meeting;
	long fd = settle(helper);

	for (;;) {
		uint32_t generation = load(&meeting->generation);
		if (load(&helper->requests) != helper->answers)
			answer(helper, act(helper, fd));
		else
			raw_call6(SYS_futex, (uintptr_t)&meeting->generation,
				  FUTEX_WAIT_BITSET_PRIVATE, generation, 0, 0, helper->bit);
	}
}

/*
 * The new task runs `run` on its own stack and never returns; its registers are the caller's but
 * for stack and result.
 */
IN_HELPER_ALWAYS_INLINE long clone_running(const struct clone_args *args, void *run, void *argument)
{
	long result;

	__asm__ volatile("syscall\n\t"
			 "testq %%rax, %%rax\n\t"
			 "jnz 1f\n\t"
			 "movq %[argument], %%rdi\n\t"
			 "callq *%[run]\n\t"
			 "ud2\n"
			 "1:"
			 : "=a"(result)
			 : "a"(SYS_clone3), "D"(args),
			   "S"(sizeof *args), [argument] "r"(argument), [run] "r"(run)
			 : "rcx", "r11", "memory");
	return result;
}

/* A task to be cloned. */
struct spawn {
	uint64_t flags;
	uint8_t *stack;
	size_t stack_size;
	void *run, *argument;
};

/* `number` at the innermost `named` levels. Signal 0: only a wait with __WALL sees it. */
IN_HELPER_ALWAYS_INLINE long clone_numbered(const struct spawn *spawn, pid_t number, size_t named)
{
	pid_t tids[MAX_LEVELS];
	struct clone_args args;

	/* Not by what may become a call of memset. */
	for (size_t i = 0; i < sizeof args / sizeof(uint64_t); i++)
		((volatile uint64_t *)&args)[i] = 0;
	for (size_t i = 0; i < named; i++)
		((volatile pid_t *)tids)[i] = number;
	args.flags = spawn->flags;
	args.stack = (uintptr_t)spawn->stack;
	args.stack_size = spawn->stack_size;
	args.set_tid = (uintptr_t)tids;
	args.set_tid_size = named;
	return clone_running(&args, spawn->run, spawn->argument);
}

IN_HELPER_ALWAYS_INLINE bool is_taken_or_too_high(long result)
{
	return result == -EEXIST || result == -EINVAL;
}

IN_HELPER static long clone_somewhere(const struct spawn *spawn, size_t levels, size_t named)
{
	pid_t high = HIGH_NUMBER - (pid_t)levels;
	long result = -EINVAL;

	for (pid_t i = 0; i < HIGH_TRIES && is_taken_or_too_high(result); i++)
		result = clone_numbered(spawn, high - i * MAX_LEVELS, named);
	for (pid_t i = LOW_NUMBER; i >= LAST_NUMBER && is_taken_or_too_high(result); i--)
		result = clone_numbered(spawn, i, named);
	return result;
}

/* Chooses its number at as many of its levels as is permitted, but at least at the innermost. */
IN_HELPER static long clone_chosen(const struct spawn *spawn, size_t levels)
{
	long result = -EPERM;

	for (size_t named = levels; named > 0 && result == -EPERM; named--)
		result = clone_somewhere(spawn, levels, named);
	return result;
}

/* ---- The maker ---- */

/* With CLONE_PARENT its signal is the maker's, which is none. */
IN_HELPER static void make(struct helper_birth *birth)
{
	struct helper *helper = birth->helper;
	struct spawn spawn;

	spawn.flags = CLONE_VM | CLONE_FILES | CLONE_PARENT;
	spawn.stack = helper->stack;
	spawn.stack_size = sizeof helper->stack;
	spawn.run = helper_main;
	spawn.argument = helper;
	/* To settle is the first request. */
	__atomic_add_fetch(&helper->meeting->pending, 1, __ATOMIC_ACQ_REL);
	helper->requests = 1;
	long result = raw_call(SYS_setns, (uint64_t)birth->namespace_fd, CLONE_NEWPID, 0, 0, 0);
	if (result == 0)
		result = clone_chosen(&spawn, birth->levels);
	if (result < 0)
		__atomic_sub_fetch(&helper->meeting->pending, 1, __ATOMIC_ACQ_REL);
	birth->problem = result < 0 ? (int)-result : 0;
	helper->pid = result < 0 ? 0 : (pid_t)result;
}

struct making {
	struct helper_birth *births;
	size_t count;
};

IN_HELPER __attribute__((noreturn)) static void maker_main(struct making *making)
{
	for (size_t i = 0; i < making->count; i++)
		make(&making->births[i]);
	for (;;)
		raw_call(SYS_exit, 0, 0, 0, 0, 0);
}

void helpers_start(struct helper_meeting *meeting, struct helper_birth *births, size_t count)
{
	/* All that the kernel has, also those that the C library keeps for itself. */
	uint64_t all = UINT64_MAX, mask;
	struct making making = { births, count };
	struct clone_args unnumbered = { .flags = CLONE_VM | CLONE_VFORK | CLONE_FILES,
					 .stack = (uintptr_t)meeting->stack,
					 .stack_size = sizeof meeting->stack };
	const struct spawn spawn = { unnumbered.flags, meeting->stack, sizeof meeting->stack,
				     maker_main, &making };

	for (size_t i = 0; i < count; i++)
		births[i].problem = ECHILD;
	raw_call(SYS_rt_sigprocmask, SIG_SETMASK, (uintptr_t)&all, (uintptr_t)&mask, sizeof mask,
		 0);
	long pid = clone_chosen(&spawn, 1);
	if (pid == -EPERM)
		pid = clone_running(&unnumbered, maker_main, &making);
	raw_call(SYS_rt_sigprocmask, SIG_SETMASK, (uintptr_t)&mask, 0, sizeof mask, 0);
	for (size_t i = 0; i < count && pid < 0; i++)
		births[i].problem = (int)-pid;
	while (pid > 0 && waitpid((pid_t)pid, NULL, __WALL) < 0 && errno == EINTR)
		;
}

void helpers_open(struct helper_meeting *meeting)
{
	__atomic_store_n(&meeting->opened, 1, __ATOMIC_RELEASE);
	syscall(SYS_futex, &meeting->opened, FUTEX_WAKE_PRIVATE, INT_MAX);
}

void helper_prepare(struct helper *helper, enum helper_action action, uint32_t number)
{
	helper->action = action;
	helper->number = number;
	helper->length = (uint32_t)snprintf(helper->text, sizeof helper->text, "%u", number);
	helper->meeting->called |= helper->bit;
	__atomic_add_fetch(&helper->meeting->pending, 1, __ATOMIC_ACQ_REL);
	__atomic_add_fetch(&helper->requests, 1, __ATOMIC_RELEASE);
}

void helpers_call(struct helper_meeting *meeting)
{
	__atomic_add_fetch(&meeting->generation, 1, __ATOMIC_RELEASE);
	syscall(SYS_futex, &meeting->generation, FUTEX_WAKE_BITSET_PRIVATE, INT_MAX, NULL, NULL,
		meeting->called);
	meeting->called = 0;
}

bool helpers_wait(struct helper_meeting *meeting)
{
	uint32_t pending;

	while ((pending = load(&meeting->pending)))
		if (syscall(SYS_futex, &meeting->pending, FUTEX_WAIT_PRIVATE, pending,
			    &answer_wait) < 0 &&
		    errno == ETIMEDOUT)
			return false;
	return true;
}

int helper_check_here(uint32_t number)
{
	return (int)-check_next(number);
}

bool helper_has_answered(const struct helper *helper)
{
	return load(&helper->answers) == helper->requests;
}

bool helper_has_ended(const struct helper *helper)
{
	siginfo_t info = { 0 };

	return waitid(P_PID, (id_t)helper->pid, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) ||
	       info.si_pid;
}

void helper_kill(struct helper *helper)
{
	/* Whoever reaped it for us left the number to others. */
	if (helper->pid && waitpid(helper->pid, NULL, WNOHANG | __WALL) == 0)
		for (int i = 0; i < ATTEMPTS_TO_KILL && kill(helper->pid, SIGKILL) < 0; i++)
			;
	else
		helper->pid = 0;
}

void helper_reap(struct helper *helper)
{
	while (helper->pid && waitpid(helper->pid, NULL, __WALL) < 0 && errno == EINTR)
		;
	helper->pid = 0;
}
