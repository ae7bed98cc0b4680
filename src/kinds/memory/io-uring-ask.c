// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What threads are asked about io_uring instances: whether they have registered the descriptor of
 * one; and of one that a single thread submits to, which that is, and what stands against it.
 */
#include "kinds/memory/io-uring.h"

#include "base/cleanup.h"
#include "base/procfs.h"
#include "collect/collect.h"
#include "collect/probe.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/syscall.h>

/* What a thread was asked: indexes of calls. */
struct rings_asked {
	size_t registered, n_registered; /* places for descriptors */
	size_t n_rings;
	struct {
		IoUringEntry *ring;
		uint32_t number;
		size_t probe, eventfd, groups;
	} rings[4];
};

/* Rings that only one thread may ask; false if the task has none at all open. */
static bool list_rings(const struct target *target, struct rings_asked *asked)
{
	const struct descriptor_table *table = target->task->table;
	const size_t room = sizeof asked->rings / sizeof *asked->rings;
	bool holds = false;

	for (size_t i = 0; table && i < table->n_descriptors; i++) {
		if (table->descriptors[i]->type != FD_TYPES__IOURING)
			continue;
		FileEntry *file =
			snapshot_file(target->collect->snapshot, table->descriptors[i]->id);
		holds = true;
		if (file && file->uring->setup_flags & IORING_SETUP_SINGLE_ISSUER &&
		    asked->n_rings < room) {
			asked->rings[asked->n_rings].ring = file->uring;
			asked->rings[asked->n_rings++].number = table->descriptors[i]->fd;
		}
	}
	return holds;
}

static void ask_ring(struct probe *probe, struct rings_asked *asked, size_t index)
{
	uint64_t fd = asked->rings[index].number;
	struct {
		uint32_t group, head, reserved[8];
	} status = { 0 };

	asked->rings[index].probe =
		probe_ask(probe, SYS_io_uring_register, fd, IORING_REGISTER_PROBE, 0, 0);
	asked->rings[index].eventfd =
		probe_ask(probe, SYS_io_uring_register, fd, IORING_REGISTER_EVENTFD, 0, 1);
	/* All of them with the number that a buffer of zeroes says. */
	uint64_t buffer = probe_buffer(probe, sizeof status);
	asked->rings[index].groups =
		probe_ask(probe, SYS_io_uring_register, fd, RING_REGISTER_PBUF_STATUS, buffer, 1);
}

void *rings_ask(const struct asking *asking)
{
	struct probe *probe = asking->probe;
	struct target *target = asking->target;
	struct rings_asked asked = { 0 };

	/* Who has none open may have registered one: who ever has is told by the first place. */
	asked.n_registered = list_rings(target, &asked) ? RING_REGISTERED_DESCRIPTORS : 1;
	for (uint64_t i = 0; i < asked.n_registered; i++) {
		size_t call =
			probe_ask(probe, SYS_io_uring_enter, i, 0, 0, RING_ENTER_REGISTERED, 0, 0);
		asked.registered = i ? asked.registered : call;
	}
	for (size_t i = 0; i < asked.n_rings; i++)
		ask_ring(probe, &asked, i);
	return arena_copy(target->collect->arena, &asked, sizeof asked);
}

static int collect_registered(struct target *target, size_t thread, uint32_t number, bool event,
			      IoUringEntry *ring, struct error *err)
{
	struct ring_text text;
	char name[32];
	autoclose int fd = target_get_fd(target, number);
	char what[64];

	snprintf(what, sizeof what, "thread %d of pid %d", target->threads[thread].tid,
		 target->pid);
	if (fd < 0)
		return fail_errno(err, procfs_error(errno), "%s: cannot get its io_uring instance",
				  what);
	if (event && ring_collect_eventfd(target->collect, fd, what, ring, err))
		return -1;
	snprintf(name, sizeof name, "fdinfo/%" PRIu32, number);
	const char *fdinfo = target_read(target, name, err);
	bool told = fdinfo && ring_parse(fdinfo, &text) && text.personalities;
	return fdinfo ? ring_collect_personalities(target->collect, fd, what, told, ring, err) : -1;
}

/* The thread that may ask says what there is. */
static int answer_ring(struct probe *probe, struct target *target, size_t thread,
		       const struct rings_asked *asked, size_t index, struct error *err)
{
	IoUringEntry *ring = asked->rings[index].ring;
	int64_t result = probe_result(probe, asked->rings[index].probe);
	int64_t event = probe_result(probe, asked->rings[index].eventfd);
	const char *obstacle = NULL;

	if (result == -EEXIST || result == PROBE_FORBIDDEN)
		return 0;
	if (result == -EACCES)
		obstacle = "restrictions";
	if (probe_result(probe, asked->rings[index].groups) != -ENOENT)
		obstacle = "provided buffers";
	if (obstacle)
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "thread %d of pid %d has an io_uring instance with %s",
			    target->threads[thread].tid, target->pid, obstacle);
	if (result != -EINVAL || (event != -EFAULT && event != -EBUSY))
		return fail(err, ERR_KERNEL_REFUSED,
			    "thread %d of pid %d: cannot tell what its io_uring instance has "
			    "(%lld, %lld)",
			    target->threads[thread].tid, target->pid, (long long)result,
			    (long long)event);
	ring->has_submitter = true;
	ring->submitter = target->task->pstree->threads[thread];
	return collect_registered(target, thread, asked->rings[index].number, event == -EBUSY, ring,
				  err);
}

/* Also by one that is not enabled, or another thread's alone, which say so. */
static bool is_taken(int64_t result)
{
	return result == 0 || result == -EBADFD || result == -EEXIST || result == -EOWNERDEAD;
}

/* A thread that has had to do with no instance has no places (EINVAL). */
static int answer_places(const struct asking *asking, const struct rings_asked *rings,
			 struct error *err)
{
	uint32_t taken = 0;
	bool has_places = false;

	for (size_t i = 0; i < rings->n_registered; i++) {
		int64_t result = probe_result(asking->probe, rings->registered + i);
		has_places |= is_taken(result) || result == -EBADF;
		taken |= is_taken(result) ? 1U << i : 0;
	}
	return has_places ? ring_collect_places(asking->target, asking->thread, taken, err) : 0;
}

int rings_answer(const struct asking *asking, void *asked, struct error *err)
{
	struct probe *probe = asking->probe;
	struct target *target = asking->target;
	size_t thread = asking->thread;
	const struct rings_asked *rings = asked;

	if (answer_places(asking, rings, err))
		return -1;
	for (size_t i = 0; i < rings->n_rings; i++)
		if (answer_ring(probe, target, thread, rings, i, err))
			return -1;
	return 0;
}
