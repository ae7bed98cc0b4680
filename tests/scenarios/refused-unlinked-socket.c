// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-unlinked-socket
 * promise: the removed name of a socket that is there, open by path, is refused, as nobody could
 *	connect by it any more; the socket hears nothing of that
 * flavours: flat one user ordinary
 * refused: unsupported-file
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	const struct sockaddr_un address = { AF_UNIX, "bound" };

	scenario_begin(argc, argv);
	int bound = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	scenario_need(bind(bound, (const struct sockaddr *)&address, sizeof address) == 0 &&
			      listen(bound, 1) == 0,
		      "cannot bind");
	int path = open("bound", O_PATH);
	scenario_need(path >= 0 && unlink("bound") == 0, "cannot unlink");

	scenario_ready();

	scenario_check(accept(bound, NULL, NULL) < 0 && errno == EAGAIN, "somebody has connected");
	return scenario_end();
}
