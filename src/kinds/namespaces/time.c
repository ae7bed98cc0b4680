// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Time namespaces: CLOCK_MONOTONIC and CLOCK_BOOTTIME with an offset of their own
 * (time_namespaces(7)). What is recorded is what these clocks showed at the dump, so that they go
 * on from there, wherever and whenever that is: a task sees as little of the time in between as of
 * that between two of its instructions.
 *
 * Offsets are relative to the host's clocks, whoever writes them, and a new namespace has those of
 * its maker's. They can be written as long as nobody has ever been inside (proc_timens_set_offset,
 * EACCES after that), by who has CAP_SYS_TIME in the owner. unshare(2) makes a namespace for the
 * children of the caller; setns(2) enters one at once, with a single thread. So all threads are in
 * the same. A thread whose children are born in another one than its own has made that itself
 * (children-time.c); its offsets are read and set by /proc, since a visit would be the end of
 * setting them.
 */
#include "kinds/namespaces/namespaces.h"

#include "base/cleanup.h"
#include "base/text.h"
#include "collect/collect.h"
#include "collect/namespaces.h"
#include "kernel/visit.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { NANOSECONDS = 1000000000 };

/* Half of what the kernel's clocks can tell (KTIME_SEC_MAX), which it takes in an offset. */
#define MOST_SECONDS (INT64_MAX / NANOSECONDS / 2)

/* Those of the namespace that was made for children. */
#define OFFSETS "/proc/self/timens_offsets"

struct clocks {
	struct timespec monotonic, boottime;
};

static int read_clocks(struct clocks *clocks, struct error *err)
{
	if (clock_gettime(CLOCK_MONOTONIC, &clocks->monotonic) ||
	    clock_gettime(CLOCK_BOOTTIME, &clocks->boottime))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot read the clocks");
	return 0;
}

static void normalise(struct timespec *time)
{
	while (time->tv_nsec < 0) {
		time->tv_nsec += NANOSECONDS;
		time->tv_sec--;
	}
	time->tv_sec += time->tv_nsec / NANOSECONDS;
	time->tv_nsec %= NANOSECONDS;
}

/* Lines of a name, seconds and nanoseconds. */
static int read_offsets(const char *path, struct clocks *offsets, struct error *err)
{
	char text[256];
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	long long seconds[2];
	long nanoseconds[2];

	text[length < 0 ? 0 : length] = '\0';
	if (sscanf(text, "monotonic %lld %ld boottime %lld %ld", &seconds[0], &nanoseconds[0],
		   &seconds[1], &nanoseconds[1]) != 4)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot read %s", path);
	offsets->monotonic = (struct timespec){ seconds[0], nanoseconds[0] };
	offsets->boottime = (struct timespec){ seconds[1], nanoseconds[1] };
	return 0;
}

/* ---- dump ---- */

static int read_inside(struct visitor *visitor, void *data, struct error *err)
{
	(void)visitor;
	return read_clocks(data, err);
}

static Timespec *recorded(struct collect *collect, const struct timespec *time)
{
	Timespec *entry = snapshot_new(collect->snapshot, TIMESPEC, Timespec);

	entry->tv_sec = (uint64_t)time->tv_sec;
	entry->tv_nsec = (uint64_t)time->tv_nsec;
	return entry;
}

static struct timespec shown_by(const struct timespec *now, const struct timespec *own,
				const struct timespec *offset)
{
	struct timespec time = { now->tv_sec - own->tv_sec + offset->tv_sec,
				 now->tv_nsec - own->tv_nsec + offset->tv_nsec };

	normalise(&time);
	return time;
}

/* One that has never been entered takes its offsets once more; the same ones change nothing. */
static bool may_be_set(const char *path, const struct clocks *offsets)
{
	char text[80];
	autoclose int fd = open(path, O_WRONLY | O_CLOEXEC);
	int length = snprintf(text, sizeof text, "boottime %lld %ld\n",
			      (long long)offsets->boottime.tv_sec, offsets->boottime.tv_nsec);

	return fd >= 0 && write(fd, text, (size_t)length) == length;
}

static int read_made(pid_t maker, struct clocks *ret_clocks, bool *ret_not_entered,
		     struct error *err)
{
	struct clocks own = { 0 }, offsets = { 0 }, now;
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/timens_offsets", (int)maker);
	if (read_offsets(OFFSETS, &own, err) || read_offsets(path, &offsets, err) ||
	    read_clocks(&now, err))
		return -1;
	ret_clocks->monotonic = shown_by(&now.monotonic, &own.monotonic, &offsets.monotonic);
	ret_clocks->boottime = shown_by(&now.boottime, &own.boottime, &offsets.boottime);
	*ret_not_entered = may_be_set(path, &offsets);
	return 0;
}

static int collect(struct collect *collect, struct surveyed_namespace *namespace_,
		   struct error *err)
{
	TimensEntry *entry = snapshot_new(collect->snapshot, TIMENS_ENTRY, TimensEntry);
	struct clocks clocks = { 0 };
	bool not_entered = false;
	struct visit there = {
		.what = "reads the clocks of a time namespace",
		.namespaces = &namespace_->fd,
		.n_namespaces = 1,
		.as_owner = true,
		.function = read_inside,
		.data = &clocks,
		.size = sizeof clocks,
	};

	if (namespace_->maker ? read_made(namespace_->maker, &clocks, &not_entered, err)
			      : visit(&there, NULL, 0, err))
		return -1;
	entry->monotonic = recorded(collect, &clocks.monotonic);
	entry->boottime = recorded(collect, &clocks.boottime);
	entry->has_not_entered = entry->not_entered = not_entered;
	namespace_->entry->time = entry;
	return 0;
}

/* ---- check ---- */

static bool is_time(const Timespec *time)
{
	return time->tv_sec <= (uint64_t)MOST_SECONDS && time->tv_nsec < NANOSECONDS;
}

static int check(const struct snapshot *snapshot, const struct namespace *namespace_,
		 struct error *err)
{
	const TimensEntry *entry = namespace_->entry->time;

	if (!entry || !is_time(entry->monotonic) || !is_time(entry->boottime))
		return fail(err, ERR_IMAGE_INVALID,
			    "time namespace %" PRIu32 ": its clocks show no time", namespace_->id);
	if (namespace_->maker && made_time_check(snapshot, namespace_, err))
		return -1;
	for (size_t i = 0; i < snapshot->n_tasks; i++) {
		const struct task *task = &snapshot->tasks[i];
		for (size_t thread = 0; !task_is_zombie(task) && thread < task->n_threads; thread++)
			if (thread_is_late(snapshot, task, thread, NAMESPACE_TIME))
				return fail(err, ERR_IMAGE_INVALID,
					    "task %s: its threads are in two time namespaces",
					    task_name(task));
	}
	return 0;
}

/* ---- restore ---- */

/* The offset at which a clock shows what was recorded; `now` has the caller's own in it. */
static struct timespec offset_for(const Timespec *shown, const struct timespec *now,
				  const struct timespec *own_offset)
{
	struct timespec offset = {
		.tv_sec = (int64_t)shown->tv_sec - now->tv_sec + own_offset->tv_sec,
		.tv_nsec = (int64_t)shown->tv_nsec - now->tv_nsec + own_offset->tv_nsec,
	};

	normalise(&offset);
	return offset;
}

/* `own` are the offsets of the clocks that we read ourselves. */
static int write_offsets(const char *path, const TimensEntry *entry, const struct clocks *own,
			 struct error *err)
{
	autoclose int fd = open(path, O_WRONLY | O_CLOEXEC);
	struct clocks now;
	char text[160];

	if (fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot open %s", path);
	if (read_clocks(&now, err))
		return -1;
	struct timespec monotonic = offset_for(entry->monotonic, &now.monotonic, &own->monotonic);
	struct timespec boottime = offset_for(entry->boottime, &now.boottime, &own->boottime);
	int length = snprintf(text, sizeof text, "monotonic %lld %ld\nboottime %lld %ld\n",
			      (long long)monotonic.tv_sec, monotonic.tv_nsec,
			      (long long)boottime.tv_sec, boottime.tv_nsec);
	if (write(fd, text, (size_t)length) != length)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot set the offsets of clocks");
	return 0;
}

static int fill(const struct namespace *namespace_, struct error *err)
{
	struct clocks own = { 0 };

	/* A new namespace has those of its maker's. */
	return read_offsets(OFFSETS, &own, err)
		       ? -1
		       : write_offsets(OFFSETS, namespace_->entry->time, &own, err);
}

static int stay_nowhere(struct visitor *visitor, void *data, struct error *err)
{
	(void)visitor;
	(void)data;
	(void)err;
	return 0;
}

static int fill_made(const struct namespace *namespace_, pid_t maker, int fd, struct error *err)
{
	const struct visit there = {
		.what = "enters a time namespace",
		.namespaces = &fd,
		.n_namespaces = 1,
		.function = stay_nowhere,
	};
	struct clocks own = { 0 };
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/timens_offsets", (int)maker);
	if (read_offsets(OFFSETS, &own, err) ||
	    write_offsets(path, namespace_->entry->time, &own, err))
		return -1;
	/* From now on they stay as they are. */
	return namespace_->entry->time->not_entered ? 0 : visit(&there, NULL, 0, err);
}

static void describe(const NsEntry *entry, struct text *text)
{
	if (entry->time)
		text_add(text, "monotonic clock at %" PRIu64 " s, boot time %" PRIu64 " s",
			 entry->time->monotonic->tv_sec, entry->time->boottime->tv_sec);
}

/* Offsets, since its clocks go on; those that its members' children are born with may be others. */
static int look(int fd, pid_t member, struct text *text, struct error *err)
{
	struct clocks offsets = { 0 };
	struct stat own, of_children;
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/ns/time_for_children", (int)member);
	if (fstat(fd, &own) || stat(path, &of_children))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot look at %s", path);
	if (own.st_ino != of_children.st_ino)
		return 0;
	snprintf(path, sizeof path, "/proc/%d/timens_offsets", (int)member);
	if (read_offsets(path, &offsets, err))
		return -1;
	text_add(text, "monotonic clock %+lld s, boot time %+lld s",
		 (long long)offsets.monotonic.tv_sec, (long long)offsets.boottime.tv_sec);
	return 0;
}

const struct namespace_kind time_namespace_kind = {
	.type = NAMESPACE_TIME,
	.collect = collect,
	.check = check,
	.fill = fill,
	.fill_made = fill_made,
	.describe = describe,
	.look = look,
};
