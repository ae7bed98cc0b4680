// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-inode-owners
 * promise: whom pipes and sockets belong to, who may open a pipe again, whose sockets share a port,
 *	and that what somebody without rights asks netlink is refused, whoever sends it
 * flavours: flat one three user user-three
 */
#include "own-network.h"
#include "rights.h"
#include "scenario.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { USER = 33, GROUP = 34, OTHER = 35, MOST = 16 };

static struct held {
	const char *name;
	int fd;
	struct stat stat;
} all[MOST];
static size_t n_all;

static int hold(const char *name, int fd)
{
	scenario_need(fd >= 0 && n_all < MOST, "%s", name);
	all[n_all++] = (struct held){ .name = name, .fd = fd };
	return fd;
}

static void become(uid_t uid, gid_t gid)
{
	scenario_need(syscall(SYS_setresgid, -1, gid, -1) == 0 &&
			      syscall(SYS_setresuid, -1, uid, -1) == 0,
		      "other ids");
}

static void become_root(void)
{
	scenario_need(syscall(SYS_setresuid, -1, 0, -1) == 0 &&
			      syscall(SYS_setresgid, -1, 0, -1) == 0,
		      "root's ids");
}

static void hold_pair(const char *name, int (*make)(int *ends))
{
	int ends[2];

	scenario_need(make(ends) == 0, "%s", name);
	hold(name, ends[0]);
	hold(name, ends[1]);
}

static int make_stream_pair(int *ends)
{
	return socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
}

static struct sockaddr_in own_address(int fd)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t length = sizeof address;

	scenario_need(getsockname(fd, (struct sockaddr *)&address, &length) == 0, "getsockname");
	return address;
}

/* A socket at a port that others of the same user share; port 0: a free one. */
static int share_port(in_port_t port)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_port = port,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_DGRAM, 0), on = 1;

	scenario_need(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0,
		      "SO_REUSEPORT");
	if (bind(fd, (struct sockaddr *)&address, sizeof address) == 0)
		return fd;
	close(fd);
	return -1;
}

static void hold_connection(void)
{
	int listener = hold("listener", socket(AF_INET, SOCK_STREAM, 0));

	scenario_need(listen(listener, 1) == 0, "listen");
	struct sockaddr_in to = own_address(listener);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int client = hold("client", socket(AF_INET, SOCK_STREAM, 0));
	scenario_need(connect(client, (struct sockaddr *)&to, sizeof to) == 0, "connect");
	hold("server", accept(listener, NULL, NULL));
}

/* To take an address away that nobody has: 0 or the error of the answer. */
static int ask_netlink(int fd)
{
	struct {
		struct nlmsghdr head;
		struct ifaddrmsg message;
		struct rtattr kind;
		uint32_t address;
	} request = {
		.head = { .nlmsg_len = sizeof request,
			  .nlmsg_type = RTM_DELADDR,
			  .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK },
		.message = { .ifa_family = AF_INET, .ifa_prefixlen = 32, .ifa_index = 1 },
		.kind = { sizeof(struct rtattr) + sizeof(uint32_t), IFA_LOCAL },
		.address = htonl(0xcb007119), /* of TEST-NET-3 */
	};
	struct {
		struct nlmsghdr head;
		struct nlmsgerr error;
		char rest[256];
	} answer;

	if (send(fd, &request, sizeof request, 0) != sizeof request ||
	    recv(fd, &answer, sizeof answer, 0) < (ssize_t)sizeof(struct nlmsghdr))
		return errno;
	return -answer.error.error;
}

static int sent_by_holder = -1; /* one end of a pair */

/* Somebody without any right, who has a socket of netlink that is given to others later. */
static int holder(void *unused)
{
	(void)unused;
	scenario_need(setresgid(GROUP, GROUP, GROUP) == 0 && setresuid(USER, USER, USER) == 0,
		      "ids of a user");
	int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	scenario_need(fd >= 0 && prctl(PR_SET_DUMPABLE, 1) == 0, "a socket of netlink");
	char byte = 'x';
	scenario_need(write(sent_by_holder, &byte, 1) == 1, "write");
	scenario_need(read(sent_by_holder, &byte, 1) == 1, "read");
	scenario_check(send_rights(sent_by_holder, "x", &fd, 1) == 1, "sendmsg");
	return 0;
}

static void check_asked(int through)
{
	int fds[MOST_RIGHTS] = { -1 };
	size_t count;
	char byte;

	scenario_check(write(through, "x", 1) == 1, "write");
	scenario_check(receive_rights(through, &byte, 1, 0, fds, &count) == 1 && count == 1,
		       "recvmsg");
	int error = ask_netlink(fds[0]);

	scenario_check(error == EPERM, "netlink, through somebody's socket: %s", strerror(error));
	close(fds[0]);
}

/* Opens it again as that user, with no rights. 0, or the error. */
static int open_as(uid_t uid, int fd)
{
	char path[64];
	int status = 0;
	pid_t child = fork();

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	if (child == 0) {
		if (setresgid(GROUP + 9, GROUP + 9, GROUP + 9) || setresuid(uid, uid, uid))
			_exit(255);
		_exit(open(path, O_WRONLY | O_NONBLOCK) >= 0 ? 0 : errno);
	}
	scenario_need(child > 0 && waitpid(child, &status, 0) == child, "fork");
	return WEXITSTATUS(status);
}

static void check_pipes(int mine, int open_to_all)
{
	int error = open_as(USER, mine);

	scenario_check(error == 0, "its user opens a pipe: %s", strerror(error));
	error = open_as(OTHER, mine);
	scenario_check(error == EACCES, "somebody else opens a pipe: %s", strerror(error));
	error = open_as(OTHER, open_to_all);
	scenario_check(error == 0, "a pipe that all may write: %s", strerror(error));
}

static void check_port(in_port_t port)
{
	become(USER, GROUP);
	int fd = share_port(port);
	become_root();
	scenario_check(fd >= 0, "a socket of the same user does not share its port");
	become(OTHER, GROUP);
	int other = share_port(port);
	become_root();
	scenario_check(other < 0 && errno != EPERM, "a socket of another user shares its port");
}

static void hold_all(void)
{
	become(USER, GROUP);
	hold_pair("pipe", pipe);
	hold_pair("unix sockets", make_stream_pair);
	hold("datagrams", share_port(0));
	hold_connection();
	hold("netlink", socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE));
	become_root();
	hold_pair("pipe that is given away", pipe);
	int given = all[n_all - 1].fd;
	scenario_need(fchown(given, OTHER, GROUP) == 0 && fchmod(given, 0622) == 0, "a gift");
	given = hold("socket that is given away", socket(AF_INET, SOCK_STREAM, 0));
	scenario_need(fchown(given, OTHER, 0) == 0 && fchmod(given, 0640) == 0, "a gift");
	hold_pair("root's pipe", pipe);
	for (size_t i = 0; i < n_all; i++)
		scenario_need(fstat(all[i].fd, &all[i].stat) == 0, "fstat");
}

static void check_all(void)
{
	for (size_t i = 0; i < n_all; i++) {
		struct stat now = { 0 }, *before = &all[i].stat;
		fstat(all[i].fd, &now);
		scenario_check(now.st_uid == before->st_uid && now.st_gid == before->st_gid &&
				       now.st_mode == before->st_mode,
			       "%s: user %u, group %u, mode %o", all[i].name, now.st_uid,
			       now.st_gid, now.st_mode);
	}
}

int main(int argc, char **argv)
{
	int ends[2];

	scenario_begin(argc, argv);
	own_network();
	scenario_need(make_stream_pair(ends) == 0, "socketpair");
	sent_by_holder = ends[1];
	pid_t child = scenario_child(holder, NULL);
	char byte;
	scenario_need(read(ends[0], &byte, 1) == 1, "read");
	hold_all();
	int own_pipe = all[1].fd, open_pipe = all[n_all - 4].fd;
	struct sockaddr_in shared = own_address(all[4].fd);
	scenario_ready();
	check_all();
	check_pipes(own_pipe, open_pipe);
	check_port(shared.sin_port);
	check_asked(ends[0]);
	scenario_reap(child);
	return scenario_end();
}
