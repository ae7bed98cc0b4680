// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The three interval timers of a process (setitimer(2)): real, virtual and profiling time. Their
 * remaining time is told to the process alone. A timer without remaining time is off, but for a
 * repeating ITIMER_REAL: that one has expired and goes on when its SIGALRM is taken. They are not
 * inherited by fork. Armed in the last stage: a timer that expires earlier than its task goes
 * on leaves a pending signal, which is right but early.
 */
#include "kinds/task/task.h"

#include "base/log.h"
#include "collect/collect.h"
#include "collect/losses.h"
#include "collect/probe.h"
#include "plan/plan.h"

#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>

enum { TIMERS = 3, MICROSECONDS = 1000000, NANOSECONDS = 1000000000 };

static const char *const names[TIMERS] = { "ITIMER_REAL", "ITIMER_VIRTUAL", "ITIMER_PROF" };

/* struct itimerval as the kernel has it. */
struct kernel_itimer {
	uint64_t interval_seconds, interval_microseconds, seconds, microseconds;
};

struct questions {
	size_t calls[TIMERS];
	uint64_t timers[TIMERS];
};

static ItimerEntry *timer_entry(const TaskTimersEntry *timers, size_t which)
{
	ItimerEntry *entries[TIMERS] = { timers->real, timers->virt, timers->prof };

	return entries[which];
}

/* Every image has the three, armed or not; posix-timers.c adds to the same message. */
static int collect(struct target *target, struct error *err)
{
	struct snapshot *snapshot = target->collect->snapshot;
	TaskTimersEntry *timers = snapshot_new(snapshot, TASK_TIMERS_ENTRY, TaskTimersEntry);

	(void)err;
	timers->real = snapshot_new(snapshot, ITIMER_ENTRY, ItimerEntry);
	timers->virt = snapshot_new(snapshot, ITIMER_ENTRY, ItimerEntry);
	timers->prof = snapshot_new(snapshot, ITIMER_ENTRY, ItimerEntry);
	target->task->core->tc->timers = timers;
	return 0;
}

static void *ask(const struct asking *asking)
{
	struct probe *probe = asking->probe;
	struct questions *questions = arena_new(asking->target->collect->arena, struct questions);

	for (size_t i = 0; i < TIMERS; i++) {
		questions->timers[i] = probe_buffer(probe, sizeof(struct kernel_itimer));
		questions->calls[i] = probe_ask(probe, SYS_getitimer, i, questions->timers[i]);
	}
	return questions;
}

static int answer(const struct asking *asking, void *asked, struct error *err)
{
	struct probe *probe = asking->probe;
	struct target *target = asking->target;
	const struct questions *questions = asked;

	for (size_t i = 0; i < TIMERS; i++) {
		ItimerEntry *entry = timer_entry(target->task->core->tc->timers, i);
		int64_t result = probe_result(probe, questions->calls[i]);
		struct kernel_itimer timer;

		if (result == PROBE_FORBIDDEN) {
			loss_forbidden(target, target->living, LOSS_INTERVAL_TIMERS);
			return 0;
		}
		if (result < 0)
			return fail(err, ERR_PROBE_FAILED, "pid %d: getitimer(%s): %s", target->pid,
				    names[i], strerror((int)-result));
		memcpy(&timer, probe_bytes(probe, questions->timers[i]), sizeof timer);
		entry->isec = timer.interval_seconds;
		entry->iusec = timer.interval_microseconds;
		entry->vsec = timer.seconds;
		entry->vusec = timer.microseconds;
	}
	return 0;
}

/* One that has expired since waits for its signal to be taken, or is off. */
static int settle(struct target *target, bool *ret_again, struct error *err)
{
	static const int signals[TIMERS] = { SIGALRM, SIGVTALRM, SIGPROF };

	for (size_t i = 0; i < TIMERS; i++) {
		ItimerEntry *entry = timer_entry(target->task->core->tc->timers, i);
		uint64_t left = entry->vsec < INT64_MAX / NANOSECONDS
					? entry->vsec * NANOSECONDS + entry->vusec * 1000
					: INT64_MAX;
		int expired = i == ITIMER_REAL
				      ? target_timer_expired(target, left, 0, signals[i], err)
				      : target_cpu_timer_expired(target, left, 0, signals[i], err);

		if (expired < 0)
			return -1;
		if (!expired)
			continue;
		/* Those of processor time begin anew by themselves (check_cpu_itimer). */
		entry->vsec = i == ITIMER_REAL ? 0 : entry->isec;
		entry->vusec = i == ITIMER_REAL ? 0 : entry->iusec;
		*ret_again = *ret_again || i == ITIMER_REAL;
	}
	return 0;
}

static int check(const struct snapshot *snapshot, const struct task *task, struct error *err)
{
	const TaskTimersEntry *timers = task->core->tc->timers;

	(void)snapshot;
	for (size_t i = 0; timers && i < TIMERS; i++) {
		const ItimerEntry *entry = timer_entry(timers, i);
		if (entry->iusec >= MICROSECONDS || entry->vusec >= MICROSECONDS ||
		    entry->isec > INT64_MAX || entry->vsec > INT64_MAX)
			return fail(err, ERR_IMAGE_INVALID, "task %s: %s has an impossible time",
				    task_name(task), names[i]);
	}
	return 0;
}

/*
 * The kernel starts a repeating ITIMER_REAL again when its SIGALRM is dequeued (kernel/signal.c).
 * Until then it has an interval and no time left; without either, the interval is forgotten
 * (do_setitimer), so an interval alone means this state. It is entered again by expiring at once:
 * a second SIGALRM beside the recorded one is not queued.
 */
static bool waits_for_its_signal(size_t which, const struct kernel_itimer *timer)
{
	return which == ITIMER_REAL && !timer->seconds && !timer->microseconds &&
	       (timer->interval_seconds || timer->interval_microseconds);
}

static int plan_timers(const struct planning *planning, struct error *err)
{
	struct program *program = planning->program;
	const TaskTimersEntry *timers = planning->task->core->tc->timers;

	(void)err;
	for (size_t i = 0; timers && i < TIMERS; i++) {
		const ItimerEntry *entry = timer_entry(timers, i);
		struct kernel_itimer timer = { entry->isec, entry->iusec, entry->vsec,
					       entry->vusec };
		if (waits_for_its_signal(i, &timer))
			timer.microseconds = 1;
		if (timer.seconds || timer.microseconds)
			program_call(program, SYS_setitimer, i,
				     program_data(program->set, &timer, sizeof timer, 8), 0);
	}
	return 0;
}

const struct task_kind interval_timers_kind = {
	.name = "interval timers",
	.collect = collect,
	.ask = ask,
	.answer = answer,
	.settle = settle,
	.check = check,
	.plan = plan_timers,
};
