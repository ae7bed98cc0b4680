// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The server of tests/network/run: one process, no threads. What a client says first is what it
 * wants: 'e' everything sent back; 'h' a count of all bytes once the client has sent its end; 'f'
 * the server's own end at once, and then as 'h', told by a file. With a file "hold" there, nobody is
 * read from.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ROOM = 65536, MOST = 64 };

static struct connection {
	int fd;
	char wish;
	char bytes[ROOM];
	size_t held; /* of bytes, still to be sent back */
	unsigned long count;
} connections[MOST];
static size_t n_connections;

static int listen_at(int family, unsigned short port)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (bind(fd, family == AF_INET ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6,
		 family == AF_INET ? sizeof v4 : sizeof v6) < 0 ||
	    listen(fd, 32) < 0) {
		perror("listen");
		exit(1);
	}
	return fd;
}

static void write_file(const char *name, unsigned long number)
{
	char text[32];
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	snprintf(text, sizeof text, "%lu\n", number);
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		exit(1);
	close(fd);
}

static void finish(struct connection *it)
{
	char text[32];

	if (it->wish == 'h') {
		snprintf(text, sizeof text, "%lu\n", it->count);
		send(it->fd, text, strlen(text), MSG_NOSIGNAL);
	} else if (it->wish == 'f') {
		write_file("counted", it->count);
	}
	close(it->fd);
	*it = connections[--n_connections];
}

static void send_back(struct connection *it)
{
	ssize_t sent = send(it->fd, it->bytes, it->held, MSG_NOSIGNAL);

	if (sent <= 0)
		return;
	memmove(it->bytes, it->bytes + sent, it->held - (size_t)sent);
	it->held -= (size_t)sent;
}

static void receive(struct connection *it)
{
	ssize_t got;

	if (!it->wish) {
		if (recv(it->fd, &it->wish, 1, 0) == 1 && it->wish == 'f')
			shutdown(it->fd, SHUT_WR);
		return;
	}
	if (it->held == ROOM)
		return;
	got = recv(it->fd, it->bytes + it->held, ROOM - it->held, 0);
	if (got == 0 || (got < 0 && errno != EAGAIN)) {
		if (got < 0 || it->wish == 'e')
			write_file("ended", 1);
		finish(it);
		return;
	}
	if (got > 0) {
		it->count += (unsigned long)got;
		if (it->wish == 'e')
			it->held += (size_t)got;
	}
}

int main(int argc, char **argv)
{
	struct pollfd polled[MOST + 2] = { { .events = POLLIN }, { .events = POLLIN } };

	if (argc != 2 || chdir(argv[1]) < 0)
		return 2;
	setsid();
	polled[0].fd = listen_at(AF_INET, 7001);
	polled[1].fd = listen_at(AF_INET6, 7002);
	write_file("listening", 1);
	for (;;) {
		bool held = access("hold", F_OK) == 0;
		for (size_t i = 0; i < n_connections; i++)
			polled[i + 2] = (struct pollfd){
				connections[i].fd,
				(short)((held ? 0 : POLLIN) | (connections[i].held ? POLLOUT : 0)),
				0
			};
		poll(polled, n_connections + 2, 5);
		for (size_t i = n_connections; i-- > 0;) {
			if (connections[i].held && polled[i + 2].revents & POLLOUT)
				send_back(&connections[i]);
			if (!held && polled[i + 2].revents & (POLLIN | POLLHUP | POLLERR))
				receive(&connections[i]);
		}
		for (int i = 0; i < 2; i++) {
			int fd = accept4(polled[i].fd, NULL, NULL, SOCK_NONBLOCK);
			if (fd >= 0 && n_connections < MOST)
				connections[n_connections++] = (struct connection){ .fd = fd };
		}
	}
}
