// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: sockets-many-pairs
 * promise: pairs of unix sockets come back, more than their maker is asked for at once, of two
 *	types in turns now and then, between other files; each tells who made it
 * flavours: flat one three user user-three
 */
#include "scenario.h"

#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

enum { PAIRS = 200, NEXT_TYPE = 80, NEXT_FILE = 3 };

int main(int argc, char **argv)
{
	int pairs[PAIRS][2];
	struct ucred peer = { 0 };
	socklen_t length = sizeof peer;

	scenario_begin(argc, argv);
	for (int i = 0; i < PAIRS; i++) {
		int type = i % NEXT_TYPE == NEXT_TYPE - 1 ? SOCK_DGRAM : SOCK_STREAM;
		scenario_need(socketpair(AF_UNIX, type, 0, pairs[i]) == 0, "pair %d", i);
		scenario_need(i % NEXT_FILE || dup(0) >= 0, "another file");
	}

	scenario_ready();

	for (int i = 0, got = -1; i < PAIRS; i++, got = -1) {
		scenario_check(send(pairs[i][0], &i, sizeof i, 0) == sizeof i &&
				       recv(pairs[i][1], &got, sizeof got, MSG_DONTWAIT) ==
					       sizeof got &&
				       got == i,
			       "pair %d: got %d", i, got);
		scenario_check(getsockopt(pairs[i][0], SOL_SOCKET, SO_PEERCRED, &peer, &length) ==
					       0 &&
				       peer.pid == getpid(),
			       "pair %d: made by %d", i, peer.pid);
	}
	return scenario_end();
}
