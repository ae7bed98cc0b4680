// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-inet-waiting
 * promise: a connection that waits to be accepted and has received something is refused by name
 *	where the kernel's memory cannot be read, and goes on working
 * flavours: flat three user
 * needs: no-kernel_memory
 * options: --timeout 1
 * refused: unsupported-file
 */
#include "scenario.h"
#include "waiting-client.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	struct waiting_client waiting = waiting_client_make();

	scenario_ready();

	char got[8] = "";
	int fd = accept(waiting.listener, NULL, NULL);
	scenario_check(fd >= 0 && recv(fd, got, sizeof got, 0) == 7 && !strcmp(got, "request"),
		       "what was sent is not there: %s", got);
	return scenario_end();
}
