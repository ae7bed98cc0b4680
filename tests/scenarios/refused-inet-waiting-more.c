// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-inet-waiting-more
 * promise: a connection that waits to be accepted is refused by name where more has been sent than
 *	it could receive, or an urgent byte, or where the listener has options that it has not;
 *	nothing of that is lost
 * flavours: flat three user
 * needs: initial-user-namespace
 * arguments: much urgent options
 * options: --timeout 1
 * refused: unsupported-file
 */
#include "scenario.h"
#include "waiting-client.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PIECE = 4096, MOST = 1 << 26 };

static size_t send_much(int client)
{
	char bytes[PIECE] = "";
	size_t sent = 0;
	ssize_t part;

	fcntl(client, F_SETFL, O_NONBLOCK);
	while (sent < MOST && (part = send(client, bytes, sizeof bytes, MSG_NOSIGNAL)) > 0)
		sent += (size_t)part;
	return sent;
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	struct waiting_client waiting = waiting_client_make();
	bool is_urgent = strcmp(argv[2], "urgent") == 0, has_options = !strcmp(argv[2], "options");
	size_t more = is_urgent || has_options ? 0 : send_much(waiting.client), got = 0;
	socklen_t length = sizeof(int);
	int on = 1;
	ssize_t part;
	char bytes[PIECE];

	if (is_urgent)
		scenario_need(send(waiting.client, "u", 1, MSG_OOB) == 1, "no urgent byte");
	if (has_options)
		scenario_need(setsockopt(waiting.listener, SOL_SOCKET, SO_KEEPALIVE, &on, length) ==
				      0,
			      "no option: %m");

	scenario_ready();

	int fd = accept(waiting.listener, NULL, NULL);
	if (is_urgent)
		scenario_check(recv(fd, bytes, 1, MSG_OOB) == 1 && bytes[0] == 'u',
			       "no urgent one");
	scenario_check(!getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, &length) &&
			       !(has_options && on),
		       "an option that was set too late");
	shutdown(waiting.client, SHUT_WR);
	while ((part = recv(fd, bytes, sizeof bytes, 0)) > 0)
		got += (size_t)part;
	scenario_check(got == 7 + more, "%zu bytes of %zu", got, 7 + more);
	return scenario_end();
}
