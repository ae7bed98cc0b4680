// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: sockets-timeouts
 * promise: calls on sockets with a timeout (SO_RCVTIMEO, SO_SNDTIMEO) go on, whether the tree goes
 *   on or is restored, and still end when nothing comes; none returns EINTR
 * flavours: flat one three user user-three unprivileged
 * rounds: 2
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

static uint32_t started;
enum { READERS = 7, IN_VAIN = 5, WRITERS = 7 };

static int listener, busy_listener, caller, late_caller, file, pipe_ends[2];
static int read_ends[READERS][2], full_ends[WRITERS][2];

static ssize_t by_read(void)
{
	char byte;

	return read(read_ends[0][0], &byte, 1);
}

static ssize_t by_readv(void)
{
	char byte;
	const struct iovec part = { &byte, 1 };

	return readv(read_ends[1][0], &part, 1);
}

static ssize_t by_recv(void)
{
	char byte;

	return recv(read_ends[2][0], &byte, 1, 0);
}

static ssize_t by_recvmsg(void)
{
	char byte;
	struct iovec part = { &byte, 1 };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };

	return recvmsg(read_ends[3][0], &message, 0);
}

static ssize_t by_recvmmsg(void)
{
	char byte;
	struct iovec part = { &byte, 1 };
	struct mmsghdr message = { .msg_hdr = { .msg_iov = &part, .msg_iovlen = 1 } };

	return recvmmsg(read_ends[4][0], &message, 1, 0, NULL);
}

static ssize_t by_write(void)
{
	return write(full_ends[0][0], "w", 1);
}

static ssize_t by_writev(void)
{
	const struct iovec part = { "w", 1 };

	return writev(full_ends[1][0], &part, 1);
}

static ssize_t by_send(void)
{
	return send(full_ends[2][0], "w", 1, 0);
}

static ssize_t by_sendmmsg(void)
{
	struct iovec part = { "w", 1 };
	struct mmsghdr message = { .msg_hdr = { .msg_iov = &part, .msg_iovlen = 1 } };

	return sendmmsg(full_ends[3][0], &message, 1, 0);
}

static ssize_t by_preadv2(void)
{
	char byte;
	const struct iovec part = { &byte, 1 };

	return preadv2(read_ends[6][0], &part, 1, -1, 0);
}

static ssize_t by_pwritev2(void)
{
	const struct iovec part = { "w", 1 };

	return pwritev2(full_ends[4][0], &part, 1, -1, 0);
}

static ssize_t by_sendfile(void)
{
	return sendfile(full_ends[5][0], file, NULL, 1);
}

static ssize_t by_splice(void)
{
	return splice(pipe_ends[0], NULL, full_ends[6][0], NULL, 1, 0);
}

static ssize_t by_accept(void)
{
	return accept(listener, NULL, NULL) >= 0;
}

static const struct sockaddr_un names[] = { { AF_UNIX, "listener" }, { AF_UNIX, "busy" } };

static ssize_t by_connect(void)
{
	return connect(late_caller, (const void *)&names[1], sizeof names[1]) == 0;
}

/* Nobody ever sends there. */
static ssize_t in_vain(void)
{
	char byte;
	ssize_t got = recv(read_ends[IN_VAIN][0], &byte, 1, 0);

	return got < 0 && errno == EAGAIN;
}

static const struct waiter {
	ssize_t (*wait)(void);
	const char *name;
} waiters[] = {
	{ by_read, "read" },	   { by_readv, "readv" },	{ by_recv, "recv" },
	{ by_recvmsg, "recvmsg" }, { by_recvmmsg, "recvmmsg" }, { by_write, "write" },
	{ by_writev, "writev" },   { by_send, "send" },		{ by_sendmmsg, "sendmmsg" },
	{ by_accept, "accept" },   { by_connect, "connect" },	{ in_vain, "recv of nothing" },
	{ by_preadv2, "preadv2" }, { by_pwritev2, "pwritev2" }, { by_sendfile, "sendfile" },
	{ by_splice, "splice" },
};

enum { WAITERS = sizeof waiters / sizeof waiters[0] };

static void *run(void *data)
{
	const struct waiter *waiter = data;

	__atomic_add_fetch(&started, 1, __ATOMIC_SEQ_CST);
	ssize_t result = waiter->wait();
	scenario_check(result == 1, "%s: %zd, errno %d", waiter->name, result, errno);
	return NULL;
}

static void set_timeout(int fd, int option, int seconds)
{
	const struct timeval time = { .tv_sec = seconds };

	scenario_need(!setsockopt(fd, SOL_SOCKET, option, &time, sizeof time), "timeout");
}

static int listen_at(const struct sockaddr_un *name, int backlog)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	scenario_need(fd >= 0 && !bind(fd, (const void *)name, sizeof *name) &&
			      !listen(fd, backlog),
		      "listener: errno %d", errno);
	return fd;
}

static void set_up(void)
{
	int patient = 30 * scenario_patience();

	for (size_t i = 0; i < READERS; i++) {
		scenario_need(!socketpair(AF_UNIX, SOCK_STREAM, 0, read_ends[i]), "socketpair");
		set_timeout(read_ends[i][0], SO_RCVTIMEO, i != IN_VAIN ? patient : 2);
	}
	file = open("file", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	scenario_need(file >= 0 && pwrite(file, "w", 1, 0) == 1 && pipe(pipe_ends) == 0 &&
			      write(pipe_ends[1], "w", 1) == 1,
		      "file and pipe");
	for (size_t i = 0; i < WRITERS; i++) {
		scenario_need(!socketpair(AF_UNIX, SOCK_DGRAM, 0, full_ends[i]), "socketpair");
		while (send(full_ends[i][0], "f", 1, MSG_DONTWAIT) > 0)
			;
		set_timeout(full_ends[i][0], SO_SNDTIMEO, patient);
	}
	listener = listen_at(&names[0], 1);
	set_timeout(listener, SO_RCVTIMEO, patient);
	busy_listener = listen_at(&names[1], 0);
	caller = socket(AF_UNIX, SOCK_STREAM, 0);
	late_caller = socket(AF_UNIX, SOCK_STREAM, 0);
	scenario_need(caller >= 0 && late_caller >= 0 &&
			      !connect(caller, (const void *)&names[1], sizeof names[1]),
		      "connect: errno %d", errno);
	set_timeout(late_caller, SO_SNDTIMEO, patient);
}

static void serve(void)
{
	char byte;

	for (size_t i = 0; i < READERS; i++)
		scenario_check(i == IN_VAIN || write(read_ends[i][1], "r", 1) == 1,
			       "write: errno %d", errno);
	for (size_t i = 0; i < WRITERS; i++)
		while (recv(full_ends[i][1], &byte, 1, MSG_DONTWAIT) > 0)
			;
	int client = socket(AF_UNIX, SOCK_STREAM, 0);
	scenario_check(client >= 0 && !connect(client, (const void *)&names[0], sizeof names[0]),
		       "connect: errno %d", errno);
	scenario_check(accept(busy_listener, NULL, NULL) >= 0, "accept: errno %d", errno);
}

int main(int argc, char **argv)
{
	pthread_t threads[WAITERS];

	scenario_begin(argc, argv);
	set_up();
	for (size_t i = 0; i < WAITERS; i++)
		scenario_need(!pthread_create(&threads[i], NULL, run, (void *)&waiters[i]),
			      "pthread_create");
	while (__atomic_load_n(&started, __ATOMIC_SEQ_CST) < WAITERS)
		scenario_sleep_ms(1);
	scenario_sleep_ms(50);

	scenario_ready();

	serve();
	for (size_t i = 0; i < WAITERS; i++)
		pthread_join(threads[i], NULL);
	return scenario_end();
}
