// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-unix-pending
 * promise: a dump is refused where a client has sent something to a unix socket, be it descriptors
 *	or an empty packet, and has not been accepted, or is gone by then: none of it can be seen
 *	unless the kernel's memory can be read
 * flavours: flat three user user-three
 * needs: no-kernel_memory
 * arguments: stream packet rights gone
 * refused: unsupported-file
 */
#include "rights.h"
#include "scenario.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static bool sends(int fd, const char *how)
{
	const char *text = strcmp(how, "packet") ? "early" : "";

	return send_rights(fd, text, &fd, !strcmp(how, "rights")) == (ssize_t)strlen(text);
}

int main(int argc, char **argv)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char got[16] = "";

	scenario_begin(argc, argv);
	const char *how = argv[2];
	int type = strcmp(how, "packet") ? SOCK_STREAM : SOCK_SEQPACKET;
	int listener = socket(AF_UNIX, type, 0), client = socket(AF_UNIX, type, 0);
	snprintf(address.sun_path, sizeof address.sun_path, "listener");
	scenario_need(bind(listener, (struct sockaddr *)&address, sizeof address) == 0 &&
			      listen(listener, 2) == 0 &&
			      connect(client, (struct sockaddr *)&address, sizeof address) == 0 &&
			      sends(client, how),
		      "sockets");
	if (!strcmp(how, "gone"))
		close(client);

	scenario_ready();

	int server = accept(listener, NULL, NULL);
	ssize_t length = read(server, got, sizeof got);
	scenario_check(strcmp(how, "packet") ? length == 5 && !strcmp(got, "early") : length == 0,
		       "%zd bytes: %s", length, got);
	return scenario_end();
}
