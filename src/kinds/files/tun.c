// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Descriptors of /dev/net/tun (drivers/net/tun.c): each is a queue of an interface, tun or tap,
 * once TUNSETIFF has said of which, and of none before. The interface is made with its network
 * namespace (kinds/net/tuns.c), where it stays without a queue (TUNSETPERSIST); here its queues
 * come back, and then it is left to these, where it was so.
 *
 * - A description belongs to the network namespace in which it was opened. One of an interface that
 *   was moved since is opened where that is now.
 * - Size of the buffer for sending and the form of headers (vnet) are the interface's, but only a
 *   queue tells them.
 *
 * Packets that nobody has read are lost, as on any wire. Refused: interfaces in nestor's own
 * network namespace, and packet filters, which cannot be read. Programs of TUNSETFILTEREBPF and
 * TUNSETSTEERINGEBPF, and addresses of TUNSETTXFILTER, the kernel tells nobody.
 */
#include <net/if.h> /* before those of Linux, which then leave out what it has */

#include "kinds/files/files.h"
#include "kinds/files/regular.h"
#include "kinds/opener.h"

#include "base/cleanup.h"
#include "collect/collect.h"
#include "collect/namespaces.h"
#include "kernel/aside.h"
#include "kernel/netlink.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#ifndef SIOCGSKNS
#define SIOCGSKNS 0x894C
#endif
#ifndef TUNGETDEVNETNS
#define TUNGETDEVNETNS _IO('T', 227)
#endif
#ifndef IFF_NAPI
#define IFF_NAPI 0x0010
#endif
#ifndef IFF_NAPI_FRAGS
#define IFF_NAPI_FRAGS 0x0020
#endif

enum { MISC_MAJOR = 10, TUN_MINOR = 200 };

/* What an interface is asked for with. */
static const uint32_t kept_flags = IFF_TUN | IFF_TAP | IFF_NO_PI | IFF_ONE_QUEUE | IFF_VNET_HDR |
				   IFF_MULTI_QUEUE | IFF_NAPI | IFF_NAPI_FRAGS;

static bool is_tun(const struct stat *stat)
{
	return S_ISCHR(stat->st_mode) && stat->st_rdev == makedev(MISC_MAJOR, TUN_MINOR);
}

static bool tun_recognise(const struct open_file *file)
{
	return is_tun(&file->stat) && file->link[0] == '/' && !(file->flags & O_PATH);
}

/* ---- Dump ---- */

static int collect_namespace(const struct open_file *file, int fd, TunfileEntry *tun,
			     struct error *err)
{
	int net = tun->netdev ? ioctl(fd, TUNGETDEVNETNS) : ioctl(fd, SIOCGSKNS);

	/* A kernel before 5.8. */
	if (net < 0 && tun->netdev && errno == EINVAL)
		net = ioctl(fd, SIOCGSKNS);
	autoclose int owned = net;
	if (owned < 0)
		return fail_errno(err, ERR_UNSUPPORTED_FILE,
				  "%s: cannot tell its network namespace", file->what);
	const struct surveyed_namespace *namespace_ =
		survey_add(file->target->collect, NAMESPACE_NET, owned, file->what, err);
	if (!namespace_)
		return -1;
	if (namespace_->own && tun->netdev)
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "%s: its interface %s is in the network namespace that nestor is in",
			    file->what, tun->netdev);
	tun->has_ns_id = !namespace_->own;
	tun->ns_id = namespace_->id;
	return 0;
}

/*
 * IFF_NOFILTER says that there is none, or, being the same bit as IFF_NO_PI, nothing. A tap tells
 * what it was given last, also when that was taken away again (TUNDETACHFILTER). -1 with errno.
 */
static int has_filter(int fd, uint32_t flags)
{
	struct sock_fprog filter = { 0 };

	if (!(flags & IFF_NOFILTER))
		return 1;
	if (flags & IFF_TAP && ioctl(fd, TUNGETFILTER, &filter) < 0)
		return -1;
	return filter.len != 0;
}

struct queue_number {
	unsigned long request;
	protobuf_c_boolean *has;
	int32_t *value;
};

/* EINVAL: a kernel without (TUNGETVNETBE mostly). */
static int collect_numbers(int fd, TunfileEntry *tun)
{
	const struct queue_number numbers[] = {
		{ TUNGETSNDBUF, &tun->has_sndbuf, &tun->sndbuf },
		{ TUNGETVNETHDRSZ, &tun->has_vnet_header_size, &tun->vnet_header_size },
		{ TUNGETVNETLE, &tun->has_vnet_little_endian, &tun->vnet_little_endian },
		{ TUNGETVNETBE, &tun->has_vnet_big_endian, &tun->vnet_big_endian },
	};

	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		*numbers[i].has = ioctl(fd, numbers[i].request, numbers[i].value) == 0;
		if (!*numbers[i].has && errno != EINVAL)
			return -1;
	}
	return 0;
}

static int collect_queue(const struct open_file *file, int fd, TunfileEntry *tun, struct error *err)
{
	struct ifreq request = { 0 };

	if (ioctl(fd, TUNGETIFF, &request) < 0)
		return errno == EBADFD ? 0
				       : fail_errno(err, ERR_KERNEL_REFUSED,
						    "%s: cannot tell its interface", file->what);
	uint32_t flags = (uint16_t)request.ifr_flags;
	int filtered = has_filter(fd, flags);
	if (filtered > 0)
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "%s: it has a packet filter, which cannot be read", file->what);
	tun->netdev = arena_string(file->target->collect->arena, request.ifr_name);
	tun->has_detached = true;
	tun->detached = flags & IFF_DETACH_QUEUE;
	tun->has_iff_flags = true;
	tun->iff_flags = flags & (kept_flags | IFF_PERSIST);
	return filtered < 0 || collect_numbers(fd, tun)
		       ? fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot read its settings",
				    file->what)
		       : 0;
}

static int tun_collect(const struct open_file *file, FileEntry *entry, struct error *err)
{
	struct collect *collect = file->target->collect;
	TunfileEntry *tun = snapshot_new(collect->snapshot, TUNFILE_ENTRY, TunfileEntry);
	uint32_t named = collect->next_file_id + 1;
	autoclose int fd = collect_get_file(file, err);

	entry->tunf = tun;
	tun->id = file->id;
	tun->has_flags = true;
	tun->flags = file->flags;
	tun->has_regf_id = true;
	tun->regf_id = named;
	if (fd < 0 || regular_collect_name(file, O_PATH, named, err) ||
	    collect_queue(file, fd, tun, err) || collect_namespace(file, fd, tun, err))
		return -1;
	collect->next_file_id = named;
	return 0;
}

/* ---- Check ---- */

static const RegFileEntry *named_by(const struct snapshot *snapshot, const FileEntry *entry)
{
	const FileEntry *named =
		entry->tunf->has_regf_id ? regular_named(snapshot, entry->tunf->regf_id) : NULL;

	return named ? named->reg : NULL;
}

static int tun_check(const struct snapshot *snapshot, const FileEntry *entry, struct error *err)
{
	const TunfileEntry *tun = entry->tunf;

	if (!tun || tun->id != entry->id)
		return fail(err, ERR_IMAGE_INVALID, "file %u has no record of a tun", entry->id);
	if (!named_by(snapshot, entry))
		return fail(err, ERR_IMAGE_UNSUPPORTED, "file %u is a tun without a path",
			    entry->id);
	if (tun->netdev && (!*tun->netdev || strlen(tun->netdev) >= IF_NAMESIZE || !tun->has_ns_id))
		return fail(err, ERR_IMAGE_INVALID, "file %u is of an interface that is none",
			    entry->id);
	if (!tun->has_ns_id || namespace_is_dumpers(snapshot, NAMESPACE_NET, tun->ns_id))
		return tun->netdev ? fail(err, ERR_IMAGE_INVALID,
					  "file %u is of an interface of nobody", entry->id)
				   : 0;
	const struct namespace *namespace_ = snapshot_plain_namespace(snapshot, tun->ns_id);
	if (!namespace_ || namespace_->type != NAMESPACE_NET)
		return fail(err, ERR_IMAGE_INVALID, "file %u belongs to no network namespace",
			    entry->id);
	if (tun->netdev && namespace_->entry->ext_key)
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "file %u: the interface %s is in a network namespace of somebody "
			    "outside",
			    entry->id, tun->netdev);
	return 0;
}

/* ---- Restore ---- */

static int fail_tun(const FileEntry *entry, const char *what, struct error *err)
{
	return fail_errno(err, ERR_KERNEL_REFUSED, "tun %u (%s): cannot %s", entry->id,
			  entry->tunf->netdev ? entry->tunf->netdev : "no interface", what);
}

static int open_path(const struct file_opener *opener, const RegFileEntry *named, struct error *err)
{
	struct stat found;
	autoclose int fd = regular_open_path(opener, named, O_PATH);

	if (fd < 0)
		return fail_errno(err, errno == ENOENT ? ERR_FILE_MISSING : ERR_IO,
				  "%s, which the tree has open", named->name);
	if (fstat(fd, &found) < 0)
		return fail_errno(err, ERR_IO, "cannot read the attributes of %s", named->name);
	if (!is_tun(&found))
		return fail(err, ERR_FILE_CHANGED, "%s was a tun and is none now", named->name);
	return take_fd(&fd);
}

static int tun_verify(struct file_opener *opener, const FileEntry *entry, struct error *err)
{
	const RegFileEntry *named = named_by(opener->snapshot, entry);

	/* What lies in a namespace of the tree is looked at when that is made. */
	if (regular_is_inside(opener->snapshot, named))
		return 0;
	autoclose int fd = open_path(opener, named, err);
	return fd < 0 ? -1 : 0;
}

static enum file_way tun_way(const struct snapshot *snapshot, const FileEntry *entry)
{
	return regular_is_inside(snapshot, named_by(snapshot, entry)) ? FILE_LATE : FILE_EARLY;
}

struct opening {
	int path_fd, flags;
};

static int open_there(void *data)
{
	const struct opening *opening = data;

	return opener_reopen(opening->path_fd, opening->flags);
}

/* An attribute of its interface, or of what is particular to its kind; NULL: it is not known. */
static const struct rtattr *attribute_of(const struct snapshot *snapshot, const TunfileEntry *tun,
					 unsigned short type)
{
	const struct namespace *namespace_ = snapshot_plain_namespace(snapshot, tun->ns_id);
	const NetnsContents *net = namespace_ ? namespace_->entry->net : NULL;

	for (size_t i = 0; net && i < net->n_links; i++) {
		const void *link = net->links[i].data;
		size_t size = net->links[i].len, header = sizeof(struct ifinfomsg);
		const struct rtattr *name = netlink_attribute(link, size, header, IFLA_IFNAME);
		if (strcmp(netlink_text(name), tun->netdev) == 0)
			return netlink_attribute(link, size, header, type);
	}
	return NULL;
}

static bool says(const struct rtattr *at, bool value)
{
	return at && RTA_PAYLOAD(at) && !*(const uint8_t *)RTA_DATA(at) == !value;
}

/*
 * Opening a queue gives its interface a carrier (tun_set_iff). Had somebody taken it
 * (TUNSETCARRIER, "ip link set carrier off")?
 */
static bool had_no_carrier(const struct snapshot *snapshot, const TunfileEntry *tun)
{
	return says(attribute_of(snapshot, tun, IFLA_CARRIER), false);
}

/* TUNGETIFF has one bit (IFF_NO_PI, IFF_NOFILTER) for two things, so the interface is asked. */
static uint32_t wanted_flags(const struct snapshot *snapshot, const TunfileEntry *tun)
{
	const struct rtattr *data =
		netlink_nested(attribute_of(snapshot, tun, IFLA_LINKINFO), IFLA_INFO_DATA);
	uint32_t flags = tun->iff_flags & kept_flags;

	if (says(netlink_nested(data, IFLA_TUN_PI), true))
		flags &= ~(uint32_t)IFF_NO_PI;
	return flags;
}

static int set_interface(const struct snapshot *snapshot, const TunfileEntry *tun, int fd)
{
	struct ifreq request = { .ifr_flags = (short)wanted_flags(snapshot, tun) };

	strcpy(request.ifr_name, tun->netdev);
	return ioctl(fd, TUNSETIFF, &request);
}

/* One of an interface that has only vnet headers of one form takes no other. */
static int attach(const struct snapshot *snapshot, const FileEntry *entry, int fd,
		  struct error *err)
{
	const TunfileEntry *tun = entry->tunf;
	const struct ifreq detached = { .ifr_flags = IFF_DETACH_QUEUE };

	if (set_interface(snapshot, tun, fd) < 0)
		return fail_tun(entry, "make it a queue of its interface", err);
	if (tun->has_sndbuf && ioctl(fd, TUNSETSNDBUF, &tun->sndbuf) < 0)
		return fail_tun(entry, "set the size of its buffer", err);
	if ((tun->has_vnet_header_size && ioctl(fd, TUNSETVNETHDRSZ, &tun->vnet_header_size) < 0) ||
	    (tun->has_vnet_little_endian &&
	     ioctl(fd, TUNSETVNETLE, &tun->vnet_little_endian) < 0) ||
	    (tun->has_vnet_big_endian && ioctl(fd, TUNSETVNETBE, &tun->vnet_big_endian) < 0))
		return fail_tun(entry, "set the form of its headers", err);
	if (tun->detached && ioctl(fd, TUNSETQUEUE, &detached) < 0)
		return fail_tun(entry, "switch it off", err);
	return 0;
}

static int tun_open(struct file_opener *opener, const FileEntry *entry, struct error *err)
{
	const TunfileEntry *tun = entry->tunf;
	const struct namespace *namespace_ =
		tun->has_ns_id ? snapshot_plain_namespace(opener->snapshot, tun->ns_id) : NULL;
	struct aside aside = ASIDE_HERE;
	autoclose int path_fd = open_path(opener, named_by(opener->snapshot, entry), err);
	struct opening opening = { path_fd, (int)tun->flags & ~(O_CREAT | O_EXCL | O_TRUNC) };

	if (path_fd < 0)
		return -1;
	if (namespace_)
		aside.net_namespace = opener->plain_namespaces[namespace_->index];
	autoclose int fd = aside_run(&aside, open_there, &opening);
	if (fd < 0)
		return fail_tun(entry, "open it", err);
	if (tun->netdev && attach(opener->snapshot, entry, fd, err))
		return -1;
	return take_fd(&fd);
}

/* All of its queues are there: from now on it goes with the last of them. */
static int tun_connect(struct file_opener *opener, const FileEntry *entry, int fd,
		       struct error *err)
{
	const TunfileEntry *tun = entry->tunf;
	const int carrier = 0;

	if (tun->netdev && !tun->detached && had_no_carrier(opener->snapshot, tun) &&
	    ioctl(fd, TUNSETCARRIER, &carrier) < 0)
		return fail_tun(entry, "take the carrier of its interface", err);
	return tun->netdev && !(tun->iff_flags & IFF_PERSIST) && ioctl(fd, TUNSETPERSIST, 0L) < 0
		       ? fail_tun(entry, "leave its interface to it", err)
		       : 0;
}

static void tun_describe(const FileEntry *entry, char *text, size_t room)
{
	const TunfileEntry *tun = entry->tunf;

	snprintf(text, room, "tun of %s%s", tun->netdev ? tun->netdev : "no interface",
		 tun->detached ? ", switched off" : "");
}

static struct file_fields tun_fields(FileEntry *entry)
{
	return (struct file_fields){ &entry->tunf->fown, &entry->tunf->flags };
}

const struct file_kind tun_kind = {
	.name = "tun",
	.type = FD_TYPES__TUNF,
	.recognise = tun_recognise,
	.collect = tun_collect,
	.check = tun_check,
	.verify = tun_verify,
	.way = tun_way,
	.open = tun_open,
	.connect = tun_connect,
	.describe = tun_describe,
	.fields = tun_fields,
};
