// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: sockets-peers
 * promise: whom a unix socket tells of as its peer (process, ids, groups, pidfd) stays: one that
 *	lives, a zombie, one that is gone, one that had other ids, one in another pid namespace, one
 *	that waits to be accepted;
 *	and so does who sent what waits
 * flavours: flat one three user user-three
 */
#include "rights.h"
#include "scenario.h"

#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SIOCUNIXFILE
#define SIOCUNIXFILE (SIOCPROTOPRIVATE + 0) /* linux/un.h */
#endif
#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

enum { PAIRS = 5 };

struct peer {
	struct ucred who;
	gid_t groups[8];
	socklen_t groups_size;
	int lives; /* -1: not told */
};

static int listener;
static char name[100];

static int lives(int fd)
{
	int pidfd;
	socklen_t length = sizeof pidfd;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &length) < 0)
		return errno == ENOPROTOOPT ? -1 : 0;
	struct pollfd ended = { .fd = pidfd, .events = POLLIN };
	int result = poll(&ended, 1, 0) == 0;
	close(pidfd);
	return result;
}

static struct peer peer_of(int fd)
{
	struct peer peer = { .groups_size = sizeof peer.groups };
	socklen_t length = sizeof peer.who;

	scenario_check(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer.who, &length) == 0,
		       "SO_PEERCRED");
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, peer.groups, &peer.groups_size) < 0)
		peer.groups_size = 0;
	peer.lives = lives(fd);
	return peer;
}

static void check_peer(const char *what, int fd, const struct peer *was)
{
	struct peer is = peer_of(fd);

	scenario_check(is.who.pid == was->who.pid && is.who.uid == was->who.uid &&
			       is.who.gid == was->who.gid,
		       "%s: pid %d uid %d gid %d, and was %d, %d, %d", what, is.who.pid, is.who.uid,
		       is.who.gid, was->who.pid, was->who.uid, was->who.gid);
	scenario_check(is.groups_size == was->groups_size &&
			       !memcmp(is.groups, was->groups, is.groups_size),
		       "%s: other groups", what);
	scenario_check(is.lives == was->lives, "%s: lives %d, and did %d", what, is.lives,
		       was->lives);
}

static struct sockaddr_un address(socklen_t *ret_length)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };

	snprintf(at.sun_path + 1, sizeof at.sun_path - 1, "%s", name);
	*ret_length = (socklen_t)(sizeof(sa_family_t) + 1 + strlen(name));
	return at;
}

static int connected(void)
{
	socklen_t length;
	struct sockaddr_un at = address(&length);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	scenario_need(fd >= 0 && connect(fd, (struct sockaddr *)&at, length) == 0, "connect");
	return fd;
}

/* Told from inside of a child's pid namespace. */
static int stays_connected(void *data)
{
	int fd = connected();
	struct peer was = peer_of(fd);

	(void)data;
	scenario_mark("inside");
	scenario_wait_restored();
	check_peer("the listener, from inside", fd, &was);
	scenario_wait_mark("checked");
	return 0;
}

/* A name in the file system that another takes later. That it is gone, and which it was, is seen
 * only by who may open it. */
static void bind_at_twice(int fd)
{
	const struct sockaddr_un at = { AF_UNIX, "twice" };

	if (ioctl(fd, SIOCUNIXFILE) < 0 && errno == EPERM)
		return;
	scenario_need(bind(fd, (const struct sockaddr *)&at, sizeof at) == 0 &&
			      unlink("twice") == 0,
		      "cannot have a name that another has had: %m");
}

static int connects_as_other(void *data)
{
	int twice = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)data;
	bind_at_twice(twice);
	listen(twice, 1);
	if (syscall(SYS_setgroups, 2, (gid_t[]){ 7, 9 }) == 0 &&
	    syscall(SYS_setresgid, -1, 5, -1) == 0 && syscall(SYS_setresuid, -1, 6, -1) == 0) {
		int fd = connected();
		(void)fd;
		syscall(SYS_setresuid, -1, 0, -1);
		scenario_mark("other");
		scenario_wait_mark("checked");
		return 0;
	}
	int fd = connected();
	(void)fd;
	scenario_mark("other");
	scenario_wait_mark("checked");
	return 0;
}

/* Nobody accepts it before the restore. */
static int waits_as_other(void *data)
{
	(void)data;
	syscall(SYS_setgroups, 2, (gid_t[]){ 7, 9 });
	int fd = connected();
	(void)fd;
	scenario_mark("waits");
	scenario_wait_mark("checked");
	return 0;
}

/* Makes pairs and ends: what is left of it is a zombie. */
static pid_t makes_and_ends(int ends[2])
{
	int carry[2], came[MOST_RIGHTS];
	size_t count;
	char byte;

	scenario_need(socketpair(AF_UNIX, SOCK_STREAM, 0, carry) == 0, "a pair");
	pid_t pid = fork();
	if (pid == 0) {
		int pair[2];
		if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
			_exit(1);
		_exit(send_rights(carry[1], "x", pair, 2) == 1 ? 0 : 2);
	}
	scenario_need(pid > 0 && receive_rights(carry[0], &byte, 1, 0, came, &count) == 1 &&
			      count == 2,
		      "no descriptors");
	memcpy(ends, came, 2 * sizeof(int));
	close(carry[0]);
	close(carry[1]);
	siginfo_t info;
	scenario_need(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) == 0, "waitid");
	return pid;
}

static pid_t send_from(int fd, const char *text)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(send(fd, text, strlen(text), 0) < 0);
	siginfo_t info;
	scenario_need(pid > 0 && waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) == 0, "fork");
	return pid;
}

static pid_t receive(int fd, const char *text)
{
	char got[32] = "";
	union {
		char room[256];
		struct cmsghdr align;
	} control;
	struct iovec part = { got, sizeof got - 1 };
	struct msghdr header = { .msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof control };
	struct ucred sender = { 0 };

	scenario_check(recvmsg(fd, &header, MSG_DONTWAIT) > 0 && !strcmp(got, text),
		       "%s: got \"%s\"", text, got);
	for (struct cmsghdr *at = CMSG_FIRSTHDR(&header); at; at = CMSG_NXTHDR(&header, at))
		if (at->cmsg_level == SOL_SOCKET && at->cmsg_type == SCM_CREDENTIALS)
			memcpy(&sender, CMSG_DATA(at), sizeof sender);
	return sender.pid;
}

static int accepted(void)
{
	int fd = accept(listener, NULL, NULL);

	scenario_need(fd >= 0, "accept");
	return fd;
}

int main(int argc, char **argv)
{
	socklen_t length;
	int mail[2], one = 1;
	int own[2], of_gone[2], of_zombie[2], fds[PAIRS + 3];
	static const char *const what[] = { "my own pair",	  "a pair of one that is gone",
					    "a pair of a zombie", "one inside",
					    "one with other ids", "myself, connected",
					    "the listener",	  "the second end of the gone" };
	struct peer peers[PAIRS + 3];

	scenario_begin(argc, argv);
	snprintf(name, sizeof name, "%.60s peers %d", argv[1], getpid());
	struct sockaddr_un at = address(&length);
	listener = socket(AF_UNIX, SOCK_STREAM, 0);
	scenario_need(listener >= 0 && bind(listener, (struct sockaddr *)&at, length) == 0 &&
			      listen(listener, 8) == 0 &&
			      socketpair(AF_UNIX, SOCK_STREAM, 0, own) == 0,
		      "sockets");
	pid_t gone = makes_and_ends(of_gone);
	scenario_need(waitpid(gone, NULL, 0) == gone, "waitpid");
	pid_t zombie = makes_and_ends(of_zombie);
	fds[0] = own[0];
	fds[1] = of_gone[0];
	fds[2] = of_zombie[0];
	pid_t inside = scenario_child_in(CLONE_NEWPID, stays_connected, NULL);
	fds[3] = accepted();
	scenario_wait_mark("inside");
	pid_t other = scenario_child(connects_as_other, NULL);
	fds[4] = accepted();
	scenario_wait_mark("other");
	/* The end of a pair that has the name of a listener of another process. */
	bind_at_twice(own[1]);
	int client = connected();
	fds[5] = accepted();
	fds[6] = client;
	fds[7] = of_gone[1];
	for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
		peers[i] = peer_of(fds[i]);
	scenario_need(socketpair(AF_UNIX, SOCK_DGRAM, 0, mail) == 0 &&
			      send(mail[1], "of nobody", 9, 0) == 9 &&
			      setsockopt(mail[0], SOL_SOCKET, SO_PASSCRED, &one, sizeof one) == 0 &&
			      send(mail[1], "mine", 4, 0) == 4,
		      "mail");
	send_from(mail[1], "of a zombie");
	pid_t late = send_from(mail[1], "of one that is gone");
	scenario_need(waitpid(late, NULL, 0) == late, "waitpid");
	pid_t waits = scenario_child(waits_as_other, NULL);
	scenario_wait_mark("waits");

	scenario_ready();

	for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
		check_peer(what[i], fds[i], &peers[i]);
	/* The same groups as the one with other ids. */
	struct peer waiting = peer_of(accepted());
	scenario_check(waiting.who.pid == waits && waiting.groups_size == peers[4].groups_size &&
			       !memcmp(waiting.groups, peers[4].groups, waiting.groups_size),
		       "one that waited: pid %d, and was %d, or other groups", waiting.who.pid,
		       waits);
	scenario_mark("checked");
	pid_t sender = receive(mail[0], "of nobody");
	scenario_check(sender == 0, "nobody is told to have sent it, and not %d", sender);
	sender = receive(mail[0], "mine");
	scenario_check(sender == getpid(), "I sent it, and not %d", sender);
	sender = receive(mail[0], "of a zombie");
	scenario_check(sender > 0 && sender != getpid() && waitpid(sender, NULL, 0) == sender,
		       "a zombie sent it, and not %d", sender);
	sender = receive(mail[0], "of one that is gone");
	scenario_check(sender == late, "%d, which is gone, sent it, and not %d", late, sender);
	scenario_check(peers[2].who.pid == zombie, "the zombie made no pair");
	scenario_check(waitpid(zombie, NULL, 0) == zombie, "the zombie is gone");
	scenario_reap(inside);
	scenario_reap(other);
	scenario_reap(waits);
	return scenario_end();
}
