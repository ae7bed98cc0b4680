// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * See criu-features.h. Of what every kernel has on which nestor runs nothing is asked; the rest is
 * tried, and what nestor does not make use of says why. Names that are those of a facility of
 * nestor's own are in facilities.c.
 */
#include "pipeline/criu-features.h"

#include "kernel/netlink.h"

#include <errno.h>
#include <stdio.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static int take_generation(const void *bytes, size_t size, void *data)
{
	(void)bytes;
	(void)size;
	*(bool *)data = true;
	return 0;
}

/* Takes CAP_NET_ADMIN, as does locking a network. */
static bool has_nftables(void)
{
	const struct nfgenmsg question = { .nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0 };
	struct netlink *netlink = netlink_open_protocol(NETLINK_NETFILTER);
	bool answered = false;

	if (!netlink)
		return false;
	bool is_there = netlink_ask(netlink, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETGEN, &question,
				    sizeof question, take_generation, &answered) == 0;
	netlink_close(netlink);
	return is_there && answered;
}

static bool has_aio(void)
{
	unsigned long context = 0;

	/* No events are an invalid number of them. */
	return syscall(SYS_io_setup, 0, &context) < 0 && errno == EINVAL;
}

static bool has_autofs(void)
{
	FILE *file = fopen("/proc/filesystems", "re");
	char line[64];
	bool found = false;

	while (file && !found && fgets(line, sizeof line, file))
		found = strcmp(line, "nodev\tautofs\n") == 0;
	if (file)
		fclose(file);
	return found;
}

static bool has_tun(void)
{
	return access("/dev/net/tun", R_OK | W_OK) == 0;
}

static bool has_memfd_hugetlb(void)
{
	int fd = memfd_create("nestor", MFD_CLOEXEC | MFD_HUGETLB);

	return fd >= 0 && close(fd) == 0;
}

static const char no_nftables[] = "the kernel has no nftables, or takes CAP_NET_ADMIN for it";
static const char no_tun[] = "/dev/net/tun is not there, or may not be opened";
static const char no_lazy_pages[] = "all pages of a tree are there when it goes on";

static const struct feature {
	const char *name;
	bool (*try)(void);   /* NULL: see below */
	const char *without; /* without `try`: NULL: it is always there */
} features[] = {
	{ "cgroupns", NULL, NULL },
	{ "external_net_ns", NULL, NULL },
	{ "fdinfo_lock", NULL, NULL },
	{ "ipv6_freebind", NULL, NULL },
	{ "link_nsid", NULL, NULL },
	{ "loginuid", NULL, NULL },
	/* By comparing pages with those of the earlier dump. */
	{ "mem_dirty_track", NULL, NULL },
	{ "mnt_id", NULL, NULL },
	{ "move_mount_set_group", NULL, NULL },
	/* They are found in /proc/net. */
	{ "net_diag_raw", NULL, NULL },
	{ "newifindex", NULL, NULL },
	{ "ns_pid", NULL, NULL },
	{ "openat2", NULL, NULL },
	{ "overlayfs_maps", NULL, NULL },
	{ "seccomp_suspend", NULL, NULL },
	{ "sk_ns", NULL, NULL },
	{ "sk_unix_file", NULL, NULL },
	{ "sockopt_buf_lock", NULL, NULL },
	{ "tcp_half_closed", NULL, NULL },
	{ "timens", NULL, NULL },
	{ "timerfd", NULL, NULL },
	{ "userns", NULL, NULL },
	{ "aio_remap", has_aio, "the kernel has no AIO" },
	{ "autofs", has_autofs, "the kernel has no autofs" },
	{ "network_lock_nftables", has_nftables, no_nftables },
	{ "nftables", has_nftables, no_nftables },
	{ "tun", has_tun, no_tun },
	{ "tun_ns", has_tun, no_tun },
	{ "apparmor_stacking", NULL, "labels of security modules are not kept in images" },
	{ "lsm", NULL, "labels of security modules are not kept in images" },
	{ "selinux", NULL, "labels of security modules are not kept in images" },
	{ "compat_cr", NULL, "32-bit programs are refused" },
	{ "has_ipt_legacy", NULL, "networks are locked by nftables" },
	{ "memfd_hugetlb", has_memfd_hugetlb, "the kernel has no huge pages" },
	{ "pidfd_store", NULL, "pids are not kept by a client's descriptors" },
	{ "uffd", NULL, no_lazy_pages },
	{ "uffd-noncoop", NULL, no_lazy_pages },
};

enum { N_FEATURES = sizeof features / sizeof *features };

bool feature_names_equal(const char *one, const char *other)
{
	for (; *one && *other; one++, other++)
		if (*one != *other && !(strchr("-_", *one) && strchr("-_", *other)))
			return false;
	return *one == *other;
}

bool criu_feature_is_there(const char *name, const char **ret_without)
{
	for (size_t i = 0; i < N_FEATURES; i++) {
		if (!feature_names_equal(name, features[i].name))
			continue;
		if (features[i].without)
			*ret_without = features[i].without;
		return features[i].try ? features[i].try() : !features[i].without;
	}
	return false;
}

const char *criu_feature_name(unsigned index)
{
	return index < N_FEATURES ? features[index].name : NULL;
}
