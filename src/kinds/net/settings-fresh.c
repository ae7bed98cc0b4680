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

struct making {
	struct settings_list list;
	bool is_elsewhere; /* from a namespace of the tree */
	bool may_not;
};

/*
 * What is made takes some of that in which its maker is (tcp_child_ehash_entries); what is made
 * from there takes none of that.
 */
static int read_fresh(void *data)
{
	struct making *making = data;

	if (unshare(CLONE_NEWNET) < 0 || (making->is_elsewhere && unshare(CLONE_NEWNET) < 0)) {
		making->may_not = errno == EPERM;
		return -1;
	}
	return read_folder(&making->list, AT_FDCWD, "/proc/sys/net", "");
}

static int compare_names(const void *a, const void *b)
{
	return strcmp((*(NetSetting *const *)a)->name, (*(NetSetting *const *)b)->name);
}

struct fresh {
	NetnsContents *settings;
	bool may_not; /* make one here */
};

static struct fresh *fresh_of(struct collect *collect)
{
	void **state = collect_state(collect, &fresh_owner);

	if (!*state)
		*state = arena_new(collect->arena, struct fresh);
	return *state;
}

/* What a new namespace has, by name; read once for all that are to be compared with it. */
const NetnsContents *settings_fresh(struct collect *collect, struct error *err)
{
	struct fresh *fresh = fresh_of(collect);
	struct aside aside = ASIDE_HERE;

	if (fresh->settings)
		return fresh->settings;
	NetnsContents *settings = arena_new(collect->arena, NetnsContents);
	struct making making = { .list = { collect->arena, settings },
				 .is_elsewhere = fresh->may_not };
	netns_contents__init(settings);
	if (aside_run(&aside, read_fresh, &making) < 0) {
		fail_errno(err, ERR_KERNEL_REFUSED,
			   "cannot make and read a network namespace to compare others with");
		fresh->may_not |= making.may_not;
		return NULL;
	}
	if (settings->n_settings)
		qsort(settings->settings, settings->n_settings, sizeof *settings->settings,
		      compare_names);
	fresh->settings = settings;
	return settings;
}

int settings_prepare(struct collect *collect, struct error *err)
{
	struct error failure = { 0 };

	/* Who may not make one here may where the owner of a namespace may: as from that one. */
	if (fresh_of(collect)->may_not || settings_fresh(collect, &failure) ||
	    fresh_of(collect)->may_not)
		return 0;
	*err = failure;
	return -1;
}
