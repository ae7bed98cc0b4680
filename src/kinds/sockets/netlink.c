// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Sockets of AF_NETLINK, netlink(7), of all protocols: port id, groups, destination and options.
 * The kernel rules that decide their restore:
 *
 * - The port id is unique for a protocol in a network namespace, and bind(2) gives any that is
 *   free.
 * - Groups of NETLINK_GENERIC are known by their names (netlink-generic.h).
 * - Groups are told by NETLINK_LIST_MEMBERSHIPS (4.2). They are joined when all else is made, so
 *   that nothing of the restore is reported, and after the filter is there. Some take a right of
 *   their own (CAP_AUDIT_READ for those of NETLINK_AUDIT).
 * - One that is connected takes messages from its destination only, the kernel (port 0) included;
 *   that is seen by sock_diag(7).
 *
 * Refused: messages that wait to be read, or an error that does, since nobody can send again what
 * the kernel has sent (but for one: netlink-answer.h); an answer of several parts that is not
 * complete.
 */
#include "base/arena.h"
#include "base/cleanup.h"
#include "collect/collect.h"
#include "kernel/aside.h"
#include "kernel/netlink-diag.h"
#include "kinds/sockets/netlink-answer.h"
#include "kinds/sockets/netlink-generic.h"
#include "kinds/sockets/options.h"
#include "kinds/sockets/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum { CONNECTED = 1, GROUPS_PER_WORD = 32, MOST_GROUP_WORDS = 64, LAST_PROTOCOL = 22 };

/* Options that are on or off. */
static const struct {
	int option;
	const char *name;
} options[] = {
	{ NETLINK_PKTINFO, "NETLINK_PKTINFO" },
	{ NETLINK_BROADCAST_ERROR, "NETLINK_BROADCAST_ERROR" },
	{ NETLINK_NO_ENOBUFS, "NETLINK_NO_ENOBUFS" },
	{ NETLINK_LISTEN_ALL_NSID, "NETLINK_LISTEN_ALL_NSID" },
	{ NETLINK_CAP_ACK, "NETLINK_CAP_ACK" },
	{ NETLINK_EXT_ACK, "NETLINK_EXT_ACK" },
	{ NETLINK_GET_STRICT_CHK, "NETLINK_GET_STRICT_CHK" },
};
enum { N_OPTIONS = sizeof options / sizeof *options };

static bool netlink_recognise(const struct open_file *file)
{
	return file->family == AF_NETLINK;
}

/* ---- Dump ---- */

static int fail_read(const struct open_file *file, const char *what, struct error *err)
{
	return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot read %s", file->what, what);
}

static int collect_groups(const struct open_file *file, int fd, NetlinkSkEntry *sk,
			  struct error *err)
{
	struct snapshot *snapshot = file->target->collect->snapshot;
	socklen_t length = 0;

	if (getsockopt(fd, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, NULL, &length) < 0)
		return fail_read(file, "its groups", err);
	sk->groups = arena_alloc(snapshot->arena, length);
	if (length &&
	    getsockopt(fd, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, sk->groups, &length) < 0)
		return fail_read(file, "its groups", err);
	sk->n_groups = length / sizeof *sk->groups;
	while (sk->n_groups && !sk->groups[sk->n_groups - 1])
		sk->n_groups--;
	return 0;
}

static int collect_options(const struct open_file *file, int fd, NetlinkSkEntry *sk,
			   struct error *err)
{
	struct snapshot *snapshot = file->target->collect->snapshot;

	sk->options = arena_array(snapshot->arena, uint32_t, N_OPTIONS);
	for (size_t i = 0; i < N_OPTIONS; i++) {
		int value = 0;
		socklen_t length = sizeof value;
		if (getsockopt(fd, SOL_NETLINK, options[i].option, &value, &length) < 0) {
			if (errno == ENOPROTOOPT)
				continue;
			return fail_read(file, options[i].name, err);
		}
		if (value)
			sk->options[sk->n_options++] = (uint32_t)options[i].option;
	}
	sk->opts = socket_options_collect(snapshot, fd, file->what, err);
	return sk->opts ? 0 : -1;
}

/* In nestor's own namespace it is found without asking which it belongs to, which takes rights. */
static int find_socket(const struct open_file *file, int fd, NetlinkSkEntry *sk,
		       struct netlink_state *ret, struct error *err)
{
	struct socket_net net;
	int found = netlink_state_find(-1, (uint8_t)sk->protocol, sk->ino, ret);

	if (found < 0 && errno != ENOENT)
		return fail_read(file, "its state (sock_diag)", err);
	if (found > 0)
		return 1;
	if (socket_net_namespace(file, fd, &net, err))
		return -1;
	sk->has_ns_id = net.id != 0;
	sk->ns_id = net.id;
	found = netlink_state_find(net.fd, (uint8_t)sk->protocol, sk->ino, ret);
	if (found < 0 && errno != ENOENT)
		return fail_read(file, "its state (sock_diag)", err);
	return found > 0;
}

static int collect_addresses(const struct open_file *file, int fd, NetlinkSkEntry *sk,
			     struct error *err)
{
	struct sockaddr_nl own = { 0 }, peer = { 0 };
	socklen_t own_length = sizeof own, peer_length = sizeof peer;
	struct netlink_state state = { 0 };

	if (getsockname(fd, (struct sockaddr *)&own, &own_length) < 0 ||
	    getpeername(fd, (struct sockaddr *)&peer, &peer_length) < 0)
		return fail_read(file, "its addresses", err);
	int found = find_socket(file, fd, sk, &state, err);
	if (found < 0)
		return -1;
	if (!found) {
		state.destination_port = peer.nl_pid;
		state.destination_group = (uint32_t)__builtin_ffs((int)peer.nl_groups);
		state.connected = peer.nl_pid || peer.nl_groups;
	}
	if (state.is_dumping)
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "%s: the kernel has not sent all of an answer to it", file->what);
	sk->portid = own.nl_pid;
	sk->dst_portid = state.destination_port;
	sk->dst_group = state.destination_group;
	sk->state = state.connected ? CONNECTED : 0;
	return 0;
}

/* Nobody but the kernel can send it again: the tree is let go for the moment, to read it. */
static int collect_waiting(const struct open_file *file, int fd, NetlinkSkEntry *sk,
			   struct error *err)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	if (poll(&poll_fd, 1, 0) < 0)
		return fail_read(file, "whether something waits in it", err);
	if (poll_fd.revents & POLLERR)
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "%s: it has lost messages, which nobody has been told yet", file->what);
	int answer = poll_fd.revents & POLLIN ? netlink_answer_collect(file, fd, sk, err) : 1;
	if (answer < 0)
		return -1;
	if (!answer) {
		fail(err, ERR_REQUESTS_IN_FLIGHT, "%s: a netlink message waits to be read",
		     file->what);
		return fail_passing(err);
	}
	return 0;
}

static int netlink_collect(const struct open_file *file, FileEntry *entry, struct error *err)
{
	struct snapshot *snapshot = file->target->collect->snapshot;
	NetlinkSkEntry *sk = snapshot_new(snapshot, NETLINK_SK_ENTRY, NetlinkSkEntry);
	int fd = collect_borrow_file(file, err);
	int protocol, type;

	if (fd < 0)
		return -1;
	entry->nlsk = sk;
	if (socket_number(fd, SO_PROTOCOL, &protocol) < 0 || socket_number(fd, SO_TYPE, &type) < 0)
		return fail_read(file, "its type", err);
	sk->id = file->id;
	sk->ino = (uint32_t)file->stat.st_ino;
	sk->flags = file->flags;
	sk->protocol = (uint32_t)protocol;
	sk->has_type = true;
	sk->type = (uint32_t)type;
	if (collect_waiting(file, fd, sk, err) || collect_addresses(file, fd, sk, err) ||
	    collect_groups(file, fd, sk, err) || collect_options(file, fd, sk, err))
		return -1;
	return sk->protocol == NETLINK_GENERIC ? netlink_generic_collect(file, sk, err) : 0;
}

/* ---- Check ---- */

static bool is_option(uint32_t option)
{
	for (size_t i = 0; i < N_OPTIONS; i++)
		if (options[i].option == (int)option)
			return true;
	return false;
}

static int netlink_check(const struct snapshot *snapshot, const FileEntry *entry, struct error *err)
{
	const NetlinkSkEntry *sk = entry->nlsk;

	if (!sk || sk->id != entry->id || !sk->opts)
		return fail(err, ERR_IMAGE_INVALID, "file %u has no record of a netlink socket",
			    entry->id);
	if (socket_check_net(snapshot, sk->has_ns_id, sk->ns_id, entry->id, err))
		return -1;
	if (sk->protocol > LAST_PROTOCOL ||
	    (sk->has_type && sk->type != SOCK_RAW && sk->type != SOCK_DGRAM) ||
	    sk->n_groups > MOST_GROUP_WORDS || sk->dst_group > GROUPS_PER_WORD)
		return fail(err, ERR_IMAGE_INVALID,
			    "netlink socket %u: its numbers are out of range", entry->id);
	for (size_t i = 0; i < sk->n_options; i++)
		if (!is_option(sk->options[i]))
			return fail(err, ERR_IMAGE_UNSUPPORTED, "netlink socket %u: option %u",
				    entry->id, sk->options[i]);
	return netlink_generic_check(sk, err) || netlink_answer_check(sk, err) ||
			       socket_options_check(sk->opts, entry->id, err)
		       ? -1
		       : 0;
}

/* ---- Restore ---- */

static int fail_make(const NetlinkSkEntry *sk, const char *what, struct error *err)
{
	return fail_errno(err, ERR_KERNEL_REFUSED, "netlink socket %u (protocol %u): cannot %s",
			  sk->id, sk->protocol, what);
}

/* Whoever is connected tells whom by port id and group. */
static int bind_and_connect(const NetlinkSkEntry *sk, int fd, struct error *err)
{
	struct sockaddr_nl own = { .nl_family = AF_NETLINK, .nl_pid = sk->portid };
	struct sockaddr_nl peer = { .nl_family = AF_NETLINK, .nl_pid = sk->dst_portid };

	if (sk->dst_group)
		peer.nl_groups = UINT32_C(1) << (sk->dst_group - 1);
	if (sk->portid && bind(fd, (struct sockaddr *)&own, sizeof own) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "netlink socket %u (protocol %u): cannot have the port id %u",
				  sk->id, sk->protocol, sk->portid);
	if ((sk->state == CONNECTED || sk->dst_portid || sk->dst_group) &&
	    connect(fd, (struct sockaddr *)&peer, sizeof peer) < 0)
		return fail_make(sk, "connect it", err);
	return 0;
}

static int netlink_open(struct file_opener *opener, const FileEntry *entry, struct error *err)
{
	const NetlinkSkEntry *sk = entry->nlsk;
	int net = socket_opener_net(opener, sk->has_ns_id, sk->ns_id);
	int type = sk->has_type ? (int)sk->type : SOCK_RAW;
	autoclose int fd = socket_make(net, AF_NETLINK, type | SOCK_CLOEXEC, (int)sk->protocol,
				       entry->inode_owner);
	if (fd < 0)
		return fail_make(sk, "make it", err);
	if (bind_and_connect(sk, fd, err) || netlink_answer_give(sk, fd, err))
		return -1;
	if (fcntl(fd, F_SETFL, (int)sk->flags & (O_NONBLOCK | O_APPEND)) < 0)
		return fail_make(sk, "set its flags", err);
	return take_fd(&fd);
}

static int join_groups(const NetlinkSkEntry *sk, int fd, struct error *err)
{
	if (sk->n_generic_groups)
		return netlink_generic_join(sk, fd, err);
	for (uint32_t i = 0; i < sk->n_groups * GROUPS_PER_WORD; i++) {
		int group = (int)i + 1;
		if (!(sk->groups[i / GROUPS_PER_WORD] >> (i % GROUPS_PER_WORD) & 1))
			continue;
		if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) < 0)
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "netlink socket %u (protocol %u): cannot join group %d",
					  sk->id, sk->protocol, group);
	}
	return 0;
}

static int netlink_connect(struct file_opener *opener, const FileEntry *entry, int fd,
			   struct error *err)
{
	const NetlinkSkEntry *sk = entry->nlsk;
	int on = 1;

	(void)opener;
	for (size_t i = 0; i < sk->n_options; i++)
		if (setsockopt(fd, SOL_NETLINK, (int)sk->options[i], &on, sizeof on) < 0)
			return fail_make(sk, "set its options", err);
	return socket_options_apply(sk->opts, fd, entry->id, err) || join_groups(sk, fd, err) ? -1
											      : 0;
}

static void netlink_describe(const FileEntry *entry, char *text, size_t room)
{
	static const char *const protocols[] = {
		[NETLINK_ROUTE] = "route",	   [NETLINK_USERSOCK] = "user",
		[NETLINK_SOCK_DIAG] = "sock_diag", [NETLINK_NFLOG] = "nflog",
		[NETLINK_XFRM] = "xfrm",	   [NETLINK_SELINUX] = "selinux",
		[NETLINK_AUDIT] = "audit",	   [NETLINK_CONNECTOR] = "connector",
		[NETLINK_NETFILTER] = "netfilter", [NETLINK_KOBJECT_UEVENT] = "uevent",
		[NETLINK_GENERIC] = "generic",	   [NETLINK_CRYPTO] = "crypto",
	};
	uint32_t protocol = entry->nlsk->protocol;
	const char *name =
		protocol < sizeof protocols / sizeof *protocols ? protocols[protocol] : NULL;

	if (name)
		snprintf(text, room, "netlink socket (%s) port %u", name, entry->nlsk->portid);
	else
		snprintf(text, room, "netlink socket (protocol %u) port %u", protocol,
			 entry->nlsk->portid);
}

static struct file_fields netlink_fields(FileEntry *entry)
{
	return (struct file_fields){ &entry->nlsk->fown, &entry->nlsk->flags };
}

const struct file_kind netlink_socket_kind = {
	.name = "netlink socket",
	.type = FD_TYPES__NETLINKSK,
	.recognise = netlink_recognise,
	.collect = netlink_collect,
	.check = netlink_check,
	.open = netlink_open,
	.connect = netlink_connect,
	.describe = netlink_describe,
	.fields = netlink_fields,
};
