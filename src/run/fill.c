// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The coordinator's share of filling large memory (struct planned_fill in plan.h), served whenever
 * it waits. Content goes from the page cache through a buffer that stays in the processor's cache
 * into the task, with process_vm_writev; that needs the rights to trace the task, as the last
 * stage does anyway.
 */
#include "base/cleanup.h"
#include "run/state.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/uio.h>

enum { STEP = 256 * 1024 };

static int descriptor_of(const struct run *run, uint32_t source)
{
	const struct plan *plan = run->plan;
	size_t i = 0;

	while (i < plan->n_sources && plan->sources[i].number != source)
		i++;
	assert(i < plan->n_sources);
	return run_source_fd(run, i);
}

/* One step; returns how far it came. */
static ssize_t fill_step(const struct planned_fill *fill, int fd, pid_t pid, uint64_t at,
			 uint8_t *buffer, struct error *err)
{
	uint64_t left = fill->size - at;
	struct iovec local = { buffer, left < STEP ? left : STEP };
	struct iovec remote = { (void *)(uintptr_t)(fill->address + at), 0 };
	ssize_t got = pread(fd, buffer, local.iov_len, (off_t)(fill->offset + at));

	if (got < 0)
		return fail_errno(err, ERR_IO, "cannot read pages to be restored");
	if (got == 0)
		return fail(err, ERR_IMAGE_TRUNCATED, "pages to be restored have gone meanwhile");
	remote.iov_len = local.iov_len = (size_t)got;
	got = process_vm_writev(pid, &local, 1, &remote, 1, 0);
	if (got <= 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "cannot write %zu bytes at %" PRIx64 " of pid %d", local.iov_len,
				  fill->address + at, (int)pid);
	return got;
}

int run_fill(struct run *run, const void *planned_fill, struct error *err)
{
	const struct planned_fill *fill = planned_fill;
	struct run_thread *leader = run_leader(&run->tasks[fill->task]);
	int fd = descriptor_of(run, fill->source);
	autofree uint8_t *buffer = malloc(STEP);

	if (!buffer)
		return fail_errno(err, ERR_IO, "cannot allocate a buffer");
	if (run_find_pids(run, &leader, 1, err))
		return -1;
	/* Once a program has failed, what it says is the reason, not that the task is gone. */
	for (uint64_t at = 0; at < fill->size;) {
		ssize_t step = fill_step(fill, fd, leader->tid, at, buffer, err);

		if (step < 0)
			return -1;
		at += (uint64_t)step;
		if (__atomic_load_n(&run->header->failed, __ATOMIC_ACQUIRE))
			return 0;
	}
	run_set_word(word_at(fill->done_word), 1);
	return 0;
}
