// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Timers go on while a tree is stopped. One that expires between the question how much time it
 * has left and the look at the pending signals would be in both, or, the other way round, in
 * neither. So the time is asked first, and what may have expired before the signals were read
 * is waited for, for as little as that took: its signal is then there for sure. (That of a traced
 * task is queued even if it is ignored: sig_ignored, kernel/signal.c.)
 */
#include "base/procfs.h"
#include "collect/collect.h"
#include "collect/wait.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <time.h>

enum {
	PAUSE = 200000,		   /* nanoseconds between two looks */
	LONGEST_DELAY = 200000000, /* of an interrupt */
	OWN_WORK = 20000000,	   /* processor time that our questions take, at the most */
};

static int is_pending(const struct target *target, pid_t tid, int number, struct error *err)
{
	char path[64], text[16384];

	snprintf(path, sizeof path, "/proc/%d/task/%d/status", target->pid,
		 tid ? tid : target->tid);
	if (procfs_read_into(AT_FDCWD, path, text, sizeof text) < 0)
		return fail_errno(err, procfs_error(errno), "cannot read %s", path);
	return procfs_value(text, tid ? "SigPnd:" : "ShdPnd:", 16) >> (number - 1) & 1;
}

int target_timer_expired(const struct target *target, uint64_t left, pid_t tid, int number,
			 struct error *err)
{
	uint64_t latest = target->asked_to + left;

	if (left == 0 || target->asked_from + left > target->signals_read)
		return 0;
	for (;;) {
		int pending = wait_clock() < latest ? 0 : is_pending(target, tid, number, err);

		if (pending != 0)
			return pending;
		if (wait_clock() > latest + LONGEST_DELAY)
			return 0;
		nanosleep(&(struct timespec){ .tv_nsec = PAUSE }, NULL);
	}
}

int target_cpu_timer_expired(const struct target *target, uint64_t left, pid_t tid, int number,
			     struct error *err)
{
	return left == 0 || left > OWN_WORK ? 0 : is_pending(target, tid, number, err);
}
