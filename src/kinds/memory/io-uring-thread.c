// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The thread of the kernel's own that submits for an io_uring instance (IORING_SETUP_SQPOLL), and
 * the processor that it may be bound to. It is among the threads of who has made the instance, and
 * called "iou-sqp-NUMBER" (io_sq_thread, io_uring/sqpoll.c). fdinfo says which one it is by its
 * number in the initial pid namespace, which nobody in another one can make use of: there all such
 * threads of the tree have to be bound alike, or it is not known which is whose. Its rights have to
 * be those of its task (io-uring-rights.c).
 */
#include "kinds/memory/io-uring.h"

#include "base/cleanup.h"
#include "base/listing.h"
#include "base/procfs.h"
#include "collect/collect.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/io_uring.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	INITIAL_PID_NAMESPACE = 0xeffffffc, /* PROC_PID_INIT_INO, include/linux/proc_ns.h */
	NO_PROCESSOR = -1,
	ANY_PROCESSOR = -2,
	DIFFERENT = -3,
	FAILED = -4,
	OTHER_RIGHTS = -5,
};

static const char name_prefix[] = "iou-sqp-";

/*
 * The processor, or ANY_PROCESSOR; NO_PROCESSOR: no such thread, or gone; OTHER_RIGHTS than its
 * task; FAILED with errno.
 */
static int processor_of(const struct target *target, int tasks_fd, const char *tid)
{
	char path[300], text[16384];
	uint64_t first;

	snprintf(path, sizeof path, "%.200s/comm", tid);
	if (procfs_read_into(tasks_fd, path, text, sizeof text) < 0)
		return procfs_is_gone(errno) ? NO_PROCESSOR : FAILED;
	if (strncmp(text, name_prefix, strlen(name_prefix)) != 0)
		return NO_PROCESSOR;
	snprintf(path, sizeof path, "%.200s/status", tid);
	if (procfs_read_into(tasks_fd, path, text, sizeof text) < 0)
		return procfs_is_gone(errno) ? NO_PROCESSOR : FAILED;
	if (!ring_thread_has_rights_of(text, target->status))
		return OTHER_RIGHTS;
	const char *allowed = procfs_field(text, "Cpus_allowed_list:");
	if (!allowed || procfs_numbers(allowed, 10, &first, 1) != 1 ||
	    allowed[strspn(allowed, "0123456789")] != '\n')
		return ANY_PROCESSOR;
	return (int)first;
}

struct search {
	long long wanted; /* a number of the initial pid namespace, where we are in that; else 0 */
	int found;
	bool is_sure; /* it is the wanted one */
};

static int look_at(struct search *search, const struct target *target)
{
	autoclose int tasks_fd = target_open(target, "task", O_RDONLY | O_DIRECTORY);
	autoclosedir DIR *tasks = listing_open(tasks_fd, ".");
	const char *tid;

	while (!search->is_sure && listing_next(tasks, &tid)) {
		int processor = processor_of(target, tasks_fd, tid);
		if (processor == FAILED)
			return -1;
		if (processor == NO_PROCESSOR)
			continue;
		search->is_sure = search->wanted && atoll(tid) == search->wanted;
		search->found = search->is_sure || search->found == NO_PROCESSOR ||
						search->found == processor
					? processor
					: DIFFERENT;
	}
	return search->is_sure ? 0 : errno ? -1 : 0;
}

static int find(const struct open_file *file, long long number, int *ret_found, struct error *err)
{
	const struct collect *collect = file->target->collect;
	struct search search = { .found = NO_PROCESSOR };
	struct stat own;

	if (stat("/proc/self/ns/pid", &own) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot tell our pid namespace");
	search.wanted = own.st_ino == INITIAL_PID_NAMESPACE ? number : 0;
	for (size_t i = 0; i < collect->n_targets && !search.is_sure; i++)
		if (!collect->targets[i].zombie && look_at(&search, &collect->targets[i]))
			return fail_errno(err, procfs_error(errno),
					  "cannot look at the threads of pid %d",
					  collect->targets[i].pid);
	*ret_found = search.found;
	return 0;
}

int ring_collect_thread(const struct open_file *file, long long number, IoUringEntry *ring,
			struct error *err)
{
	int found = NO_PROCESSOR;

	ring->setup_flags |= IORING_SETUP_SQPOLL;
	if (find(file, number, &found, err))
		return -1;
	if (found == NO_PROCESSOR)
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "%s: an io_uring instance whose thread is in no task of the tree",
			    file->what);
	if (found == OTHER_RIGHTS)
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "%s: an io_uring instance whose thread has other rights than its task",
			    file->what);
	if (found == DIFFERENT) {
		fail(err, ERR_UNSUPPORTED_FILE,
		     "%s: io_uring instances have threads that are bound to different processors, "
		     "and which is whose can be told in the initial pid namespace only",
		     file->what);
		return fail_hint(err, "run nestor in the initial pid namespace");
	}
	if (found == ANY_PROCESSOR || sysconf(_SC_NPROCESSORS_ONLN) == 1)
		return 0;
	ring->setup_flags |= IORING_SETUP_SQ_AFF;
	ring->has_sq_thread_cpu = true;
	ring->sq_thread_cpu = (uint32_t)found;
	return 0;
}
