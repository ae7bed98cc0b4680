// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-overlay-linked
 * promise: a file of an overlay's upper layer, made there or copied, that was removed while it is
 *	open and has another link elsewhere is refused by name: a copy of it would be another file
 * flavours: flat user-three
 * needs: initial-user-namespace
 * arguments: made copied
 * refused: unsupported-file
 */
#include "overlay-files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	char here[PATH_MAX], options[4 * PATH_MAX], byte;

	scenario_begin(argc, argv);
	need(unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
		     !mkdir("inside", 0755) && mount("i", "inside", "tmpfs", 0, "mode=755") == 0 &&
		     getcwd(here, sizeof here) && !mkdir("inside/low", 0755) &&
		     !mkdir("inside/low/deep", 0755) && !mkdir("inside/up", 0755) &&
		     !mkdir("inside/work", 0755) && !mkdir("merged", 0755),
	     "directories");
	/* A copy made within the same tick of the clock could be told by nothing. */
	if (strcmp(argv[2], "copied") == 0)
		need(close(open("inside/low/deep/file", O_CREAT | O_WRONLY, 0644)) == 0 &&
			     usleep(50 * 1000) == 0,
		     "file");
	snprintf(options, sizeof options,
		 "lowerdir=%s/inside/low,upperdir=%s/inside/up,workdir=%s/inside/work", here, here,
		 here);
	mount_overlay("merged", options);
	int fd = open("merged/deep/file", O_CREAT | O_RDWR | O_CLOEXEC, 0644);
	need(fd >= 0 && link("merged/deep/file", "merged/other") == 0 &&
		     unlink("merged/deep/file") == 0,
	     "a link");

	scenario_ready();

	int other = open("merged/other", O_RDONLY | O_CLOEXEC);
	scenario_check(write(fd, "b", 1) == 1 && read(other, &byte, 1) == 1 && byte == 'b',
		       "they are different files");
	return scenario_end();
}
