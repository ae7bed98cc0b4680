// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-sockets
 * promise: a socket that cannot be made again is refused by name, and goes on working: a connection
 *	of MPTCP, one with keys, descriptors that came with an urgent byte of a unix socket
 *	and were not taken with it, one of TCP that is unread or has
 *	been read before what precedes it, vsock, an error that waits
 * flavours: flat three
 * needs: initial-user-namespace
 * arguments: mptcp keys urgent-rights urgent-tcp mark vsock error
 * options: --timeout 1
 * refused: unsupported-file
 */
#include "rights.h"
#include "scenario.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/tcp.h>
#include <linux/vm_sockets.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int ends[2], kept[2];

static void connect_by(int protocol, bool with_keys)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	struct tcp_md5sig keys = { .tcpm_keylen = 3, .tcpm_key = "abc" };
	socklen_t length = sizeof at;
	int listener = socket(AF_INET, SOCK_STREAM, protocol);

	ends[0] = socket(AF_INET, SOCK_STREAM, protocol);
	memcpy(&keys.tcpm_addr, &at, sizeof at);
	scenario_need(
		!with_keys ||
			(setsockopt(listener, IPPROTO_TCP, TCP_MD5SIG, &keys, sizeof keys) == 0 &&
			 setsockopt(ends[0], IPPROTO_TCP, TCP_MD5SIG, &keys, sizeof keys) == 0),
		"no keys: %m");
	scenario_need(bind(listener, (struct sockaddr *)&at, sizeof at) == 0 &&
			      getsockname(listener, (struct sockaddr *)&at, &length) == 0 &&
			      listen(listener, 1) == 0 &&
			      connect(ends[0], (struct sockaddr *)&at, sizeof at) == 0 &&
			      (ends[1] = accept(listener, NULL, NULL)) >= 0,
		      "cannot connect: %m");
}

static void check_connected(void)
{
	char byte = 0;

	scenario_check(send(ends[0], "x", 1, 0) == 1 && recv(ends[1], &byte, 1, 0) == 1 &&
			       byte == 'x',
		       "it is not connected any more");
}

/* A datagram to where nobody is, of which the answer has come. */
static void meet_error(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t length = sizeof at;
	int other = socket(AF_INET, SOCK_DGRAM, 0);

	ends[0] = socket(AF_INET, SOCK_DGRAM, 0);
	scenario_need(bind(other, (struct sockaddr *)&at, sizeof at) == 0 &&
			      getsockname(other, (struct sockaddr *)&at, &length) == 0 &&
			      connect(ends[0], (struct sockaddr *)&at, sizeof at) == 0 &&
			      close(other) == 0 && send(ends[0], "x", 1, 0) == 1,
		      "no datagram: %m");
	struct pollfd ready = { .fd = ends[0] };
	scenario_need(poll(&ready, 1, 5000) == 1 && ready.revents == POLLERR, "no error comes");
}

static void check_error(void)
{
	int error = 0;
	socklen_t length = sizeof error;

	scenario_check(getsockopt(ends[0], SOL_SOCKET, SO_ERROR, &error, &length) == 0 &&
			       error == ECONNREFUSED,
		       "the error is %d", error);
}

/* They are gone when what is behind the mark is read, and not before. */
static void leave_rights(void)
{
	union rights control = { .header = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
	struct iovec part = { "u", 1 };
	struct msghdr message = { .msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = CMSG_SPACE(sizeof(int)) };
	char byte;

	scenario_need(pipe(kept) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0,
		      "no pair: %m");
	signal(SIGPIPE, SIG_IGN);
	memcpy(CMSG_DATA(&control.header), &kept[0], sizeof *kept);
	scenario_need(sendmsg(ends[0], &message, MSG_OOB) == 1 &&
			      recv(ends[1], &byte, 1, MSG_OOB) == 1 && close(kept[0]) == 0 &&
			      write(kept[1], "x", 1) == 1,
		      "no urgent byte: %m");
}

int main(int argc, char **argv)
{
	struct sockaddr_vm at = { .svm_family = AF_VSOCK,
				  .svm_cid = VMADDR_CID_ANY,
				  .svm_port = VMADDR_PORT_ANY };
	const char *which = argv[2];

	scenario_begin(argc, argv);
	bool is_vsock = strcmp(which, "vsock") == 0;
	bool is_rights = strcmp(which, "urgent-rights") == 0, is_mark = strcmp(which, "mark") == 0;
	bool is_urgent_tcp = strcmp(which, "urgent-tcp") == 0,
	     is_error = strcmp(which, "error") == 0;
	char got[8] = "";
	char byte = 0;
	if (is_vsock) {
		ends[0] = socket(AF_VSOCK, SOCK_STREAM, 0);
		scenario_need(bind(ends[0], (struct sockaddr *)&at, sizeof at) == 0,
			      "no vsock: %m");
	} else if (is_error) {
		meet_error();
	} else if (is_rights) {
		leave_rights();
	} else {
		connect_by(strcmp(which, "mptcp") ? 0 : IPPROTO_MPTCP, strcmp(which, "keys") == 0);
	}
	if (is_urgent_tcp || is_mark)
		scenario_need(send(ends[0], "abc", 3, 0) == 3 &&
				      send(ends[0], "u", 1, MSG_OOB) == 1 &&
				      send(ends[0], "def", 3, 0) == 3,
			      "no urgent byte: %m");
	if (is_mark)
		scenario_need(recv(ends[1], &byte, 1, MSG_OOB) == 1 && byte == 'u',
			      "it does not come: %m");

	scenario_ready();

	if (is_vsock)
		scenario_check(listen(ends[0], 1) == 0, "it does not listen: %m");
	else if (is_error)
		check_error();
	else if (is_mark)
		scenario_check(recv(ends[1], got, sizeof got, 0) == 3 && !strcmp(got, "abc") &&
				       recv(ends[1], got, sizeof got, 0) == 3 &&
				       !strcmp(got, "def"),
			       "what is before and after the mark: %s", got);
	else if (is_rights)
		scenario_check(recv(ends[1], &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN &&
				       write(kept[1], "x", 1) < 0 && errno == EPIPE,
			       "what came with it is there still");
	else if (is_urgent_tcp)
		scenario_check(recv(ends[1], &byte, 1, MSG_OOB) == 1 && byte == 'u',
			       "the urgent byte is gone");
	else
		check_connected();
	return scenario_end();
}
