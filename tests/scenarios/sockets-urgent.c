// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: sockets-urgent
 * promise: an urgent byte of a unix stream is where it was, and is received out of turn or in its
 *	place, with its sender and what came with it; one that was taken has left its mark, and does
 *	not come again; nobody is signalled anew
 * flavours: flat three user user-three
 * needs: kernel_memory
 * arguments: alone middle inline replaced taken taken-alone taken-middle taken-often taken-and-one
 *	passed offset credentials gone-sender rights last-word half backlog
 * rounds: 2
 */
#include "rights.h"
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int ends[2], listener, pipes[2];
static pid_t sender;
static bool inlined;

static void set_number(int option, int value)
{
	scenario_need(setsockopt(ends[1], SOL_SOCKET, option, &value, sizeof value) == 0,
		      "cannot set %d: %m", option);
}

static void put(const char *text, int flags)
{
	scenario_need(send(ends[0], text, strlen(text), flags) == (ssize_t)strlen(text),
		      "cannot send %s: %m", text);
}

static void take(char expected)
{
	char byte = 0;

	scenario_need(recv(ends[1], &byte, 1, MSG_OOB | MSG_DONTWAIT) == 1 && byte == expected,
		      "%c was not taken: %m", expected);
}

/* ---- What is there ---- */

static void expect_state(int mark, int waits, short events)
{
	struct pollfd ready = { .fd = ends[1], .events = POLLIN | POLLPRI };
	int is_marked = -1, size = -1;

	scenario_check(ioctl(ends[1], SIOCATMARK, &is_marked) == 0 && is_marked == mark,
		       "at the mark: %d, not %d", is_marked, mark);
	scenario_check(ioctl(ends[1], FIONREAD, &size) == 0 && size == waits,
		       "%d bytes wait, not %d", size, waits);
	scenario_check(poll(&ready, 1, 0) >= 0 && (ready.revents & (POLLIN | POLLPRI)) == events,
		       "ready: %#x, not %#x", ready.revents, events);
}

static void expect_text(const char *text)
{
	char got[32] = "";
	ssize_t length = recv(ends[1], got, sizeof got - 1, MSG_DONTWAIT);

	scenario_check(length == (ssize_t)strlen(text) && !strcmp(got, text), "%s (%zd), not %s",
		       got, length, text);
}

static void expect_urgent(char expected)
{
	char byte = 0;
	ssize_t length = recv(ends[1], &byte, 1, MSG_OOB | MSG_DONTWAIT);

	scenario_check(length == 1 && byte == expected, "%c (%zd) is urgent, not %c", byte, length,
		       expected);
}

static void expect_none_urgent(void)
{
	char byte = 0;

	scenario_check(recv(ends[1], &byte, 1, MSG_OOB | MSG_DONTWAIT) < 0 && errno == EINVAL,
		       "%c is urgent", byte);
}

static void expect_end(ssize_t result)
{
	char byte;
	ssize_t got = recv(ends[1], &byte, 1, MSG_DONTWAIT);

	scenario_check(got == result && (got == 0 || errno == EAGAIN), "%zd at the end: %m", got);
}

/* ---- States ---- */

static void set_alone(void)
{
	put("u", MSG_OOB);
}

static void check_alone(void)
{
	expect_state(1, 1, POLLIN | POLLPRI);
	expect_end(-1);
	expect_none_urgent();
}

static void set_middle(void)
{
	put("ab", 0);
	put("u", MSG_OOB);
	put("cd", 0);
}

static void check_middle(void)
{
	expect_state(0, 5, POLLIN | POLLPRI);
	expect_text("ab");
	expect_state(1, 3, POLLIN | POLLPRI);
	expect_urgent('u');
	expect_state(1, 2, POLLIN);
	expect_text("cd");
	expect_none_urgent();
}

static void set_inline(void)
{
	set_number(SO_OOBINLINE, 1);
	inlined = true;
	set_middle();
}

static void check_inline(void)
{
	expect_state(0, 5, POLLIN | POLLPRI);
	expect_none_urgent();
	expect_text("ab");
	expect_state(1, 3, POLLIN | POLLPRI);
	expect_text("ucd");
}

static void set_replaced(void)
{
	put("ab", 0);
	put("u", MSG_OOB);
	put("v", MSG_OOB);
	put("cd", 0);
}

static void check_replaced(void)
{
	expect_state(0, 6, POLLIN | POLLPRI);
	expect_urgent('v');
	expect_text("abu");
	expect_state(1, 2, POLLIN);
	expect_text("cd");
}

static void set_taken(void)
{
	put("u", MSG_OOB);
	put("cd", 0);
	take('u');
}

static void check_taken(void)
{
	expect_state(1, 2, POLLIN);
	expect_none_urgent();
	expect_text("cd");
	expect_end(-1);
}

static void set_taken_alone(void)
{
	put("u", MSG_OOB);
	take('u');
}

static void check_taken_alone(void)
{
	expect_state(1, 0, POLLIN);
	expect_none_urgent();
	expect_end(-1);
	put("more", 0);
	expect_text("more");
}

static void set_taken_middle(void)
{
	set_middle();
	take('u');
}

static void check_taken_middle(void)
{
	expect_state(0, 4, POLLIN);
	expect_none_urgent();
	expect_text("ab");
	expect_state(1, 2, POLLIN);
	expect_text("cd");
}

static void set_taken_often(void)
{
	set_middle();
	take('u');
	put("v", MSG_OOB);
	take('v');
	put("w", MSG_OOB);
	take('w');
	put("ef", 0);
}

static void check_taken_often(void)
{
	expect_state(0, 6, POLLIN);
	expect_text("ab");
	expect_state(1, 4, POLLIN);
	expect_text("cd");
	expect_state(1, 2, POLLIN);
	expect_text("ef");
	expect_end(-1);
}

static void set_taken_and_one(void)
{
	set_middle();
	take('u');
	put("w", MSG_OOB);
	put("ef", 0);
}

static void check_taken_and_one(void)
{
	expect_state(0, 7, POLLIN | POLLPRI);
	expect_text("abcd");
	expect_state(1, 3, POLLIN | POLLPRI);
	expect_text("ef");
	expect_none_urgent();
}

/* By a read, which had nothing else. */
static void set_passed(void)
{
	put("u", MSG_OOB);
	expect_end(-1);
}

static void check_passed(void)
{
	expect_none_urgent();
	expect_end(-1);
	put("more", 0);
	expect_text("more");
}

static void set_offset(void)
{
	set_middle();
	set_number(SO_PEEK_OFF, 1);
}

static void check_offset(void)
{
	char got[8] = "";

	scenario_check(recv(ends[1], got, sizeof got, MSG_PEEK) == 1 && got[0] == 'b',
		       "%s is seen first", got);
	scenario_check(recv(ends[1], got, sizeof got, MSG_PEEK) == 3 && !memcmp(got, "ucd", 3),
		       "%s is seen next", got);
	set_number(SO_PEEK_OFF, -1);
	check_middle();
}

/* ---- Who sent it, and what came with it ---- */

static void expect_sender(const char *text, pid_t pid)
{
	union {
		char room[CMSG_SPACE(sizeof(struct ucred))];
		struct cmsghdr align;
	} control;
	char got[8] = "";
	struct iovec part = { got, sizeof got - 1 };
	struct msghdr header = { .msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof control };
	struct ucred who = { 0 };

	scenario_check(recvmsg(ends[1], &header, MSG_DONTWAIT) == (ssize_t)strlen(text) &&
			       !strcmp(got, text),
		       "%s, not %s", got, text);
	if (CMSG_FIRSTHDR(&header))
		memcpy(&who, CMSG_DATA(CMSG_FIRSTHDR(&header)), sizeof who);
	scenario_check(who.pid == pid, "%s is of %d, not %d", text, who.pid, pid);
}

static int send_more(void *data)
{
	const char *text = data;

	return send(ends[0], text, strlen(text), strlen(text) == 1 ? MSG_OOB : 0) < 0;
}

static void set_credentials(void)
{
	set_number(SO_OOBINLINE, 1);
	inlined = true;
	set_number(SO_PASSCRED, 1);
	put("before", 0);
	put("v", MSG_OOB);
	put("behind", 0);
}

static void check_credentials(void)
{
	expect_sender("before", getpid());
	expect_state(1, 7, POLLIN | POLLPRI);
	expect_sender("vbehind", getpid());
}

static void set_gone_sender(void)
{
	set_number(SO_PASSCRED, 1);
	set_number(SO_OOBINLINE, 1);
	inlined = true;
	sender = scenario_child(send_more, "v");
	scenario_reap(sender);
	put("behind", 0);
}

static void check_gone_sender(void)
{
	expect_state(1, 7, POLLIN | POLLPRI);
	expect_sender("v", sender);
	expect_sender("behind", getpid());
}

static void set_rights(void)
{
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr message;
	} control = { .message = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
	struct iovec part = { "u", 1 };
	struct msghdr header = { .msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof control };

	scenario_need(pipe2(pipes, O_CLOEXEC) == 0, "no pipe: %m");
	memcpy(CMSG_DATA(&control.message), &pipes[1], sizeof *pipes);
	put("ab", 0);
	scenario_need(sendmsg(ends[0], &header, MSG_OOB) == 1, "cannot send: %m");
	put("cd", 0);
	set_number(SO_OOBINLINE, 1);
	inlined = true;
}

static void check_rights(void)
{
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr message;
	} control;
	char got[8] = "";
	struct iovec part = { got, sizeof got };
	struct msghdr header = { .msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof control };
	int fd = -1;

	expect_text("ab");
	expect_state(1, 3, POLLIN | POLLPRI);
	scenario_check(recvmsg(ends[1], &header, MSG_DONTWAIT) == 1 && got[0] == 'u' &&
			       CMSG_FIRSTHDR(&header),
		       "nothing came with %s", got);
	if (CMSG_FIRSTHDR(&header))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&header)), sizeof fd);
	scenario_check(write(fd, "x", 1) == 1 && read(pipes[0], got, sizeof got) == 1,
		       "%d is not the pipe", fd);
	expect_text("cd");
}

/* ---- Ends ---- */

static void set_last_word(void)
{
	set_middle();
	close(ends[0]);
}

static void check_last_word(void)
{
	check_middle();
	expect_end(0);
}

static void set_half(void)
{
	set_taken_middle();
	scenario_need(shutdown(ends[0], SHUT_WR) == 0, "cannot shut it down: %m");
}

static void check_half(void)
{
	check_taken_middle();
	expect_end(0);
}

static void set_backlog(void)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX, .sun_path = "listener" };

	close(ends[0]);
	close(ends[1]);
	listener = socket(AF_UNIX, SOCK_STREAM, 0);
	ends[0] = socket(AF_UNIX, SOCK_STREAM, 0);
	scenario_need(bind(listener, (struct sockaddr *)&at, sizeof at) == 0 &&
			      listen(listener, 1) == 0 &&
			      connect(ends[0], (struct sockaddr *)&at, sizeof at) == 0,
		      "cannot connect: %m");
	set_replaced();
}

static void check_backlog(void)
{
	ends[1] = accept(listener, NULL, NULL);
	check_replaced();
}

/* ---- All ---- */

static const struct state {
	const char *name;
	void (*set)(void), (*check)(void);
} states[] = {
	{ "alone", set_alone, check_alone },
	{ "middle", set_middle, check_middle },
	{ "inline", set_inline, check_inline },
	{ "replaced", set_replaced, check_replaced },
	{ "taken", set_taken, check_taken },
	{ "taken-alone", set_taken_alone, check_taken_alone },
	{ "taken-middle", set_taken_middle, check_taken_middle },
	{ "taken-often", set_taken_often, check_taken_often },
	{ "taken-and-one", set_taken_and_one, check_taken_and_one },
	{ "passed", set_passed, check_passed },
	{ "offset", set_offset, check_offset },
	{ "credentials", set_credentials, check_credentials },
	{ "gone-sender", set_gone_sender, check_gone_sender },
	{ "rights", set_rights, check_rights },
	{ "last-word", set_last_word, check_last_word },
	{ "half", set_half, check_half },
	{ "backlog", set_backlog, check_backlog },
};

static void on_signal(int number)
{
	(void)number;
	scenario_check(false, "an urgent byte was told of again");
}

int main(int argc, char **argv)
{
	const struct state *state = states;
	int value = -1;
	socklen_t length = sizeof value;

	scenario_begin(argc, argv);
	while (strcmp(state->name, argv[2]) != 0)
		scenario_need(++state < states + sizeof states / sizeof *states, "no such state");
	scenario_need(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0, "no pair: %m");
	state->set();
	scenario_need(signal(SIGURG, on_signal) != SIG_ERR &&
			      fcntl(ends[1], F_SETOWN, getpid()) >= (listener ? -1 : 0),
		      "cannot ask for signals: %m");

	scenario_ready();

	if (!listener)
		scenario_check(getsockopt(ends[1], SOL_SOCKET, SO_OOBINLINE, &value, &length) ==
					       0 &&
				       value == inlined,
			       "SO_OOBINLINE is %d", value);
	state->check();
	return scenario_end();
}
