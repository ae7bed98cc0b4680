// SPDX-License-Identifier: LGPL-2.1-or-later
/* All settings of a new network namespace, which others are compared with. */
#include "kinds/net/settings-read.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/listing.h"
#include "collect/collect.h"
#include "kernel/aside.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char fresh_owner; /* of what a new namespace has, see collect_state */

static int read_folder(struct settings_list *reading, int parent, const char *name,
		       const char *path);

/* Files that can be written and read: others tell something, or do something. -1 with errno. */
static int read_entry(struct settings_list *reading, int directory, const char *name,
		      const char *path)
{
	char value[SETTING_VALUE_ROOM], below[SETTING_NAME_ROOM];
	struct stat stat;

	if (snprintf(below, sizeof below, "%s%s%s", path, path[0] ? "/" : "", name) >=
	    (int)sizeof below)
		return 0;
	if (fstatat(directory, name, &stat, AT_SYMLINK_NOFOLLOW) < 0)
		return settings_are_absent(name) ? 0 : -1;
	if (S_ISDIR(stat.st_mode))
		return read_folder(reading, directory, name, below);
	if ((stat.st_mode & 0600) != 0600)
		return 0;
	if (settings_value(directory, name, value) < 0)
		return settings_are_absent(name) ? 0 : -1;
	settings_add(reading, below, value);
	return 0;
}

static int read_folder(struct settings_list *reading, int parent, const char *name,
		       const char *path)
{
	autoclosedir DIR *dir = listing_open(parent, name);
	const char *entry;

	if (!dir)
		return settings_are_absent(name) ? 0 : -1;
	while (listing_next(dir, &entry))
		if (read_entry(reading, dirfd(dir), entry, path) < 0)
			return -1;
	return errno ? -1 : 0;
}

static int read_fresh(void *data)
{
	if (unshare(CLONE_NEWNET) < 0)
		return -1;
	return read_folder(data, AT_FDCWD, "/proc/sys/net", "");
}

static int compare_names(const void *a, const void *b)
{
	return strcmp((*(NetSetting *const *)a)->name, (*(NetSetting *const *)b)->name);
}

/* What a new namespace has, by name; read once for all that are to be compared with it. */
const NetnsContents *settings_fresh(struct collect *collect, struct error *err)
{
	void **kept = collect_state(collect, &fresh_owner);
	struct aside aside = ASIDE_HERE;

	if (*kept)
		return *kept;
	NetnsContents *fresh = arena_new(collect->arena, NetnsContents);
	struct settings_list there = { collect->arena, fresh };
	netns_contents__init(fresh);
	if (aside_run(&aside, read_fresh, &there) < 0) {
		fail_errno(err, ERR_KERNEL_REFUSED,
			   "cannot make and read a network namespace to compare others with");
		return NULL;
	}
	if (fresh->n_settings)
		qsort(fresh->settings, fresh->n_settings, sizeof *fresh->settings, compare_names);
	*kept = fresh;
	return fresh;
}

int settings_prepare(struct collect *collect, struct error *err)
{
	struct error failure = { 0 };

	if (settings_fresh(collect, &failure))
		return 0;
	/* Who may not make one here may where the owner of a namespace may: as from that one. */
	if (errno == EPERM)
		return 0;
	*err = failure;
	return -1;
}
