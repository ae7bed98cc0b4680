// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: sockets-skipped
 * promise: with --skip-in-flight a connection that waits to be accepted is left out, whatever it
 *	has received: who connected sees its end, and the listener goes on
 * flavours: flat three user
 * needs: initial-user-namespace
 * options: --skip-in-flight
 * unseen: without a dump nobody leaves anything out
 */
#include "scenario.h"
#include "waiting-client.h"

#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	struct waiting_client waiting = waiting_client_make();

	scenario_ready();

	char got[8] = "";
	scenario_check(!somebody_waits(waiting.listener, 0), "somebody waits");
	scenario_check(recv(waiting.client, got, sizeof got, MSG_DONTWAIT) == 0, "no end");
	close(waiting.client);
	waiting.client = socket(AF_INET, SOCK_STREAM, 0);
	scenario_check(connect(waiting.client, (struct sockaddr *)&waiting.at, sizeof waiting.at) ==
			       0,
		       "the listener does not listen");
	int fd = accept(waiting.listener, NULL, NULL);
	scenario_check(fd >= 0 && send(waiting.client, "later", 5, 0) == 5 &&
			       recv(fd, got, sizeof got, 0) == 5,
		       "no new connection");
	return scenario_end();
}
