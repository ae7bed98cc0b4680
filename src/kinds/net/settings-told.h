/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What rtnetlink tells of the settings of interfaces, all at once; private to kinds/net. It has
 * other numbers than the files of /proc/sys/net, but of the same variables: where it is what it was
 * of an interface whose files have been read, these need not be read again.
 */
#ifndef NESTOR_KINDS_NET_SETTINGS_TOLD_H
#define NESTOR_KINDS_NET_SETTINGS_TOLD_H

#include "kernel/netlink.h"
#include "model/snapshot.h"

/* Where each interface has a folder. */
enum settings_folder {
	SETTINGS_IPV4_CONF,
	SETTINGS_IPV6_CONF,
	SETTINGS_IPV4_NEIGH,
	SETTINGS_IPV6_NEIGH,
	SETTINGS_MPLS_CONF,
	SETTINGS_FOLDERS
};
extern const char *const settings_folders[SETTINGS_FOLDERS]; /* "ipv4/conf/" */

struct settings_told;

/* Of the namespace of the calling thread, whose interfaces are in `net`; NULL with errno. */
struct settings_told *settings_told(struct netlink *netlink, struct arena *arena,
				    const NetnsContents *net);

/* Of one interface; NULL: nothing. It lies in the arena, what it leads to where that was told. */
const ProtobufCBinaryData *settings_told_of(const struct settings_told *told, struct arena *arena,
					    enum settings_folder folder, const char *interface);

/* Is a file one of those whose variables are told? */
bool settings_are_told(enum settings_folder folder, const char *file);

#endif
