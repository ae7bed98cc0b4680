// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: pidns-last-pid
 * promise: in a nested pid namespace pids are counted on from where they were, below the same
 *	limit; also where a peer of a socket is gone, whose number only somebody inside can tell
 * flavours: flat one three user user-three unprivileged unprivileged-three
 * needs: per_namespace_pid_max
 */
#include "scenario.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LAST_PID = 700, PID_MAX = 1000 };

static void write_sysctl(const char *path, int value)
{
	char text[16];
	int length = snprintf(text, sizeof text, "%d", value);
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	scenario_need(fd >= 0 && write(fd, text, (size_t)length) == length, "cannot write %s",
		      path);
	close(fd);
}

static int read_sysctl(const char *path)
{
	char text[16] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	scenario_need(fd >= 0 && read(fd, text, sizeof text - 1) > 0, "cannot read %s", path);
	close(fd);
	return atoi(text);
}

static int leave(void *unused)
{
	(void)unused;
	return 0;
}

/* Its socket is the child's peer; tells its name, and ends once it is connected. */
static int be_peer(void *data)
{
	const int *told = data;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	socklen_t length = sizeof address;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	scenario_need(bind(fd, (struct sockaddr *)&address, sizeof(sa_family_t)) == 0 &&
			      listen(fd, 1) == 0 &&
			      getsockname(fd, (struct sockaddr *)&address, &length) == 0,
		      "cannot listen");
	scenario_need(write(*told, &address, length) == (ssize_t)length, "cannot tell");
	scenario_need(accept(fd, NULL, NULL) >= 0, "cannot accept");
	return 0;
}

/* Connected to somebody who is gone. */
static int make_lonely_socket(void)
{
	struct sockaddr_un address;
	int told[2], fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	scenario_need(fd >= 0 && pipe(told) == 0, "no pipe or socket");
	pid_t pid = scenario_child(be_peer, &told[1]);
	ssize_t length = read(told[0], &address, sizeof address);
	scenario_need(length > 0 &&
			      connect(fd, (struct sockaddr *)&address, (socklen_t)length) == 0,
		      "cannot connect");
	scenario_reap(pid);
	close(told[0]);
	close(told[1]);
	return fd;
}

static pid_t peer_of(int fd)
{
	struct ucred peer = { 0 };
	socklen_t length = sizeof peer;

	scenario_need(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0, "no peer");
	return peer.pid;
}

static int init(void *data)
{
	bool limited = data != NULL;
	const char *max_path = "/proc/sys/kernel/pid_max";
	const char *mark = limited ? "limited" : "plain";
	int last_pid = limited ? LAST_PID : LAST_PID * 2;

	int fd = make_lonely_socket();
	pid_t peer = peer_of(fd);

	if (limited)
		write_sysctl(max_path, PID_MAX);
	int pid_max = read_sysctl(max_path);
	write_sysctl("/proc/sys/kernel/ns_last_pid", last_pid);
	scenario_mark(mark);
	scenario_wait_restored();
	scenario_check(read_sysctl(max_path) == pid_max, "%s: pid_max was %d, is %d", mark, pid_max,
		       read_sysctl(max_path));
	scenario_check(peer_of(fd) == peer, "%s: the peer was %d, is %d", mark, peer, peer_of(fd));
	for (int i = 1; i <= 3; i++) {
		pid_t pid = scenario_child(leave, NULL);
		scenario_check(pid == last_pid + i, "%s: the next pid is %d, not %d", mark, pid,
			       last_pid + i);
		scenario_reap(pid);
	}
	return 0;
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	/* The kernel's own default is larger: not one that a new namespace would have anyway. */
	pid_t limited = scenario_child_in(CLONE_NEWPID, init, "");
	pid_t plain = scenario_child_in(CLONE_NEWPID, init, NULL);
	scenario_wait_mark("limited");
	scenario_wait_mark("plain");

	scenario_ready();

	scenario_reap(limited);
	scenario_reap(plain);
	return scenario_end();
}
