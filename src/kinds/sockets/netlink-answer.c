// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * See netlink-answer.h. The kernel acknowledges whatever has NLM_F_ACK, and does nothing about what
 * has not NLM_F_REQUEST (netlink_rcv_skb): so an acknowledgement is had again by a message with the
 * header of the request but for that flag. The copy of that header in it lacks the flag, too.
 *
 * Only the first message of a queue can be read without taking it away. That it is the only one is
 * told by what the queue occupies (SO_MEMINFO): as much as in a socket of ours with one.
 */
#include "kinds/sockets/netlink-answer.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "collect/collect.h"
#include "kinds/kind.h"

#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LONGEST_REQUEST = 32768 };

struct acknowledgement {
	struct nlmsghdr header;
	struct nlmsgerr error;
};

/* Those by which a handler is asked for NLM_F_REQUEST before all else. */
static bool is_of_protocol(const NetlinkSkEntry *sk)
{
	return sk->protocol == NETLINK_ROUTE || sk->protocol == NETLINK_GENERIC;
}

static bool is_request(const struct nlmsghdr *request)
{
	return request->nlmsg_len >= sizeof *request && request->nlmsg_len <= LONGEST_REQUEST &&
	       request->nlmsg_type >= NLMSG_MIN_TYPE && request->nlmsg_flags & NLM_F_ACK;
}

/* The first message, if it is one; false also where nothing can be read. */
static bool peek(const NetlinkSkEntry *sk, int fd, struct acknowledgement *ret_found)
{
	struct sockaddr_nl sender = { 0 };
	struct iovec room = { ret_found, sizeof *ret_found };
	struct msghdr message = {
		.msg_name = &sender, .msg_namelen = sizeof sender, .msg_iov = &room, .msg_iovlen = 1
	};
	ssize_t size = recvmsg(fd, &message, MSG_PEEK | MSG_DONTWAIT | MSG_TRUNC);

	return size == (ssize_t)sizeof *ret_found && !sender.nl_pid && !sender.nl_groups &&
	       ret_found->header.nlmsg_len == sizeof *ret_found &&
	       ret_found->header.nlmsg_type == NLMSG_ERROR &&
	       ret_found->header.nlmsg_flags == NLM_F_CAPPED &&
	       ret_found->header.nlmsg_pid == sk->portid &&
	       ret_found->header.nlmsg_seq == ret_found->error.msg.nlmsg_seq &&
	       !ret_found->error.error && is_request(&ret_found->error.msg);
}

/* What waits in it occupies so many bytes; -1 with errno. */
static int64_t occupied(int fd)
{
	uint32_t numbers[SK_MEMINFO_VARS];
	socklen_t length = sizeof numbers;

	return getsockopt(fd, SOL_SOCKET, SO_MEMINFO, numbers, &length) < 0
		       ? -1
		       : (int64_t)numbers[SK_MEMINFO_RMEM_ALLOC];
}

static int ask_again(int fd, const struct nlmsghdr *request)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	size_t length = request->nlmsg_len;
	autofree struct nlmsghdr *again = calloc(1, length);

	if (!again)
		return -1;
	*again = *request;
	again->nlmsg_flags &= (uint16_t)~NLM_F_REQUEST;
	return sendto(fd, again, length, 0, (struct sockaddr *)&kernel, sizeof kernel) < 0 ? -1 : 0;
}

/* The same of one acknowledgement. */
static int64_t occupied_by_one(void)
{
	const struct nlmsghdr request = { .nlmsg_len = sizeof request,
					  .nlmsg_type = NLMSG_MIN_TYPE,
					  .nlmsg_flags = NLM_F_ACK };
	autoclose int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	return fd < 0 || ask_again(fd, &request) < 0 ? -1 : occupied(fd);
}

int netlink_answer_collect(const struct open_file *file, int fd, NetlinkSkEntry *sk,
			   struct error *err)
{
	struct sockaddr_nl own = { 0 };
	socklen_t length = sizeof own;
	struct acknowledgement found;

	if (getsockname(fd, (struct sockaddr *)&own, &length) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot read its name", file->what);
	sk->portid = own.nl_pid;
	if (!is_of_protocol(sk) || !peek(sk, fd, &found))
		return 0;
	int64_t size = occupied(fd), one = occupied_by_one();
	if (size < 0 || one < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "%s: cannot tell how much waits to be read", file->what);
	if (size != one)
		return 0;
	sk->acknowledged.data =
		arena_copy(file->target->collect->arena, &found.error.msg, sizeof found.error.msg);
	sk->acknowledged.len = sizeof found.error.msg;
	sk->has_acknowledged = true;
	return 1;
}

int netlink_answer_check(const NetlinkSkEntry *sk, struct error *err)
{
	struct nlmsghdr request;

	if (!sk->has_acknowledged)
		return 0;
	if (sk->acknowledged.len == sizeof request && is_of_protocol(sk) && sk->portid) {
		memcpy(&request, sk->acknowledged.data, sizeof request);
		if (is_request(&request))
			return 0;
	}
	return fail(err, ERR_IMAGE_INVALID,
		    "netlink socket %u: what waits in it is the answer to no request", sk->id);
}

int netlink_answer_give(const NetlinkSkEntry *sk, int fd, struct error *err)
{
	struct acknowledgement found;
	struct nlmsghdr request;

	if (!sk->has_acknowledged)
		return 0;
	memcpy(&request, sk->acknowledged.data, sizeof request);
	if (ask_again(fd, &request) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "netlink socket %u: cannot ask again",
				  sk->id);
	if (peek(sk, fd, &found) && found.error.msg.nlmsg_seq == request.nlmsg_seq)
		return 0;
	return fail(err, ERR_KERNEL_REFUSED,
		    "netlink socket %u: the kernel does not answer what it is asked again", sk->id);
}
