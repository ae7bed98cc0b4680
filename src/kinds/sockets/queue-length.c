// SPDX-License-Identifier: LGPL-2.1-or-later
/* See queue-length.h. */
#include "kinds/sockets/queue-length.h"

#include "base/error.h"
#include "collect/read-kernel.h"
#include "kinds/sockets/kernel-socket.h"

#include <inttypes.h>
#include <netinet/in.h>
#include <sys/socket.h>

#define OWN_PLACES(X) X(UDP_READER_QUEUE, "udp_sock", "reader_queue")

KERNEL_PLACES_AFTER(SOCKET_PLACES, N_SOCKET_PLACES, OWN_PLACES, N_PLACES);

/* 1, 0, or -1 with errno. */
static int is_udp(int fd)
{
	int protocol = 0;
	socklen_t length = sizeof protocol;

	if (getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &length) < 0)
		return -1;
	return protocol == IPPROTO_UDP || protocol == IPPROTO_UDPLITE;
}

/* 1: it cannot be told; -1 with errno. */
static int count_messages(struct collect *collect, int fd, uint32_t *ret_count)
{
	struct kernel_reader *by;
	int udp = is_udp(fd);
	int result = udp < 0 ? -1 : collect_read_kernel(collect, &places, &by);

	if (result)
		return result;
	uint64_t sk = kernel_socket(by, fd);
	*ret_count = kernel_number(by, kernel_inside(by, sk, SK_QUEUE), QUEUE_LENGTH);
	/* Who reads takes all from the one queue to the other at once (__skb_recv_udp). */
	if (udp)
		*ret_count +=
			kernel_number(by, kernel_inside(by, sk, UDP_READER_QUEUE), QUEUE_LENGTH);
	return kernel_reader_end(by);
}

int socket_queue_count(struct collect *collect, int fd, const char *what, uint32_t *ret_count,
		       struct error *err)
{
	int result = count_messages(collect, fd, ret_count);

	return result < 0 ? fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot count what waits in it",
				       what)
			  : result;
}

int socket_queue_check(struct collect *collect, int fd, size_t seen, const char *what,
		       struct error *err)
{
	uint32_t count = 0;
	int result = socket_queue_count(collect, fd, what, &count, err);

	if (result || count == seen)
		return result < 0 ? -1 : 0;
	fail(err, ERR_UNSUPPORTED_FILE,
	     "%s: %zu of the %" PRIu32 " messages that wait in it can be seen; empty ones are "
	     "hidden when somebody has looked at them",
	     what, seen, count);
	return fail_passing(err);
}
