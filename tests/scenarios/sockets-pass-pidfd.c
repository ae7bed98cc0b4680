// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: sockets-pass-pidfd
 * promise: who asks for pidfds of senders alone (SO_PASSPIDFD) gets those of who has sent what
 *	waited, and is told no more than before: neither ids nor that it asks for them
 * flavours: flat three user user-three
 * arguments: stream datagrams packets
 */
#include "scenario.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef SO_PASSPIDFD
#define SO_PASSPIDFD 76
#endif
#ifndef SCM_PIDFD
#define SCM_PIDFD 4
#endif

static int ends[2];

static int sender(void *unused)
{
	(void)unused;
	scenario_need(send(ends[0], "sent", 4, 0) == 4, "send");
	scenario_mark("sent");
	scenario_wait_restored();
	scenario_wait_mark("received");
	return 0;
}

/* In its own pid namespace, by the last of its numbers: /proc may be another one's. */
static pid_t pid_of(int pidfd)
{
	char path[64], line[128];
	int pid = -1;

	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", pidfd);
	FILE *file = fopen(path, "re");
	while (file && fgets(line, sizeof line, file))
		if (strncmp(line, "NSpid:", 6) == 0)
			sscanf(strrchr(line, '\t'), "%d", &pid);
	if (file)
		fclose(file);
	return pid;
}

static void check_message(pid_t wanted)
{
	union {
		struct cmsghdr header;
		char room[256];
	} control;
	char text[8] = "";
	struct iovec part = { text, sizeof text };
	struct msghdr message = { .msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof control };
	int pidfd = -1;

	scenario_check(recvmsg(ends[1], &message, MSG_DONTWAIT) == 4 && !strcmp(text, "sent"),
		       "it says '%s'", text);
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_PIDFD)
		memcpy(&pidfd, CMSG_DATA(header), sizeof pidfd);
	scenario_check(pidfd >= 0 && pid_of(pidfd) == wanted, "it was sent by %d, not by %d",
		       pid_of(pidfd), wanted);
	scenario_check(!header || !CMSG_NXTHDR(&message, header), "more is told");
}

static int type_of(const char *name)
{
	if (!strcmp(name, "stream"))
		return SOCK_STREAM;
	return strcmp(name, "packets") ? SOCK_DGRAM : SOCK_SEQPACKET;
}

int main(int argc, char **argv)
{
	int asks = 1;
	socklen_t length = sizeof asks;

	scenario_begin(argc, argv);
	scenario_need(socketpair(AF_UNIX, type_of(argv[2]), 0, ends) == 0 &&
			      setsockopt(ends[1], SOL_SOCKET, SO_PASSPIDFD, &asks, length) == 0,
		      "no sockets that tell of senders");
	pid_t child = scenario_child(sender, NULL);
	scenario_wait_mark("sent");

	scenario_ready();

	check_message(child);
	scenario_check(getsockopt(ends[1], SOL_SOCKET, SO_PASSCRED, &asks, &length) == 0 && !asks,
		       "it asks for ids of senders");
	scenario_mark("received");
	scenario_reap(child);
	return scenario_end();
}
