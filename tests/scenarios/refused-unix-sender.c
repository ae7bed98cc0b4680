// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-unix-sender
 * promise: a dump is refused where a datagram of a sender with a name waits in a unix socket
 *	that is connected to nobody: who receives it is told that name, which nobody can give again
 * flavours: flat three user user-three
 * unseen: what waits is looked at once the tree is stopped
 * refused: unsupported-file
 */
#include "scenario.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

static int bound(struct sockaddr_un *address, const char *path)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	snprintf(address->sun_path, sizeof address->sun_path, "%s", path);
	return bind(fd, (struct sockaddr *)address, sizeof *address) ? -1 : fd;
}

int main(int argc, char **argv)
{
	struct sockaddr_un to, from, told = { 0 };
	socklen_t length = sizeof told;
	char got[16] = "";

	scenario_begin(argc, argv);
	int receiver = bound(&to, "receiver"), sender = bound(&from, "sender");
	scenario_need(receiver >= 0 && sender >= 0 &&
			      sendto(sender, "waits", 6, 0, (struct sockaddr *)&to, sizeof to) == 6,
		      "sockets");

	scenario_ready();

	scenario_check(recvfrom(receiver, got, sizeof got, MSG_DONTWAIT, (struct sockaddr *)&told,
				&length) == 6 &&
			       strcmp(got, "waits") == 0,
		       "the datagram is lost");
	scenario_check(strcmp(told.sun_path, "sender") == 0, "it is from \"%s\"", told.sun_path);
	return scenario_end();
}
