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
	struct stat stat = { 0 };

	scenario_begin(argc, argv);
	scenario_need(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0, "no sockets");
	scenario_need(mknod("special", S_IFSOCK | 0600, 0) == 0, "no special file");
	int special = open("special", O_PATH);
	scenario_need(special >= 0 && unlink("special") == 0, "cannot unlink");

	scenario_ready();

	scenario_check(write(sockets[0], "x", 1) == 1 && read(sockets[1], text, 16) == 1,
		       "sockets");
	scenario_check(fstat(special, &stat) == 0 && S_ISSOCK(stat.st_mode), "special file");
	return scenario_end();
}
