/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is in a network namespace, a file each; the kind itself is netns.c. */
#ifndef NESTOR_KINDS_NET_NET_H
#define NESTOR_KINDS_NET_NET_H

#include "base/error.h"
#include "base/text.h"
#include "kernel/netlink.h"
#include "kinds/kind.h"
#include "model/snapshot.h"

extern const struct namespace_kind net_namespace_kind;
extern const struct tree_kind networks_tree_kind; /* adopt.c */

/* A list of messages as they are in the images. */
struct message_list {
	struct arena *arena;
	ProtobufCBinaryData **items;
	size_t *count;
};
int message_list_add(const struct message_list *list, const void *bytes, size_t size);

/*
 * Collecting is done by a thread that is in the namespace, restoring by a process in a new one.
 * `id` names the namespace in messages.
 */

struct collect;
struct namespace;
struct file_opener;

/* links.c: interfaces. */
int links_collect(struct netlink *netlink, struct collect *collect, NetnsContents *net, uint32_t id,
		  struct error *err);
/* All of them, whatever they are. -1 with errno. */
int links_look(struct netlink *netlink, struct arena *arena, NetnsContents *net);
int links_check(const NetnsContents *net, uint32_t id, struct error *err);
int links_make(struct netlink *netlink, const NetnsContents *net, uint32_t id, struct error *err);
int links_bring_up(struct netlink *netlink, const NetnsContents *net, uint32_t id,
		   struct error *err);
/* Is there one that is better made for a trial first, and can be? */
bool links_can_be_tried(const NetnsContents *net);
void links_describe(const NetnsContents *net, struct text *text);

/* peers.c: interfaces whose other end is in another namespace. */
/* own_fd: nestor's own namespace, which we are not in. */
int peers_collect(struct netlink *netlink, struct collect *collect, int own_fd, NetnsContents *net,
		  uint32_t id, struct error *err);
int peers_check(const struct snapshot *snapshot, const struct namespace *namespace_,
		struct error *err);
bool peers_are_there(const struct namespace *namespace_);
bool peers_stand_on(const struct namespace *namespace_, const struct namespace *other);
/* peers-make.c: the same, made again. */
/* One that somebody outside holds with its interfaces; -1: it has to be made. */
int peers_find(const struct file_opener *opener, const struct namespace *namespace_, int *ret_fd,
	       struct error *err);
int peers_make(struct file_opener *opener, const struct namespace *namespace_, struct error *err);
int peers_make_above(struct file_opener *opener, const struct namespace *namespace_,
		     struct error *err);
int peers_before_release(struct file_opener *opener, struct error *err);

/* tuns.c: tun and tap. */
int tuns_collect(struct arena *arena, NetnsContents *net, uint32_t id, struct error *err);
int tuns_check(const struct snapshot *snapshot, const struct namespace *namespace_,
	       struct error *err);
/* By who is in the user namespace that owns it. */
int tuns_make(const struct namespace *namespace_, struct error *err);

/* features.c: what ethtool(8) sets. */
int features_collect(struct arena *arena, NetnsContents *net, uint32_t id, struct error *err);
int features_check(const NetnsContents *net, uint32_t id, struct error *err);
int features_make(const NetnsContents *net, uint32_t id, struct error *err);

/* routes.c: addresses, routes, rules and neighbours. */
int routes_collect(struct netlink *netlink, struct arena *arena, NetnsContents *net, uint32_t id,
		   struct error *err);
int routes_check(const NetnsContents *net, uint32_t id, struct error *err);
/* Of images of others: a message of rtnetlink (RTM_NEWADDR, ...). -1: it is none of these. */
int routes_adopt(NetnsContents *net, struct arena *arena, int type, const void *bytes, size_t size);
int addresses_make(struct netlink *netlink, const NetnsContents *net, bool of_lo, uint32_t id,
		   struct error *err);
/* One address; where it is there already, that is well. */
int address_make(struct netlink *netlink, const ProtobufCBinaryData *item, uint32_t index);
int routes_make(struct netlink *netlink, const NetnsContents *net, uint32_t id, struct error *err);
/* Next hops, and the routes, which may go by these: when interfaces have their carriers. */
int next_hops_make(struct netlink *netlink, const NetnsContents *net, uint32_t id,
		   struct error *err);

/* groups.c: multicast that somebody has set, in bridges and of interfaces. */
int groups_collect(struct netlink *netlink, struct arena *arena, NetnsContents *net, uint32_t id,
		   struct error *err);
int groups_check(const NetnsContents *net, uint32_t id, struct error *err);
int groups_make(struct netlink *netlink, const NetnsContents *net, uint32_t id, struct error *err);

/* labels.c: of addresses, by which one is chosen. */
int labels_collect(struct netlink *netlink, struct arena *arena, NetnsContents *net, uint32_t id,
		   struct error *err);
int labels_check(const NetnsContents *net, uint32_t id, struct error *err);
int labels_make(struct netlink *netlink, const NetnsContents *net, uint32_t id, struct error *err);

/*
 * settings-ahead.c: /proc/sys/net, of the namespace of the calling thread. What has been begun is
 * there when it is complete, and given up at the end.
 */
int settings_collect(struct netlink *netlink, struct collect *collect, NetnsContents *net,
		     uint32_t id, struct error *err);
int settings_begin(struct netlink *netlink, struct collect *collect, int namespace_fd,
		   NetnsContents *net, uint32_t id, struct error *err);
int settings_complete(struct collect *collect, NetnsContents *net, uint32_t id, struct error *err);
void settings_end(struct collect *collect);

/* settings.c, settings-fresh.c, settings-write.c */
#define SETTING_OF_GROUPS "ipv4/ping_group_range" /* the only one that holds ids */
/*
 * What a new namespace has, as one has that the restore makes: who makes it is in ours, for some of
 * it follows from the namespace of the maker (tcp_child_ehash_entries, devconf_inherit_init_net).
 */
int settings_prepare(struct collect *collect, struct error *err);
int settings_check(const struct namespace *namespace_, struct error *err);
/* By who is in the user namespace that owns it. */
int settings_write(const struct namespace *namespace_, struct error *err);
/* What interfaces that come up change. */
int settings_write_late(const struct namespace *namespace_, struct error *err);

/* traffic.c: queueing disciplines, their classes and filters. */
int traffic_collect(struct netlink *netlink, struct arena *arena, NetnsContents *net, uint32_t id,
		    struct error *err);
int traffic_check(const NetnsContents *net, uint32_t id, struct error *err);
int traffic_make(struct netlink *netlink, const NetnsContents *net, uint32_t id, struct error *err);
/* In a namespace that has been made for it. */
int traffic_try(struct netlink *netlink, const NetnsContents *net, uint32_t id, struct error *err);

/* lost.c: what is refused by name. */
int lost_refuse(struct collect *collect, uint32_t id, struct error *err);

/* ebtables.c: of the older ones. */
int ebtables_refuse(uint32_t id, struct error *err);

/* generic.c: settings that generic netlink holds. */
int generic_collect(struct collect *collect, NetnsContents *net, uint32_t id, struct error *err);
int generic_check(const struct namespace *namespace_, struct error *err);
int generic_make(const NetnsContents *net, uint32_t id, struct error *err);
/* The number of a family, asked for once a dump; 0: this kernel does not have it. -1 with errno. */
int generic_family(struct netlink *netlink, struct collect *collect, const char *name,
		   uint16_t *ret_number);
/* Who asked got no answer as he may not see it (errno). */
bool generic_is_hidden(const struct collect *collect);

/* filters.c: nftables. */
int filters_collect(struct arena *arena, NetnsContents *net, uint32_t id, struct error *err);
int filters_check(const NetnsContents *net, uint32_t id, struct error *err);
int filters_make(const NetnsContents *net, uint32_t id, struct error *err);
/* Is there something that lies at an interface? */
bool filters_need_device(const NetnsContents *net);

/* xtables.c: the older iptables, ip6tables and arptables. */
int xtables_collect(struct arena *arena, NetnsContents *net, uint32_t id, struct error *err);
int xtables_check(const NetnsContents *net, uint32_t id, struct error *err);
int xtables_make(const NetnsContents *net, uint32_t id, struct error *err);

/* Of these two `netlink` is one of NETLINK_NETFILTER. ipsets.c: sets that iptables asks. */
int ipsets_collect(struct netlink *netlink, struct arena *arena, NetnsContents *net, uint32_t id,
		   struct error *err);
int ipsets_check(const NetnsContents *net, uint32_t id, struct error *err);
int ipsets_make(struct netlink *netlink, const NetnsContents *net, uint32_t id, struct error *err);

/* connections.c: what the kernel has tracked. */
int connections_collect(struct netlink *netlink, struct arena *arena, NetnsContents *net,
			uint32_t id, struct error *err);
int connections_check(const NetnsContents *net, uint32_t id, struct error *err);
int connections_make(struct netlink *netlink, const NetnsContents *net, uint32_t id,
		     struct error *err);

/* trial.c: would the kernel take the last four back, and interfaces? */
int trial_run(const NetnsContents *net, uint32_t id, struct error *err);

#endif
