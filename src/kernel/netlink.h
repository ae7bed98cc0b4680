/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Requests to rtnetlink(7), by libnl, in the network namespace of the calling thread. Messages are
 * handled without their header: struct ifinfomsg, ifaddrmsg, rtmsg, ... and attributes.
 */
#ifndef NESTOR_KERNEL_NETLINK_H
#define NESTOR_KERNEL_NETLINK_H

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct netlink;

struct netlink *netlink_open(void); /* NULL with errno */
/* Another protocol than rtnetlink: NETLINK_NETFILTER. */
struct netlink *netlink_open_protocol(int protocol);
/* 1; 0: this kernel does not have it; -1 with errno. */
int netlink_open_if_there(int protocol, struct netlink **ret_netlink);
void netlink_close(struct netlink *netlink);

/*
 * All messages of a kind (RTM_GETLINK, ...) of a family; `each` returns 0, or -1 with errno to
 * stop. Returns 0, or -1 with errno.
 */
int netlink_dump(struct netlink *netlink, int request, int family,
		 int (*each)(const void *bytes, size_t size, void *data), void *data);

/* The same with a whole message: a header of the request's own, and attributes. */
int netlink_dump_by(struct netlink *netlink, int request, const void *bytes, size_t size,
		    int (*each)(const void *bytes, size_t size, void *data), void *data);

/* One question with one answer, which `each` gets. */
int netlink_ask(struct netlink *netlink, int request, const void *bytes, size_t size,
		int (*each)(const void *bytes, size_t size, void *data), void *data);

/* One change; `flags` are NLM_F_*. Returns 0, or -1 with the errno that the kernel answers. */
int netlink_change(struct netlink *netlink, int request, int flags, const void *bytes, size_t size);
/*
 * The same, tried again for some seconds while it fails with one of these two: what is in the way
 * may go with a namespace that has ended, as the kernel takes these apart in its own time
 * (cleanup_net).
 */
int netlink_change_patiently(struct netlink *netlink, int request, int flags, const void *bytes,
			     size_t size, int error, int other_error);

/* An attribute of a message whose header has that size; NULL where there is none. */
const struct rtattr *netlink_attribute(const void *bytes, size_t size, size_t header,
				       unsigned short type);
/* Takes away the attributes of some types, one bit each; returns the new size. */
size_t netlink_leave_out(uint8_t *bytes, size_t size, size_t header, uint64_t types);
/* The same within an attribute. */
const struct rtattr *netlink_nested(const struct rtattr *attribute, unsigned short type);
/* A number of 32 bits, a text with its end within the attribute; what is absent is 0, "". */
uint32_t netlink_number(const struct rtattr *attribute);
const char *netlink_text(const struct rtattr *attribute);

#endif
