// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Eventfds that cgroups of v1 were told to count up (cgroup.event_control of the memory
 * controller): when memory has run out, when its use passes a threshold, when it is under pressure.
 * Who watches over containers has them: podman's conmon, the shims of containerd, kubelet.
 *
 * That can only be seen where the kernel's memory may be read (events-read.c); elsewhere nobody
 * counts it up after a restore, which is warned of where a cgroup is the tree's own. The cgroup is
 * told once more when the tree and its cgroups are there, before anybody runs. It counts once at
 * once if its memory has run out just then (mem_cgroup_oom_register_event), and whenever a restore
 * itself takes the use over a threshold that comes later.
 *
 * Refused: cgroups that are gone, or none of the tree's.
 */
#include "kinds/cgroups/events.h"

#include "base/cleanup.h"
#include "base/procfs.h"
#include "kinds/cgroups/cgroups.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int events_collect(const struct open_file *file, FileEntry *entry, struct error *err)
{
	/* What takes the place of something else that is lost is none yet. */
	return entry->efd && strcmp(file->link, "anon_inode:[eventfd]") == 0
		       ? cgroup_events_read(file, entry, err)
		       : 0;
}

/* ---- Check ---- */

static bool is_nothing(const char *argument)
{
	return !*argument;
}

static bool is_number(const char *argument)
{
	return *argument && strlen(argument) <= 20 && !argument[strspn(argument, "0123456789")];
}

static bool is_pressure(const char *argument)
{
	char known[64];

	for (size_t level = 0; level < PRESSURE_LEVELS; level++)
		for (size_t mode = 0; mode < PRESSURE_MODES; mode++) {
			snprintf(known, sizeof known, "%s,%s", pressure_levels[level],
				 pressure_modes[mode]);
			if (strcmp(argument, known) == 0)
				return true;
		}
	return false;
}

static bool is_possible(const CgroupEventEntry *event)
{
	static const struct {
		const char *file;
		bool (*takes)(const char *argument);
	} all[] = {
		{ EVENTS_OOM, is_nothing },
		{ EVENTS_USAGE, is_number },
		{ EVENTS_SWAP_USAGE, is_number },
		{ EVENTS_PRESSURE, is_pressure },
	};

	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		if (strcmp(event->file, all[i].file) == 0)
			return all[i].takes(event->argument) && cgroup_is_path(event->path) &&
			       cgroup_hierarchy_has(event->hierarchy, EVENTS_CONTROLLER);
	return false;
}

static CgMemberEntry place_of(const CgroupEventEntry *event)
{
	CgMemberEntry member = CG_MEMBER_ENTRY__INIT;

	member.name = event->hierarchy;
	member.path = event->path;
	return member;
}

static int events_check(const struct snapshot *snapshot, const FileEntry *entry, struct error *err)
{
	for (size_t i = 0; entry->efd && i < entry->efd->n_cgroup_events; i++) {
		const CgroupEventEntry *event = entry->efd->cgroup_events[i];
		const CgMemberEntry member = place_of(event);

		if (!is_possible(event))
			return fail(err, ERR_IMAGE_INVALID,
				    "file %u: no cgroup counts an eventfd up for \"%.60s %.60s\"",
				    entry->id, event->file, event->argument);
		if (cgroup_is_of_tree(snapshot, &member) ||
		    cgroup_directory(snapshot, member.name, member.path))
			continue;
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "file %u is an eventfd that the cgroup %s:%s counts up (%s), which is "
			    "none of the tree",
			    entry->id, event->hierarchy, event->path, event->file);
	}
	return 0;
}

/* ---- Restore ---- */

static bool events_are_there(const FileEntry *entry)
{
	return entry->efd && entry->efd->n_cgroup_events;
}

static int tell(int directory, const CgroupEventEntry *event, int fd)
{
	char text[128];
	autoclose int file = openat(directory, event->file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	autoclose int control = file < 0 ? -1
					 : openat(directory, "cgroup.event_control",
						  O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
	int length = snprintf(text, sizeof text, "%d %d %s", fd, file, event->argument);

	return control < 0 || write(control, text, (size_t)length) != length ? -1 : 0;
}

static int events_connect(struct file_opener *opener, const FileEntry *entry, int fd,
			  struct error *err)
{
	const bool make_none = opener->externals && opener->externals->cgroups.make_none;

	for (size_t i = 0; i < entry->efd->n_cgroup_events; i++) {
		const CgroupEventEntry *event = entry->efd->cgroup_events[i];
		const CgMemberEntry member = place_of(event);
		autoclose int directory = cgroup_directory_open(
			opener, &member, make_none ? CGROUPS_NONE : CGROUPS_SOFT, err);
		if (directory < 0)
			return -1;
		if (tell(directory, event, fd))
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "file %u: cannot let the cgroup %s:%s count it up (%s)",
					  entry->id, event->hierarchy, event->path, event->file);
	}
	return 0;
}

const struct file_aspect cgroup_events_aspect = {
	.name = "events of cgroups",
	.collect = events_collect,
	.check = events_check,
	.is_there = events_are_there,
	.connect = events_connect,
};
