// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: sockets-by-path
 * promise: a descriptor of a socket's name (O_PATH) leads to that socket again, also where the name
 *	was changed, another process has it, and where it is on its way to somebody
 * needs: initial-user-namespace
 * flavours: flat one three user user-three
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int named(const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(address.sun_path, sizeof address.sun_path, "%s", name);
	scenario_need(bind(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
			      listen(fd, 8) == 0,
		      "no socket %s: %m", name);
	return fd;
}

static void expect_leads_to(int path_fd, int listener, const char *what)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d", path_fd);
	scenario_check(connect(fd, (struct sockaddr *)&address, sizeof address) == 0,
		       "%s: leads to nobody: %s", what, strerror(errno));
	int accepted = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
	scenario_check(accepted >= 0, "%s: leads to somebody else", what);
	close(accepted);
	close(fd);
}

static void send_fd(int over, int fd)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec byte = { "x", 1 };
	struct msghdr message = { .msg_iov = &byte,
				  .msg_iovlen = 1,
				  .msg_control = control.room,
				  .msg_controllen = sizeof control.room };

	control.header = (struct cmsghdr){ CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS };
	memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
	scenario_need(sendmsg(over, &message, 0) == 1, "cannot send");
}

static int take_fd_from(int from)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	char text;
	struct iovec byte = { &text, 1 };
	struct msghdr message = { .msg_iov = &byte,
				  .msg_iovlen = 1,
				  .msg_control = control.room,
				  .msg_controllen = sizeof control.room };
	int fd = -1;

	scenario_check(recvmsg(from, &message, MSG_DONTWAIT) == 1, "nothing came");
	if (control.header.cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(&control.header), sizeof fd);
	return fd;
}

static int others[2];

static int be_child(void *data)
{
	(void)data;
	scenario_wait_restored();
	expect_leads_to(others[0], others[1], "of another process");
	return 0;
}

int main(int argc, char **argv)
{
	int pair[2];

	scenario_begin(argc, argv);
	int plain = named("plain"), moved = named("moved"), sent = named("sent");
	int to_plain = open("plain", O_PATH), to_moved = open("moved", O_PATH);
	scenario_need(rename("moved", "elsewhere") == 0, "not moved");
	others[1] = named("others");
	others[0] = open("others", O_PATH | O_NOFOLLOW);
	pid_t child = scenario_child(be_child, NULL);
	close(others[0]);
	scenario_need(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0, "no pair");
	int to_sent = open("sent", O_PATH);
	send_fd(pair[0], to_sent);
	close(to_sent);

	scenario_ready();

	expect_leads_to(to_plain, plain, "plain");
	expect_leads_to(to_moved, moved, "moved");
	expect_leads_to(take_fd_from(pair[1]), sent, "sent");
	struct stat by_name, by_fd;
	scenario_check(stat("plain", &by_name) == 0 && fstat(to_plain, &by_fd) == 0 &&
			       by_name.st_ino == by_fd.st_ino,
		       "another inode");
	scenario_reap(child);
	return scenario_end();
}
