// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: sockets-unix
 * promise: unix sockets keep type, peer, names, queues with their borders, backlog, options and
 *	halves that are shut down; those that were accepted have the listener's name
 * flavours: flat one three user user-three
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

struct ends {
	int a, b;
};

static char directory[80];

static socklen_t address(struct sockaddr_un *ret, const char *name)
{
	memset(ret, 0, sizeof *ret);
	ret->sun_family = AF_UNIX;
	if (name[0] == '@') {
		snprintf(ret->sun_path + 1, sizeof ret->sun_path - 1, "%.70s %s", directory,
			 name + 1);
		return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
				   strlen(ret->sun_path + 1));
	}
	snprintf(ret->sun_path, sizeof ret->sun_path, "%.70s/%s", directory, name);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(ret->sun_path) + 1);
}

static int bound(int type, const char *name)
{
	struct sockaddr_un at;
	socklen_t length = address(&at, name);
	int fd = socket(AF_UNIX, type, 0);

	scenario_need(fd >= 0 && bind(fd, (struct sockaddr *)&at, length) == 0, "cannot bind %s",
		      name);
	return fd;
}

static int connected(int type, const char *name)
{
	struct sockaddr_un at;
	socklen_t length = address(&at, name);
	int fd = socket(AF_UNIX, type, 0);

	scenario_need(fd >= 0 && connect(fd, (struct sockaddr *)&at, length) == 0,
		      "cannot connect to %s: %s", name, strerror(errno));
	return fd;
}

static void pair(int type, struct ends *ret)
{
	int fds[2];

	scenario_need(socketpair(AF_UNIX, type, 0, fds) == 0, "no pair");
	*ret = (struct ends){ fds[0], fds[1] };
}

static void put(int fd, const char *text)
{
	scenario_need(send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text),
		      "cannot send %s", text);
}

static void expect(int fd, const char *text)
{
	char got[256] = "";
	ssize_t length = recv(fd, got, sizeof got - 1, MSG_DONTWAIT);

	scenario_check(length == (ssize_t)strlen(text) && !memcmp(got, text, strlen(text)),
		       "expected %s, got %s (%zd)", text, got, length);
}

static void expect_name(int fd, bool of_peer, const char *name)
{
	struct sockaddr_un is = { 0 }, wanted;
	socklen_t length = sizeof is, wanted_length = name ? address(&wanted, name) : 2;
	int result = of_peer ? getpeername(fd, (struct sockaddr *)&is, &length)
			     : getsockname(fd, (struct sockaddr *)&is, &length);

	scenario_check(result == 0 && length == wanted_length &&
			       (!name || !memcmp(&is, &wanted, length)),
		       "%s: another name (%d bytes)", name ? name : "unnamed", (int)length);
}

static void talk(struct ends ends)
{
	put(ends.a, "there");
	expect(ends.b, "there");
	put(ends.b, "back");
	expect(ends.a, "back");
}

static int number(int fd, int option)
{
	int value = -1;
	socklen_t length = sizeof value;

	getsockopt(fd, SOL_SOCKET, option, &value, &length);
	return value;
}

static void set(int fd, int option, int value)
{
	scenario_need(setsockopt(fd, SOL_SOCKET, option, &value, sizeof value) == 0, "option %d",
		      option);
}

/* Two accepted connections and one that waits, at a listener. */
struct service {
	int listener, first, first_client, second, second_client, waiting;
};

static struct service serve(int type, const char *name, int backlog)
{
	struct service it = { .listener = bound(type, name) };

	scenario_need(listen(it.listener, backlog) == 0, "cannot listen");
	it.first_client = connected(type, name);
	it.first = accept(it.listener, NULL, NULL);
	it.second_client = connected(type, name);
	it.second = accept(it.listener, NULL, NULL);
	it.waiting = connected(type, name);
	put(it.first_client, "to the first");
	put(it.second, "to the second client");
	return it;
}

static void check_service(const struct service *it, int type, const char *name)
{
	expect(it->first, "to the first");
	expect(it->second_client, "to the second client");
	talk((struct ends){ it->first, it->first_client });
	talk((struct ends){ it->second, it->second_client });
	expect_name(it->first, false, name);
	expect_name(it->first_client, true, name);
	expect_name(it->first_client, false, NULL);
	int fd = accept(it->listener, NULL, NULL);
	scenario_check(fd >= 0, "nobody waits");
	talk((struct ends){ fd, it->waiting });
	int other = connected(type, name);
	int third = accept4(it->listener, NULL, NULL, SOCK_NONBLOCK);
	talk((struct ends){ third, other });
	int client = connected(type, name);
	struct ucred peer = { 0 };
	socklen_t length = sizeof peer;
	getsockopt(client, SOL_SOCKET, SO_PEERCRED, &peer, &length);
	scenario_check(peer.pid == getpid() && peer.uid == getuid(), "process %d listens",
		       peer.pid);
	close(client);
}

int main(int argc, char **argv)
{
	struct ends stream, packets, datagrams, half, gone, named;
	char text[64];

	scenario_begin(argc, argv);
	scenario_need(getcwd(directory, sizeof directory) != NULL, "the directory's name is long");
	pair(SOCK_STREAM, &stream);
	put(stream.a, "one ");
	put(stream.a, "two");
	pair(SOCK_SEQPACKET, &packets);
	put(packets.a, "first");
	put(packets.a, "second");
	pair(SOCK_DGRAM | SOCK_NONBLOCK, &datagrams);
	put(datagrams.b, "a datagram");
	put(datagrams.b, "another");
	pair(SOCK_STREAM, &half);
	put(half.a, "before the end");
	shutdown(half.a, SHUT_WR);
	pair(SOCK_STREAM, &gone);
	put(gone.b, "last words");
	close(gone.b);
	struct service path = serve(SOCK_STREAM, "stream", 5);
	scenario_need(chmod("stream", 0621) == 0, "no mode");
	struct service abstract = serve(SOCK_SEQPACKET, "@packets", 3);
	int log = bound(SOCK_DGRAM, "journal");
	int writer = connected(SOCK_DGRAM, "journal");
	put(writer, "logged");
	int removed = bound(SOCK_DGRAM, "removed");
	int to_removed = connected(SOCK_DGRAM, "removed");
	unlink("removed");
	int replacing = bound(SOCK_DGRAM, "removed");
	/* Accepted from a listener that is gone. */
	int short_lived = bound(SOCK_STREAM, "short-lived");
	scenario_need(listen(short_lived, 1) == 0, "cannot listen");
	named.a = connected(SOCK_STREAM, "short-lived");
	named.b = accept(short_lived, NULL, NULL);
	close(short_lived);
	unlink("short-lived");
	set(stream.a, SO_PASSCRED, 1);
	set(log, SO_TIMESTAMP, 1);
	set(log, SO_LOCK_FILTER, 1);
	set(stream.b, SO_RCVBUF, 50000);
	struct timeval patience = { 3, 250000 };
	setsockopt(packets.b, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);

	scenario_ready();

	expect(stream.b, "one two");
	talk(stream);
	expect(packets.b, "first");
	expect(packets.b, "second");
	talk(packets);
	expect(datagrams.a, "a datagram");
	expect(datagrams.a, "another");
	talk(datagrams);
	scenario_check(fcntl(datagrams.a, F_GETFL) & O_NONBLOCK, "it blocks");
	expect(half.b, "before the end");
	scenario_check(read(half.b, text, sizeof text) == 0, "the half is open again");
	put(half.b, "the other way");
	expect(half.a, "the other way");
	expect(gone.a, "last words");
	scenario_check(read(gone.a, text, sizeof text) == 0, "its peer is there again");
	struct stat file;
	scenario_check(stat("stream", &file) == 0 && (file.st_mode & 0777) == 0621, "another mode");
	check_service(&path, SOCK_STREAM, "stream");
	check_service(&abstract, SOCK_SEQPACKET, "@packets");
	expect(log, "logged");
	put(writer, "more");
	expect(log, "more");
	put(to_removed, "to the first of two");
	expect(removed, "to the first of two");
	expect_name(removed, false, "removed");
	int late = connected(SOCK_DGRAM, "removed");
	put(late, "to the second");
	expect(replacing, "to the second");
	talk(named);
	expect_name(named.b, false, "short-lived");
	scenario_check(access("short-lived", F_OK) < 0, "a name that was gone is there again");
	scenario_check(number(stream.a, SO_PASSCRED) == 1 && number(stream.b, SO_PASSCRED) == 0,
		       "SO_PASSCRED");
	scenario_check(number(log, SO_TIMESTAMP) == 1, "SO_TIMESTAMP");
	scenario_check(number(log, SO_LOCK_FILTER) == 1, "its filter may be changed");
	scenario_check(number(stream.b, SO_RCVBUF) == 100000, "SO_RCVBUF");
	socklen_t length = sizeof patience;
	patience = (struct timeval){ 0 };
	getsockopt(packets.b, SOL_SOCKET, SO_RCVTIMEO, &patience, &length);
	scenario_check(patience.tv_sec == 3 && patience.tv_usec > 240000, "SO_RCVTIMEO");
	return scenario_end();
}
