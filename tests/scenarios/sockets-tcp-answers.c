// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: sockets-tcp-answers
 * promise: a TCP socket that does not answer at once (TCP_QUICKACK) still does not, also where the
 *	other side has ended its half
 * flavours: flat three user user-three
 */
#include "own-network.h"
#include "scenario.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LONGER_THAN_AN_ANSWER = 300 };

static int connect_pair(int *ret_other)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t length = sizeof at;
	int listener = socket(AF_INET, SOCK_STREAM, 0), one = socket(AF_INET, SOCK_STREAM, 0);

	scenario_need(bind(listener, (struct sockaddr *)&at, sizeof at) == 0 &&
			      getsockname(listener, (struct sockaddr *)&at, &length) == 0 &&
			      listen(listener, 1) == 0 &&
			      connect(one, (struct sockaddr *)&at, sizeof at) == 0,
		      "cannot connect: %m");
	*ret_other = accept(listener, NULL, NULL);
	scenario_need(*ret_other >= 0, "cannot accept: %m");
	close(listener);
	return one;
}

static int answers_at_once(int fd)
{
	int value = -1;
	socklen_t length = sizeof value;

	scenario_need(getsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &value, &length) == 0, "%m");
	return value;
}

int main(int argc, char **argv)
{
	int ended[2], open_[2], later = 0;
	char byte;

	scenario_begin(argc, argv);
	own_network();
	ended[0] = connect_pair(&ended[1]);
	open_[0] = connect_pair(&open_[1]);
	scenario_need(shutdown(ended[1], SHUT_WR) == 0 && read(ended[0], &byte, 1) == 0, "no end");
	scenario_sleep_ms(LONGER_THAN_AN_ANSWER);
	scenario_need(
		setsockopt(ended[0], IPPROTO_TCP, TCP_QUICKACK, &later, sizeof later) == 0 &&
			setsockopt(open_[0], IPPROTO_TCP, TCP_QUICKACK, &later, sizeof later) == 0,
		"cannot set it: %m");

	scenario_ready();

	scenario_sleep_ms(LONGER_THAN_AN_ANSWER);
	scenario_check(!answers_at_once(open_[0]), "it answers at once");
	scenario_check(!answers_at_once(ended[0]), "the one that has ended answers at once");
	return scenario_end();
}
