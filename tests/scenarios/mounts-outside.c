// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: mounts-outside
 * promise: a mount that is named as lying outside is what the restore is given for it, and one that
 *	is to be left out is not there; others come back beside them
 * flavours: flat one three user user-three
 * unseen: it waits for what its restore changes
 * needs: initial-user-namespace
 * options: --external mnt[/mnt]:given --ext-mount-map /opt:other --ext-mount-map auto
 *	--skip-mnt /media --enable-external-masters
 * restore-options: --external mnt[given]:/usr -M other:/etc/passwd
 * ignore: mounts
 */
#include "scenario.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static void need(bool holds, const char *what)
{
	scenario_need(holds, "%s: %s", what, strerror(errno));
}

static bool is_there(const char *path)
{
	return access(path, F_OK) == 0;
}

static int inside(void *unused)
{
	struct stat stat_ = { 0 };

	(void)unused;
	need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "private");
	need(mount("outside", "/mnt", "tmpfs", 0, NULL) == 0 && mkdir("/mnt/inside", 0700) == 0 &&
		     mount(NULL, "/mnt", NULL, MS_SHARED, NULL) == 0,
	     "/mnt");
	need(mount("skipped", "/media", "tmpfs", 0, NULL) == 0 && mkdir("/media/a", 0700) == 0 &&
		     mount("below", "/media/a", "tmpfs", 0, NULL) == 0 &&
		     mkdir("/media/a/b", 0700) == 0,
	     "/media");
	need(mount("kept", "/srv", "tmpfs", 0, NULL) == 0 && mkdir("/srv/kept", 0700) == 0 &&
		     mknod("/srv/place", S_IFREG | 0600, 0) == 0 &&
		     mount("/srv/place", "/srv/place", NULL, MS_BIND, NULL) == 0,
	     "/srv");
	scenario_mark("inside");
	scenario_wait_restored();
	scenario_check(!is_there("/mnt/inside") && is_there("/mnt/bin"), "/mnt is not /usr");
	scenario_check(!is_there("/media/a"), "/media is still there");
	scenario_check(is_there("/srv/kept"), "/srv is not there");
	scenario_check(stat("/srv/place", &stat_) == 0 && S_ISREG(stat_.st_mode), "no place");
	return 0;
}

int main(int argc, char **argv)
{
	return scenario_all_inside(argc, argv, CLONE_NEWNS, inside);
}
