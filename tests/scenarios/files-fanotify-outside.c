// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-fanotify-outside
 * promise: a fanotify group that watches a mount outside of the tree is told of what happens
 *	through that mount alone, one that watches a file system there of all that happens in it,
 *	and neither of anything else
 * flavours: flat
 * not-fresh: what is mounted outside would stay there
 * needs: initial-user-namespace
 */
#include "scenario.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static int mount_group, system_group;

static void touch(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);

	scenario_check(fd >= 0 && write(fd, "x", 1) == 1, "cannot write to %s", path);
	close(fd);
}

/* The mask of the next event; 0 if there is none. */
static uint64_t next(int group)
{
	struct fanotify_event_metadata event = { 0 };

	if (read(group, &event, sizeof event) != sizeof event)
		return 0;
	close(event.fd);
	return event.mask;
}

static bool shows(int group, const char *what)
{
	char path[64], text[4096] = "";

	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", group);
	int info = open(path, O_RDONLY);
	bool found = read(info, text, sizeof text - 1) > 0 && strstr(text, what);
	close(info);
	return found;
}

/* The path: another one than before, for what happens twice is told once. */
static void expect(const char *path, uint64_t of_mount, uint64_t of_system)
{
	touch(path);
	scenario_check(next(mount_group) == of_mount, "of %s: of the mount", path);
	scenario_check(next(system_group) == of_system, "of %s: of the file system", path);
}

static int make_group(unsigned what)
{
	int group = fanotify_init(FAN_CLASS_NOTIF | FAN_NONBLOCK, O_RDONLY);

	scenario_need(group >= 0 && fanotify_mark(group, FAN_MARK_ADD | what, FAN_MODIFY, AT_FDCWD,
						  "mounted") == 0,
		      "no group");
	return group;
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	mkdir("mounted", 0700);
	mkdir("bound", 0700);
	scenario_need(mount("watched", "mounted", "tmpfs", 0, "size=1m") == 0, "no tmpfs");
	scenario_need(mount("mounted", "bound", NULL, MS_BIND, NULL) == 0, "no second mount");
	mount_group = make_group(FAN_MARK_MOUNT);
	system_group = make_group(FAN_MARK_FILESYSTEM);

	scenario_ready();

	scenario_check(next(mount_group) == 0 && next(system_group) == 0,
		       "an event of the restore");
	scenario_check(shows(mount_group, "fanotify mnt_id:"), "no mark of a mount");
	scenario_check(shows(system_group, "fanotify sdev:"), "no mark of a file system");
	expect("mounted/file", FAN_MODIFY, FAN_MODIFY);
	expect("bound/other", 0, FAN_MODIFY);
	expect("outside", 0, 0);
	scenario_check(umount("bound") == 0 && umount("mounted") == 0, "cannot unmount");
	return scenario_end();
}
