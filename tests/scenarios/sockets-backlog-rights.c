// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: sockets-backlog-rights
 * promise: descriptors that clients have sent before anybody accepted them come when that happens,
 *	each with its message, and are of the same descriptions as those that are open: a pipe, a
 *	file, the socket that sends and the one that listens; also of clients that are gone
 * flavours: flat three user user-three
 * needs: kernel_memory
 * arguments: stream packet
 * rounds: 2
 */
#include "rights.h"
#include "scenario.h"

#include <fcntl.h>
#include <linux/kcmp.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SENT = 4 };

static const struct sockaddr_un at = { .sun_family = AF_UNIX, .sun_path = "listener" };

static int new_client(int type)
{
	int fd = socket(AF_UNIX, type, 0);

	scenario_need(fd >= 0 && connect(fd, (const struct sockaddr *)&at, sizeof at) == 0,
		      "cannot connect: %m");
	return fd;
}

static void put(int through, const char *text, const int *fds, size_t count)
{
	scenario_need(send_rights(through, text, fds, count) == (ssize_t)strlen(text),
		      "cannot send %s: %m", text);
}

static void leave_word(int type, int fd)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		put(new_client(type), "gone", &fd, 1);
		_exit(0);
	}
	scenario_need(waitpid(pid, &status, 0) == pid && status == 0, "the process failed");
}

static void expect(int through, const char *text, const int *fds, size_t count)
{
	int got[MOST_RIGHTS];
	size_t n;
	char said[32] = "";
	ssize_t length = receive_rights(through, said, sizeof said - 1, MSG_DONTWAIT, got, &n);

	scenario_check(length == (ssize_t)strlen(text) && !strcmp(said, text), "%s, not %s", said,
		       text);
	scenario_check(n == count, "%zu descriptors came with %s, not %zu", n, text, count);
	for (size_t i = 0; i < n; i++) {
		scenario_check(syscall(SYS_kcmp, getpid(), getpid(), KCMP_FILE, got[i], fds[i]) ==
				       0,
			       "descriptor %zu that came with %s is another", i, text);
		close(got[i]);
	}
}

static void serve(int type)
{
	char byte = 0;
	int listener = socket(AF_UNIX, type, 0), ends[2];
	int file = open("file", O_CREAT | O_RDWR | O_APPEND | O_CLOEXEC, 0600);

	unlink(at.sun_path);
	scenario_need(bind(listener, (const struct sockaddr *)&at, sizeof at) == 0 &&
			      listen(listener, 4) == 0 && pipe(ends) == 0 && file >= 0,
		      "cannot listen: %m");
	int talker = new_client(type), quiet = new_client(type);
	const int all[SENT] = { ends[1], file, talker, listener };
	put(talker, "first", NULL, 0);
	put(talker, "all", all, SENT);
	put(talker, "last", &ends[0], 1);
	leave_word(type, ends[0]);

	scenario_ready();

	int server = accept(listener, NULL, NULL);
	scenario_check(server >= 0, "nobody waits: %m");
	/* A stream is read up to the first bytes that have descriptors, these included. */
	if (type != SOCK_STREAM)
		expect(server, "first", NULL, 0);
	expect(server, type == SOCK_STREAM ? "firstall" : "all", all, SENT);
	expect(server, "last", &ends[0], 1);
	scenario_check(write(server, "back", 4) == 4 && read(talker, &byte, 1) == 1 && byte == 'b',
		       "the client hears nothing");
	scenario_check(write(accept(listener, NULL, NULL), "x", 1) == 1 &&
			       read(quiet, &byte, 1) == 1 && byte == 'x',
		       "who has sent nothing is not there");
	int gone = accept(listener, NULL, NULL);
	expect(gone, "gone", &ends[0], 1);
	scenario_check(recv(gone, &byte, 1, MSG_DONTWAIT) == 0, "who is gone may say more");
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	const char *how = argv[2];
	serve(strcmp(how, "packet") ? SOCK_STREAM : SOCK_SEQPACKET);
	return scenario_end();
}
