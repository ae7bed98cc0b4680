// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Injection into a foreign task. At no instant may our death harm the task: the code that we put
 * there finishes what it does and leads back by itself, and whatever we change by ptrace is
 * ordered so that each single step leaves a task that can be let go.
 *
 *  - All threads are stopped, their registers and masks are known.
 *  - The stub (arch/stub.h) and the interpreter are written behind what is needed of the vdso,
 *    over the headers of its sections: the page is private to the task, executable in every task,
 *    and writable through /proc/PID/mem. A thread whose rip is there belongs to a nestor that died.
 *    Where a task has no vdso, there may be room behind a program (code-room.h).
 *  - How a thread gets there and back: inject-thread.c.
 *  - The arena counts against the task's own limits. Where it finds no room, the stub maps it once
 *    more, shared, which RLIMIT_DATA does not count, and lifts the soft limit of its address space
 *    for the moment: itself, so that the limit is put back also if we die.
 *  - Threads other than the leader use a second part of the stub one after another. While one is
 *    at work a word in the arena says so: a leader left alone waits for it before it unmaps.
 */
#include "collect/inject-thread.h"
#include "arch/registers.h"
#include "arch/stub.h"
#include "arch/vdso.h"
#include "base/cleanup.h"
#include "base/procfs.h"
#include "collect/collect.h"
#include "collect/seccomp.h"
#include "collect/wait.h"
#include "program/interpreter/interpreter.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
	CODE_ALIGNMENT = 16,
	STOP_SIGNALS =
		1 << (SIGSTOP - 1) | 1 << (SIGTSTP - 1) | 1 << (SIGTTIN - 1) | 1 << (SIGTTOU - 1),
	UNFIT_SIGNALS = FAULT_SIGNALS | STOP_SIGNALS | 1 << (SIGKILL - 1) | 1 << (SIGCONT - 1) |
			1 << (SIGABRT - 1),
};

size_t injection_code_size(void)
{
	return stub_offset(stub_end) + INTERPRETER_SIZE;
}

/* Where in a vdso the code goes; 0 if there is none. */
static size_t code_place(void)
{
	const uint8_t *own = vdso_own();
	size_t needed = own ? vdso_needed_size(own) : 0;

	return (needed + CODE_ALIGNMENT - 1) & ~(size_t)(CODE_ALIGNMENT - 1);
}

/* The target's vdso is the same image as ours, or has at least passed as one (stopped.c). */
uint64_t injection_code_address(const struct target *target)
{
	const size_t place = code_place();

	if (!target->vdso_start)
		return target->code_room.start;
	return place ? target->vdso_start + place : 0;
}

/* What is there as long as nobody has been at work. */
static const uint8_t *untouched(const struct target *target)
{
	static const uint8_t behind_programs[CODE_ROOM];

	return target->vdso_start ? vdso_own() + code_place() : behind_programs;
}

static uint64_t room_end(const struct target *target)
{
	return target->vdso_start ? target->vdso_end : target->code_room.end;
}

bool injection_is_inside(const struct target *target, uint64_t rip)
{
	uint64_t code = injection_code_address(target);

	return code && rip >= code && rip < room_end(target);
}

static const struct trap_place leader_mapped = { stub_leader_mapped_waits, stub_leader_mapped };
static const struct trap_place leader_unmapped = { stub_leader_unmapped_waits,
						   stub_leader_unmapped };
static const struct trap_place thread_left = { stub_thread_left_waits, stub_thread_left };

static pid_t innermost_id(const char *status, const char *key)
{
	const char *text = procfs_field(status, key);
	uint64_t ids[MAX_PID_LEVELS + 1];
	size_t levels = text ? procfs_numbers(text, 10, ids, MAX_PID_LEVELS + 1) : 0;

	return levels ? (pid_t)ids[levels - 1] : -1;
}

/*
 * A signal that is not caught and not pending, and is ignored: by default, or because the task
 * says so. Best is one that no thread blocks: then a genuine one, coming now, is as little
 * noticed as ours. 0 if there is none.
 */
int injection_choose_signal(const struct target *target)
{
	static const int by_default[] = { SIGURG, SIGWINCH, SIGCHLD };
	const char *status = target->status;
	uint64_t unfit = UNFIT_SIGNALS | procfs_value(status, "SigCgt:", 16) |
			 procfs_value(status, "ShdPnd:", 16);
	uint64_t blocked = 0, fit = procfs_value(status, "SigIgn:", 16);

	for (size_t i = 0; i < sizeof by_default / sizeof by_default[0]; i++)
		fit |= signal_bit(by_default[i]);
	for (size_t i = 0; i < target->n_threads; i++) {
		unfit |= procfs_value(target->threads[i].status, "SigPnd:", 16);
		blocked |= target->threads[i].signal_mask;
	}
	fit &= ~unfit;
	for (int pass = 0; pass < 2; pass++) {
		uint64_t candidates = pass == 0 ? fit & ~blocked : fit;

		for (size_t i = 0; i < sizeof by_default / sizeof by_default[0]; i++)
			if (candidates & signal_bit(by_default[i]))
				return by_default[i];
		if (candidates & 0x7fffffff)
			return __builtin_ctzll(candidates) + 1;
	}
	return 0;
}

/* There the page must be as the kernel made it, or as a nestor left it that was killed. */
static int check_room(struct injection *injection, struct error *err)
{
	const struct target *target = injection->target;
	uint8_t bytes[CODE_ROOM];
	size_t room, size;
	uint64_t owner;

	if (injection->code == 0 || injection->code >= room_end(target))
		return fail(
			err, ERR_UNSUPPORTED_TASK,
			"pid %d has unmapped its vdso, or has not the one of this kernel, and its "
			"programs leave no room: it cannot be asked",
			target->pid);
	room = room_end(target) - injection->code;
	if (room < injection_code_size())
		return fail(err, ERR_PROBE_FAILED,
			    "the vdso page of task %d has %zu bytes left, %zu are needed",
			    target->pid, room, injection_code_size());
	size = room < sizeof bytes ? room : sizeof bytes;
	if (process_vm_readv(target->tid, &(struct iovec){ bytes, size }, 1,
			     &(struct iovec){ (void *)injection->code, size }, 1,
			     0) != (ssize_t)size)
		return fail_errno(err, ERR_PROBE_FAILED, "cannot read the vdso of task %d",
				  target->pid);
	if (memcmp(bytes, stub_start, STUB_MAGIC_SIZE) == 0) {
		memcpy(&owner, bytes + stub_offset(stub_owner), sizeof owner);
		injection->address_space_busy = owner == (uint64_t)getpid();
		return 0;
	}
	if (memcmp(bytes, untouched(target), size))
		return fail(err, ERR_PROBE_FAILED,
			    "somebody else has written into the vdso page of task %d", target->pid);
	return 0;
}

int injection_prepare(struct injection *injection, struct target *target, size_t arena_size,
		      uint64_t deadline, struct error *err)
{
	*injection = (struct injection){
		.target = target,
		.arena_size = arena_size,
		.code = injection_code_address(target),
		.deadline = deadline,
	};
	injection->mem_fd = -1;
	if (check_room(injection, err))
		return -1;
	injection->trap_signal = injection_choose_signal(target);
	return 0;
}

uint64_t injection_call_ip(const struct injection *injection)
{
	return injection_address(injection, stub_end) + INTERPRETER_SYSCALL_OFFSET +
	       SYSCALL_INSTRUCTION;
}

uint64_t injection_leave_address(const struct injection *injection, size_t thread)
{
	return injection_address(injection, injection_leads(injection, thread) ? stub_leader_leave
									       : stub_thread_leave);
}

/* Which calls the stub itself makes, with what is known of their arguments. */
bool injection_permitted(const struct injection *injection, size_t thread,
			 const struct seccomp_filters *filters)
{
	const struct target *target = injection->target;
	const bool leader = thread == target->living;
	const uint64_t pid = (uint64_t)innermost_id(target->status, "NStgid:");
	const uint64_t tid = (uint64_t)innermost_id(target->threads[thread].status, "NSpid:");
	const uint64_t size = injection->arena_size;
	const struct {
		uint32_t nr;
		unsigned known; /* addresses are not: a filter that looks at them says no */
		bool needed;
		uint64_t args[6];
	} calls[] = {
		{ SYS_rt_sigprocmask, 0xd, true, { SIG_SETMASK, 0, 0, MASK_SIZE } },
		{ SYS_tgkill, 0x7, true, { pid, tid, (uint64_t)injection->trap_signal } },
		{ SYS_mmap, 0x3f, leader, { 0, size, 3, 0x22, UINT64_MAX, 0 } },
		{ SYS_munmap, 0x2, leader, { 0, size } },
		{ SYS_sched_yield, 0, leader, { 0 } },
		{ SYS_pselect6, 0x2f, injection->trap_signal == 0, { 0 } },
	};

	for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
		if (calls[i].needed && seccomp_judge_any(filters, calls[i].nr, calls[i].args,
							 calls[i].known) != SECCOMP_PASSES)
			return false;
	return true;
}

static void put_context(uint8_t *code, const uint8_t *symbol, const uint8_t *origin,
			const struct target_thread *thread)
{
	struct stub_context context = stub_context_of(&thread->regs, thread->signal_mask);

	memcpy(code + (symbol - origin), &context, sizeof context);
}

static int write_code(struct injection *injection, uint64_t address, const void *bytes, size_t size,
		      struct error *err)
{
	if (pwrite(injection->mem_fd, bytes, size, (off_t)address) != (ssize_t)size)
		return fail_errno(err, ERR_PROBE_FAILED, "cannot write into the vdso of task %d",
				  injection->target->pid);
	return 0;
}

/* What the stub finds in its registers in each thread, beside rip and rax. */
static struct user_regs_struct work_registers(const struct injection *injection, size_t thread,
					      const uint8_t *symbol)
{
	const struct target *target = injection->target;
	const struct target_thread *where = &target->threads[thread];
	struct user_regs_struct regs =
		stub_registers(&where->regs, injection_address(injection, symbol));

	regs.r12 = injection->arena;
	regs.r13 = (uint64_t)innermost_id(target->status, "NStgid:");
	regs.r14 = (uint64_t)innermost_id(where->status, "NSpid:");
	regs.r15 = (uint64_t)injection->trap_signal;
	return regs;
}

int injection_start(struct injection *injection, struct error *err)
{
	uint8_t code[CODE_ROOM];
	uint64_t mask = injection_run_mask(injection), size = injection->arena_size;
	uint64_t flags = MAP_PRIVATE | MAP_ANONYMOUS;
	uint64_t owner = (uint64_t)getpid();
	size_t leader = injection->target->living;
	struct user_regs_struct regs = work_registers(injection, leader, stub_leader_enter);

	memcpy(code, stub_start, stub_offset(stub_end));
	memcpy(code + stub_offset(stub_end), interpreter_start, INTERPRETER_SIZE);
	memcpy(code + stub_offset(stub_run_mask), &mask, sizeof mask);
	memcpy(code + stub_offset(stub_arena_size), &size, sizeof size);
	memcpy(code + stub_offset(stub_map_flags), &flags, sizeof flags);
	memcpy(code + stub_offset(stub_owner), &owner, sizeof owner);
	put_context(code, stub_leader_context, stub_start, &injection->target->threads[leader]);
	injection->mem_fd = target_open_mem(injection->target, err);
	if (injection->mem_fd < 0)
		return -1;
	injection->started = true;
	injection->lost =
		write_code(injection, injection->code, code, injection_code_size(), err) < 0;
	if (injection->lost)
		return -1; /* nothing has been moved there: a part of it is harmless */
	return injection_enter(injection, leader, &regs, err);
}

int injection_filters(const struct injection *injection, struct seccomp_filters *ret_filters)
{
	struct error unused = { 0 };

	*ret_filters = (struct seccomp_filters){ 0 };
	return seccomp_read_filters(injection->target->tid, injection->target->collect->arena,
				    ret_filters, &unused);
}

/* The limit of the address space; an infinite one if it cannot be read. */
static struct rlimit address_space_limit(const struct target *target)
{
	struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };
	autofree char *text = NULL;
	const char *line;
	uint64_t numbers[2];

	if (target_text(target, "limits", &text) < 0 ||
	    !(line = procfs_field(text, "Max address space")))
		return limit;
	size_t n = procfs_numbers(line, 10, numbers, 2);
	if (n > 0)
		limit.rlim_cur = numbers[0];
	if (n > 1)
		limit.rlim_max = numbers[1];
	return limit;
}

/*
 * There was no room. A shared mapping does not count against RLIMIT_DATA, and the process may raise
 * the soft limit of its address space itself: may it do both?
 */
static int map_again(struct injection *injection, struct user_regs_struct *ret_regs,
		     struct error *err)
{
	const struct target *target = injection->target;
	const uint64_t flags = MAP_SHARED | MAP_ANONYMOUS;
	const uint64_t map_args[6] = { 0, injection->arena_size, 3, flags, UINT64_MAX, 0 };
	const uint64_t limit_args[6] = { 0, RLIMIT_AS, 0, 0 };
	struct rlimit own = address_space_limit(target), limits[2] = { own, own };
	struct user_regs_struct regs = work_registers(injection, target->living, stub_leader_enter);
	struct seccomp_filters filters;

	limits[0].rlim_cur = own.rlim_cur == own.rlim_max ? 0 : own.rlim_max;
	if (injection_filters(injection, &filters) < 0 ||
	    seccomp_judge_any(&filters, SYS_mmap, map_args, 0x3f) != SECCOMP_PASSES ||
	    seccomp_judge_any(&filters, SYS_prlimit64, limit_args, 0xb) != SECCOMP_PASSES)
		return 0;
	if (write_code(injection, injection_address(injection, stub_map_flags), &flags,
		       sizeof flags, err) ||
	    write_code(injection, injection_address(injection, stub_limits), limits, sizeof limits,
		       err))
		return -1;
	if (injection_enter(injection, target->living, &regs, err) ||
	    injection_wait_trap(injection, target->living, &leader_mapped, ret_regs, err)) {
		injection->lost = true;
		return -1;
	}
	return 0;
}

static int fail_no_room(const struct injection *injection, int problem, struct error *err)
{
	const struct target *target = injection->target;
	struct rlimit limit = address_space_limit(target);

	errno = problem;
	fail_errno(err, ERR_PROBE_FAILED, "pid %d has no room for %zu bytes in which to ask it",
		   target->pid, injection->arena_size);
	if (problem != ENOMEM)
		return -1;
	if (limit.rlim_cur != RLIM_INFINITY)
		return fail_hint(err,
				 "its address space is limited: prlimit --pid %d --as=... gives "
				 "more",
				 target->pid);
	return fail_hint(err, "it may have as many areas as vm.max_map_count allows, or its memory "
			      "cgroup or the system have none left");
}

int injection_started(struct injection *injection, struct error *err)
{
	struct user_regs_struct regs;

	if (injection_wait_trap(injection, injection->target->living, &leader_mapped, &regs, err)) {
		injection->lost = true; /* what it has mapped we do not know */
		return -1;
	}
	if ((int64_t)regs.r12 == -ENOMEM && map_again(injection, &regs, err))
		return -1;
	if ((int64_t)regs.r12 < 0)
		return fail_no_room(injection, (int)-(int64_t)regs.r12, err);
	injection->arena = regs.r12;
	return 0;
}

static bool mark_active(const struct injection *injection, uint32_t active)
{
	return pwrite(injection->mem_fd, &active, sizeof active,
		      (off_t)(injection->arena + ARENA_ACTIVE)) == (ssize_t)sizeof active;
}

/* The thread's way back is written, and the arena marked, before the thread is moved. */
static int run_thread(struct injection *injection, size_t thread, struct user_regs_struct *regs,
		      struct error *err)
{
	uint8_t code[CODE_ROOM];
	size_t size = (size_t)(stub_end - stub_thread_start);

	memcpy(code, stub_thread_start, size);
	put_context(code, stub_thread_context, stub_thread_start,
		    &injection->target->threads[thread]);
	if (write_code(injection, injection_address(injection, stub_thread_start), code, size, err))
		return -1;
	if (!mark_active(injection, 1))
		return fail_errno(err, ERR_PROBE_FAILED, "cannot write into task %d",
				  injection->target->pid);
	if (injection_enter(injection, thread, regs, err) == 0)
		return 0;
	/* Nobody is at work, so the leader need not wait for it; unless it goes there by itself. */
	if (injection_leave(injection, thread, err) == 0)
		mark_active(injection, 0);
	return -1;
}

int injection_run(struct injection *injection, size_t thread, uint64_t first_op, struct error *err)
{
	const uint8_t *entry = injection_leads(injection, thread) ? stub_end : stub_thread_enter;
	struct user_regs_struct regs = work_registers(injection, thread, entry);

	regs.rbx = injection->arena;
	regs.rbp = first_op;
	if (!injection_leads(injection, thread))
		return run_thread(injection, thread, &regs, err);
	/* The leader has its mask and its way back already. */
	return injection_go(injection, thread, &regs, err);
}

int injection_ran(struct injection *injection, size_t thread, struct error *err)
{
	struct user_regs_struct regs;
	int failed;

	if (injection_leads(injection, thread))
		return injection_wait_trap(injection, thread, &leader_mapped, &regs, err);
	failed = injection_wait_trap(injection, thread, &thread_left, &regs, err);
	if (injection->lost)
		return -1;
	return injection_leave(injection, thread, err) || failed ? -1 : 0;
}

int injection_finish(struct injection *injection, struct error *err)
{
	size_t leader = injection->target->living;
	struct user_regs_struct regs = work_registers(injection, leader, stub_leader_unmap);

	if (injection->lost || injection->arena == 0)
		return injection->lost ? -1 : 0;
	return injection_go(injection, leader, &regs, err);
}

/* Signals that came at an awkward moment; those of the whole process, as SIGSTOP always is. */
static int resend_signals(const struct injection *injection, struct error *err)
{
	int failed = 0;

	for (int signal = 1; signal < 65; signal++)
		if (injection->resend & signal_bit(signal) &&
		    kill(injection->target->pid, signal) < 0 && errno != ESRCH &&
		    kill(injection->target->pid, signal) < 0)
			failed = fail_errno(err, ERR_KERNEL_REFUSED,
					    "cannot give back signal %d of task %d", signal,
					    injection->target->pid);
	return failed;
}

static int come_back(struct injection *injection, struct error *err)
{
	size_t leader = injection->target->living;
	struct user_regs_struct regs;
	int failed = 0;

	if (injection->lost)
		return -1;
	if (injection->arena != 0)
		failed = injection_wait_trap(injection, leader, &leader_unmapped, &regs, err);
	if (injection->lost || injection_leave(injection, leader, err))
		return -1;
	/* From here on nobody can come by; the next dump finds the page as the kernel made it. */
	if (resend_signals(injection, err) < 0)
		failed = -1;
	if (write_code(injection, injection->code, untouched(injection->target),
		       injection_code_size(), err))
		return -1;
	return failed;
}

int injection_finished(struct injection *injection, struct error *err)
{
	int failed = come_back(injection, err);

	close(injection->mem_fd);
	injection->mem_fd = -1;
	return failed;
}
