// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: sockets-empty-ended
 * promise: empty messages that wait in unix sockets come back where nothing more can come, since
 *	the peer is gone or has shut down, or who reads has: each is read, and then the end
 * arguments: gone shut reader
 * flavours: flat three user user-three
 * needs: kernel_memory
 */
#include "scenario.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const struct shape {
	int type;
	const char *texts[4]; /* NULL: no more */
} shapes[] = {
	{ SOCK_SEQPACKET, { "", "one" } },
	{ SOCK_SEQPACKET, { "one", "", "", "two" } },
	{ SOCK_SEQPACKET, { "one", "" } },
	{ SOCK_SEQPACKET, { "", "" } },
	{ SOCK_SEQPACKET, { NULL } },
	{ SOCK_DGRAM, { "", "one" } },
	{ SOCK_DGRAM, { "one", "", "two", "" } },
	{ SOCK_DGRAM, { "", "" } },
	{ SOCK_DGRAM, { NULL } },
};
enum { N_SHAPES = sizeof shapes / sizeof *shapes, MOST_TEXTS = 4 };

static int receivers[N_SHAPES];

static void end(const char *how, const int pair[2])
{
	if (!strcmp(how, "gone"))
		scenario_need(close(pair[0]) == 0, "close");
	else
		scenario_need(!strcmp(how, "shut") ? shutdown(pair[0], SHUT_WR) == 0
						   : shutdown(pair[1], SHUT_RD) == 0,
			      "shutdown");
}

static int make(const struct shape *shape, const char *how)
{
	int pair[2];

	scenario_need(socketpair(AF_UNIX, shape->type, 0, pair) == 0, "socketpair");
	for (int i = 0; i < MOST_TEXTS && shape->texts[i]; i++)
		scenario_need(send(pair[0], shape->texts[i], strlen(shape->texts[i]), 0) >= 0,
			      "send");
	end(how, pair);
	return pair[1];
}

static void check(int which, const char *how)
{
	const struct shape *shape = &shapes[which];
	char got[8] = "";

	for (int i = 0; i < MOST_TEXTS && shape->texts[i]; i++) {
		memset(got, 0, sizeof got);
		ssize_t length = recv(receivers[which], got, sizeof got, MSG_DONTWAIT);
		scenario_check(length == (ssize_t)strlen(shape->texts[i]) &&
				       !strcmp(got, shape->texts[i]),
			       "%d: message %d is '%s', %zd", which, i, got, length);
	}
	ssize_t length = recv(receivers[which], got, sizeof got, MSG_DONTWAIT);
	scenario_check(shape->type == SOCK_SEQPACKET ? length == 0 : length < 0 && errno == EAGAIN,
		       "%d, %s: %zd at the end", which, how, length);
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	for (int i = 0; i < N_SHAPES; i++)
		receivers[i] = make(&shapes[i], argv[2]);

	scenario_ready();

	for (int i = 0; i < N_SHAPES; i++)
		check(i, argv[2]);
	return scenario_end();
}
