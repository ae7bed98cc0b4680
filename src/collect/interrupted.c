// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A call that a stop interrupts ends in one of three ways (signal(7)):
 *
 *  - It is made again with its arguments (ERESTARTSYS, ERESTARTNOINTR, ERESTARTNOHAND).
 *  - Some return EINTR when they are merely stopped ("interrupted by a stop signal"). They get
 *    ERESTARTNOHAND instead: made again, unless a signal handler is to run. So do calls on sockets
 *    that have a timeout (SO_RCVTIMEO, SO_SNDTIMEO; sock_intr_errno, include/net/sock.h), and
 *    io_uring_enter, which has taken no submission then. Their timeouts are no arguments: they wait
 *    for all of them again.
 *  - nanosleep, clock_nanosleep, poll and futex with a relative timeout go on in restart_syscall
 *    (ERESTART_RESTARTBLOCK), whose block of kernel memory has the deadline. An image has no place
 *    for that, and whoever waits in restart_syscall already (an earlier dump, a SIGCONT, a
 *    debugger) does not show which call it was: the instruction before, the place in the kernel
 *    where it slept, and its arguments, which are all still there, have to tell.
 *
 * A call that is made again would wait for all of its timeout again. So it is made again with the
 * time that is left:
 *
 *  - nanosleep and clock_nanosleep have just written it for the caller, if they were asked to.
 *    select, pselect and ppoll have updated their argument themselves.
 *  - Otherwise: the argument less the time since the thread went to sleep, which is when it was
 *    last on a processor (exec_start in /proc/PID/sched). That is the clock of the processor's run
 *    queue (rq_clock_task), so it is compared with what the same clock says now. It holds if the
 *    count of voluntary switches shows that the thread has only stopped since. One that was woken
 *    in between without an effect counts from then: it waits too long rather than too short. So
 *    does one on a virtual machine by what the host took from its processor meanwhile (steal):
 *    that clock does not count it.
 *
 * Where the time left is an argument in memory, the original may be constant, or used again: it is
 * written below the stack pointer and the 128 bytes that belong to the function (System V ABI,
 * AMD64, 3.2.2), where any signal may write too. The kernel reads it once, as the call is made.
 *
 * The thread itself goes on with what was recorded, also after a dump that lets it go on: so the
 * next dump finds a call with arguments that are true.
 */
#include "collect/interrupted.h"
#include "arch/registers.h"
#include "base/log.h"
#include "base/procfs.h"
#include "collect/collect.h"
#include "collect/scheduler-clocks.h"
#include "collect/wait.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/futex.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>

enum {
	PATH_ROOM = 64,
	WORD_ROOM = 64,
	RED_ZONE = 128,
	FUTEX_OPERATIONS = 512, /* FUTEX_CMD_MASK and its two flags, below this */
	ERESTARTNOHAND = 514,
	ERESTART_RESTARTBLOCK = 516,
	MICROSECOND = 1000,
	MILLISECOND = 1000000,
	SECOND = 1000000000,
	NONE = 6, /* no such argument */
};

struct timed_call {
	long nr;
	unsigned timeout;   /* which argument */
	bool milliseconds;  /* else a struct timespec */
	unsigned remaining; /* where the kernel writes what is left */
	bool only_stopped;  /* EINTR for no more than a stop */
	bool updates;	    /* it has written what is left over its own argument */
	bool microseconds;  /* a struct timeval */
};

static const struct timed_call timed_calls[] = {
	{ SYS_nanosleep, 0, false, 1, false },
	{ SYS_clock_nanosleep, 2, false, 3, false },
	{ SYS_poll, 2, true, NONE, false },
	{ SYS_futex, 3, false, NONE, false },
	{ SYS_epoll_wait, 3, true, NONE, true },
	{ SYS_epoll_pwait, 3, true, NONE, true },
	{ SYS_epoll_pwait2, 3, false, NONE, true },
	{ SYS_rt_sigtimedwait, 2, false, NONE, true },
	{ SYS_semtimedop, 3, false, NONE, true },
	{ SYS_semop, NONE, false, NONE, true },
	{ SYS_io_getevents, 4, false, NONE, true },
	{ SYS_io_pgetevents, 4, false, NONE, false },
	{ SYS_pselect6, 4, false, 4, .updates = true },
	{ SYS_ppoll, 2, false, 2, .updates = true },
	{ SYS_select, 4, false, 4, .updates = true, .microseconds = true },
	{ SYS_read, NONE, false, NONE, true },
	{ SYS_readv, NONE, false, NONE, true },
	{ SYS_recvfrom, NONE, false, NONE, true },
	{ SYS_recvmsg, NONE, false, NONE, true },
	{ SYS_recvmmsg, NONE, false, NONE, true },
	{ SYS_write, NONE, false, NONE, true },
	{ SYS_writev, NONE, false, NONE, true },
	{ SYS_sendto, NONE, false, NONE, true },
	{ SYS_sendmsg, NONE, false, NONE, true },
	{ SYS_sendmmsg, NONE, false, NONE, true },
	{ SYS_preadv2, NONE, false, NONE, true },
	{ SYS_pwritev2, NONE, false, NONE, true },
	{ SYS_sendfile, NONE, false, NONE, true },
	{ SYS_splice, NONE, false, NONE, true },
	{ SYS_accept, NONE, false, NONE, true },
	{ SYS_accept4, NONE, false, NONE, true },
	{ SYS_connect, NONE, false, NONE, true },
	{ SYS_io_uring_enter, NONE, false, NONE, true },
};

static const struct timed_call *find_call(long nr)
{
	for (size_t i = 0; i < sizeof timed_calls / sizeof timed_calls[0]; i++)
		if (timed_calls[i].nr == nr)
			return &timed_calls[i];
	return NULL;
}

static bool is_cpu_clock(uint64_t clock)
{
	return (int32_t)clock < 0 || clock == CLOCK_PROCESS_CPUTIME_ID ||
	       clock == CLOCK_THREAD_CPUTIME_ID;
}

/* Does the call wait for a time of the clock that goes on by itself, counted from its start? */
static bool has_timeout(const struct timed_call *call, const uint64_t args[6])
{
	if (call->timeout == NONE)
		return false;
	if (call->milliseconds)
		return (int32_t)args[call->timeout] >= 0;
	if (call->nr == SYS_futex && (args[1] & FUTEX_CMD_MASK) != FUTEX_WAIT)
		return false;
	if (call->nr == SYS_clock_nanosleep && (args[1] & TIMER_ABSTIME || is_cpu_clock(args[0])))
		return false;
	return args[call->timeout] != 0;
}

/* --- before the stop ---------------------------------------------------------------------- */

static enum sleep_place read_place(pid_t tid)
{
	static const struct {
		const char *prefix;
		enum sleep_place place;
	} places[] = {
		{ "hrtimer_nanosleep", SLEEP_IN_NANOSLEEP },
		{ "do_nanosleep", SLEEP_IN_NANOSLEEP },
		{ "common_nsleep", SLEEP_IN_NANOSLEEP },
		{ "poll_", SLEEP_IN_POLL },
		{ "do_poll", SLEEP_IN_POLL },
		{ "do_sys_poll", SLEEP_IN_POLL },
		{ "do_restart_poll", SLEEP_IN_POLL },
		{ "futex_", SLEEP_IN_FUTEX },
		{ "__futex_", SLEEP_IN_FUTEX },
	};
	char path[PATH_ROOM], text[WORD_ROOM];

	snprintf(path, sizeof path, "/proc/%d/task/%d/wchan", tid, tid);
	if (procfs_read_into(AT_FDCWD, path, text, sizeof text) <= 0)
		return SLEEP_UNKNOWN;
	for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
		if (strncmp(text, places[i].prefix, strlen(places[i].prefix)) == 0)
			return places[i].place;
	return SLEEP_UNKNOWN;
}

/* The number of a call and its arguments, of a thread that sleeps in one. */
static bool read_call(pid_t tid, long *ret_nr, uint64_t args[6])
{
	char path[PATH_ROOM], text[PATH_ROOM * 4], *end;

	snprintf(path, sizeof path, "/proc/%d/task/%d/syscall", tid, tid);
	if (procfs_read_into(AT_FDCWD, path, text, sizeof text) <= 0 || *text < '0' || *text > '9')
		return false;
	*ret_nr = strtol(text, &end, 10);
	return procfs_numbers(end, 16, args, 6) == 6;
}

/*
 * A thread says that it sleeps (S) before it gives its processor away, when its exec_start is that
 * of an earlier time. /proc/PID/syscall waits until a sleeper is off its processor: asked again
 * after the count of switches, either that was of this sleep, or there is one switch more.
 */
void interrupted_look(pid_t tid, struct thread_sleep *ret_sleep)
{
	const struct timed_call *call;
	char path[PATH_ROOM];
	uint64_t args[6];
	long nr;

	*ret_sleep = (struct thread_sleep){ 0 };
	if (!read_call(tid, &ret_sleep->nr, ret_sleep->args))
		return;
	if (ret_sleep->nr == SYS_restart_syscall) {
		ret_sleep->place = read_place(tid);
		return;
	}
	call = find_call(ret_sleep->nr);
	if (!call || call->updates || !has_timeout(call, ret_sleep->args))
		return;
	snprintf(path, sizeof path, "/proc/%d/task/%d/sched", tid, tid);
	ret_sleep->known =
		scheduler_processor(tid, 'S', &ret_sleep->processor) &&
		scheduler_read(path, &ret_sleep->since, &ret_sleep->voluntary_switches) &&
		read_call(tid, &nr, args) && nr == ret_sleep->nr &&
		memcmp(args, ret_sleep->args, sizeof args) == 0;
}

/* --- how long it slept --------------------------------------------------------------------- */

/* Is it in the call in which it was found asleep, or in one that looks the same? */
static bool is_same_call(const struct target_thread *thread)
{
	uint64_t args[6];

	registers_arguments(&thread->regs, args);
	return (long)thread->regs.orig_rax == thread->sleep.nr &&
	       memcmp(args, thread->sleep.args, sizeof args) == 0;
}

/* How long it has slept where it was found asleep; it has done nothing since but stop. */
static bool slept_for(struct target *target, const struct target_thread *thread, uint64_t now,
		      uint64_t *ret_time)
{
	const struct thread_sleep *sleep = &thread->sleep;
	uint64_t unused, switches;
	const int64_t *difference;
	char path[PATH_ROOM];
	int64_t time;

	snprintf(path, sizeof path, "/proc/%d/task/%d/sched", thread->tid, thread->tid);
	if (!sleep->known || !is_same_call(thread) || !scheduler_read(path, &unused, &switches) ||
	    switches != sleep->voluntary_switches + 1)
		return false;
	difference = scheduler_clock(target->collect, sleep->processor);
	if (!difference)
		return false;
	time = (int64_t)now - ((int64_t)sleep->since + *difference);
	*ret_time = time < 0 ? 0 : (uint64_t)time;
	return true;
}

/*
 * When a stopped thread last ran: right before, the kernel has written what its call had left. Not
 * known: now, since an earlier time would end the call too early.
 */
static uint64_t stopped_since(struct target *target, const struct target_thread *thread)
{
	uint64_t now = wait_clock(), at, unused;
	const int64_t *difference;
	unsigned processor;
	char path[PATH_ROOM];

	snprintf(path, sizeof path, "/proc/%d/task/%d/sched", thread->tid, thread->tid);
	if (!scheduler_processor(thread->tid, 't', &processor) ||
	    !scheduler_read(path, &at, &unused))
		return now;
	difference = scheduler_clock(target->collect, processor);
	if (!difference || (int64_t)at + *difference > (int64_t)now)
		return now;
	return (uint64_t)((int64_t)at + *difference);
}

/* --- which call it was -------------------------------------------------------------------- */

static bool write_memory(pid_t tid, uint64_t address, const void *bytes, size_t size)
{
	struct iovec local = { (void *)bytes, size }, remote = { (void *)address, size };

	return process_vm_writev(tid, &local, 1, &remote, 1, 0) == (ssize_t)size;
}

static bool read_time(struct target *target, uint64_t address, uint64_t *ret_time)
{
	struct timespec time;

	if (address == 0 || !target_peek(target, address, &time, sizeof time) || time.tv_sec < 0 ||
	    time.tv_nsec < 0 || time.tv_nsec >= SECOND)
		return false;
	/* About 292 years: as long as the kernel's own longest (KTIME_MAX). */
	*ret_time = time.tv_sec >= INT64_MAX / SECOND
			    ? INT64_MAX
			    : (uint64_t)time.tv_sec * SECOND + (uint64_t)time.tv_nsec;
	return true;
}

/* Could these be the arguments of this call, of those that have a restart block? */
static bool is_plausible(struct target *target, long nr, const uint64_t args[6])
{
	struct pollfd entry;
	uint64_t time;
	uint32_t word;

	switch (nr) {
	case SYS_nanosleep:
		return read_time(target, args[0], &time) &&
		       (args[1] == 0 || target_peek(target, args[1], &entry, sizeof entry));
	case SYS_clock_nanosleep:
		return args[0] <= CLOCK_TAI && args[1] == 0 && read_time(target, args[2], &time);
	case SYS_poll:
		return args[1] <= INT32_MAX &&
		       (args[1] == 0 || target_peek(target, args[0], &entry, sizeof entry));
	case SYS_futex:
		return args[0] % sizeof word == 0 &&
		       target_peek(target, args[0], &word, sizeof word) &&
		       ((args[1] & FUTEX_CMD_MASK) == FUTEX_WAIT ||
			(args[1] & FUTEX_CMD_MASK) == FUTEX_WAIT_BITSET) &&
		       args[1] < FUTEX_OPERATIONS && read_time(target, args[3], &time);
	default:
		return false;
	}
}

static bool is_place(enum sleep_place place, long nr)
{
	switch (place) {
	case SLEEP_IN_NANOSLEEP:
		return nr == SYS_nanosleep || nr == SYS_clock_nanosleep;
	case SLEEP_IN_POLL:
		return nr == SYS_poll;
	case SLEEP_IN_FUTEX:
		return nr == SYS_futex;
	default:
		return true;
	}
}

/* The call that restart_syscall goes on with; -1 if it cannot be told. */
static long restarted_call(struct target *target, const struct target_thread *thread)
{
	static const long candidates[] = { SYS_nanosleep, SYS_clock_nanosleep, SYS_poll,
					   SYS_futex };
	uint8_t code[CALL_CODE_SIZE];
	uint64_t args[6];
	long found = -1;

	registers_arguments(&thread->regs, args);
	if (target_peek(target, thread->regs.rip - sizeof code, code, sizeof code))
		found = registers_call_of_code(code);
	if (found >= 0)
		return is_plausible(target, found, args) ? found : -1;
	for (size_t i = 0; i < sizeof candidates / sizeof candidates[0]; i++) {
		if (!is_place(thread->sleep.place, candidates[i]) ||
		    !is_plausible(target, candidates[i], args))
			continue;
		if (found >= 0)
			return -1;
		found = candidates[i];
	}
	return found;
}

/* --- the time that is left ---------------------------------------------------------------- */

static struct timespec timespec_of(uint64_t time)
{
	return (struct timespec){ .tv_sec = (time_t)(time / SECOND),
				  .tv_nsec = (long)(time % SECOND) };
}

/* No call ends before its time: every dump adds half a millisecond to one that counts them. */
static uint64_t milliseconds_of(uint64_t time)
{
	return (time + MILLISECOND - 1) / MILLISECOND;
}

static bool write_time(const struct thread_timeout *timeout, pid_t tid)
{
	struct timespec time = timespec_of(timeout->left);
	struct timeval rough = { .tv_sec = time.tv_sec, .tv_usec = time.tv_nsec / MICROSECOND };

	return timeout->microseconds ? write_memory(tid, timeout->address, &rough, sizeof rough)
				     : write_memory(tid, timeout->address, &time, sizeof time);
}

/* Puts the time left where the call will look for it. */
static bool write_timeout(const struct thread_timeout *timeout, pid_t tid,
			  struct user_regs_struct *regs)
{
	if (timeout->address == 0) {
		registers_set_argument(regs, timeout->argument, milliseconds_of(timeout->left));
		return true;
	}
	if (!write_time(timeout, tid))
		return false;
	registers_set_argument(regs, timeout->argument, timeout->address);
	return true;
}

/* What the kernel has written for the caller, when it is nobody's guess. */
static bool read_remaining(struct target *target, const struct timed_call *call,
			   const uint64_t args[6], struct thread_timeout *timeout)
{
	if (call->remaining == NONE || !read_time(target, args[call->remaining], &timeout->left))
		return false;
	/* The fraction of a struct timeval is of microseconds. */
	if (call->microseconds)
		timeout->left += timeout->left % SECOND * (MICROSECOND - 1);
	timeout->microseconds = call->microseconds;
	timeout->address = args[call->remaining];
	return true;
}

static bool calculate_remaining(struct target *target, const struct target_thread *thread,
				const struct timed_call *call, const uint64_t args[6],
				struct thread_timeout *timeout)
{
	uint64_t argument = args[call->timeout], slept;

	if (call->milliseconds)
		timeout->left = (uint64_t)(int32_t)argument * MILLISECOND;
	else if (!read_time(target, argument, &timeout->left))
		return false;
	if (!slept_for(target, thread, timeout->as_of, &slept))
		return false;
	/* Its time was over when it stopped: that is the next call, which has not slept at all. */
	if (slept >= timeout->left &&
	    slept - (timeout->as_of - stopped_since(target, thread)) >= timeout->left)
		return false;
	timeout->left = slept < timeout->left ? timeout->left - slept : 0;
	if (!call->milliseconds)
		timeout->address =
			(registers_stack(&thread->regs) - RED_ZONE - sizeof(struct timespec)) &
			~(uint64_t)15;
	return true;
}

static void warn(const struct target *target, const struct target_thread *thread, const char *what)
{
	char name[WORD_ROOM];

	snprintf(name, sizeof name, "pid %d", target->pid);
	log_warning("collect", name, "thread %d waits %s", thread->tid, what);
}

static void warn_unknown(const struct target *target, const struct target_thread *thread)
{
	warn(target, thread,
	     "for a time of which nobody can tell how much is left: in the images it begins anew");
}

/*
 * `fresh` is the call in the form "to be made again". False: the thread itself had better go on as
 * it would have, with what the kernel knows.
 */
static bool settle_timeout(struct target *target, struct target_thread *thread,
			   const struct timed_call *call, bool block,
			   struct user_regs_struct *fresh)
{
	struct thread_timeout timeout = { .as_of = wait_clock(), .argument = call->timeout };
	bool restarted = (long)thread->regs.orig_rax == SYS_restart_syscall;
	uint64_t args[6];

	registers_arguments(fresh, args);
	if ((block || call->updates) && read_remaining(target, call, args, &timeout)) {
		timeout.as_of = stopped_since(target, thread);
	} else {
		if (!has_timeout(call, args))
			return !block;
		/* The arguments of a call that was interrupted before are of its beginning. */
		if (restarted || !calculate_remaining(target, thread, call, args, &timeout)) {
			warn_unknown(target, thread);
			return !block;
		}
	}
	timeout.known = write_timeout(&timeout, target->tid, fresh);
	if (!timeout.known) {
		warn_unknown(target, thread);
		return !block;
	}
	thread->timeout = timeout;
	return true;
}

/* Here it goes on, since the kernel knows; a restored one is told of an interruption (EINTR). */
static void warn_restarted(const struct target *target, const struct target_thread *thread)
{
	warn(target, thread,
	     "in a call that was interrupted before, and nothing tells in which one: in the images "
	     "it returns EINTR");
}

static bool is_only_stopped(const struct user_regs_struct *regs)
{
	const struct timed_call *call = find_call((long)regs->orig_rax);

	return (int64_t)regs->rax == -EINTR && call && call->only_stopped;
}

void interrupted_stop(pid_t tid)
{
	struct user_regs_struct regs;
	struct iovec vector = { &regs, sizeof regs };

	/* Fails for a thread that was killed: nothing to be done. */
	if (ptrace(PTRACE_GETREGSET, tid, NT_PRSTATUS, &vector) < 0 || !is_only_stopped(&regs))
		return;
	regs.rax = (uint64_t)-ERESTARTNOHAND;
	ptrace(PTRACE_SETREGSET, tid, NT_PRSTATUS, &vector);
}

void interrupted_settle(struct target *target, struct target_thread *thread)
{
	struct iovec vector = { &thread->regs, sizeof thread->regs };
	bool block = (int64_t)thread->regs.rax == -ERESTART_RESTARTBLOCK;
	struct user_regs_struct fresh = thread->regs;
	const struct timed_call *call;

	thread->recorded = thread->regs;
	thread->timeout = (struct thread_timeout){ 0 };
	if (!is_only_stopped(&fresh) && !registers_interrupted(&fresh))
		return;
	if ((long)fresh.orig_rax == SYS_restart_syscall) {
		long nr = restarted_call(target, thread);
		if (nr < 0) {
			warn_restarted(target, thread);
			return;
		}
		fresh.orig_rax = (uint64_t)nr;
	}
	call = find_call((long)fresh.orig_rax);
	if (!call)
		return;
	if (block || is_only_stopped(&fresh))
		fresh.rax = (uint64_t)-ERESTARTNOHAND;
	bool known = settle_timeout(target, thread, call, block, &fresh);
	thread->recorded = fresh;
	if (known && memcmp(&fresh, &thread->regs, sizeof fresh) != 0) {
		thread->regs = fresh;
		ptrace(PTRACE_SETREGSET, thread->tid, NT_PRSTATUS, &vector);
	}
}

void interrupted_release(struct target_thread *thread)
{
	struct iovec vector = { &thread->regs, sizeof thread->regs };
	struct thread_timeout *timeout = &thread->timeout;
	uint64_t now = wait_clock(), passed = now - timeout->as_of;

	if (!timeout->known)
		return;
	timeout->left = passed < timeout->left ? timeout->left - passed : 0;
	timeout->as_of = now;
	if (write_timeout(timeout, thread->tid, &thread->regs) && timeout->address == 0)
		ptrace(PTRACE_SETREGSET, thread->tid, NT_PRSTATUS, &vector);
}
