// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: sockets-backlog
 * promise: what clients have sent before anybody accepted them is there when that happens, with
 *	its borders, who sent it, and that no more will come: of clients that are there, that have
 *	closed one half, and that are gone, alone or with their process; and of more than the kernel
 *	keeps in one piece
 * flavours: flat one three user user-three
 * needs: kernel_memory
 * rounds: 2
 */
#include "scenario.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* The one that is set up or looked at. */
static int type;
static struct sockaddr_un at = { .sun_family = AF_UNIX };

enum { MUCH = 50001 };

struct service {
	int listener, talker, half;
	pid_t gone;
};

static int new_client(void)
{
	int fd = socket(AF_UNIX, type, 0);

	scenario_need(fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof at) == 0,
		      "cannot connect: %m");
	return fd;
}

static char byte_at(size_t place)
{
	return (char)(place * 2654435761U >> 13);
}

static void put_much(int fd)
{
	char bytes[MUCH];

	for (size_t i = 0; i < MUCH; i++)
		bytes[i] = byte_at(i);
	scenario_need(send(fd, bytes, MUCH, MSG_NOSIGNAL) == MUCH, "cannot send much: %m");
}

static void expect_much(int fd)
{
	char bytes[MUCH + 1];
	size_t same = 0;
	ssize_t length = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);

	while (same < MUCH && length == MUCH && bytes[same] == byte_at(same))
		same++;
	scenario_check(same == MUCH, "%zd bytes, %zu of them as they were", length, same);
}

static void put(int fd, const char *text)
{
	size_t length = strlen(text);

	scenario_need(send(fd, text, length, MSG_NOSIGNAL) == (ssize_t)length, "cannot send %s",
		      text);
}

/* A process that says something, and is gone with its end. */
static pid_t leave_word(void)
{
	pid_t pid = fork();

	if (!pid) {
		scenario_need(setgid(67) == 0 && setuid(66) == 0, "cannot change: %m");
		put(new_client(), "a last word");
		_exit(0);
	}
	int status;
	scenario_need(waitpid(pid, &status, 0) == pid && status == 0, "the process failed");
	return pid;
}

static void expect_sender(struct msghdr *header, pid_t pid, uid_t uid, gid_t gid)
{
	const struct cmsghdr *told = CMSG_FIRSTHDR(header);
	struct ucred sender = { 0 };

	if (told && told->cmsg_type == SCM_CREDENTIALS)
		memcpy(&sender, CMSG_DATA(told), sizeof sender);
	scenario_check(sender.pid == pid && sender.uid == uid && sender.gid == gid,
		       "sent by %d, %u, %u, not %d", sender.pid, sender.uid, sender.gid, pid);
}

static void expect_from(int fd, const char *text, pid_t pid, uid_t uid, gid_t gid)
{
	union {
		char room[CMSG_SPACE(sizeof(struct ucred))];
		struct cmsghdr align;
	} control;
	char got[256] = "";
	struct iovec part = { got, sizeof got - 1 };
	struct msghdr header = { .msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof control };
	ssize_t length = recvmsg(fd, &header, MSG_DONTWAIT);

	scenario_check(length == (ssize_t)strlen(text) && !memcmp(got, text, strlen(text)),
		       "expected %s, got %s (%zd)", text, got, length);
	expect_sender(&header, pid, uid, gid);
}

static void expect(int fd, const char *text)
{
	expect_from(fd, text, getpid(), getuid(), getgid());
}

static void expect_end(int fd)
{
	char byte;

	scenario_check(recv(fd, &byte, 1, MSG_DONTWAIT) == 0, "more may come: %m");
}

static int accept_from(int listener, pid_t pid, uid_t uid, gid_t gid)
{
	struct ucred peer = { 0 };
	socklen_t length = sizeof peer;
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK), asks = 0;

	scenario_check(fd >= 0, "nobody waits: %m");
	getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length);
	scenario_check(peer.pid == pid && peer.uid == uid && peer.gid == gid,
		       "%d, %u, %u connected, not %d", peer.pid, peer.uid, peer.gid, pid);
	length = sizeof asks;
	getsockopt(fd, SOL_SOCKET, SO_PASSCRED, &asks, &length);
	scenario_check(asks == 1, "it does not ask for who sends");
	return fd;
}

static int accept_own(int listener)
{
	return accept_from(listener, getpid(), getuid(), getgid());
}

static void check_service(const struct service *it, int of_type)
{
	const int listener = it->listener;
	struct pollfd more = { .fd = listener, .events = POLLIN };

	type = of_type;
	bool is_stream = type == SOCK_STREAM;
	int fd = accept_own(listener);
	expect(fd, is_stream ? "a question, and more" : "a question");
	if (!is_stream) {
		expect(fd, "");
		expect(fd, ", and more");
	}
	scenario_check(recv(fd, &(char){ 0 }, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN,
		       "there is more, or an end");
	put(fd, "an answer");
	char got[16] = "";
	scenario_check(recv(it->talker, got, sizeof got, MSG_DONTWAIT) == 9 &&
			       !strcmp(got, "an answer"),
		       "no answer but %s", got);
	fd = accept_own(listener);
	expect(fd, "a half");
	expect_end(fd);
	put(fd, "the other");
	scenario_check(recv(it->half, got, sizeof got, MSG_DONTWAIT) == 9, "the half is lost");
	fd = accept_own(listener);
	expect(fd, "closed");
	expect_end(fd);
	expect_end(accept_own(listener));
	fd = accept_from(listener, it->gone, 66, 67);
	expect_from(fd, "a last word", it->gone, 66, 67);
	expect_end(fd);
	accept_own(listener);
	expect_much(accept_own(listener));
	scenario_check(poll(&more, 1, 0) == 0, "somebody else waits");
}

static struct service serve(int of_type, const char *name)
{
	struct service it;

	type = of_type;
	strcpy(at.sun_path, name);
	it.listener = socket(AF_UNIX, type, 0);
	scenario_need(bind(it.listener, (struct sockaddr *)&at, sizeof at) == 0 &&
			      chmod(name, 0777) == 0 && listen(it.listener, 8) == 0 &&
			      setsockopt(it.listener, SOL_SOCKET, SO_PASSCRED, &(int){ 1 },
					 sizeof(int)) == 0,
		      "cannot listen: %m");
	it.talker = new_client();
	put(it.talker, "a question");
	if (type == SOCK_SEQPACKET)
		put(it.talker, "");
	put(it.talker, ", and more");
	it.half = new_client();
	put(it.half, "a half");
	shutdown(it.half, SHUT_WR);
	int closed = new_client();
	put(closed, "closed");
	close(closed);
	close(new_client());
	it.gone = leave_word();
	new_client();
	put_much(new_client());
	return it;
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	struct service stream = serve(SOCK_STREAM, "stream");
	struct service packets = serve(SOCK_SEQPACKET, "packets");

	scenario_ready();

	check_service(&stream, SOCK_STREAM);
	check_service(&packets, SOCK_SEQPACKET);
	return scenario_end();
}
