// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-backlog
 * promise: what a client has sent before it was accepted, and cannot be sent again, is refused by
 *	name, and stays where it is: something of another process; and a client with a name that is
 *	gone
 * flavours: flat three
 * needs: kernel_memory
 * arguments: other named
 * options: --timeout 1
 * refused: unsupported-file
 */
#include "scenario.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int client;
static char byte;

static int send_byte(void *data)
{
	(void)data;
	return send(client, "o", 1, 0) != 1;
}

int main(int argc, char **argv)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX, .sun_path = "listener" };
	struct sockaddr_un own = { .sun_family = AF_UNIX, .sun_path = "own" };
	const char *which = argv[2];

	scenario_begin(argc, argv);
	int listener = socket(AF_UNIX, SOCK_STREAM, 0);
	client = socket(AF_UNIX, SOCK_STREAM, 0);
	bool is_named = strcmp(which, "named") == 0;
	scenario_need(
		bind(listener, (struct sockaddr *)&at, sizeof at) == 0 &&
			listen(listener, 1) == 0 &&
			(!is_named || bind(client, (struct sockaddr *)&own, sizeof own) == 0) &&
			connect(client, (struct sockaddr *)&at, sizeof at) == 0,
		"cannot connect: %m");
	if (is_named)
		close(client);
	else
		scenario_reap(scenario_child(send_byte, NULL));

	scenario_ready();

	int fd = accept(listener, NULL, NULL);
	ssize_t got = recv(fd, &byte, 1, MSG_DONTWAIT);
	scenario_check(got == (is_named ? 0 : 1), "%zd bytes: %m", got);
	return scenario_end();
}
