// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What was written to a file of a FUSE, and its driver has not got yet: the kernel keeps it back
 * (writeback cache), and would lose it with the tree. While the driver stands still nobody can have
 * it written; so the tree is let go for a moment, in which it is, as whenever somebody closes a
 * descriptor of the file (fuse_flush): here nestor, one of its own.
 */
#include "kinds/mounts/fuse.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "collect/collect.h"
#include "kernel/deputy.h"
#include "kernel/syscalls.h"
#include "kinds/mounts/mounts.h"

#include <errno.h>
#include <unistd.h>

/* A driver may need long, and then the next attempt finds out what it has got by then. */
static const struct deputy_terms terms = {
	.what = "whoever has a driver be told of what was written",
	.seconds = 10,
	.killed = ERR_KERNEL_REFUSED,
};

struct written {
	struct written *next;
	pid_t pid;
	uint32_t number;
};

static struct written **written_of(struct collect *collect)
{
	static const char owner;

	return (struct written **)collect_state(collect, &owner);
}

void fuse_note_written(const struct open_file *file)
{
	struct collect *collect = file->target->collect;

	if (file->number == UINT32_MAX || collect->looking)
		return;
	struct written *written = arena_new(collect->arena, struct written);
	*written = (struct written){ *written_of(collect), file->target->tid, file->number };
	*written_of(collect) = written;
}

static int flush_all(void *data, struct error *err)
{
	(void)err;
	for (const struct written *at = data; at; at = at->next) {
		autoclose int pidfd = kernel_pidfd_open(at->pid, 0);
		int fd = pidfd < 0 ? -1 : kernel_pidfd_getfd(pidfd, (int)at->number, 0);
		/* Each close of a descriptor is told to the driver (FUSE_FLUSH). */
		if (fd >= 0)
			close(fd);
	}
	return 0;
}

void mounts_flush_written(struct collect *collect, bool ended)
{
	struct error unused = { 0 };

	if (*written_of(collect) && !ended)
		deputy_run_under(&terms, flush_all, *written_of(collect), &unused);
	*written_of(collect) = NULL;
}
