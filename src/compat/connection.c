// SPDX-License-Identifier: LGPL-2.1-or-later
/* Packets of requests and responses; see connection.h. */
#include "compat/connection.h"

#include "base/cleanup.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

/* Requests that clients send have some hundred bytes. */
enum { MAX_REQUEST_SIZE = 1024 * 1024 };

int connection_init(struct connection *connection, int fd, struct error *err)
{
	struct ucred peer;
	socklen_t size = sizeof peer;
	int type;
	socklen_t type_size = sizeof type;

	*connection = (struct connection){ .fd = fd };
	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_size) < 0)
		return fail_errno(err, ERR_USAGE, "descriptor %d is no socket", fd);
	if (type != SOCK_SEQPACKET || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return fail(err, ERR_USAGE,
			    "descriptor %d is no socket of packets (SOCK_SEQPACKET)", fd);
	connection->peer = peer.pid;
	connection->peer_uid = peer.uid;
	return 0;
}

/* The size of the next packet, which stays; 0 where there will be none any more. */
static ssize_t wait_for_packet(const struct connection *connection)
{
	char byte;
	ssize_t size;

	do {
		size = recv(connection->fd, &byte, 1, MSG_PEEK | MSG_TRUNC);
	} while (size < 0 && errno == EINTR);
	return size < 0 && errno == ECONNRESET ? 0 : size;
}

int connection_receive(struct connection *connection, struct arena *arena, CriuReq **ret_request,
		       struct error *err)
{
	ssize_t size = wait_for_packet(connection);

	if (size < 0)
		return fail_errno(err, ERR_IO, "cannot receive a request");
	if (size == 0)
		return 0;
	if (size > MAX_REQUEST_SIZE) {
		char byte;
		recv(connection->fd, &byte, 1, 0);
		return fail(err, ERR_BAD_REQUEST, "a request of %zd bytes is too large", size);
	}
	uint8_t *bytes = arena_alloc(arena, (size_t)size);
	ssize_t got = recv(connection->fd, bytes, (size_t)size, 0);
	if (got != size)
		return fail(err, ERR_BAD_REQUEST, "a request was not received whole");
	*ret_request = criu_req__unpack(NULL, (size_t)size, bytes);
	return *ret_request
		       ? 1
		       : fail(err, ERR_BAD_REQUEST, "a request of %zd bytes is no request", size);
}

/* With a descriptor, or -1. */
static int send_packet(const struct connection *connection, void *bytes, size_t size, int fd)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof fd)];
	} control = { 0 };
	struct iovec part = { bytes, size };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };

	if (fd >= 0) {
		message.msg_control = &control;
		message.msg_controllen = sizeof control.room;
		control.header = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof fd),
						   .cmsg_level = SOL_SOCKET,
						   .cmsg_type = SCM_RIGHTS };
		memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
	}
	return sendmsg(connection->fd, &message, MSG_NOSIGNAL) == (ssize_t)size ? 0 : -1;
}

static int send_with(const struct connection *connection, const CriuResp *response, int fd,
		     struct error *err)
{
	size_t size = criu_resp__get_packed_size(response);
	autofree uint8_t *bytes = malloc(size + 1);

	if (!bytes)
		out_of_memory();
	criu_resp__pack(response, bytes);
	return send_packet(connection, bytes, size, fd) < 0
		       ? fail_errno(err, ERR_IO, "cannot answer the client")
		       : 0;
}

int connection_send(struct connection *connection, const CriuResp *response, struct error *err)
{
	return send_with(connection, response, -1, err);
}

bool connection_is_closed(const struct connection *connection)
{
	struct pollfd poll_fd = { .fd = connection->fd, .events = POLLRDHUP };

	return poll(&poll_fd, 1, 0) > 0 && (poll_fd.revents & (POLLHUP | POLLRDHUP | POLLERR));
}

/* A positive answer, to be freed by criu_req__free_unpacked; NULL with err. */
static CriuReq *ask(struct connection *connection, const char *moment, pid_t pid, int fd,
		    struct arena *arena, struct error *err)
{
	CriuNotify notify = CRIU_NOTIFY__INIT;
	CriuResp response = CRIU_RESP__INIT;
	CriuReq *answer = NULL;

	notify.script = (char *)moment;
	notify.has_pid = pid != 0;
	notify.pid = pid;
	response.type = CRIU_REQ_TYPE__NOTIFY;
	response.success = true;
	response.notify = &notify;
	if (send_with(connection, &response, fd, err))
		return NULL;
	int received = connection_receive(connection, arena, &answer, err);
	if (received > 0 && answer->type == CRIU_REQ_TYPE__NOTIFY && answer->has_notify_success &&
	    answer->notify_success)
		return answer;
	if (received > 0)
		criu_req__free_unpacked(answer, NULL);
	if (received >= 0)
		fail(err, ERR_CLIENT_REFUSED,
		     received ? "the client does not agree to %s" : "the client has gone, at %s",
		     moment);
	return NULL;
}

static int tell(struct connection *connection, const char *moment, pid_t pid, int fd,
		struct error *err)
{
	struct arena arena;

	arena_init(&arena);
	CriuReq *answer = ask(connection, moment, pid, fd, &arena, err);
	if (answer)
		criu_req__free_unpacked(answer, NULL);
	arena_done(&arena);
	return answer ? 0 : -1;
}

int connection_notify(struct connection *connection, const char *moment, pid_t pid,
		      struct error *err)
{
	return tell(connection, moment, pid, -1, err);
}

int connection_give(struct connection *connection, const char *moment, int fd, struct error *err)
{
	return tell(connection, moment, 0, fd, err);
}

int connection_query(struct connection *connection, const char *moment, struct arena *arena,
		     struct texts *external, struct error *err)
{
	CriuReq *answer = ask(connection, moment, 0, -1, arena, err);

	if (!answer)
		return -1;
	for (size_t i = 0; answer->opts && i < answer->opts->n_external; i++)
		texts_add(external, arena, arena_string(arena, answer->opts->external[i]));
	criu_req__free_unpacked(answer, NULL);
	return 0;
}
