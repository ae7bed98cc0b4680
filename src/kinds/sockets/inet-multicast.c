// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Multicast groups that a socket has joined, ip(7). No call lists them; but the kernel lists the
 * groups of each interface (/proc/net/igmp, igmp6), and MCAST_MSFILTER (RFC 3678) tells of a socket
 * and a group whether it has joined (EADDRNOTAVAIL: not), and from which senders. Groups that were
 * joined for some senders only are refused.
 */
#include "kinds/sockets/inet.h"

#include "base/arena.h"
#include "base/procfs.h"
#include "collect/collect.h"
#include "kernel/interface.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static socklen_t make_group(const uint32_t *words, size_t count, struct sockaddr_storage *ret)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)ret;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)ret;

	memset(ret, 0, sizeof *ret);
	if (count == 1) {
		v4->sin_family = AF_INET;
		memcpy(&v4->sin_addr, words, 4);
		return sizeof *v4;
	}
	v6->sin6_family = AF_INET6;
	memcpy(&v6->sin6_addr, words, 16);
	return sizeof *v6;
}

static int level_of(size_t words)
{
	return words == 1 ? IPPROTO_IP : IPPROTO_IPV6;
}

/* Returns 1 if the socket has joined it from anybody, 0 if not, 2 from some; -1 with errno. */
static int has_joined(int fd, unsigned interface, const uint32_t *words, size_t count)
{
	struct group_filter filter = { .gf_interface = interface };
	socklen_t length = sizeof filter;

	make_group(words, count, &filter.gf_group);
	if (getsockopt(fd, level_of(count), MCAST_MSFILTER, &filter, &length) < 0)
		return errno == EADDRNOTAVAIL || errno == ENOPROTOOPT || errno == EINVAL ? 0 : -1;
	return filter.gf_fmode == MCAST_EXCLUDE && filter.gf_numsrc == 0 ? 1 : 2;
}

static int look_at(struct collect *collect, int fd, InetSkEntry *sk, unsigned interface,
		   const uint32_t *words, size_t count, const char *what, struct error *err)
{
	char name[IF_NAMESIZE];
	int joined = has_joined(fd, interface, words, count);

	if (joined < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot tell its multicast groups",
				  what);
	if (joined == 0)
		return 0;
	if (interface_name(interface, name))
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "%s: cannot name the interface of a multicast group", what);
	if (joined == 2)
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "%s has joined a multicast group for some senders only", what);
	MulticastEntry *entry = snapshot_new(collect->snapshot, MULTICAST_ENTRY, MulticastEntry);
	entry->ifname = arena_string(collect->snapshot->arena, name);
	entry->group = arena_copy(collect->snapshot->arena, words, count * sizeof *words);
	entry->n_group = count;
	sk->multicast =
		arena_grow(collect->snapshot->arena, sk->multicast, sk->n_multicast, sizeof entry);
	sk->multicast[sk->n_multicast++] = entry;
	return 0;
}

/* Lines "2\teth0 : ..." of an interface, and below "\t\t\t\tFB0000E0 ..." of its groups. */
static int look_at_v4(struct collect *collect, int fd, InetSkEntry *sk, char *text,
		      const char *what, struct error *err)
{
	unsigned interface = 0;
	char *rest = text;

	strsep(&rest, "\n");
	for (char *line; (line = strsep(&rest, "\n"));) {
		uint32_t group;
		if (line[0] != '\t') {
			interface = (unsigned)strtoul(line, NULL, 10);
			continue;
		}
		group = (uint32_t)strtoul(line, NULL, 16);
		if (look_at(collect, fd, sk, interface, &group, 1, what, err))
			return -1;
	}
	return 0;
}

/* Lines "2    eth0            ff0200...01     1 0000000C 0". */
static int look_at_v6(struct collect *collect, int fd, InetSkEntry *sk, char *text,
		      const char *what, struct error *err)
{
	char *rest = text;

	for (char *line; (line = strsep(&rest, "\n"));) {
		unsigned interface, words[4];
		uint32_t group[4];
		if (sscanf(line, "%u %*s %8x%8x%8x%8x", &interface, &words[0], &words[1], &words[2],
			   &words[3]) != 5)
			continue;
		for (int i = 0; i < 4; i++)
			group[i] = htonl(words[i]);
		if (look_at(collect, fd, sk, interface, group, 4, what, err))
			return -1;
	}
	return 0;
}

/* 1; 0: the kernel has no multicast of that family; -1. */
static int read_groups(struct collect *collect, const char *path, char **ret_text, const char *what,
		       struct error *err)
{
	if (procfs_read(collect->arena, AT_FDCWD, path, ret_text) >= 0)
		return 1;
	return errno == ENOENT ? 0
			       : fail_errno(err, ERR_KERNEL_REFUSED,
					    "%s: cannot read multicast groups from %s", what, path);
}

int multicast_collect(struct collect *collect, int fd, InetSkEntry *sk, const char *what,
		      struct error *err)
{
	char *text;

	if (sk->type == SOCK_STREAM)
		return 0;
	int found = read_groups(collect, "/proc/thread-self/net/igmp", &text, what, err);
	if (found < 0 || (found && look_at_v4(collect, fd, sk, text, what, err)))
		return -1;
	if (sk->family != AF_INET6)
		return 0;
	found = read_groups(collect, "/proc/thread-self/net/igmp6", &text, what, err);
	return found < 0 || (found && look_at_v6(collect, fd, sk, text, what, err)) ? -1 : 0;
}

int multicast_check(const InetSkEntry *sk, struct error *err)
{
	for (size_t i = 0; i < sk->n_multicast; i++) {
		const MulticastEntry *entry = sk->multicast[i];
		if ((entry->n_group != 1 && entry->n_group != 4) ||
		    strlen(entry->ifname) >= IF_NAMESIZE)
			return fail(err, ERR_IMAGE_INVALID, "socket %u: no multicast group",
				    sk->id);
	}
	return 0;
}

int multicast_join(const InetSkEntry *sk, int fd, struct error *err)
{
	for (size_t i = 0; i < sk->n_multicast; i++) {
		const MulticastEntry *entry = sk->multicast[i];
		int index = interface_index(entry->ifname);
		struct group_req request = { .gr_interface = (uint32_t)index };
		make_group(entry->group, entry->n_group, &request.gr_group);
		errno = index ? errno : ENODEV;
		if (index <= 0 || setsockopt(fd, level_of(entry->n_group), MCAST_JOIN_GROUP,
					     &request, sizeof request) < 0)
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "socket %u: cannot join a multicast group at %s", sk->id,
					  entry->ifname);
	}
	return 0;
}
