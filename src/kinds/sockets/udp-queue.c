// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Datagrams that wait to be received by a UDP socket, or one of UDP-Lite (RFC 3828; a length of 0
 * says there that the checksum is about all of it). They are read without taking them away, by
 * peeking at an offset that goes on datagram by datagram (SO_PEEK_OFF, socket(7)), with who sent
 * them and, where the socket asks for it (IP_PKTINFO), to which address. An empty one is seen so
 * once only (skb_set_peeked), also by an earlier dump: it is refused then; one between others only
 * where their number can be read (queue-length.h), and is lost where it cannot.
 *
 * They are sent again in the name of who sent them, over the loopback interface, where nobody else
 * sees them; to the address that the socket is bound to. A socket that shares its port with others
 * is connected to the sender meanwhile, so that no other one gets them; so is one that has lost its
 * port (AF_UNSPEC), and gets one by that. Its own peer it has only afterwards. How far they came
 * (TTL) and when is lost.
 *
 * Refused: those of a sender with an address of a link, which would come from the wrong one, those
 * that wait at a multicast or broadcast address, and a datagram that is not complete (UDP_CORK).
 */
#include "kinds/sockets/inet.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "collect/collect.h"
#include "kernel/packet.h"
#include "kinds/sockets/queue-length.h"
#include "kinds/sockets/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/sock_diag.h>
#include <linux/sockios.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

enum { LARGEST = 65536, MOST = 1 << 20, TRIES = 200 };

static void pause_briefly(void)
{
	const struct timespec pause = { .tv_nsec = 1000 * 1000 };

	nanosleep(&pause, NULL);
}

/* ---- Dump ---- */

struct datagram {
	struct msghdr header;
	struct iovec bytes;
	union inet_address sender;
	union {
		char room[512];
		struct cmsghdr align;
	} control;
};

static ssize_t peek(int fd, int offset, uint8_t *room, size_t size, struct datagram *datagram)
{
	datagram->bytes = (struct iovec){ room, size };
	datagram->header = (struct msghdr){ .msg_name = &datagram->sender,
					    .msg_namelen = sizeof datagram->sender,
					    .msg_iov = &datagram->bytes,
					    .msg_iovlen = 1,
					    .msg_control = &datagram->control,
					    .msg_controllen = sizeof datagram->control };
	if (setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &offset, sizeof offset) < 0)
		return -1;
	return recvmsg(fd, &datagram->header, MSG_PEEK | MSG_DONTWAIT);
}

static void keep_address(struct snapshot *snapshot, const void *words, size_t count,
			 uint32_t **ret_words, size_t *ret_count)
{
	*ret_words = arena_copy(snapshot->arena, words, count * sizeof **ret_words);
	*ret_count = count;
}

/* Where it went, if the socket wants to know. */
static void note_destination(struct snapshot *snapshot, struct datagram *datagram,
			     SkPacketEntry *packet)
{
	for (struct cmsghdr *message = CMSG_FIRSTHDR(&datagram->header); message;
	     message = CMSG_NXTHDR(&datagram->header, message)) {
		const void *data = CMSG_DATA(message);
		if (message->cmsg_level == IPPROTO_IP && message->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo info;
			memcpy(&info, data, sizeof info);
			keep_address(snapshot, &info.ipi_spec_dst, 1, &packet->to, &packet->n_to);
		}
		if (message->cmsg_level == IPPROTO_IPV6 && message->cmsg_type == IPV6_PKTINFO) {
			struct in6_pktinfo info;
			memcpy(&info, data, sizeof info);
			if (!IN6_IS_ADDR_MULTICAST(&info.ipi6_addr))
				keep_address(snapshot, &info.ipi6_addr, 4, &packet->to,
					     &packet->n_to);
		}
	}
}

static int add(struct snapshot *snapshot, const InetSkEntry *sk, struct datagram *datagram,
	       const uint8_t *bytes, size_t length, const char *what, struct error *err)
{
	SkPacketEntry *packet = snapshot_new(snapshot, SK_PACKET_ENTRY, SkPacketEntry);
	const union inet_address *sender = &datagram->sender;
	bool is_v4 = sender->any.sa_family == AF_INET;

	if (!is_v4 && IN6_IS_ADDR_LINKLOCAL(&sender->v6.sin6_addr)) {
		fail(err, ERR_UNSUPPORTED_FILE,
		     "%s: a datagram waits that came from an address of a link", what);
		return fail_passing(err);
	}
	packet->id_for = sk->id;
	packet->length = (uint32_t)length;
	packet->has_from_port = true;
	packet->from_port = ntohs(is_v4 ? sender->v4.sin_port : sender->v6.sin6_port);
	keep_address(snapshot,
		     is_v4 ? (const void *)&sender->v4.sin_addr
			   : (const void *)&sender->v6.sin6_addr,
		     is_v4 ? 1 : 4, &packet->from, &packet->n_from);
	note_destination(snapshot, datagram, packet);
	struct record *record =
		snapshot_add_record(snapshot, IMAGE_SK_QUEUES, packet->id_for, packet);
	record->payload = arena_copy(snapshot->arena, bytes, length);
	record->payload_size = length;
	return 0;
}

/* Returns their number. */
static ssize_t collect_all(struct snapshot *snapshot, int fd, const InetSkEntry *sk, uint8_t *room,
			   const char *what, struct error *err)
{
	struct datagram datagram;
	int offset = 0;

	for (size_t count = 0; count < MOST; count++) {
		ssize_t got = peek(fd, offset, room, LARGEST, &datagram);
		if (got < 0 && errno == EAGAIN)
			return (ssize_t)count;
		if (got < 0)
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "%s: cannot read the datagrams that wait", what);
		if (add(snapshot, sk, &datagram, room, (size_t)got, what, err))
			return -1;
		offset += (int)got;
	}
	return fail(err, ERR_UNSUPPORTED_FILE, "%s: too many datagrams wait", what);
}

/* Without an offset the first is seen, however often it was: is it an empty one that was not? */
static int check_first(struct snapshot *snapshot, int fd, const InetSkEntry *sk, const char *what,
		       struct error *err)
{
	const struct record *first = snapshot_record(snapshot, IMAGE_SK_QUEUES, sk->id);
	struct datagram datagram;
	uint8_t byte;

	if (first && !first->payload_size)
		return 0;
	ssize_t got = peek(fd, -1, &byte, 1, &datagram);
	if (got < 0 && errno != EAGAIN)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "%s: cannot see whether a datagram waits", what);
	/* At the end of what comes (shutdown(2)) nobody has sent it. */
	if (got || !datagram.header.msg_namelen)
		return 0;
	fail(err, ERR_UNSUPPORTED_FILE,
	     "%s: an empty datagram waits that somebody has looked at before", what);
	return fail_passing(err);
}

static bool is_shared_address(const InetSkEntry *sk)
{
	const uint8_t *bytes = (const uint8_t *)sk->src_addr;

	return sk->family == AF_INET
		       ? IN_MULTICAST(ntohl(sk->src_addr[0])) || sk->src_addr[0] == INADDR_BROADCAST
		       : bytes[0] == 0xff;
}

static int check_complete(int fd, const char *what, struct error *err)
{
	int under_way = 0;

	/* What a device has not sent yet is counted, too. */
	for (int tries = 0; tries < TRIES / 10; tries++) {
		if (ioctl(fd, SIOCOUTQ, &under_way) < 0)
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "%s: cannot tell what is under way", what);
		if (!under_way)
			return 0;
		pause_briefly();
	}
	fail(err, ERR_UNSUPPORTED_FILE,
	     "%s: a datagram of %d bytes is not complete, or not sent yet (UDP_CORK)", what,
	     under_way);
	return fail_passing(err);
}

/* 1, 0, or -1 with errno */
static int has_waiting(int fd)
{
	struct datagram datagram;
	uint8_t byte;

	datagram.bytes = (struct iovec){ &byte, 1 };
	datagram.header = (struct msghdr){ .msg_iov = &datagram.bytes, .msg_iovlen = 1 };
	if (recvmsg(fd, &datagram.header, MSG_PEEK | MSG_DONTWAIT) >= 0)
		return 1;
	return errno == EAGAIN ? 0 : -1;
}

static int refuse_waiting(int fd, const char *what, struct error *err)
{
	int waiting = has_waiting(fd);

	if (waiting < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "%s: cannot see whether a datagram waits", what);
	return waiting ? fail(err, ERR_UNSUPPORTED_FILE, "%s: datagrams wait at an address of many",
			      what)
		       : 0;
}

int udp_queue_collect(struct collect *collect, int fd, const InetSkEntry *sk, const char *what,
		      struct error *err)
{
	autofree uint8_t *room = malloc(LARGEST);
	socklen_t length = sizeof(int);
	int offset;

	if (!room)
		return fail(err, ERR_IO, "out of memory");
	if (check_complete(fd, what, err))
		return -1;
	if (getsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &offset, &length) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot read SO_PEEK_OFF", what);
	if (is_shared_address(sk))
		return refuse_waiting(fd, what, err);
	if (peek_begin(collect, fd, offset, err))
		return -1;
	ssize_t seen = collect_all(collect->snapshot, fd, sk, room, what, err);
	int result = seen < 0 || check_first(collect->snapshot, fd, sk, what, err) ||
				     socket_queue_check(collect, fd, (size_t)seen, what, err)
			     ? -1
			     : 0;
	if (peek_end(collect) < 0 && !result)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot set SO_PEEK_OFF again",
				  what);
	return result;
}

/* ---- Restore ---- */

int udp_queue_check(const struct snapshot *snapshot, const InetSkEntry *sk, struct error *err)
{
	/* Others are inet-waiting.c's, and tcp-ended.c's. */
	if (inet_is_tcp(sk))
		return 0;
	for (const struct record *record = snapshot_record(snapshot, IMAGE_SK_QUEUES, sk->id);
	     record; record = record->next) {
		const SkPacketEntry *packet = record->message;
		size_t words = sk->family == AF_INET ? 1 : 4;
		if (!inet_is_udp(sk) || packet->n_from != words ||
		    (packet->n_to && packet->n_to != 1 && packet->n_to != words) ||
		    !packet->has_from_port || packet->from_port > UINT16_MAX ||
		    record->payload_size >= LARGEST - sizeof(struct udphdr))
			return fail(err, ERR_IMAGE_INVALID, "socket %u: no datagram", sk->id);
	}
	return 0;
}

static uint32_t memory_of_queue(int fd)
{
	uint32_t numbers[SK_MEMINFO_VARS] = { 0 };
	socklen_t length = sizeof numbers;

	return getsockopt(fd, SOL_SOCKET, SO_MEMINFO, numbers, &length) < 0
		       ? 0
		       : numbers[SK_MEMINFO_RMEM_ALLOC];
}

/* An AF_INET6 socket has what came over IPv4 with mapped addresses. */
static size_t plain_address(const uint32_t *words, size_t count, uint32_t to[4])
{
	if (count == 4 && inet_is_mapped(words)) {
		words += 3;
		count = 1;
	}
	memcpy(to, words, count * sizeof *to);
	return count;
}

static int send_again(int fd, const InetSkEntry *sk, const union inet_address *own,
		      const struct record *record, struct error *err)
{
	const SkPacketEntry *entry = record->message;
	size_t size = sizeof(struct udphdr) + record->payload_size;
	autofree uint8_t *bytes = calloc(1, size + 1);
	struct packet packet = { .protocol = (uint8_t)sk->proto,
				 .bytes = bytes,
				 .size = size,
				 .checksum_at = offsetof(struct udphdr, check) };
	struct udphdr header = { .source = htons((uint16_t)entry->from_port),
				 .dest = own->v4.sin_port, /* where AF_INET6 has it, too */
				 .len = htons(sk->proto == IPPROTO_UDP ? (uint16_t)size : 0) };
	uint32_t before = memory_of_queue(fd);

	if (!bytes)
		return fail(err, ERR_IO, "out of memory");
	memcpy(bytes, &header, sizeof header);
	if (record->payload_size)
		memcpy(bytes + sizeof header, record->payload, record->payload_size);
	bool is_v4 = plain_address(entry->from, entry->n_from, packet.from) == 1;
	packet.family = is_v4 ? AF_INET : AF_INET6;
	if (entry->n_to)
		plain_address(entry->to, entry->n_to, packet.to);
	else if (own->any.sa_family == AF_INET)
		packet.to[0] = own->v4.sin_addr.s_addr;
	else
		plain_address((const uint32_t *)(const void *)&own->v6.sin6_addr, 4, packet.to);
	if (is_v4 && !packet.to[0])
		packet.to[0] = htonl(INADDR_LOOPBACK);
	else if (!is_v4 && IN6_IS_ADDR_UNSPECIFIED((const struct in6_addr *)packet.to))
		memcpy(packet.to, &in6addr_loopback, sizeof packet.to);
	if (packet_send(&packet) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "socket %u: cannot send it a datagram again", sk->id);
	for (int tries = 0; tries < TRIES; tries++) {
		if (memory_of_queue(fd) > before)
			return 0;
		pause_briefly();
	}
	return fail(err, ERR_KERNEL_REFUSED, "socket %u: a datagram does not come to it again",
		    sk->id);
}

/* So that it gets what others at the same port do not; ends with AF_UNSPEC. */
static void connect_to_sender(int fd, const InetSkEntry *sk, const SkPacketEntry *packet)
{
	union inet_address to = { 0 };

	if (sk->family == AF_INET) {
		to.v4.sin_family = AF_INET;
		to.v4.sin_port = htons((uint16_t)packet->from_port);
		memcpy(&to.v4.sin_addr, packet->from, 4);
	} else {
		to.v6.sin6_family = AF_INET6;
		to.v6.sin6_port = htons((uint16_t)packet->from_port);
		memcpy(&to.v6.sin6_addr, packet->from, 16);
	}
	/* One that cannot be reached is tried without. */
	if (connect(fd, &to.any, sk->family == AF_INET ? sizeof to.v4 : sizeof to.v6) < 0)
		errno = 0;
}

int udp_queue_restore(struct file_opener *opener, const InetSkEntry *sk, int fd, struct error *err)
{
	const struct record *record = snapshot_record(opener->snapshot, IMAGE_SK_QUEUES, sk->id);
	bool shares = sk->opts->reuseaddr || sk->opts->so_reuseport || !sk->src_port;
	int room = 1 << 28;

	if (!record || !inet_is_udp(sk))
		return 0;
	/* Who may not have it all gets as much as anybody does. */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) < 0 &&
	    (errno != EPERM || setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room) < 0))
		return fail_errno(err, ERR_KERNEL_REFUSED, "socket %u: cannot make room", sk->id);
	for (; record; record = record->next) {
		const struct sockaddr nobody = { .sa_family = AF_UNSPEC };
		union inet_address own = { 0 };
		socklen_t length = sizeof own;
		if (shares)
			connect_to_sender(fd, sk, record->message);
		int result = getsockname(fd, &own.any, &length) < 0
				     ? fail_errno(err, ERR_KERNEL_REFUSED,
						  "socket %u: cannot read its address", sk->id)
				     : send_again(fd, sk, &own, record, err);
		if (shares && connect(fd, &nobody, sizeof nobody) < 0 && !result)
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "socket %u: cannot disconnect it", sk->id);
		if (result)
			return -1;
	}
	return 0;
}
