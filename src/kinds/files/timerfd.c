// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Timers that are read (timerfd_create(2)): a clock, the time left, an interval, and expirations
 * that nobody has read. fdinfo shows all of it, the time left also of absolute timers.
 *
 * What is kept is the time left, for every clock: time stands still for a tree that is not there.
 * Absolute timers are set to the clock as it is at the restore plus that, so that the flags they
 * were set with (TFD_TIMER_CANCEL_ON_SET among them) are still theirs. They begin to run when the
 * tree is complete.
 *
 * An interval timer that has expired stands still until it is read or asked (fs/timerfd.c): fdinfo
 * shows no time left then, and timerfd_gettime, which changes nothing that a reader could see,
 * winds it on. Since it may have expired again before fdinfo is read, what is left of an interval
 * is counted from what timerfd_gettime has said. One that was cancelled by a change of the clock
 * reads ECANCELED once; that is lost.
 */
#include "kinds/files/files.h"
#include "kinds/opener.h"

#include "base/cleanup.h"
#include "base/procfs.h"
#include "collect/collect.h"
#include "collect/wait.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#ifndef TFD_IOC_SET_TICKS
#define TFD_IOC_SET_TICKS _IOW('T', 0, uint64_t)
#endif

enum { NANOSECONDS = 1000000000 };

static bool timerfd_recognise(const struct open_file *file)
{
	return strcmp(file->link, "anon_inode:[timerfd]") == 0 && !(file->flags & O_PATH);
}

/* "(seconds, nanoseconds)" */
static bool read_time(const char *fdinfo, const char *key, uint64_t *ret_seconds,
		      uint64_t *ret_nanoseconds)
{
	const char *field = procfs_field(fdinfo, key);

	return field &&
	       sscanf(field, "(%" SCNu64 ", %" SCNu64 ")", ret_seconds, ret_nanoseconds) == 2;
}

static int parse(const struct open_file *file, const char *fdinfo, TimerfdEntry *timer,
		 struct error *err)
{
	uint64_t clock = 0, flags = 0;

	if (!procfs_number(fdinfo, "clockid:", 10, &clock) ||
	    !procfs_number(fdinfo, "ticks:", 10, &timer->ticks) ||
	    !procfs_number(fdinfo, "settime flags:", 8, &flags) ||
	    !read_time(fdinfo, "it_value:", &timer->vsec, &timer->vnsec) ||
	    !read_time(fdinfo, "it_interval:", &timer->isec, &timer->insec))
		return fail(err, ERR_KERNEL_REFUSED, "%s: fdinfo does not show the timer",
			    file->what);
	timer->clockid = (uint32_t)clock;
	timer->settime_flags = (uint32_t)flags;
	return 0;
}

static bool has_interval(const TimerfdEntry *timer)
{
	return timer->isec || timer->insec;
}

static bool is_running(const TimerfdEntry *timer)
{
	return timer->vsec || timer->vnsec;
}

/* Nanoseconds; far more than anybody waits for is all the same. */
static uint64_t nanoseconds(uint64_t seconds, uint64_t rest)
{
	return seconds < INT64_MAX / NANOSECONDS ? seconds * NANOSECONDS + rest : INT64_MAX;
}

/*
 * An interval timer that had `left` at the time `since` and has expired by now, once as far as the
 * kernel has counted: the others, and how much is left of the interval in which it is.
 */
static void wind_on(TimerfdEntry *timer, uint64_t left, uint64_t since)
{
	uint64_t interval = nanoseconds(timer->isec, timer->insec), passed = wait_clock() - since;
	uint64_t over = passed > left ? passed - left : 0, to_come = interval - over % interval;

	timer->ticks += over / interval;
	timer->vsec = to_come / NANOSECONDS;
	timer->vnsec = to_come % NANOSECONDS;
}

/* It is about to expire, or has and is not wound on: then it is looked at once more. */
static int read_again(const struct open_file *file, TimerfdEntry *timer, struct error *err)
{
	struct itimerspec now;
	uint64_t since;
	char name[32];

	autoclose int fd = collect_get_file(file, err);
	if (fd < 0)
		return -1;
	since = wait_clock();
	if (timerfd_gettime(fd, &now) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot read the timer", file->what);
	snprintf(name, sizeof name, "fdinfo/%u", file->number);
	const char *fdinfo = target_read(file->target, name, err);
	if (!fdinfo || parse(file, fdinfo, timer, err))
		return -1;
	/* One that was set to no time has no expirations either. */
	if (!is_running(timer) && has_interval(timer) && timer->ticks)
		wind_on(timer,
			nanoseconds((uint64_t)now.it_value.tv_sec, (uint64_t)now.it_value.tv_nsec),
			since);
	return 0;
}

static int timerfd_collect(const struct open_file *file, FileEntry *entry, struct error *err)
{
	TimerfdEntry *timer =
		snapshot_new(file->target->collect->snapshot, TIMERFD_ENTRY, TimerfdEntry);

	entry->tfd = timer;
	timer->id = file->id;
	timer->flags = file->flags;
	if (parse(file, file->fdinfo, timer, err))
		return -1;
	if (!is_running(timer) && (has_interval(timer) || !timer->ticks) &&
	    read_again(file, timer, err))
		return -1;
	/* The time is read before the expirations: one in between is not to come again. */
	if (timer->ticks && !has_interval(timer))
		timer->vsec = timer->vnsec = 0;
	return 0;
}

static int timerfd_check(const struct snapshot *snapshot, const FileEntry *entry, struct error *err)
{
	const TimerfdEntry *timer = entry->tfd;

	(void)snapshot;
	if (!timer || timer->id != entry->id)
		return fail(err, ERR_IMAGE_INVALID, "file %u has no record of a timerfd",
			    entry->id);
	if (timer->vnsec >= NANOSECONDS || timer->insec >= NANOSECONDS ||
	    timer->vsec > INT64_MAX / NANOSECONDS || timer->isec > INT64_MAX / NANOSECONDS ||
	    timer->settime_flags & ~(uint32_t)(TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET))
		return fail(err, ERR_IMAGE_INVALID, "file %u: no timerfd is set to that",
			    entry->id);
	return 0;
}

static int timerfd_open(struct file_opener *opener, const FileEntry *entry, struct error *err)
{
	autoclose int fd = timerfd_create((int)entry->tfd->clockid, TFD_CLOEXEC);

	(void)opener;
	if (fd < 0 && errno == EPERM)
		return fail_errno(err, ERR_NO_PRIVILEGE,
				  "file %u: a timer that wakes the machine takes CAP_WAKE_ALARM",
				  entry->id);
	if (fd < 0 || opener_set_flags(fd, entry->tfd->flags) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "file %u: cannot make a timerfd of clock %u", entry->id,
				  entry->tfd->clockid);
	return take_fd(&fd);
}

/* The clock by which a timer of an alarm clock runs has a number of its own. */
static clockid_t readable_clock(uint32_t clock)
{
	return clock == CLOCK_REALTIME_ALARM   ? CLOCK_REALTIME
	       : clock == CLOCK_BOOTTIME_ALARM ? CLOCK_BOOTTIME
					       : (clockid_t)clock;
}

static int timerfd_connect(struct file_opener *opener, const FileEntry *entry, int fd,
			   struct error *err)
{
	const TimerfdEntry *timer = entry->tfd;
	struct itimerspec wanted = {
		.it_value = { (time_t)timer->vsec, (long)timer->vnsec },
		.it_interval = { (time_t)timer->isec, (long)timer->insec },
	};
	struct timespec now = { 0 };

	(void)opener;
	if (is_running(timer) && timer->settime_flags & TFD_TIMER_ABSTIME) {
		if (clock_gettime(readable_clock(timer->clockid), &now) < 0)
			return fail_errno(err, ERR_KERNEL_REFUSED, "cannot read clock %u",
					  timer->clockid);
		wanted.it_value.tv_sec += now.tv_sec;
		wanted.it_value.tv_nsec += now.tv_nsec;
		if (wanted.it_value.tv_nsec >= NANOSECONDS) {
			wanted.it_value.tv_nsec -= NANOSECONDS;
			wanted.it_value.tv_sec++;
		}
	}
	if (timerfd_settime(fd, (int)timer->settime_flags, &wanted, NULL) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "file %u: cannot set a timerfd",
				  entry->id);
	if (timer->ticks && ioctl(fd, TFD_IOC_SET_TICKS, &timer->ticks) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "file %u: cannot give a timerfd its expirations", entry->id);
	return 0;
}

static void timerfd_describe(const FileEntry *entry, char *text, size_t room)
{
	const TimerfdEntry *timer = entry->tfd;

	snprintf(text, room, "timerfd of clock %u, %" PRIu64 ".%09" PRIu64 " s left",
		 timer->clockid, timer->vsec, timer->vnsec);
}

static struct file_fields timerfd_fields(FileEntry *entry)
{
	return (struct file_fields){ &entry->tfd->fown, &entry->tfd->flags };
}

const struct file_kind timerfd_kind = {
	.name = "timerfd",
	.type = FD_TYPES__TIMERFD,
	.recognise = timerfd_recognise,
	.collect = timerfd_collect,
	.check = timerfd_check,
	.open = timerfd_open,
	.connect = timerfd_connect,
	.describe = timerfd_describe,
	.fields = timerfd_fields,
};
