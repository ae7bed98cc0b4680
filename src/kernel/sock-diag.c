// SPDX-License-Identifier: LGPL-2.1-or-later
/* Requests to NETLINK_SOCK_DIAG; see sock-diag.h. Formats: sock_diag(7), linux/unix_diag.h. */
#include "kernel/sock-diag.h"

#include "base/cleanup.h"
#include "base/compare.h"
#include "kernel/aside.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

int sock_diag_dump(int net_namespace, const void *request, size_t size,
		   int (*each)(const void *message, size_t size, void *data), void *data)
{
	enum { ROOM = 64 * 1024 };
	const struct nlmsghdr begin = { .nlmsg_len = (uint32_t)(sizeof begin + size),
					.nlmsg_type = SOCK_DIAG_BY_FAMILY,
					.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP };
	const struct iovec parts[] = { { (void *)&begin, sizeof begin },
				       { (void *)request, size } };
	autofree void *bytes = malloc(ROOM);
	autoclose int fd =
		aside_socket(net_namespace, AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);

	if (!bytes || fd < 0 || writev(fd, parts, 2) != (ssize_t)begin.nlmsg_len)
		return -1;
	for (;;) {
		ssize_t got = recv(fd, bytes, ROOM, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -1;
		size_t left = (size_t)got;
		for (const struct nlmsghdr *header = bytes; NLMSG_OK(header, left);
		     header = NLMSG_NEXT(header, left)) {
			if (header->nlmsg_type == NLMSG_DONE)
				return 0;
			if (header->nlmsg_type == NLMSG_ERROR) {
				const struct nlmsgerr *error = NLMSG_DATA(header);
				errno = -error->error;
				return -1;
			}
			int result =
				header->nlmsg_type == SOCK_DIAG_BY_FAMILY
					? each(NLMSG_DATA(header), NLMSG_PAYLOAD(header, 0), data)
					: 0;
			if (result)
				return result;
		}
	}
}

/* ---- Unix sockets ---- */

static void read_attribute(struct unix_socket *socket, const struct rtattr *attribute,
			   struct arena *arena)
{
	const void *data = RTA_DATA(attribute);
	size_t length = RTA_PAYLOAD(attribute);

	switch (attribute->rta_type) {
	case UNIX_DIAG_NAME:
		socket->name = arena_copy(arena, data, length);
		socket->name_length = length;
		break;
	case UNIX_DIAG_VFS: {
		const struct unix_diag_vfs *vfs = data;
		socket->has_file = true;
		socket->file_inode = vfs->udiag_vfs_ino;
		socket->file_device = vfs->udiag_vfs_dev;
		break;
	}
	case UNIX_DIAG_PEER:
		memcpy(&socket->peer, data, sizeof socket->peer);
		break;
	case UNIX_DIAG_ICONS:
		socket->pending = arena_copy(arena, data, length);
		socket->n_pending = length / sizeof *socket->pending;
		break;
	case UNIX_DIAG_RQLEN: {
		const struct unix_diag_rqlen *queues = data;
		socket->receive_queue = queues->udiag_rqueue;
		socket->send_queue = queues->udiag_wqueue;
		break;
	}
	case UNIX_DIAG_SHUTDOWN:
		socket->shutdown = *(const uint8_t *)data;
		break;
	}
}

struct listing {
	struct unix_sockets *sockets;
	struct arena *arena;
};

static int add_socket(const void *bytes, size_t size, void *data)
{
	const struct unix_diag_msg *message = bytes;
	const struct listing *listing = data;
	struct unix_sockets *sockets = listing->sockets;
	int left = (int)size - (int)sizeof *message;

	sockets->sockets = arena_grow(listing->arena, sockets->sockets, sockets->count,
				      sizeof *sockets->sockets);
	struct unix_socket *socket = &sockets->sockets[sockets->count++];
	*socket = (struct unix_socket){ .inode = message->udiag_ino,
					.type = message->udiag_type,
					.state = message->udiag_state };
	for (const struct rtattr *attribute = (const struct rtattr *)(message + 1);
	     RTA_OK(attribute, left); attribute = RTA_NEXT(attribute, left))
		read_attribute(socket, attribute, listing->arena);
	return 0;
}

static int compare_sockets(const void *a, const void *b)
{
	const struct unix_socket *one = a, *other = b;

	return compare_values(one->inode, other->inode);
}

int unix_sockets_list(int net_namespace, struct arena *arena, struct unix_sockets *ret,
		      struct error *err)
{
	const struct unix_diag_req request = {
		.sdiag_family = AF_UNIX,
		.udiag_states = UINT32_MAX,
		.udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_VFS | UDIAG_SHOW_PEER |
			      UDIAG_SHOW_ICONS | UDIAG_SHOW_RQLEN,
	};
	struct unix_sockets sockets = { 0 };
	struct listing listing = { &sockets, arena };

	if (sock_diag_dump(net_namespace, &request, sizeof request, add_socket, &listing))
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "the kernel does not list unix sockets (sock_diag)");
	if (sockets.count)
		qsort(sockets.sockets, sockets.count, sizeof *sockets.sockets, compare_sockets);
	*ret = sockets;
	return 0;
}

const struct unix_socket *unix_sockets_find(const struct unix_sockets *sockets, uint32_t inode)
{
	struct unix_socket wanted = { .inode = inode };

	if (!sockets->count)
		return NULL;
	return bsearch(&wanted, sockets->sockets, sockets->count, sizeof wanted, compare_sockets);
}

/* ---- One TCP socket ---- */

static int ask_for_one(int fd, const struct inet_tuple *tuple)
{
	struct {
		struct nlmsghdr header;
		struct inet_diag_req_v2 request;
	} message = {
		.header = { .nlmsg_len = sizeof message,
			    .nlmsg_type = SOCK_DIAG_BY_FAMILY,
			    .nlmsg_flags = NLM_F_REQUEST },
		.request = { .sdiag_family = (uint8_t)tuple->family,
			     .sdiag_protocol = IPPROTO_TCP,
			     .idiag_states = UINT32_MAX,
			     .id = { .idiag_sport = htons((uint16_t)tuple->source_port),
				     .idiag_dport = htons((uint16_t)tuple->destination_port),
				     .idiag_cookie = { INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE } } },
	};

	memcpy(message.request.id.idiag_src, tuple->source, sizeof tuple->source);
	memcpy(message.request.id.idiag_dst, tuple->destination, sizeof tuple->destination);
	return send(fd, &message, sizeof message, 0) == (ssize_t)sizeof message ? 0 : -1;
}

/* An address that a socket can be bound to is one of ours: 1, 0, or -1 with errno. */
static int is_local(const struct inet_tuple *tuple)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
	bool is_v4 = tuple->family == AF_INET;
	autoclose int fd = socket((int)tuple->family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	memcpy(&v4.sin_addr, tuple->source, 4);
	memcpy(&v6.sin6_addr, tuple->source, 16);
	if (fd < 0)
		return -1;
	int bound = is_v4 ? bind(fd, (struct sockaddr *)&v4, sizeof v4)
			  : bind(fd, (struct sockaddr *)&v6, sizeof v6);
	/* EINVAL: of a link (fe80::), and of which is not said. */
	return bound == 0 ? 1 : errno == EADDRNOTAVAIL || errno == EINVAL ? 0 : -1;
}

/*
 * 1, 0 where there is no such socket, -1 with err. Where it is gone the kernel finds who listens at
 * that port instead (inet_lookup).
 */
static int find_one(const struct inet_tuple *tuple, struct inet_diag_msg *ret, struct error *err)
{
	union {
		struct nlmsghdr header;
		uint8_t bytes[8192];
	} answer;
	autoclose int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	ssize_t length = -1;

	if (fd >= 0 && ask_for_one(fd, tuple) == 0)
		length = recv(fd, &answer, sizeof answer, 0);
	if (length < 0 || !NLMSG_OK(&answer.header, (size_t)length))
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "cannot ask the kernel for a TCP socket (sock_diag)");
	if (answer.header.nlmsg_type == SOCK_DIAG_BY_FAMILY) {
		*ret = *(const struct inet_diag_msg *)NLMSG_DATA(&answer.header);
		return ret->idiag_state != TCP_LISTEN;
	}
	const struct nlmsgerr *error = NLMSG_DATA(&answer.header);
	if (answer.header.nlmsg_type != NLMSG_ERROR || error->error != -ENOENT)
		return fail(err, ERR_KERNEL_REFUSED, "the kernel does not tell of a TCP socket");
	return 0;
}

int tcp_socket_is_held(const struct inet_tuple *tuple, bool *ret_held, struct error *err)
{
	struct inet_diag_msg message;
	int found = find_one(tuple, &message, err);
	int ours = found ? 1 : is_local(tuple);

	if (found < 0)
		return -1;
	if (ours < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "cannot tell whether the other end of a connection is here");
	*ret_held = found ? message.idiag_inode != 0 : !ours;
	return 0;
}

int tcp_socket_unread(const struct inet_tuple *tuple, uint32_t *ret_bytes, struct error *err)
{
	struct inet_diag_msg message;
	int found = find_one(tuple, &message, err);

	*ret_bytes = found > 0 ? message.idiag_rqueue : 0;
	return found < 0 ? -1 : 0;
}

int tcp_socket_left(const struct inet_tuple *tuple, uint32_t *ret_bytes, struct error *err)
{
	struct inet_diag_msg message = { 0 };
	int found = find_one(tuple, &message, err);
	uint8_t state = message.idiag_state;

	bool is_left = found > 0 && !message.idiag_inode &&
		       (state == TCP_FIN_WAIT1 || state == TCP_CLOSING || state == TCP_LAST_ACK);
	*ret_bytes = is_left ? message.idiag_wqueue : 0;
	return found < 0 ? -1 : 0;
}

/* ---- TCP connections that nobody has accepted ---- */

static int ask_for_port(int fd, uint32_t family, uint32_t port)
{
	struct {
		struct nlmsghdr header;
		struct inet_diag_req_v2 request;
	} message = {
		.header = { .nlmsg_len = sizeof message,
			    .nlmsg_type = SOCK_DIAG_BY_FAMILY,
			    .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.request = { .sdiag_family = (uint8_t)family,
			     .sdiag_protocol = IPPROTO_TCP,
			     .idiag_ext = 1 << (INET_DIAG_INFO - 1),
			     .idiag_states = 1 << TCP_ESTABLISHED | 1 << TCP_CLOSE_WAIT,
			     .id = { .idiag_sport = htons((uint16_t)port),
				     .idiag_cookie = { INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE } } },
	};

	return send(fd, &message, sizeof message, 0) == (ssize_t)sizeof message ? 0 : -1;
}

static uint32_t age_of(const struct nlmsghdr *header)
{
	const struct inet_diag_msg *message = NLMSG_DATA(header);
	int left = (int)(header->nlmsg_len - NLMSG_LENGTH(sizeof *message));
	struct tcp_info info = { 0 };

	for (const struct rtattr *at = (const struct rtattr *)(message + 1); RTA_OK(at, left);
	     at = RTA_NEXT(at, left))
		if (at->rta_type == INET_DIAG_INFO)
			memcpy(&info, RTA_DATA(at),
			       RTA_PAYLOAD(at) < sizeof info ? RTA_PAYLOAD(at) : sizeof info);
	return info.tcpi_last_data_recv;
}

static void add_waiting(const struct nlmsghdr *header, struct arena *arena,
			struct tcp_waiting_list *list)
{
	const struct inet_diag_msg *message = NLMSG_DATA(header);
	struct tcp_waiting one = {
		.tuple = { .family = message->idiag_family,
			   .source_port = ntohs(message->id.idiag_sport),
			   .destination_port = ntohs(message->id.idiag_dport) },
		.cookie = (uint64_t)message->id.idiag_cookie[1] << 32 | message->id.idiag_cookie[0],
		.unread = message->idiag_rqueue,
		.age = age_of(header),
		.has_ended = message->idiag_state != TCP_ESTABLISHED,
	};

	if (message->idiag_inode)
		return;
	memcpy(one.tuple.source, message->id.idiag_src, sizeof one.tuple.source);
	memcpy(one.tuple.destination, message->id.idiag_dst, sizeof one.tuple.destination);
	list->connections =
		arena_grow(arena, list->connections, list->count, sizeof *list->connections);
	list->connections[list->count++] = one;
}

/* As read_messages. */
static int read_waiting(const uint8_t *bytes, size_t length, struct arena *arena,
			struct tcp_waiting_list *list)
{
	const struct nlmsghdr *header = (const struct nlmsghdr *)(const void *)bytes;

	for (; NLMSG_OK(header, length); header = NLMSG_NEXT(header, length)) {
		if (header->nlmsg_type == NLMSG_DONE)
			return 1;
		if (header->nlmsg_type == NLMSG_ERROR) {
			const struct nlmsgerr *error = NLMSG_DATA(header);
			errno = -error->error;
			return -1;
		}
		if (header->nlmsg_type == SOCK_DIAG_BY_FAMILY)
			add_waiting(header, arena, list);
	}
	return 0;
}

static int compare_ages(const void *a, const void *b)
{
	const struct tcp_waiting *one = a, *other = b;

	return one->age > other->age ? -1 : one->age < other->age;
}

int tcp_waiting_find(uint32_t family, uint32_t port, struct arena *arena,
		     struct tcp_waiting_list *ret, struct error *err)
{
	enum { ROOM = 64 * 1024 };
	struct tcp_waiting_list list = { 0 };
	autofree uint8_t *bytes = malloc(ROOM);
	autoclose int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);

	if (!bytes || fd < 0 || ask_for_port(fd, family, port) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "cannot ask the kernel for TCP sockets (sock_diag)");
	for (int done = 0; !done;) {
		ssize_t length = recv(fd, bytes, ROOM, 0);
		if (length < 0 && errno == EINTR)
			continue;
		done = length < 0 ? -1 : read_waiting(bytes, (size_t)length, arena, &list);
		if (done < 0)
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "the kernel does not list TCP sockets (sock_diag)");
	}
	if (list.count)
		qsort(list.connections, list.count, sizeof *list.connections, compare_ages);
	*ret = list;
	return 0;
}

static int count_one(const void *bytes, size_t size, void *data)
{
	uint32_t *count = data;

	(void)bytes;
	(void)size;
	++*count;
	return 0;
}

int tcp_handshakes_count(uint32_t family, uint32_t port, uint32_t *ret_count)
{
	enum { NEW_SYN_RECV = 12 /* TCP_NEW_SYN_RECV, include/net/tcp_states.h */ };
	const struct inet_diag_req_v2 request = {
		.sdiag_family = (uint8_t)family,
		.sdiag_protocol = IPPROTO_TCP,
		.idiag_states = 1 << TCP_SYN_RECV | 1 << NEW_SYN_RECV,
		.id = { .idiag_sport = htons((uint16_t)port),
			.idiag_cookie = { INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE } },
	};

	*ret_count = 0;
	return sock_diag_dump(-1, &request, sizeof request, count_one, ret_count);
}

/* ---- TCP sockets with keys ---- */

struct signed_search {
	struct arena *arena;
	struct table *inodes;
};

static int look_for_keys(const void *bytes, size_t size, void *data)
{
	const struct inet_diag_msg *message = bytes;
	const struct signed_search *search = data;
	int left = (int)size - (int)sizeof *message;

	for (const struct rtattr *at = (const struct rtattr *)(message + 1); RTA_OK(at, left);
	     at = RTA_NEXT(at, left))
		if (at->rta_type == INET_DIAG_MD5SIG && message->idiag_inode)
			table_add(search->inodes, search->arena, message->idiag_inode,
				  search->inodes);
	return 0;
}

int tcp_signed_find(int net_namespace, struct arena *arena, struct table *ret)
{
	static const uint8_t families[] = { AF_INET, AF_INET6 };
	struct signed_search search = { arena, ret };

	for (size_t i = 0; i < sizeof families; i++) {
		const struct inet_diag_req_v2 request = { .sdiag_family = families[i],
							  .sdiag_protocol = IPPROTO_TCP,
							  /* Keys come with it only. */
							  .idiag_ext = 1 << (INET_DIAG_INFO - 1),
							  .idiag_states = UINT32_MAX };
		/* ENOENT: the kernel has no such family. */
		if (sock_diag_dump(net_namespace, &request, sizeof request, look_for_keys,
				   &search) < 0 &&
		    errno != ENOENT)
			return -1;
	}
	return 0;
}
