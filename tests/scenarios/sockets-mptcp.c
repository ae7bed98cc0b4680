// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: sockets-mptcp
 * promise: sockets of MPTCP that are not connected come back, and who has come to one that listens
 *	by TCP alone stays connected
 * flavours: flat one three user user-three
 * needs: initial-user-namespace
 */
#include "scenario.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int number(int fd, int level, int option)
{
	int value = -1;
	socklen_t length = sizeof value;

	getsockopt(fd, level, option, &value, &length);
	return value;
}

static void expect(int from, int to, const char *text)
{
	char got[32] = "";

	scenario_check(send(from, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text) &&
			       recv(to, got, sizeof got - 1, 0) == (ssize_t)strlen(text) &&
			       strcmp(got, text) == 0,
		       "expected %s, got %s", text, got);
}

static int connect_by(int protocol, const struct sockaddr_in *to)
{
	int fd = socket(AF_INET, SOCK_STREAM, protocol);

	scenario_check(fd >= 0 && connect(fd, (const struct sockaddr *)to, sizeof *to) == 0,
		       "cannot connect by protocol %d: %s", protocol, strerror(errno));
	return fd;
}

int main(int argc, char **argv)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t length = sizeof at;
	int on = 1, wait = 3, service = 0x10, idle = 77;

	scenario_begin(argc, argv);
	int listener = socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP);
	int fresh = socket(AF_INET6, SOCK_STREAM, IPPROTO_MPTCP);
	scenario_need(listener >= 0 && fresh >= 0, "no MPTCP: %m");
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	setsockopt(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, &wait, sizeof wait);
	setsockopt(listener, IPPROTO_IP, IP_TOS, &service, sizeof service);
	setsockopt(fresh, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
	setsockopt(fresh, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
	int deferred = number(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT);
	idle = number(fresh, IPPROTO_TCP, TCP_KEEPIDLE);
	scenario_need(bind(listener, (struct sockaddr *)&at, sizeof at) == 0 &&
			      getsockname(listener, (struct sockaddr *)&at, &length) == 0 &&
			      listen(listener, 7) == 0,
		      "cannot listen: %m");
	int client = connect_by(IPPROTO_TCP, &at), accepted = -1;
	scenario_need(send(client, "first", 5, 0) == 5 &&
			      (accepted = accept(listener, NULL, NULL)) >= 0,
		      "cannot accept: %m");
	char got[8] = "";
	scenario_need(recv(accepted, got, sizeof got, 0) == 5, "nothing has come");

	scenario_ready();

	scenario_check(number(listener, SOL_SOCKET, SO_PROTOCOL) == IPPROTO_MPTCP &&
			       number(fresh, SOL_SOCKET, SO_PROTOCOL) == IPPROTO_MPTCP,
		       "another protocol");
	scenario_check(number(listener, SOL_SOCKET, SO_ACCEPTCONN) == 1, "it does not listen");
	scenario_check(number(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT) == deferred &&
			       number(listener, IPPROTO_IP, IP_TOS) == service &&
			       number(fresh, IPPROTO_TCP, TCP_KEEPIDLE) == idle &&
			       number(fresh, IPPROTO_IPV6, IPV6_V6ONLY) == 1,
		       "other options");
	expect(client, accepted, "question");
	expect(accepted, client, "answer");
	int other = connect_by(IPPROTO_MPTCP, &at);
	scenario_check(send(other, "hello", 5, 0) == 5, "cannot send: %m");
	int end = accept(listener, NULL, NULL);
	scenario_check(end >= 0, "nobody has come");
	memset(got, 0, sizeof got);
	scenario_check(recv(end, got, sizeof got, 0) == 5, "nothing has come");
	expect(end, other, "back");
	return scenario_end();
}
