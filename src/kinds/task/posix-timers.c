// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * POSIX timers of a process (timer_create(2)): which there are, their clocks and notifications
 * are in /proc/PID/timers; remaining time and overrun are told to the process alone.
 *
 * The id of a timer is the kernel's and the program keeps it. From 6.15 on
 * PR_TIMER_CREATE_RESTORE_IDS lets timer_create take the id that stands at its result. Before, a
 * process counts up from 0: timers that are not wanted are made and deleted again.
 *
 * Restored in the last stage, when the threads exist that SIGEV_THREAD_ID names. Capabilities
 * (the alarm clocks want CAP_WAKE_ALARM) are given up only after it.
 */
#include "kinds/task/task.h"

#include "base/compare.h"
#include "base/log.h"
#include "base/procfs.h"
#include "collect/collect.h"
#include "collect/losses.h"
#include "collect/probe.h"
#include "kernel/syscalls.h"
#include "plan/plan.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>

enum {
	ASKED_AT_MOST = 64,	/* what one probe has room for */
	COUNTED_AT_MOST = 4096, /* ids that are worth counting up to */
	RESTORE_IDS = 77,	/* PR_TIMER_CREATE_RESTORE_IDS */
	LAST_SIGNAL = 64,
	NANOSECONDS = 1000000000,
};

#ifndef SIGEV_THREAD_ID
#define SIGEV_THREAD_ID 4
#endif

/* struct itimerspec as the kernel has it. */
struct kernel_timer {
	uint64_t interval_seconds, interval_nanoseconds, seconds, nanoseconds;
};

struct question {
	size_t remaining, overrun;
	uint64_t timer;
};

/* The number of a thread in its own pid namespace, which is what timer_create takes. */
static int own_thread_number(const struct target *target, pid_t tid, int32_t *ret_number)
{
	for (size_t i = 0; i < target->n_threads; i++) {
		struct pid_vector vector = thread_pids(target->task, i);
		if (target->threads[i].tid != tid)
			continue;
		*ret_number = (int32_t)vector.pid[vector.levels - 1];
		return 0;
	}
	return -1;
}

static int parse_notification(const struct target *target, const char *text, PosixTimerEntry *timer,
			      struct error *err)
{
	const char *slash = strchr(text, '/');

	if (strncmp(text, "none/", 5) == 0)
		timer->it_sigev_notify = SIGEV_NONE;
	else if (strncmp(text, "thread/", 7) == 0)
		timer->it_sigev_notify = SIGEV_THREAD;
	else
		timer->it_sigev_notify = SIGEV_SIGNAL;
	if (!slash || strncmp(slash, "/tid.", 5) != 0)
		return 0;
	timer->it_sigev_notify |= SIGEV_THREAD_ID;
	timer->has_notify_thread_id = true;
	if (own_thread_number(target, atoi(slash + 5), &timer->notify_thread_id))
		return fail(err, ERR_UNSUPPORTED_TASK,
			    "timer %" PRIu32 " of pid %d notifies a thread that is gone",
			    timer->it_id, target->pid);
	return 0;
}

/* One timer: four or five lines that begin with "ID:". */
static int parse_timer(const struct target *target, const char *text, PosixTimerEntry *timer,
		       struct error *err)
{
	const char *signal = procfs_field(text, "signal:");
	const char *notify = procfs_field(text, "notify:");
	const char *clock = procfs_field(text, "ClockID:");

	timer->it_id = (uint32_t)strtoul(text + strlen("ID:"), NULL, 10);
	if (!signal || !notify || !clock)
		return fail(err, ERR_KERNEL_REFUSED, "/proc/%d/timers cannot be understood",
			    target->pid);
	if (sscanf(signal, "%" SCNu32 "/%" SCNx64, &timer->si_signo, &timer->sival_ptr) < 1)
		return fail(err, ERR_KERNEL_REFUSED, "/proc/%d/timers cannot be understood",
			    target->pid);
	timer->clock_id = (uint32_t)strtol(clock, NULL, 10);
	return parse_notification(target, notify, timer, err);
}

static int compare_timers(const void *a, const void *b)
{
	const PosixTimerEntry *one = *(PosixTimerEntry *const *)a;
	const PosixTimerEntry *other = *(PosixTimerEntry *const *)b;

	return compare_values(one->it_id, other->it_id);
}

static int collect(struct target *target, struct error *err)
{
	struct snapshot *snapshot = target->collect->snapshot;
	TaskTimersEntry *timers = target->task->core->tc->timers;
	const char *text = target_read(target, "timers", err);

	if (!text)
		return -1;
	for (; *text; text = *text ? text + 1 : text) {
		if (strncmp(text, "ID:", 3) == 0) {
			PosixTimerEntry *timer =
				snapshot_new(snapshot, POSIX_TIMER_ENTRY, PosixTimerEntry);
			timers->posix = arena_grow(snapshot->arena, timers->posix, timers->n_posix,
						   sizeof(void *));
			timers->posix[timers->n_posix++] = timer;
			if (parse_timer(target, text, timer, err))
				return -1;
		}
		text += strcspn(text, "\n");
		if (!*text)
			break;
	}
	if (timers->n_posix > ASKED_AT_MOST)
		return fail(err, ERR_UNSUPPORTED_TASK, "pid %d has %zu timers, more than %d",
			    target->pid, timers->n_posix, ASKED_AT_MOST);
	if (timers->n_posix)
		qsort(timers->posix, timers->n_posix, sizeof(void *), compare_timers);
	return 0;
}

static void *ask(const struct asking *asking)
{
	struct probe *probe = asking->probe;
	struct target *target = asking->target;
	const TaskTimersEntry *timers = target->task->core->tc->timers;
	struct question *questions =
		arena_array(target->collect->arena, struct question, timers->n_posix + 1);

	for (size_t i = 0; i < timers->n_posix; i++) {
		uint64_t id = timers->posix[i]->it_id;
		questions[i].timer = probe_buffer(probe, sizeof(struct kernel_timer));
		questions[i].remaining =
			probe_ask(probe, SYS_timer_gettime, id, questions[i].timer);
		questions[i].overrun = probe_ask(probe, SYS_timer_getoverrun, id);
	}
	return questions;
}

static int answer(const struct asking *asking, void *asked, struct error *err)
{
	struct probe *probe = asking->probe;
	struct target *target = asking->target;
	const TaskTimersEntry *timers = target->task->core->tc->timers;
	const struct question *questions = asked;

	for (size_t i = 0; i < timers->n_posix; i++) {
		PosixTimerEntry *entry = timers->posix[i];
		int64_t result = probe_result(probe, questions[i].remaining);
		int64_t overrun = probe_result(probe, questions[i].overrun);
		struct kernel_timer timer;

		if (result == PROBE_FORBIDDEN) {
			loss_forbidden(target, target->living, LOSS_POSIX_TIMERS);
			return 0;
		}
		if (result < 0)
			return fail(err, ERR_PROBE_FAILED, "pid %d: timer_gettime(%" PRIu32 "): %s",
				    target->pid, entry->it_id, strerror((int)-result));
		memcpy(&timer, probe_bytes(probe, questions[i].timer), sizeof timer);
		entry->isec = timer.interval_seconds;
		entry->insec = timer.interval_nanoseconds;
		entry->vsec = timer.seconds;
		entry->vnsec = timer.nanoseconds;
		entry->overrun = overrun > 0 ? (uint32_t)overrun : 0;
	}
	return 0;
}

static bool is_of_processor_time(const PosixTimerEntry *timer)
{
	return (int32_t)timer->clock_id < 0 || timer->clock_id == CLOCK_PROCESS_CPUTIME_ID ||
	       timer->clock_id == CLOCK_THREAD_CPUTIME_ID;
}

static pid_t notified_thread(const struct target *target, const PosixTimerEntry *timer)
{
	for (size_t i = 0; timer->has_notify_thread_id && i < target->n_threads; i++) {
		struct pid_vector vector = thread_pids(target->task, i);
		if ((int32_t)vector.pid[vector.levels - 1] == timer->notify_thread_id)
			return target->threads[i].tid;
	}
	return 0;
}

/*
 * One that has expired does so again only when its signal has been taken (posixtimer_rearm), which
 * nobody does meanwhile: however long the questions took, it is wound on by one interval.
 */
static bool has_expired_before(const struct target *target, const PosixTimerEntry *timer)
{
	void **settled = collect_state(target->collect, timer);
	bool before = *settled != NULL;

	*settled = target->task;
	return before;
}

/* One that has expired since is off, or runs to its next time while the signal is pending. */
static int settle_timer(const struct target *target, PosixTimerEntry *timer, bool *ret_again,
			struct error *err)
{
	uint64_t left = timer->vsec < INT64_MAX / NANOSECONDS
				? timer->vsec * NANOSECONDS + timer->vnsec
				: INT64_MAX;
	pid_t tid = notified_thread(target, timer);
	int number = (int)timer->si_signo, expired;

	if (timer->it_sigev_notify == SIGEV_NONE || number < 1 || number > LAST_SIGNAL)
		return 0;
	expired = is_of_processor_time(timer)
			  ? target_cpu_timer_expired(target, left, tid, number, err)
			  : target_timer_expired(target, left, tid, number, err);
	if (expired <= 0)
		return expired;
	if (has_expired_before(target, timer))
		return 0;
	*ret_again = *ret_again || !is_of_processor_time(timer);
	if (timer->isec || timer->insec)
		left += timer->isec * NANOSECONDS + timer->insec;
	else
		left = 0;
	timer->vsec = left / NANOSECONDS;
	timer->vnsec = left % NANOSECONDS;
	return 0;
}

static int settle(struct target *target, bool *ret_again, struct error *err)
{
	const TaskTimersEntry *timers = target->task->core->tc->timers;

	for (size_t i = 0; i < timers->n_posix; i++)
		if (settle_timer(target, timers->posix[i], ret_again, err) < 0)
			return -1;
	return 0;
}

static bool is_own_thread(const struct task *task, uint32_t number)
{
	for (size_t i = 0; i < task->n_threads; i++) {
		struct pid_vector vector = thread_pids(task, i);
		if (vector.pid[vector.levels - 1] == number)
			return true;
	}
	return false;
}

/*
 * Clocks that timers can be made of. A negative number is one of processor time: ~pid << 3, 4 for a
 * thread, and which time (include/linux/posix-timers_types.h); 3 is a clock behind a descriptor.
 */
static int check_clock(const struct task *task, const PosixTimerEntry *timer, struct error *err)
{
	static const uint32_t clocks =
		1 << CLOCK_REALTIME | 1 << CLOCK_MONOTONIC | 1 << CLOCK_PROCESS_CPUTIME_ID |
		1 << CLOCK_THREAD_CPUTIME_ID | 1 << CLOCK_BOOTTIME | 1 << CLOCK_REALTIME_ALARM |
		1 << CLOCK_BOOTTIME_ALARM | 1 << CLOCK_TAI;
	int32_t clock = (int32_t)timer->clock_id;
	uint32_t pid = ~(uint32_t)(clock >> 3);

	if (clock >= 0 && clock <= CLOCK_TAI && clocks >> clock & 1)
		return 0;
	if (clock < 0 && (clock & 3) != 3 && (pid == 0 || is_own_thread(task, pid)))
		return 0;
	return fail(err, ERR_UNSUPPORTED_TASK,
		    "task %s: timer %" PRIu32 " is of clock %" PRId32
		    ", neither one of the system nor of the task itself",
		    task_name(task), timer->it_id, clock);
}

static bool is_notification(const PosixTimerEntry *timer)
{
	switch (timer->it_sigev_notify) {
	case SIGEV_NONE:
		return true;
	case SIGEV_SIGNAL:
	case SIGEV_THREAD:
	case SIGEV_THREAD_ID:
		return timer->si_signo > 0;
	default:
		return false;
	}
}

static int check_timer(const struct task *task, const PosixTimerEntry *timer, struct error *err)
{
	if (timer->it_id > INT32_MAX || timer->insec >= NANOSECONDS ||
	    timer->vnsec >= NANOSECONDS || timer->isec > INT64_MAX || timer->vsec > INT64_MAX ||
	    timer->si_signo > LAST_SIGNAL || !is_notification(timer))
		return fail(err, ERR_IMAGE_INVALID, "task %s: timer %" PRIu32 " is impossible",
			    task_name(task), timer->it_id);
	if (check_clock(task, timer, err))
		return -1;
	if (!(timer->it_sigev_notify & SIGEV_THREAD_ID) ||
	    (timer->has_notify_thread_id && is_own_thread(task, (uint32_t)timer->notify_thread_id)))
		return 0;
	return fail(err, ERR_IMAGE_INVALID,
		    "task %s: timer %" PRIu32 " notifies a thread that does not exist",
		    task_name(task), timer->it_id);
}

static int check(const struct snapshot *snapshot, const struct task *task, struct error *err)
{
	const TaskTimersEntry *timers = task->core->tc->timers;

	(void)snapshot;
	for (size_t i = 0; timers && i < timers->n_posix; i++)
		if (check_timer(task, timers->posix[i], err))
			return -1;
	return 0;
}

/* timer_create; the word at `id` holds the wanted id where the kernel looks at it. */
static void create_timer(struct program *program, const PosixTimerEntry *timer)
{
	struct kernel_sigevent event = {
		.value = timer->sival_ptr,
		.signal = (int32_t)timer->si_signo,
		.notify = (int32_t)timer->it_sigev_notify,
		.thread_id = timer->has_notify_thread_id ? timer->notify_thread_id : 0,
	};

	program_call(program, SYS_timer_create, (uint64_t)(int64_t)(int32_t)timer->clock_id,
		     program_data(program->set, &event, sizeof event, 8),
		     program_word(program->set, timer->it_id));
}

static void arm_timer(struct program *program, const PosixTimerEntry *entry)
{
	struct kernel_timer timer = { entry->isec, entry->insec, entry->vsec, entry->vnsec };

	if (timer.seconds || timer.nanoseconds)
		program_call(program, SYS_timer_settime, entry->it_id, 0,
			     program_data(program->set, &timer, sizeof timer, 8), 0);
}

/* Counts up to the id: the kernel gives the next one each time. */
static int skip_ids(struct program *program, const struct task *task, uint32_t *next,
		    uint32_t wanted, struct error *err)
{
	const PosixTimerEntry filler = { .it_sigev_notify = SIGEV_NONE };

	if (wanted > COUNTED_AT_MOST)
		return fail(err, ERR_KERNEL_TOO_OLD,
			    "task %s: timer %" PRIu32 " cannot get its id without "
			    "PR_TIMER_CREATE_RESTORE_IDS",
			    task_name(task), wanted);
	for (; *next < wanted; (*next)++) {
		create_timer(program, &filler);
		program_call(program, SYS_timer_delete, *next);
	}
	(*next)++;
	return 0;
}

static int plan_timers(const struct planning *planning, struct error *err)
{
	struct plan *plan = planning->plan;
	const struct task *task = planning->task;
	struct program *program = planning->program;
	const TaskTimersEntry *timers = task->core->tc->timers;
	bool restore_ids = plan->facts->timer_restore_ids;
	uint32_t next = 0;

	if (!timers || timers->n_posix == 0)
		return 0;
	PosixTimerEntry **sorted =
		arena_copy(plan->arena, timers->posix, timers->n_posix * sizeof(void *));
	qsort(sorted, timers->n_posix, sizeof(void *), compare_timers);
	for (size_t i = 1; i < timers->n_posix; i++)
		if (sorted[i]->it_id == sorted[i - 1]->it_id)
			return fail(err, ERR_IMAGE_INVALID,
				    "task %s: timer %" PRIu32 " is there twice", task_name(task),
				    sorted[i]->it_id);
	if (restore_ids)
		program_call(program, SYS_prctl, RESTORE_IDS, 1, 0, 0, 0);
	for (size_t i = 0; i < timers->n_posix; i++) {
		if (!restore_ids && skip_ids(program, task, &next, sorted[i]->it_id, err))
			return -1;
		create_timer(program, sorted[i]);
	}
	if (restore_ids)
		program_call(program, SYS_prctl, RESTORE_IDS, 0, 0, 0, 0);
	for (size_t i = 0; i < timers->n_posix; i++)
		arm_timer(program, sorted[i]);
	return 0;
}

const struct task_kind posix_timers_kind = {
	.name = "POSIX timers",
	.collect = collect,
	.ask = ask,
	.answer = answer,
	.settle = settle,
	.check = check,
	.plan = plan_timers,
};
