// SPDX-License-Identifier: LGPL-2.1-or-later
/* See netlink.h. libnl's errors are turned into those of the kernel where it tells these. */
#include "kernel/netlink.h"

#include "base/error.h"

#include <errno.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MILLISECONDS_PAUSE = 20, MOST_PAUSES = 150 };

struct netlink {
	struct nl_sock *socket;
	int (*each)(const void *bytes, size_t size, void *data);
	void *data;
	int failure;
};

static int on_message(struct nl_msg *message, void *argument)
{
	struct netlink *netlink = argument;
	const struct nlmsghdr *header = nlmsg_hdr(message);

	if (!netlink->failure &&
	    netlink->each(nlmsg_data(header), (size_t)nlmsg_datalen(header), netlink->data))
		netlink->failure = errno ? errno : EIO;
	return NL_OK;
}

static int on_error(struct sockaddr_nl *address, struct nlmsgerr *error, void *argument)
{
	struct netlink *netlink = argument;

	(void)address;
	netlink->failure = -error->error;
	return NL_STOP;
}

static int on_ack(struct nl_msg *message, void *argument)
{
	(void)message;
	(void)argument;
	return NL_STOP;
}

struct netlink *netlink_open_protocol(int protocol)
{
	struct netlink *netlink = calloc(1, sizeof *netlink);

	if (netlink)
		netlink->socket = nl_socket_alloc();
	errno = netlink && netlink->socket ? 0 : ENOMEM;
	if (errno || nl_connect(netlink->socket, protocol) < 0) {
		int problem = errno ? errno : EPROTO;
		netlink_close(netlink);
		errno = problem;
		return NULL;
	}
	nl_socket_disable_auto_ack(netlink->socket);
	nl_socket_set_msg_buf_size(netlink->socket, 256 * 1024);
	nl_socket_modify_cb(netlink->socket, NL_CB_VALID, NL_CB_CUSTOM, on_message, netlink);
	nl_socket_modify_cb(netlink->socket, NL_CB_ACK, NL_CB_CUSTOM, on_ack, netlink);
	nl_socket_modify_err_cb(netlink->socket, NL_CB_CUSTOM, on_error, netlink);
	return netlink;
}

int netlink_open_if_there(int protocol, struct netlink **ret_netlink)
{
	*ret_netlink = netlink_open_protocol(protocol);
	if (*ret_netlink)
		return 1;
	return errno == EPROTONOSUPPORT || errno == EAFNOSUPPORT ? 0 : -1;
}

struct netlink *netlink_open(void)
{
	return netlink_open_protocol(NETLINK_ROUTE);
}

void netlink_close(struct netlink *netlink)
{
	if (netlink && netlink->socket)
		nl_socket_free(netlink->socket);
	free(netlink);
}

static int finish(struct netlink *netlink, int result)
{
	if (netlink->failure)
		errno = netlink->failure;
	else if (result < 0 && !errno_tells_nothing(errno)) /* libnl leaves that of its call */
		errno = EPROTO;
	return netlink->failure || result < 0 ? -1 : 0;
}

static int ignore(const void *bytes, size_t size, void *data)
{
	(void)bytes;
	(void)size;
	(void)data;
	return 0;
}

/* nl_send_simple() takes a page at most; elements of a set of addresses may be more. */
static int send_message(struct netlink *netlink, int request, int flags, const void *bytes,
			size_t size)
{
	struct nl_msg *message = nlmsg_alloc_size(NLMSG_SPACE(size));

	if (!message) {
		errno = ENOMEM;
		return -1;
	}
	int result =
		nlmsg_put(message, NL_AUTO_PORT, NL_AUTO_SEQ, request, 0, flags | NLM_F_REQUEST) &&
				nlmsg_append(message, (void *)(uintptr_t)bytes, size,
					     NLMSG_ALIGNTO) == 0
			? nl_send_auto(netlink->socket, message)
			: -1;
	nlmsg_free(message);
	return result;
}

int netlink_dump_by(struct netlink *netlink, int request, const void *bytes, size_t size,
		    int (*each)(const void *bytes, size_t size, void *data), void *data)
{
	netlink->each = each;
	netlink->data = data;
	netlink->failure = errno = 0;
	int result = send_message(netlink, request, NLM_F_DUMP, bytes, size);
	if (result >= 0)
		result = nl_recvmsgs_default(netlink->socket);
	return finish(netlink, result);
}

int netlink_dump(struct netlink *netlink, int request, int family,
		 int (*each)(const void *bytes, size_t size, void *data), void *data)
{
	const struct rtmsg message = { .rtm_family = (unsigned char)family };

	return netlink_dump_by(netlink, request, &message, sizeof message, each, data);
}

int netlink_ask(struct netlink *netlink, int request, const void *bytes, size_t size,
		int (*each)(const void *bytes, size_t size, void *data), void *data)
{
	netlink->each = each;
	netlink->data = data;
	netlink->failure = errno = 0;
	int result = send_message(netlink, request, 0, bytes, size);
	if (result >= 0)
		result = nl_recvmsgs_default(netlink->socket);
	return finish(netlink, result);
}

int netlink_change(struct netlink *netlink, int request, int flags, const void *bytes, size_t size)
{
	netlink->each = ignore;
	netlink->failure = errno = 0;
	int result = send_message(netlink, request, NLM_F_ACK | flags, bytes, size);
	if (result >= 0)
		result = nl_recvmsgs_default(netlink->socket);
	return finish(netlink, result);
}

int netlink_change_patiently(struct netlink *netlink, int request, int flags, const void *bytes,
			     size_t size, int error, int other_error)
{
	const struct timespec pause = { .tv_nsec = MILLISECONDS_PAUSE * 1000 * 1000 };
	int result = netlink_change(netlink, request, flags, bytes, size);

	for (int i = 0; result < 0 && (errno == error || errno == other_error) && i < MOST_PAUSES;
	     i++) {
		nanosleep(&pause, NULL);
		result = netlink_change(netlink, request, flags, bytes, size);
	}
	return result;
}

static const struct rtattr *find(const void *first, size_t size, unsigned short type)
{
	size_t left = size;

	for (const struct rtattr *at = first; RTA_OK(at, left); at = RTA_NEXT(at, left))
		if ((at->rta_type & NLA_TYPE_MASK) == type)
			return at;
	return NULL;
}

const struct rtattr *netlink_attribute(const void *bytes, size_t size, size_t header,
				       unsigned short type)
{
	size_t start = NLMSG_ALIGN(header);

	return size < start ? NULL : find((const char *)bytes + start, size - start, type);
}

const struct rtattr *netlink_nested(const struct rtattr *attribute, unsigned short type)
{
	return attribute ? find(RTA_DATA(attribute), RTA_PAYLOAD(attribute), type) : NULL;
}

uint32_t netlink_number(const struct rtattr *attribute)
{
	uint32_t value = 0;

	if (attribute && RTA_PAYLOAD(attribute) >= sizeof value)
		memcpy(&value, RTA_DATA(attribute), sizeof value);
	return value;
}

const char *netlink_text(const struct rtattr *attribute)
{
	const char *text = attribute ? RTA_DATA(attribute) : "";

	return attribute && memchr(text, 0, RTA_PAYLOAD(attribute)) ? text : "";
}

size_t netlink_leave_out(uint8_t *bytes, size_t size, size_t header, uint64_t types)
{
	size_t kept = NLMSG_ALIGN(header), left = size - kept;

	if (size < kept)
		return size;
	for (struct rtattr *at = (void *)(bytes + kept), *next; RTA_OK(at, left); at = next) {
		size_t length = RTA_ALIGN(at->rta_len), type = at->rta_type & NLA_TYPE_MASK;
		next = RTA_NEXT(at, left);
		if (type < 64 && types >> type & 1)
			continue;
		memmove(bytes + kept, at, length);
		kept += length;
	}
	return kept;
}
