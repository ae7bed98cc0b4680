// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A listener has the connections that are complete in a list, the first of which is accepted next
 * (reqsk_queue_remove, include/net/request_sock.h). What has come is in messages, one after the
 * other; each says with which number of the stream it begins, and may begin before the last one's
 * end (tcp_recvmsg_locked, net/ipv4/tcp.c). The end of the stream counts as a byte.
 *
 * Nobody accepts while the tree is stopped; what comes in meanwhile shows in the numbers.
 */
#include "kinds/sockets/tcp-unaccepted.h"

#include "base/arena.h"
#include "collect/read-kernel.h"
#include "kinds/sockets/kernel-message.h"

#include <string.h>

enum { MOST_WAITING = 1 << 20, MOST_BYTES = 1 << 28, BEGINS_STREAM = 2 /* TCPHDR_SYN */ };

#define OWN_PLACES(X)                                              \
	X(WAITING, "inet_connection_sock", "icsk_accept_queue")    \
	X(WAITING_FIRST, "request_sock_queue", "rskq_accept_head") \
	X(REQUEST_NEXT, "request_sock", "dl_next")                 \
	X(REQUEST_SK, "request_sock", "sk")                        \
	X(SK_COOKIE, "sock_common", "skc_cookie")                  \
	X(SK_FLAGS, "sock_common", "skc_flags")                    \
	X(SK_PRIORITY, "sock", "sk_priority")                      \
	X(SK_LOW_MARK, "sock", "sk_rcvlowat")                      \
	X(SK_SEND_PATIENCE, "sock", "sk_sndtimeo")                 \
	X(SK_RECEIVE_PATIENCE, "sock", "sk_rcvtimeo")              \
	X(TCP_TAKEN, "tcp_sock", "copied_seq")                     \
	X(TCP_COMES, "tcp_sock", "rcv_nxt")                        \
	X(TCP_URGENT, "tcp_sock", "urg_data")                      \
	X(CONTROL_BEGINS, "tcp_skb_cb", "seq")                     \
	X(CONTROL_FLAGS, "tcp_skb_cb", "tcp_flags")

KERNEL_PLACES_AFTER(SOCKET_AND_MESSAGE_PLACES, N_MESSAGE_PLACES, OWN_PLACES, N_PLACES);

/*
 * Which of skc_flags are options: SOCK_URGINLINE, SOCK_KEEPOPEN, SOCK_LINGER, SOCK_BROADCAST,
 * SOCK_RCVTSTAMP, SOCK_RCVTSTAMPNS, SOCK_LOCALROUTE (enum sock_flags, include/net/sock.h).
 */
enum { OPTION_FLAGS = 1 << 2 | 1 << 3 | 1 << 4 | 1 << 6 | 1 << 11 | 1 << 12 | 1 << 13 };

/* It had those of its listener when it came; not all can be compared. */
static bool has_other_options(struct kernel_reader *by, uint64_t sk, uint64_t listener)
{
	static const enum place numbers[] = { SK_PRIORITY, SK_LOW_MARK, SK_SEND_PATIENCE,
					      SK_RECEIVE_PATIENCE };

	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
		if (kernel_number(by, sk, numbers[i]) != kernel_number(by, listener, numbers[i]))
			return true;
	return (kernel_number(by, sk, SK_FLAGS) ^ kernel_number(by, listener, SK_FLAGS)) &
	       OPTION_FLAGS;
}

/* Appends what is new in it; false: it cannot be read, or the reader has failed. */
static bool add_message(struct kernel_messages *messages, uint64_t message, uint32_t start,
			uint32_t room, struct tcp_unaccepted *ret)
{
	struct kernel_reader *by = messages->by;
	uint64_t control = kernel_inside(by, message, MESSAGE_CONTROL);
	uint32_t length = kernel_number(by, message, MESSAGE_LENGTH);
	uint32_t known = start + ret->length - kernel_number(by, control, CONTROL_BEGINS);

	if (kernel_number(by, control, CONTROL_FLAGS) & BEGINS_STREAM || known > MOST_BYTES ||
	    length > MOST_BYTES || (length > known && length - known > room - ret->length))
		kernel_has_changed(by);
	if (by->failure)
		return false;
	if (length <= known)
		return true;
	uint8_t *bytes = arena_alloc(by->arena, length + 1);
	if (!kernel_message_read(messages, message, bytes, length))
		return false;
	memcpy(ret->bytes + ret->length, bytes + known, length - known);
	ret->length += length - known;
	return true;
}

static void read_stream(struct kernel_messages *messages, uint64_t sk, struct tcp_unaccepted *ret)
{
	struct kernel_reader *by = messages->by;
	uint64_t queue = kernel_inside(by, sk, SK_QUEUE),
		 at = kernel_pointer(by, queue, QUEUE_NEXT);
	uint32_t count = kernel_number(by, queue, QUEUE_LENGTH);
	uint32_t start = kernel_number(by, sk, TCP_TAKEN), end = kernel_number(by, sk, TCP_COMES);

	if (kernel_number(by, sk, TCP_URGENT) & UINT16_MAX)
		ret->why = "has received an urgent byte";
	if (end - start > MOST_BYTES)
		ret->why = "has received too much";
	if (by->failure || ret->why)
		return;
	ret->bytes = arena_alloc(by->arena, end - start + 1);
	for (uint32_t i = 0; i < count && !by->failure; i++) {
		if (!add_message(messages, at, start, end - start, ret)) {
			ret->why = "what it has received cannot be seen";
			return;
		}
		at = kernel_pointer(by, at, MESSAGE_NEXT);
	}
	ret->has_ended = end - start - ret->length == 1;
	if (at != queue || kernel_number(by, queue, QUEUE_LENGTH) != count ||
	    kernel_number(by, sk, TCP_COMES) != end || end - start - ret->length > 1)
		kernel_has_changed(by);
}

static void read_all(struct kernel_messages *messages, int fd, struct tcp_unaccepted_list *ret)
{
	struct kernel_reader *by = messages->by;
	uint64_t listener = kernel_socket(by, fd);
	uint64_t waiting = kernel_inside(by, listener, WAITING);
	uint64_t at = kernel_pointer(by, waiting, WAITING_FIRST);

	for (size_t i = 0; at && !by->failure; i++) {
		uint64_t sk = kernel_pointer(by, at, REQUEST_SK);
		struct tcp_unaccepted one = { 0 };
		if (i == MOST_WAITING || !sk)
			kernel_has_changed(by);
		kernel_bytes(by, kernel_inside(by, sk, SK_COOKIE), &one.cookie, sizeof one.cookie);
		if (has_other_options(by, sk, listener))
			one.why = "its listener had other options when it came";
		else
			read_stream(messages, sk, &one);
		ret->all = arena_grow(by->arena, ret->all, ret->count, sizeof one);
		ret->all[ret->count++] = one;
		at = kernel_pointer(by, at, REQUEST_NEXT);
	}
}

int tcp_unaccepted_read(struct collect *collect, const int *fds, size_t n_fds,
			struct tcp_unaccepted_list *ret)
{
	struct kernel_reader *by;
	int result = collect_read_kernel(collect, &places, &by);
	struct kernel_messages messages = { .by = by };

	*ret = (struct tcp_unaccepted_list){ 0 };
	if (result)
		return result;
	for (size_t i = 0; i < n_fds; i++)
		read_all(&messages, fds[i], ret);
	return kernel_reader_end(by);
}
