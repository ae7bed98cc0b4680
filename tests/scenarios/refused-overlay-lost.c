// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-overlay-lost
 * promise: an overlay with a layer that is nowhere to be found is refused by name: where nothing
 *	has its name any more, and where something else has it now; and with one in a tmpfs that
 *	nobody has mounted any more, in which it finds things by handles
 * flavours: flat three
 * needs: kernel_memory
 * arguments: gone replaced indexed
 * refused: unsupported-mount
 */
#include "scenario.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static void mount_indexed(const char *here)
{
	char options[6 * PATH_MAX];

	snprintf(options, sizeof options,
		 "lowerdir=%s/base,upperdir=%s/stage/up,workdir=%s/stage/work,index=on", here, here,
		 here);
	scenario_need(umount2("stage", MNT_DETACH) == 0 &&
			      mount("stage", "stage", "tmpfs", 0, "mode=755") == 0 &&
			      !mkdir("stage/up", 0755) && !mkdir("stage/up/in-it", 0755) &&
			      !mkdir("stage/work", 0755) &&
			      mount("overlay", "merged", "overlay", 0, options) == 0 &&
			      umount2("stage", MNT_DETACH) == 0,
		      "an overlay with an index: %s", strerror(errno));
}

static void mount_lost(const char *here)
{
	char options[4 * PATH_MAX];

	snprintf(options, sizeof options, "lowerdir=%s/stage/lost:%s/base", here, here);
	scenario_need(mount("overlay", "merged", "overlay", 0, options) == 0 &&
			      umount2("stage", MNT_DETACH) == 0,
		      "an overlay: %s", strerror(errno));
}

int main(int argc, char **argv)
{
	char here[PATH_MAX];

	scenario_begin(argc, argv);
	scenario_need(getcwd(here, sizeof here) && unshare(CLONE_NEWNS) == 0 &&
			      mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
			      !mkdir("stage", 0755) && !mkdir("base", 0755) &&
			      !mkdir("merged", 0755) &&
			      mount("stage", "stage", "ramfs", 0, "mode=755") == 0 &&
			      !mkdir("stage/lost", 0755) && !mkdir("stage/lost/in-it", 0755),
		      "a mount namespace: %s", strerror(errno));
	if (strcmp(argv[2], "indexed") == 0)
		mount_indexed(here);
	else
		mount_lost(here);
	if (strcmp(argv[2], "replaced") == 0)
		scenario_need(!mkdir("stage/lost", 0755), "mkdir: %s", strerror(errno));

	scenario_ready();

	scenario_check(access("merged/in-it", F_OK) == 0, "the overlay is not as it was");
	return scenario_end();
}
