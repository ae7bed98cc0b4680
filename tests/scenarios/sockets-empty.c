// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: sockets-empty
 * promise: empty datagrams that wait in unix sockets come back in their order, with descriptors
 *	that come with them, also the first where somebody has looked at it before
 * flavours: flat three user user-three
 * unseen: an end of a pipe is on its way in a socket
 */
#include "rights.h"
#include "scenario.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ALONE, WITH_FILE, FIRST, LAST, PACKETS, N_PAIRS };

static int pairs[N_PAIRS][2];

/* As systemd keeps a namespace: nothing but a descriptor. */
static void send_file(int socket, int file)
{
	scenario_need(send_rights(socket, "", &file, 1) == 0, "a descriptor alone");
}

static int receive_file(int socket, int flags)
{
	int files[MOST_RIGHTS];
	size_t count;
	char byte;

	if (receive_rights(socket, &byte, 1, flags | MSG_DONTWAIT, files, &count) != 0)
		return -1;
	return count == 1 ? files[0] : -1;
}

static void must_receive(int which, const char *text)
{
	char got[8] = "";
	ssize_t length = recv(pairs[which][1], got, sizeof got, MSG_DONTWAIT);

	scenario_check(length == (ssize_t)strlen(text) && !strcmp(got, text),
		       "%d: '%s' for '%s', %zd", which, got, text, length);
}

static void must_be_over(int which)
{
	char byte;

	scenario_check(recv(pairs[which][1], &byte, 1, MSG_DONTWAIT) < 0, "%d: one more", which);
}

int main(int argc, char **argv)
{
	struct stat before, after;
	int ends[2];

	scenario_begin(argc, argv);
	for (int i = 0; i < N_PAIRS; i++)
		scenario_need(!socketpair(AF_UNIX, i == PACKETS ? SOCK_SEQPACKET : SOCK_DGRAM, 0,
					  pairs[i]),
			      "socketpair");
	scenario_need(pipe(ends) == 0 && fstat(ends[0], &before) == 0, "pipe");
	scenario_need(send(pairs[ALONE][0], "", 0, 0) == 0, "an empty one");
	send_file(pairs[WITH_FILE][0], ends[0]);
	int seen = receive_file(pairs[WITH_FILE][1], MSG_PEEK);
	scenario_need(seen >= 0 && !close(seen) && !close(ends[0]), "a look at it");
	scenario_need(send(pairs[FIRST][0], "", 0, 0) == 0 &&
			      send(pairs[FIRST][0], "one", 3, 0) == 3 &&
			      send(pairs[LAST][0], "one", 3, 0) == 3 &&
			      send(pairs[LAST][0], "", 0, 0) == 0 &&
			      send(pairs[LAST][0], "two", 3, 0) == 3 &&
			      send(pairs[PACKETS][0], "", 0, 0) == 0,
		      "send");

	scenario_ready();

	must_receive(ALONE, "");
	int file = receive_file(pairs[WITH_FILE][1], 0);
	scenario_check(file >= 0 && fstat(file, &after) == 0 && S_ISFIFO(after.st_mode),
		       "no descriptor comes");
	char byte = 0;
	scenario_check(write(ends[1], "x", 1) == 1 && read(file, &byte, 1) == 1 && byte == 'x',
		       "the pipe");
	must_receive(FIRST, "");
	must_receive(FIRST, "one");
	must_receive(LAST, "one");
	must_receive(LAST, "");
	must_receive(LAST, "two");
	must_receive(PACKETS, "");
	for (int i = 0; i < N_PAIRS; i++)
		must_be_over(i);
	return scenario_end();
}
