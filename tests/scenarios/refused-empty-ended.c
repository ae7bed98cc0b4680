// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-empty-ended
 * promise: an empty message that is hidden, since somebody has looked at it, is refused by name
 *	where the end of what comes looks like one, and not taken for that; it stays in its place
 * arguments: gone shut open
 * flavours: flat three
 * needs: kernel_memory
 * unseen: what waits in unix sockets is looked at once the tree is stopped
 * options: --timeout 1
 * refused: unsupported-file
 */
#include "scenario.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *const texts[] = { "one", "", "three" };
enum { N_TEXTS = sizeof texts / sizeof *texts };

/* As somebody does who reads on, and leaves all in its place. */
static void look_at_all(int fd)
{
	const int first = 0, none = -1;
	char byte[8];

	scenario_need(setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &first, sizeof first) == 0, "offset");
	for (int i = 0; i < N_TEXTS; i++)
		scenario_need(recv(fd, byte, sizeof byte, MSG_PEEK) == (ssize_t)strlen(texts[i]),
			      "cannot look at message %d", i);
	scenario_need(setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &none, sizeof none) == 0, "offset");
}

int main(int argc, char **argv)
{
	int pair[2];
	char got[8] = "";

	scenario_begin(argc, argv);
	scenario_need(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0, "socketpair");
	for (int i = 0; i < N_TEXTS; i++)
		scenario_need(send(pair[0], texts[i], strlen(texts[i]), 0) >= 0, "send");
	if (strcmp(argv[2], "gone") == 0)
		close(pair[0]);
	if (strcmp(argv[2], "shut") == 0)
		shutdown(pair[0], SHUT_WR);
	look_at_all(pair[1]);

	scenario_ready();

	for (int i = 0; i < N_TEXTS; i++)
		scenario_check(recv(pair[1], got, sizeof got, MSG_DONTWAIT) ==
					       (ssize_t)strlen(texts[i]) &&
				       memcmp(got, texts[i], strlen(texts[i])) == 0,
			       "message %d is another one", i);
	return scenario_end();
}
