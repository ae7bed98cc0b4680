// SPDX-License-Identifier: LGPL-2.1-or-later
/* The tasks of a tree as it runs, before it is stopped: see collect_running_tasks. */
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/listing.h"
#include "base/procfs.h"
#include "collect/collect.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { MOST_LOOKED_AT = 1 << 22 }; /* the most ids that the kernel gives */

/* Who is to be looked at: first come, first served, as a chain of tasks may be deep. */
struct lineage {
	pid_t *pids;
	size_t count;
};

static void add_task(struct collect *collect, struct lineage *lineage, pid_t pid)
{
	lineage->pids =
		arena_grow(collect->arena, lineage->pids, lineage->count, sizeof *lineage->pids);
	lineage->pids[lineage->count++] = pid;
}

static int add_children(struct collect *collect, struct lineage *lineage, pid_t pid,
			const char *thread, struct error *err)
{
	char path[300];
	autofree char *text = NULL;

	snprintf(path, sizeof path, "/proc/%d/task/%s/children", (int)pid, thread);
	if (procfs_read_new(AT_FDCWD, path, &text) < 0)
		return procfs_is_gone(errno)
			       ? 0
			       : fail_errno(err, ERR_KERNEL_REFUSED, "cannot read %s", path);
	for (char *at = text, *end; *at; at = end) {
		long child = strtol(at, &end, 10);
		if (end == at)
			break;
		add_task(collect, lineage, (pid_t)child);
	}
	return 0;
}

static int add_children_of_all(struct collect *collect, struct lineage *lineage, pid_t pid,
			       struct error *err)
{
	enum { LINKS_OF_ONE_THREAD = 3 };
	char path[64];
	struct stat stat_;
	const char *entry;

	snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
	if (stat(path, &stat_) == 0 && stat_.st_nlink == LINKS_OF_ONE_THREAD) {
		snprintf(path, sizeof path, "%d", (int)pid);
		return add_children(collect, lineage, pid, path, err);
	}
	autoclosedir DIR *tasks = listing_open(AT_FDCWD, path);
	while (listing_next(tasks, &entry))
		if (add_children(collect, lineage, pid, entry, err))
			return -1;
	return errno && !procfs_is_gone(errno)
		       ? fail_errno(err, ERR_KERNEL_REFUSED, "cannot list the threads of pid %d",
				    (int)pid)
		       : 0;
}

int collect_running_tasks(struct collect *collect, running_task_seen *seen, void *data,
			  struct error *err)
{
	struct lineage lineage = { NULL, 0 };

	add_task(collect, &lineage, collect->options->pid);
	/* Bounded: a tree that runs may give its numbers to others meanwhile. */
	for (size_t i = 0; i < lineage.count && i < MOST_LOOKED_AT; i++)
		if (seen(collect, lineage.pids[i], data, err) ||
		    add_children_of_all(collect, &lineage, lineage.pids[i], err))
			return -1;
	return 0;
}
