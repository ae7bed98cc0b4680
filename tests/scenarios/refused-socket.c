// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-socket
 * promise: a socket is refused by name, and goes on working
 * flavours: flat one ordinary
 * refused: unsupported-file
 */
#include "scenario.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	int ends[2];
	char text[8] = "";

	scenario_need(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0, "no sockets");
	scenario_need(write(ends[0], "kept", 4) == 4, "cannot write");

	scenario_ready();

	scenario_check(read(ends[1], text, sizeof text) == 4 && !memcmp(text, "kept", 4),
		       "what was in the socket is gone");
	return scenario_end();
}
