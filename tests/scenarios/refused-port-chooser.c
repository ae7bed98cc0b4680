// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-port-chooser
 * promise: sockets that share a port by a program's choice are refused, bound or not yet; who is
 *	chosen does not change
 * needs: initial-user-namespace kernel_memory
 * flavours: flat three user
 * arguments: listener datagrams unbound
 * refused: unsupported-file
 */
#include "scenario.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

static struct sockaddr_in address;

static int new_socket(int type)
{
	int fd = socket(AF_INET, type, 0);

	scenario_need(
		fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &(int){ 1 }, sizeof(int)) == 0,
		"no socket");
	return fd;
}

static void bind_to(int fd, int type)
{
	socklen_t length = sizeof address;

	scenario_need(bind(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
			      (type == SOCK_DGRAM || listen(fd, 16) == 0) &&
			      getsockname(fd, (struct sockaddr *)&address, &length) == 0,
		      "cannot share the port");
}

/* Always the second one. */
static void choose(int fd)
{
	struct sock_filter code[] = { BPF_STMT(BPF_RET | BPF_K, 1) };
	struct sock_fprog program = { 1, code };

	scenario_need(
		setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program) == 0,
		"no program: %m");
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	bool unbound = strcmp(argv[2], "unbound") == 0;
	int type = strcmp(argv[2], "listener") == 0 ? SOCK_STREAM : SOCK_DGRAM;
	int fds[2] = { new_socket(type), new_socket(type) };

	address = (struct sockaddr_in){ .sin_family = AF_INET,
					.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	if (unbound)
		choose(fds[0]);
	for (int i = 0; i < 2 && !unbound; i++)
		bind_to(fds[i], type);
	if (!unbound)
		choose(fds[0]);

	scenario_ready();

	for (int i = 0; i < 2 && unbound; i++)
		bind_to(fds[i], type);
	for (int i = 0; i < 8; i++) {
		int client = socket(AF_INET, type, 0);
		scenario_need(connect(client, (struct sockaddr *)&address, sizeof address) == 0 &&
				      (type == SOCK_STREAM || send(client, "x", 1, 0) == 1),
			      "cannot send: %m");
	}
	struct pollfd first = { fds[0], POLLIN, 0 };
	scenario_check(poll(&first, 1, 0) == 0, "the first one was chosen");
	return scenario_end();
}
