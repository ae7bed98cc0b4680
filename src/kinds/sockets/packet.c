// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Sockets of AF_PACKET, packet(7), as dhclient, networkd and arping have them: protocol, interface,
 * options, filter, memberships (promiscuous mode, groups), and the fanout group, by its number.
 *
 * - They come to be without a protocol, so that nothing is received, and are bound when they have
 *   their filter and all else.
 * - Those of the old type SOCK_PACKET have a protocol from the first, and no options: they let
 *   nothing pass until they are bound, by the name of an interface.
 * - An interface is found by its name; where one is down, that is told as an error once (ENETDOWN).
 *
 * What waits in their queues is not kept, and warned of: only the first packet can be read without
 * taking it away. Whoever uses them has to expect that packets are lost. PACKET_STATISTICS count
 * from 0, since reading takes them away. Rings (PACKET_RX_RING), as tcpdump has them, keep what has
 * not been read, and the program and the kernel go on at the same frame or block; blocks are
 * numbered anew. See packet-ring.c.
 *
 * Refused: a ring that has sent (PACKET_TX_RING), or of which a part is mapped; one in use, where
 * the loopback interface is down; fanout by a program, which cannot be read, and one whose
 * interface is gone.
 */
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "collect/collect.h"
#include "kernel/aside.h"
#include "kernel/interface.h"
#include "kernel/packet-diag.h"
#include "kinds/sockets/options.h"
#include "kinds/sockets/packet-ring.h"
#include "kinds/sockets/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* Of newer headers. */
#ifndef PACKET_VNET_HDR_SZ
#define PACKET_VNET_HDR_SZ 24
#endif

enum { USUAL_HEADER = 10, LARGEST_ADDRESS = 8 };
enum { LONGEST_OLD_NAME = sizeof((struct sockaddr *)0)->sa_data }; /* packet_bind_spkt */
static const uint32_t no_fanout = UINT32_MAX;

static bool packet_recognise(const struct open_file *file)
{
	return file->family == AF_PACKET;
}

static bool is_old(const PacketSkEntry *sk)
{
	return sk->type == SOCK_PACKET;
}

/* ---- Dump ---- */

static int fail_read(const char *what, const char *of, struct error *err)
{
	return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot read %s", what, of);
}

/* 0 for what the kernel does not have yet; -1 with errno. */
static int get(int fd, int option, uint32_t *ret)
{
	socklen_t length = sizeof *ret;

	*ret = 0;
	return getsockopt(fd, SOL_PACKET, option, ret, &length) < 0 && errno != ENOPROTOOPT ? -1
											    : 0;
}

static int collect_options(int fd, PacketSkEntry *sk, const char *what, struct error *err)
{
	uint32_t aux, origin, header, size, loss, offset, bypass, ignore;

	if (get(fd, PACKET_VERSION, &sk->version) < 0 ||
	    get(fd, PACKET_RESERVE, &sk->reserve) < 0 ||
	    get(fd, PACKET_TIMESTAMP, &sk->timestamp) < 0 || get(fd, PACKET_AUXDATA, &aux) < 0 ||
	    get(fd, PACKET_ORIGDEV, &origin) < 0 || get(fd, PACKET_VNET_HDR, &header) < 0 ||
	    get(fd, PACKET_VNET_HDR_SZ, &size) < 0 || get(fd, PACKET_LOSS, &loss) < 0 ||
	    get(fd, PACKET_TX_HAS_OFF, &offset) < 0 || get(fd, PACKET_QDISC_BYPASS, &bypass) < 0 ||
	    get(fd, PACKET_IGNORE_OUTGOING, &ignore) < 0)
		return fail_read(what, "its options", err);
	sk->aux_data = aux != 0;
	sk->orig_dev = origin != 0;
	sk->vnet_hdr = header != 0;
	sk->loss = loss != 0;
	sk->has_tx_has_off = sk->tx_has_off = offset != 0;
	sk->has_qdisc_bypass = sk->qdisc_bypass = bypass != 0;
	sk->has_ignore_outgoing = sk->ignore_outgoing = ignore != 0;
	sk->has_vnet_hdr_size = header && size && size != USUAL_HEADER;
	sk->vnet_hdr_size = size;
	return 0;
}

static int collect_fanout(int fd, PacketSkEntry *sk, const char *what, struct error *err)
{
	uint32_t fanout;

	sk->fanout = no_fanout;
	if (!sk->has_fanout)
		return 0;
	if (get(fd, PACKET_FANOUT, &fanout) < 0)
		return fail_read(what, "its fanout group", err);
	uint32_t type = fanout >> 16 & 0xff;
	if (type == PACKET_FANOUT_CBPF || type == PACKET_FANOUT_EBPF)
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "%s: a program that cannot be read chooses in its fanout group", what);
	sk->fanout = fanout;
	return 0;
}

static int name_of(struct snapshot *snapshot, uint32_t interface, char **ret, const char *what,
		   struct error *err)
{
	char name[IF_NAMESIZE] = "";

	if (interface_name(interface, name) && errno != ENXIO)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot name its interface", what);
	if (!*name)
		return fail(err, ERR_UNSUPPORTED_FILE, "%s: its interface is gone", what);
	*ret = arena_string(snapshot->arena, name);
	return 0;
}

static int collect_memberships(struct snapshot *snapshot, const struct packet_state *state,
			       PacketSkEntry *sk, const char *what, struct error *err)
{
	sk->mclist = arena_array(snapshot->arena, PacketMclist *, state->n_memberships);
	for (size_t i = 0; i < state->n_memberships; i++) {
		const struct packet_membership *from = &state->memberships[i];
		PacketMclist *to = snapshot_new(snapshot, PACKET_MCLIST, PacketMclist);
		if (from->length > LARGEST_ADDRESS)
			return fail(err, ERR_UNSUPPORTED_FILE,
				    "%s: a membership of %u bytes, which nobody can set", what,
				    from->length);
		to->index = from->interface;
		to->type = from->type;
		to->addr.len = from->length;
		to->addr.data = arena_copy(snapshot->arena, from->address, from->length);
		to->has_count = true;
		to->count = from->count;
		if (name_of(snapshot, from->interface, &to->ifname, what, err))
			return -1;
		sk->mclist[sk->n_mclist++] = to;
	}
	return 0;
}

/* One that is being read, by a thread that is in its network namespace: names of interfaces. */
struct collecting {
	const struct open_file *file;
	PacketSkEntry *sk;
	int fd;
	struct error *err;
};

static int collect_place(const struct collecting *it)
{
	struct collect *collect = it->file->target->collect;
	struct sockaddr_ll own = { 0 };
	socklen_t length = sizeof own;
	struct packet_state state;

	if (!is_old(it->sk) && getsockname(it->fd, (struct sockaddr *)&own, &length) < 0)
		return fail_read(it->file->what, "its address", it->err);
	int found = packet_state_find(-1, (uint32_t)it->file->stat.st_ino, collect->arena, &state);
	if (found < 0)
		return fail_read(it->file->what, "its state (sock_diag)", it->err);
	if (!found)
		return fail(it->err, ERR_KERNEL_REFUSED, "%s: the kernel does not list it",
			    it->file->what);
	if (is_old(it->sk))
		own = (struct sockaddr_ll){ .sll_protocol = htons(state.protocol),
					    .sll_ifindex = (int)state.interface };
	it->sk->protocol = own.sll_protocol;
	it->sk->ifindex = (uint32_t)own.sll_ifindex;
	it->sk->has_fanout = state.has_fanout;
	it->sk->copy_thresh = state.copy_threshold;
	if (own.sll_ifindex && name_of(collect->snapshot, (uint32_t)own.sll_ifindex,
				       &it->sk->ifname, it->file->what, it->err))
		return -1;
	if (is_old(it->sk) && it->sk->ifname && strlen(it->sk->ifname) > LONGEST_OLD_NAME)
		return fail(it->err, ERR_UNSUPPORTED_FILE,
			    "%s is a socket of SOCK_PACKET at %s, by whose name it cannot be bound",
			    it->file->what, it->sk->ifname);
	return collect_memberships(collect->snapshot, &state, it->sk, it->file->what, it->err) ||
			       packet_rings_collect(it->file, it->fd, &state, it->sk, it->err)
		       ? -1
		       : 0;
}

static int collect_there(void *data)
{
	const struct collecting *it = data;
	const char *what = it->file->what;
	short ready;

	if ((!is_old(it->sk) && collect_options(it->fd, it->sk, what, it->err)) ||
	    collect_place(it) || collect_fanout(it->fd, it->sk, what, it->err) ||
	    socket_ready(it->fd, POLLIN, &ready, what, it->err))
		return -1;
	it->sk->has_has_error = it->sk->has_error = (ready & POLLERR) != 0;
	it->sk->opts =
		socket_options_collect(it->file->target->collect->snapshot, it->fd, what, it->err);
	if (!it->sk->opts)
		return -1;
	if (ready & POLLIN && !it->sk->rx_ring)
		log_warning("collect", what, "packets that wait to be received are lost");
	return 0;
}

static int packet_collect(const struct open_file *file, FileEntry *entry, struct error *err)
{
	struct snapshot *snapshot = file->target->collect->snapshot;
	PacketSkEntry *sk = snapshot_new(snapshot, PACKET_SK_ENTRY, PacketSkEntry);
	int fd = collect_borrow_file(file, err);
	struct collecting it = { file, sk, fd, err };
	struct aside aside = ASIDE_HERE;
	struct socket_net net;
	int type;

	if (fd < 0 || socket_net_namespace(file, fd, &net, err))
		return -1;
	if (socket_number(fd, SO_TYPE, &type) < 0)
		return fail_read(file->what, "its type", err);
	if (type != SOCK_RAW && type != SOCK_DGRAM && type != SOCK_PACKET)
		return fail(err, ERR_UNSUPPORTED_FILE, "%s is a packet socket of type %d",
			    file->what, type);
	sk->id = file->id;
	sk->type = (uint32_t)type;
	sk->flags = file->flags;
	sk->has_ns_id = net.id != 0;
	sk->ns_id = net.id;
	entry->psk = sk;
	if (net.fd < 0)
		return collect_there(&it);
	aside.net_namespace = net.fd;
	if (aside_run(&aside, collect_there, &it) < 0)
		return err->name ? -1
				 : fail_errno(err, ERR_KERNEL_REFUSED,
					      "%s: cannot enter its network namespace", file->what);
	return 0;
}

/* ---- Check ---- */

static int check_memberships(const PacketSkEntry *sk, struct error *err)
{
	for (size_t i = 0; i < sk->n_mclist; i++)
		if (sk->mclist[i]->addr.len > LARGEST_ADDRESS ||
		    sk->mclist[i]->type > PACKET_MR_UNICAST || sk->mclist[i]->count > UINT16_MAX ||
		    (sk->mclist[i]->ifname && strlen(sk->mclist[i]->ifname) >= IF_NAMESIZE))
			return fail(err, ERR_IMAGE_INVALID, "packet socket %u: no membership",
				    sk->id);
	return 0;
}

static int packet_check(const struct snapshot *snapshot, const FileEntry *entry, struct error *err)
{
	const PacketSkEntry *sk = entry->psk;

	if (!sk || sk->id != entry->id || !sk->opts)
		return fail(err, ERR_IMAGE_INVALID, "file %u has no record of a packet socket",
			    entry->id);
	if (socket_check_net(snapshot, sk->has_ns_id, sk->ns_id, entry->id, err))
		return -1;
	if (is_old(sk) && (sk->rx_ring || sk->tx_ring || sk->n_mclist || sk->fanout != no_fanout))
		return fail(err, ERR_IMAGE_INVALID,
			    "packet socket %u: what no socket of SOCK_PACKET has", entry->id);
	if ((sk->type != SOCK_RAW && sk->type != SOCK_DGRAM && !is_old(sk)) ||
	    sk->protocol > UINT16_MAX || sk->ifindex > INT32_MAX ||
	    (sk->ifname && strlen(sk->ifname) >= IF_NAMESIZE))
		return fail(err, ERR_IMAGE_INVALID,
			    "packet socket %u: its numbers are out of range", entry->id);
	return check_memberships(sk, err) || packet_rings_check(snapshot, sk, err) ||
			       socket_options_check(sk->opts, entry->id, err)
		       ? -1
		       : 0;
}

/* ---- Restore ---- */

static int fail_make(const PacketSkEntry *sk, const char *what, struct error *err)
{
	return fail_errno(err, ERR_KERNEL_REFUSED, "packet socket %u: cannot %s", sk->id, what);
}

/* What is 0 is so from the first. */
static int set(int fd, int option, uint32_t value)
{
	return value ? setsockopt(fd, SOL_PACKET, option, &value, sizeof value) : 0;
}

static int apply_options(const PacketSkEntry *sk, int fd, struct error *err)
{
	int header = sk->has_vnet_hdr_size ? PACKET_VNET_HDR_SZ : PACKET_VNET_HDR;

	if (set(fd, PACKET_VERSION, sk->version) < 0 || set(fd, PACKET_RESERVE, sk->reserve) < 0 ||
	    set(fd, PACKET_TIMESTAMP, sk->timestamp) < 0 ||
	    set(fd, PACKET_AUXDATA, sk->aux_data) < 0 ||
	    set(fd, PACKET_ORIGDEV, sk->orig_dev) < 0 ||
	    set(fd, header, sk->has_vnet_hdr_size ? sk->vnet_hdr_size : (uint32_t)sk->vnet_hdr) <
		    0 ||
	    set(fd, PACKET_LOSS, sk->loss) < 0 ||
	    set(fd, PACKET_COPY_THRESH, sk->copy_thresh) < 0 ||
	    set(fd, PACKET_TX_HAS_OFF, sk->tx_has_off) < 0 ||
	    set(fd, PACKET_QDISC_BYPASS, sk->qdisc_bypass) < 0 ||
	    set(fd, PACKET_IGNORE_OUTGOING, sk->ignore_outgoing) < 0)
		return fail_make(sk, "set its options", err);
	return 0;
}

/* What is 0 means any: a name that is not there must not become that. */
static int find_interface(const PacketSkEntry *sk, const char *name, uint32_t index, int *ret,
			  struct error *err)
{
	*ret = name ? interface_index(name) : (int)index;
	if (name && *ret == 0)
		errno = ENODEV;
	return name && *ret <= 0 ? fail_make(sk, "find its interface", err) : 0;
}

static int apply_memberships(const PacketSkEntry *sk, int fd, struct error *err)
{
	for (size_t i = 0; i < sk->n_mclist; i++) {
		const PacketMclist *from = sk->mclist[i];
		struct packet_mreq request = { .mr_type = (uint16_t)from->type,
					       .mr_alen = (uint16_t)from->addr.len };
		if (find_interface(sk, from->ifname, from->index, &request.mr_ifindex, err))
			return -1;
		if (from->addr.len)
			memcpy(request.mr_address, from->addr.data, from->addr.len);
		for (uint32_t times = from->has_count ? from->count : 1; times; times--)
			if (setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &request,
				       sizeof request) < 0)
				return fail_make(sk, "add a membership", err);
	}
	return 0;
}

/* By its name. */
static int bind_old(int fd, int index)
{
	struct sockaddr at = { .sa_family = AF_PACKET };
	char name[IF_NAMESIZE] = "";

	if (interface_name((unsigned)index, name))
		return -1;
	memcpy(at.sa_data, name, strnlen(name, sizeof at.sa_data));
	return bind(fd, &at, sizeof at);
}

static int bind_to(const PacketSkEntry *sk, int fd, const struct sockaddr_ll *own)
{
	if (is_old(sk))
		return own->sll_ifindex ? bind_old(fd, own->sll_ifindex) : 0;
	return sk->protocol || own->sll_ifindex
		       ? bind(fd, (const struct sockaddr *)own, sizeof *own)
		       : 0;
}

/* An interface that is down is told of as an error, which somebody may have been told already. */
static int bind_it(const PacketSkEntry *sk, int fd, struct error *err)
{
	struct sockaddr_ll own = { .sll_family = AF_PACKET,
				   .sll_protocol = (uint16_t)sk->protocol };
	int told;

	if (find_interface(sk, sk->ifname, sk->ifindex, &own.sll_ifindex, err))
		return -1;
	if (bind_to(sk, fd, &own) < 0)
		return fail_make(sk, "bind it", err);
	if (!sk->has_error)
		socket_number(fd, SO_ERROR, &told);
	if (sk->fanout != no_fanout &&
	    setsockopt(fd, SOL_PACKET, PACKET_FANOUT, &sk->fanout, sizeof sk->fanout) < 0)
		return fail_make(sk, "join its fanout group", err);
	return 0;
}

struct making {
	const struct snapshot *snapshot;
	const PacketSkEntry *sk;
	int fd;
	struct error *err;
};

/* One of SOCK_PACKET has its protocol from the first: what has come before that is let go. */
static int let_nothing_come(const struct making *it)
{
	struct sock_filter nothing[] = { BPF_STMT(BPF_RET | BPF_K, 0) };
	struct sock_fprog program = { 1, nothing };
	char byte;

	if (setsockopt(it->fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) < 0)
		return fail_make(it->sk, "let nothing come to it", it->err);
	while (recv(it->fd, &byte, sizeof byte, MSG_DONTWAIT | MSG_TRUNC) >= 0)
		;
	return errno == EAGAIN ? 0 : fail_make(it->sk, "empty it", it->err);
}

/* Tasks map its rings, which need these options, before everything is open. */
static int open_there(void *data)
{
	const struct making *it = data;

	if (is_old(it->sk))
		return let_nothing_come(it);
	return apply_options(it->sk, it->fd, it->err) ||
			       packet_rings_make(it->snapshot, it->sk, it->fd, it->err)
		       ? -1
		       : 0;
}

static int connect_there(void *data)
{
	const struct making *it = data;
	int unused = 0;

	if (apply_memberships(it->sk, it->fd, it->err))
		return -1;
	if (!is_old(it->sk) && !packet_ring_was_in_use(it->snapshot, it->sk))
		return socket_options_apply(it->sk->opts, it->fd, it->sk->id, it->err) ||
				       bind_it(it->sk, it->fd, it->err)
			       ? -1
			       : 0;
	if (bind_it(it->sk, it->fd, it->err))
		return -1;
	/* One of its own takes the place of that which lets nothing come. */
	if (!it->sk->opts->n_so_filter &&
	    setsockopt(it->fd, SOL_SOCKET, SO_DETACH_FILTER, &unused, sizeof unused) < 0)
		return fail_make(it->sk, "let packets come to it", it->err);
	return socket_options_apply(it->sk->opts, it->fd, it->sk->id, it->err);
}

/* Names of interfaces are those of its network namespace. */
static int make_there(int net, int (*make)(void *data), struct making *it)
{
	struct aside aside = ASIDE_HERE;

	if (net < 0)
		return make(it);
	aside.net_namespace = net;
	if (aside_run(&aside, make, it) < 0)
		return it->err->name ? -1
				     : fail_make(it->sk, "enter its network namespace", it->err);
	return 0;
}

static int packet_open(struct file_opener *opener, const FileEntry *entry, struct error *err)
{
	const PacketSkEntry *sk = entry->psk;
	int net = socket_opener_net(opener, sk->has_ns_id, sk->ns_id);
	autoclose int fd = socket_make(net, AF_PACKET, (int)sk->type | SOCK_CLOEXEC,
				       is_old(sk) ? (int)sk->protocol : 0, entry->inode_owner);
	struct making it = { opener->snapshot, sk, fd, err };
	if (fd < 0)
		return fail_make(sk, "make it", err);
	if (fcntl(fd, F_SETFL, (int)sk->flags & O_NONBLOCK) < 0)
		return fail_make(sk, "set its flags", err);
	return make_there(net, open_there, &it) ? -1 : take_fd(&fd);
}

static int packet_connect(struct file_opener *opener, const FileEntry *entry, int fd,
			  struct error *err)
{
	const PacketSkEntry *sk = entry->psk;
	struct making it = { opener->snapshot, sk, fd, err };

	return make_there(socket_opener_net(opener, sk->has_ns_id, sk->ns_id), connect_there, &it);
}

static void packet_describe(const FileEntry *entry, char *text, size_t room)
{
	const PacketSkEntry *sk = entry->psk;

	snprintf(text, room, "packet socket protocol 0x%04x%s%s", ntohs((uint16_t)sk->protocol),
		 sk->ifname ? " at " : "", sk->ifname ? sk->ifname : "");
}

static struct file_fields packet_fields(FileEntry *entry)
{
	return (struct file_fields){ &entry->psk->fown, &entry->psk->flags };
}

const struct file_kind packet_socket_kind = {
	.name = "packet socket",
	.type = FD_TYPES__PACKETSK,
	.recognise = packet_recognise,
	.collect = packet_collect,
	.check = packet_check,
	.open = packet_open,
	.connect = packet_connect,
	.describe = packet_describe,
	.fields = packet_fields,
};
