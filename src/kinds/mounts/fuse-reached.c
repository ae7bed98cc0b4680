// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Who of the tree has something of a FUSE that cannot be kept: before anybody looks at files, as
 * that may take an answer of a driver that stands still. What is asked here the kernel answers by
 * itself (AT_STATX_DONT_SYNC, and no attribute that fuse_getattr would ask for).
 */
#include "kinds/mounts/fuse.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/procfs.h"
#include "collect/collect.h"
#include "kinds/mounts/survey.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

struct search {
	const struct live_superblock *superblock;
	dev_t device;
};

static int refuse(const struct search *search, pid_t tid, const char *name, struct error *err)
{
	return fail(err, ERR_UNSUPPORTED_MOUNT,
		    "%s is served by a driver of the tree, and pid %d has something of it (%s)",
		    search->superblock->what, tid, name);
}

/* A watch of something in it (inotify_fdinfo, fanotify_fdinfo): 1; 0: none; -1 with errno. */
static int watches(const struct target *target, uint32_t number, dev_t device)
{
	char name[32], wanted[32];
	autofree char *text = NULL;

	snprintf(name, sizeof name, "fdinfo/%" PRIu32, number);
	snprintf(wanted, sizeof wanted, " sdev:%x ",
		 (unsigned)(major(device) << 20 | minor(device)));
	ssize_t size = target_text(target, name, &text);
	if (size < 0)
		return errno == ENOENT || errno == ESRCH ? 0 : -1;
	return size > 0 && strstr(text, wanted);
}

static int check_descriptor(const struct search *search, const struct target *target,
			    uint32_t number, struct error *err)
{
	char name[32];

	snprintf(name, sizeof name, "fd/%" PRIu32, number);
	int watched = watches(target, number, search->device);
	if (watched)
		return watched > 0 ? refuse(search, target->tid, name, err)
				   : fail_errno(err, ERR_KERNEL_REFUSED,
						"pid %d: cannot read what descriptor %" PRIu32
						" watches",
						target->pid, number);
	return 0;
}

static int check_target(const struct search *search, struct target *target, struct error *err)
{
	const uint32_t *numbers;
	size_t count;

	if (target_descriptors(target, &numbers, &count, err))
		return -1;
	for (size_t i = 0; i < count; i++)
		if (check_descriptor(search, target, numbers[i], err))
			return -1;
	return 0;
}

int fuse_check_reached(const struct live_superblock *superblock, uint64_t connection,
		       struct error *err)
{
	struct collect *collect = superblock->collect;
	const struct search search = { superblock, superblock->mounts[0].line->device };

	for (size_t i = 0; i < collect->n_targets; i++)
		if (!collect->targets[i].zombie && check_target(&search, &collect->targets[i], err))
			return -1;
	if (fuse_is_served(collect, connection))
		return 0;
	return fuse_refuse(superblock, "is served by nobody of the tree, and cannot be made again",
			   err);
}
