// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-backlog-rights
 * promise: a dump is refused where a client that waits to be accepted has sent a descriptor that
 *	nobody has open any more
 * flavours: flat user-three
 * needs: kernel_memory
 * refused: unsupported-file
 */
#include "rights.h"
#include "scenario.h"

#include <string.h>
#include <sys/un.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	const struct sockaddr_un at = { .sun_family = AF_UNIX, .sun_path = "listener" };
	int ends[2], got[MOST_RIGHTS];
	size_t count;
	char text[8] = "";

	scenario_begin(argc, argv);
	int listener = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);
	scenario_need(bind(listener, (const struct sockaddr *)&at, sizeof at) == 0 &&
			      listen(listener, 1) == 0 &&
			      connect(client, (const struct sockaddr *)&at, sizeof at) == 0 &&
			      pipe(ends) == 0 && send_rights(client, "take", &ends[1], 1) == 4,
		      "sockets: %m");
	close(ends[1]);

	scenario_ready();

	ssize_t length =
		receive_rights(accept(listener, NULL, NULL), text, sizeof text, 0, got, &count);
	scenario_check(length == 4 && count == 1 && write(got[0], "x", 1) == 1 &&
			       read(ends[0], text, 1) == 1 && *text == 'x',
		       "%zd bytes, %zu descriptors", length, count);
	return scenario_end();
}
