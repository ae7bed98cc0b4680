// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-tmpfile
 * promise: a file made with O_TMPFILE comes back, and can still be given its first name
 * flavours: flat one ordinary user user-three
 * ignore: fd
 */
#include "scenario.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	char self[32], text[16] = "";

	scenario_begin(argc, argv);
	int fd = open(".", O_TMPFILE | O_WRONLY, 0600);
	scenario_need(fd >= 0 && write(fd, "unnamed", 7) == 7, "no O_TMPFILE");
	int flags = fcntl(fd, F_GETFL);

	scenario_ready();

	scenario_check(fcntl(fd, F_GETFL) == flags, "its flags are %o", fcntl(fd, F_GETFL));
	scenario_check(write(fd, "+", 1) == 1, "cannot write");
	snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
	scenario_check(linkat(AT_FDCWD, self, AT_FDCWD, "named", AT_SYMLINK_FOLLOW) == 0,
		       "cannot be given a name");
	int named = open("named", O_RDONLY);
	scenario_check(read(named, text, 9) == 8 && !strcmp(text, "unnamed+"), "got \"%s\"", text);
	return scenario_end();
}
