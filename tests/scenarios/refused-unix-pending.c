// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-unix-pending
 * promise: a dump is refused where a client has sent something to a unix socket, be it descriptors
 *	or an empty packet, and has not been accepted, or is gone by then: none of it can be seen
 * flavours: flat three user user-three
 * arguments: stream packet rights gone
 * refused: unsupported-file
 */
#include "scenario.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static bool sends(int fd, const char *how)
{
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	char text[] = "early";
	struct iovec part = { text, strcmp(how, "packet") ? sizeof text : 0 };
	struct msghdr header = { .msg_iov = &part, .msg_iovlen = 1 };

	if (!strcmp(how, "rights")) {
		header.msg_control = &control;
		header.msg_controllen = sizeof control;
		struct cmsghdr *message = CMSG_FIRSTHDR(&header);
		*message = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof fd),
					     .cmsg_level = SOL_SOCKET,
					     .cmsg_type = SCM_RIGHTS };
		memcpy(CMSG_DATA(message), &fd, sizeof fd);
	}
	return sendmsg(fd, &header, 0) == (ssize_t)part.iov_len;
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
	scenario_check(strcmp(how, "packet") ? length == 6 && !strcmp(got, "early") : length == 0,
		       "%zd bytes: %s", length, got);
	return scenario_end();
}
