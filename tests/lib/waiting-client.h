/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A connection over lo that nobody has accepted, and that has received "request". */
#ifndef NESTOR_TESTS_WAITING_CLIENT_H
#define NESTOR_TESTS_WAITING_CLIENT_H

#include "scenario.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

struct waiting_client {
	struct sockaddr_in at; /* of the listener */
	int listener, client;
};

static inline bool somebody_waits(int listener, int milliseconds)
{
	struct pollfd ready = { .fd = listener, .events = POLLIN };

	return poll(&ready, 1, milliseconds) == 1;
}

static inline struct waiting_client waiting_client_make(void)
{
	struct waiting_client made = {
		.at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } },
		.listener = socket(AF_INET, SOCK_STREAM, 0),
		.client = socket(AF_INET, SOCK_STREAM, 0),
	};
	struct sockaddr *at = (struct sockaddr *)&made.at;
	socklen_t length = sizeof made.at;

	scenario_need(bind(made.listener, at, length) == 0 && listen(made.listener, 3) == 0 &&
			      getsockname(made.listener, at, &length) == 0 &&
			      connect(made.client, at, length) == 0 &&
			      send(made.client, "request", 7, 0) == 7,
		      "cannot connect: %s", strerror(errno));
	scenario_need(somebody_waits(made.listener, 3000), "nobody waits");
	return made;
}

#endif
