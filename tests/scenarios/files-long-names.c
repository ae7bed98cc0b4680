// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-long-names
 * promise: names are told of whatever their length and letters, and their files come back
 * flavours: flat three user-three
 * ignore: fd
 */
#include "scenario.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEPTH = 15, COMPONENT = 200 };

/* An unlinked file below many directories, whose name another file has taken. */
static int open_far_below(void)
{
	char component[COMPONENT + 1], text[8] = "";
	int here = open(".", O_RDONLY | O_DIRECTORY);

	memset(component, 'x', COMPONENT);
	component[COMPONENT] = '\0';
	for (int i = 0; i < DEPTH; i++) {
		scenario_need(!mkdir(component, 0755) && !chdir(component), "cannot go down");
	}
	int fd = open(component, O_RDWR | O_CREAT, 0600);
	scenario_need(write(fd, "content", 7) == 7 && !unlink(component), "cannot write");
	int other = open(component, O_RDWR | O_CREAT, 0600);
	scenario_need(other >= 0 && pread(other, text, 7, 0) == 0, "no other file");
	scenario_need(!close(other) && !fchdir(here) && !close(here), "cannot go up");
	return fd;
}

int main(int argc, char **argv)
{
	static const char odd[] = "line\nnestor: error [io]: red \033[31m \xff \xc3\xb6";
	char text[16] = "";

	scenario_begin(argc, argv);
	int far = open_far_below();
	int named = open(odd, O_RDWR | O_CREAT, 0600);
	scenario_need(named >= 0 && write(named, "odd", 3) == 3, "cannot write");

	scenario_ready();

	scenario_check(pread(far, text, 15, 0) == 7 && !strcmp(text, "content"), "got \"%s\"",
		       text);
	memset(text, 0, sizeof text);
	scenario_check(pread(named, text, 15, 0) == 3 && !strcmp(text, "odd"), "got \"%s\"", text);
	return scenario_end();
}
