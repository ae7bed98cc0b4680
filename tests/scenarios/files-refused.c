// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-refused
 * promise: descriptors that cannot be restored are refused by name, and the tree goes on
 * flavours: flat one ordinary
 * refused: unsupported-file
 */
#include "scenario.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int sockets[2];
	char text[16] = "";

	scenario_begin(argc, argv);
	scenario_need(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0, "no sockets");
	int hard = open("first-name", O_RDWR | O_CREAT, 0600);
	scenario_need(!mkdir("other", 0700) && !link("first-name", "other/name") &&
			      !unlink("first-name"),
		      "cannot link");

	scenario_ready();

	scenario_check(write(sockets[0], "x", 1) == 1 && read(sockets[1], text, 16) == 1,
		       "sockets");
	scenario_check(write(hard, "x", 1) == 1, "file");
	return scenario_end();
}
