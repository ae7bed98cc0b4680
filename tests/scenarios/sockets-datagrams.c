// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: sockets-datagrams
 * promise: datagrams that wait in unix sockets tell the names of who sent them, be it one that is
 *	gone, renamed or connected elsewhere, and sockets stay connected to whom they are, also if
 *	that one is not to them, has left the pair, or is gone
 * flavours: flat three user user-three
 * needs: initial-user-namespace
 */
#include "scenario.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static socklen_t address_of(struct sockaddr_un *address, const char *name)
{
	size_t length = strlen(name) + 1;

	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(address->sun_path, name, length);
	if (name[0] != '@')
		return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
	address->sun_path[0] = '\0';
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length - 1);
}

static void give_name(int fd, const char *name)
{
	struct sockaddr_un address;
	socklen_t length = address_of(&address, name);

	scenario_need(bind(fd, (struct sockaddr *)&address, length) == 0, "bind %s", name);
}

static int bound(const char *its_name)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	scenario_need(fd >= 0, "socket");
	give_name(fd, its_name);
	return fd;
}

static void join(int fd, const char *name)
{
	struct sockaddr_un address;
	socklen_t length = address_of(&address, name);

	scenario_need(connect(fd, (struct sockaddr *)&address, length) == 0, "connect to %s", name);
}

static void leave(int fd)
{
	const struct sockaddr none = { .sa_family = AF_UNSPEC };

	scenario_need(connect(fd, &none, sizeof none) == 0, "leave");
}

static void give(int fd, const char *name, const char *text)
{
	struct sockaddr_un address;
	socklen_t length = name ? address_of(&address, name) : 0;

	scenario_need(sendto(fd, text, strlen(text), 0, name ? (void *)&address : NULL, length) ==
			      (ssize_t)strlen(text),
		      "send %s", text);
}

static void take(int fd, const char *name, const char *text)
{
	struct sockaddr_un address = { 0 }, wanted;
	socklen_t length = sizeof address, wanted_length = address_of(&wanted, name ? name : "");
	char got[32] = "";

	ssize_t size = recvfrom(fd, got, sizeof got - 1, MSG_DONTWAIT, (struct sockaddr *)&address,
				&length);
	scenario_check(size == (ssize_t)strlen(text) && strcmp(got, text) == 0,
		       "got \"%s\" (%zd) instead of \"%s\"", got, size, text);
	scenario_check(name ? length == wanted_length && !memcmp(&address, &wanted, length)
			    : length <= sizeof address.sun_family,
		       "%s is from \"%s%s\"", text, address.sun_path, address.sun_path + 1);
}

static int send_fails(int fd)
{
	return send(fd, "x", 1, MSG_DONTWAIT) < 0 ? errno : 0;
}

/* Abstract names are those of the whole network namespace. */
static char abstract_name[64], mutual_name[64];

static void name_abstract(void)
{
	char own[48];

	scenario_own_name(own, sizeof own);
	snprintf(abstract_name, sizeof abstract_name, "@%s-abstract", own);
	snprintf(mutual_name, sizeof mutual_name, "@%s-mutual", own);
}

/* Senders that live, are gone, have another name in the file system or none; one is connected. */
static int receive_many(void)
{
	int receiver = bound("receiver"), one = 1;

	setsockopt(receiver, SOL_SOCKET, SO_PASSCRED, &one, sizeof one);
	int lives = bound("lives"), gone = bound("gone"), moved = bound("moved");
	int abstract = bound(abstract_name), nameless = socket(AF_UNIX, SOCK_DGRAM, 0);
	give(lives, "receiver", "lives");
	give(gone, "receiver", "gone");
	give(moved, "receiver", "moved");
	join(abstract, "receiver");
	give(abstract, NULL, "abstract");
	give(nameless, "receiver", "");
	give(nameless, "receiver", "nameless");
	close(gone);
	scenario_need(unlink("gone") == 0 && rename("moved", "elsewhere") == 0, "names");
	join(receiver, "lives");
	return receiver;
}

static void check_many(int receiver)
{
	take(receiver, "lives", "lives");
	take(receiver, "gone", "gone");
	take(receiver, "moved", "moved");
	take(receiver, abstract_name, "abstract");
	take(receiver, NULL, "");
	take(receiver, NULL, "nameless");
}

enum { CHAIN = 4 };

/* From the far end on, since nobody may be connected to who is connected elsewhere. */
static void make_chain(int chain[CHAIN])
{
	char name[16];

	for (int i = 0; i < CHAIN; i++) {
		snprintf(name, sizeof name, "chain-%d", i);
		chain[i] = bound(name);
	}
	for (int i = CHAIN - 1; i > 0; i--) {
		snprintf(name, sizeof name, "chain-%d", i - 1);
		join(chain[i], name);
	}
}

static void check_chain(const int chain[CHAIN])
{
	for (int i = CHAIN - 1; i > 1; i--)
		scenario_check(send_fails(chain[i]) == EPERM, "number %d is not connected", i);
	give(chain[1], NULL, "through");
	take(chain[0], "chain-1", "through");
}

struct pairs {
	int left[2], moved[2], lone[2], named[2], both[2], mutual[2], served;
};

static void make_pairs(struct pairs *pairs)
{
	scenario_need(!socketpair(AF_UNIX, SOCK_DGRAM, 0, pairs->left) &&
			      !socketpair(AF_UNIX, SOCK_DGRAM, 0, pairs->moved) &&
			      !socketpair(AF_UNIX, SOCK_DGRAM, 0, pairs->lone) &&
			      !socketpair(AF_UNIX, SOCK_DGRAM, 0, pairs->named) &&
			      !socketpair(AF_UNIX, SOCK_DGRAM, 0, pairs->both),
		      "no pairs");
	give(pairs->left[0], NULL, "before");
	leave(pairs->left[0]);
	give(pairs->left[1], NULL, "after");
	join(pairs->moved[0], "lives");
	close(pairs->lone[1]);
	give_name(pairs->named[1], "of-a-pair");
	give(pairs->named[1], NULL, "named");
	close(pairs->named[1]);
	unlink("of-a-pair");
	give_name(pairs->both[0], "of-both");
	give_name(pairs->both[1], "gone-of-both");
	give(pairs->both[1], NULL, "both");
	close(pairs->both[1]);
	pairs->mutual[0] = bound("mutual");
	pairs->mutual[1] = bound(mutual_name);
	int third = bound("third");
	give(third, "mutual", "third");
	join(pairs->mutual[0], mutual_name);
	join(pairs->mutual[1], "mutual");
	give(pairs->mutual[1], NULL, "mutual");
	int server = bound("server");
	pairs->served = socket(AF_UNIX, SOCK_DGRAM, 0);
	join(pairs->served, "server");
	close(server);
}

static void check_pairs(const struct pairs *pairs)
{
	struct sockaddr_un address = { 0 };
	struct ucred peer = { 0 };
	socklen_t length = sizeof peer, room = sizeof address;

	take(pairs->left[1], NULL, "before");
	take(pairs->left[0], NULL, "after");
	scenario_check(send_fails(pairs->left[0]) == ENOTCONN, "who has left is connected");
	give(pairs->left[1], NULL, "again");
	take(pairs->left[0], NULL, "again");
	scenario_check(send_fails(pairs->moved[1]) == EPERM, "who is elsewhere takes more");
	scenario_check(getsockopt(pairs->lone[0], SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 &&
			       peer.pid == getpid(),
		       "the pair was made by %d", peer.pid);
	scenario_check(send_fails(pairs->lone[0]) == ECONNREFUSED, "its peer is not gone");
	scenario_check(send_fails(pairs->lone[0]) == ENOTCONN, "its peer is gone for good");
	take(pairs->named[0], "of-a-pair", "named");
	take(pairs->both[0], "gone-of-both", "both");
	take(pairs->mutual[0], "third", "third");
	take(pairs->mutual[0], mutual_name, "mutual");
	scenario_check(getpeername(pairs->served, (struct sockaddr *)&address, &room) == 0 &&
			       strcmp(address.sun_path, "server") == 0,
		       "it was connected to \"%s\"", address.sun_path);
	scenario_check(send_fails(pairs->served) == ECONNREFUSED, "the server is not gone");
}

int main(int argc, char **argv)
{
	int chain[CHAIN];
	struct pairs pairs;

	scenario_begin(argc, argv);
	name_abstract();
	int receiver = receive_many();
	make_chain(chain);
	make_pairs(&pairs);

	scenario_ready();

	check_many(receiver);
	check_chain(chain);
	check_pairs(&pairs);
	return scenario_end();
}
