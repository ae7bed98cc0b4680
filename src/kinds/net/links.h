/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One interface, as the kernel tells it, and messages put together; private to kinds/net. */
#ifndef NESTOR_KINDS_NET_LINKS_H
#define NESTOR_KINDS_NET_LINKS_H

#include "kinds/net/net.h"

#include <linux/if_link.h>

/* What a restored interface is made of. */
struct link {
	const struct ifinfomsg *info;
	const uint8_t *bytes;
	size_t size;
	const char *name, *kind; /* kind "": made with the namespace, or of hardware */
};

struct link link_of(const ProtobufCBinaryData *item);
const struct rtattr *link_attribute(const struct link *link, unsigned short type);
/* NULL: there is none. */
const ProtobufCBinaryData *link_by_index(const NetnsContents *net, uint32_t index);
bool link_is_pair(const struct link *link);
/* Is its other end in another namespace? */
bool link_is_across(const struct link *link);
bool link_is_tun(const struct link *link);
/* from-outside.c: has somebody to give it; is it of those that lie above another one? */
bool link_is_given(const NetnsContents *net, const struct link *link);
bool link_is_above(const struct link *link);
int fail_link(const struct link *link, uint32_t id, const char *what, struct error *err);

enum { MESSAGE_ROOM = 16 * 1024 };

/* A message that is put together. */
struct request {
	size_t size;
	union {
		struct ifinfomsg info;
		uint8_t bytes[MESSAGE_ROOM];
	} u;
};

/* NULL: there is no room. */
struct rtattr *request_put(struct request *request, unsigned short type, const void *data,
			   size_t size);
void request_end_nested(const struct request *request, struct rtattr *at);
void request_copy(struct request *request, const struct link *link, unsigned short type);
/* Name, index and what every interface has. */
void request_begin(struct request *request, const struct link *link);
/* The kind, and what is particular to it. */
void request_put_kind(struct request *request, const struct link *link);
/* The kind of a pair with its other end; `net_fd` is where that is to be, or -1. */
void request_put_pair(struct request *request, const struct link *link, const struct link *peer,
		      int peer_index, int net_fd);
/*
 * features.c: of one interface, by a socket of ethtool_open; NULL, -1 with errno. The first one
 * that is read tells `net` the names.
 */
NetFeatures *features_read(int fd, struct arena *arena, NetnsContents *net,
			   const struct link *link);
int features_set(int fd, const NetnsContents *net, const NetFeatures *features,
		 const char *interface);
/* link-details.c: what a bridge was set to. */
int bridge_adjust(struct netlink *netlink, const struct link *link, uint32_t id, struct error *err);
/* What one may have besides; it is a port of its bridge already. */
int link_set_details(struct netlink *netlink, const struct link *link, uint32_t id,
		     struct error *err);
/* Of a pair with that other end; NULL: alone. */
int link_make(struct netlink *netlink, const struct link *link, const struct link *peer,
	      uint32_t id, struct error *err);
/* Flags, and being a port of another one; the first leaves it down. */
int link_prepare(struct netlink *netlink, const struct link *link, const char *master, uint32_t id,
		 struct error *err);
int link_bring_up(struct netlink *netlink, const struct link *link, const char *master, uint32_t id,
		  struct error *err);

#endif
