// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Addresses of interfaces, made again as the kernel told them, rtnetlink(7); routes.c lists them.
 */
#include <net/if.h> /* before those of Linux, which then leave out what it has */

#include "kinds/net/net.h"

#include "base/cleanup.h"
#include "kernel/interface.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static uint32_t index_of(const ProtobufCBinaryData *item)
{
	return ((const struct ifaddrmsg *)(void *)item->data)->ifa_index;
}

static struct rtattr *number_of(uint8_t *bytes, size_t size, unsigned short type, size_t length)
{
	const struct rtattr *number =
		netlink_attribute(bytes, size, sizeof(struct ifaddrmsg), type);

	return number && RTA_PAYLOAD(number) == length ? (struct rtattr *)(uintptr_t)number : NULL;
}

/* Flags of an address of IPv6, which are those of IFA_FLAGS; NULL: it is none, or has none. */
static struct rtattr *flags_of(uint8_t *bytes, size_t size)
{
	return ((const struct ifaddrmsg *)(void *)bytes)->ifa_family == AF_INET6
		       ? number_of(bytes, size, IFA_FLAGS, sizeof(uint32_t))
		       : NULL;
}

/*
 * Is it as lo gets it when it comes up, with nothing that somebody has said of it? Before Linux
 * 5.18 it does not tell from whom it is (IFA_PROTO).
 */
static bool is_of_the_kernel(uint8_t *bytes, size_t size)
{
	const struct rtattr *flags = number_of(bytes, size, IFA_FLAGS, sizeof(uint32_t)),
			    *made_by = number_of(bytes, size, IFA_PROTO, 1);

	return flags && netlink_number(flags) == IFA_F_PERMANENT && made_by &&
	       *(const uint8_t *)RTA_DATA(made_by) == IFAPROT_KERNEL_LO;
}

/*
 * Nobody has to be asked once more whether somebody else has it: an address of IPv6 is good at once
 * (IFA_F_NODAD), before the interface is up. Then the kernel does not make the one of the link
 * itself (addrconf_dev_config). The flag is taken away again by telling it once more. One that was
 * used while others were asked (IFA_F_OPTIMISTIC) is good as well: both flags at once are refused.
 */
static int add_address(struct netlink *netlink, uint8_t *bytes, size_t size)
{
	struct rtattr *flags = flags_of(bytes, size);
	uint32_t wanted = netlink_number(flags) & ~(uint32_t)(IFA_F_TENTATIVE | IFA_F_OPTIMISTIC);
	uint32_t value = wanted | IFA_F_NODAD;

	if (flags)
		memcpy(RTA_DATA(flags), &value, sizeof value);
	int result = netlink_change(netlink, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, bytes, size);
	if (flags)
		memcpy(RTA_DATA(flags), &wanted, sizeof wanted);
	if (result < 0 || !flags || wanted == value)
		return result;
	return netlink_change(netlink, RTM_NEWADDR, NLM_F_REPLACE, bytes, size);
}

/* By its address alone: it may have been called otherwise since. */
static int take_away(struct netlink *netlink, const uint8_t *bytes, size_t size)
{
	autofree uint8_t *copy = malloc(size);

	if (!copy)
		return -1;
	memcpy(copy, bytes, size);
	size = netlink_leave_out(copy, size, sizeof(struct ifaddrmsg), UINT64_C(1) << IFA_LABEL);
	return netlink_change(netlink, RTM_DELADDR, 0, copy, size);
}

/* What the kernel has made of it goes first, where somebody had other wishes. */
static int make_address(struct netlink *netlink, uint8_t *bytes, size_t size)
{
	if (add_address(netlink, bytes, size) == 0)
		return 0;
	if (errno != EEXIST)
		return -1;
	if (is_of_the_kernel(bytes, size))
		return 0;
	return take_away(netlink, bytes, size) < 0 ? -1 : add_address(netlink, bytes, size);
}

int address_make(struct netlink *netlink, const ProtobufCBinaryData *item, uint32_t index)
{
	uint8_t *bytes = malloc(item->len);

	if (!bytes)
		return -1;
	memcpy(bytes, item->data, item->len);
	((struct ifaddrmsg *)(void *)bytes)->ifa_index = index;
	int result = make_address(netlink, bytes, item->len), failure = errno;
	free(bytes);
	errno = failure;
	return result;
}

/* What lo gets as it comes up (addrconf.c, devinet.c), unless somebody has taken it away. */
static const struct lo_address {
	struct ifaddrmsg header;
	struct rtattr local __attribute__((aligned(4)));
	uint8_t bytes[16];
} lo_addresses[] = {
	{ { .ifa_family = AF_INET, .ifa_prefixlen = 8 },
	  { RTA_LENGTH(4), IFA_LOCAL },
	  { 127, [3] = 1 } },
	{ { .ifa_family = AF_INET6, .ifa_prefixlen = 128 },
	  { RTA_LENGTH(16), IFA_ADDRESS },
	  { [15] = 1 } },
};

static bool has_address(const NetnsContents *net, const struct lo_address *address, uint32_t lo)
{
	for (size_t i = 0; i < net->n_addresses; i++) {
		const ProtobufCBinaryData *item = &net->addresses[i];
		const struct ifaddrmsg *header = (const void *)item->data;
		const struct rtattr *local = netlink_attribute(
			item->data, item->len, sizeof *header, address->local.rta_type);
		if (header->ifa_family == address->header.ifa_family && header->ifa_index == lo &&
		    header->ifa_prefixlen == address->header.ifa_prefixlen && local &&
		    local->rta_len == address->local.rta_len &&
		    memcmp(RTA_DATA(local), address->bytes, RTA_PAYLOAD(local)) == 0)
			return true;
	}
	return false;
}

static int remove_lo_addresses(struct netlink *netlink, const NetnsContents *net, uint32_t lo)
{
	for (size_t i = 0; i < sizeof lo_addresses / sizeof *lo_addresses; i++) {
		struct lo_address request = lo_addresses[i];
		request.header.ifa_index = lo;
		if (has_address(net, &request, lo))
			continue;
		/* It may be down, or have no IPv6. */
		if (netlink_change(netlink, RTM_DELADDR, 0, &request,
				   offsetof(struct lo_address, bytes) +
					   RTA_PAYLOAD(&request.local)) < 0 &&
		    errno != EADDRNOTAVAIL && errno != ENXIO && errno != EOPNOTSUPP &&
		    errno != EAFNOSUPPORT)
			return -1;
	}
	return 0;
}

/*
 * lo gets its own as it comes up, so there the others follow. The kernel lists addresses of IPv6
 * with the newest first (ipv6_link_dev_addr), so these are made from the end.
 */
int addresses_make(struct netlink *netlink, const NetnsContents *net, bool of_lo, uint32_t id,
		   struct error *err)
{
	size_t n = net->n_addresses;
	int lo = interface_index("lo");

	if (lo < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "network namespace %u: cannot find lo",
				  id);
	if (of_lo && remove_lo_addresses(netlink, net, (uint32_t)lo) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "network namespace %u: cannot take an address of lo away", id);
	for (size_t step = 0; step < 2 * n; step++) {
		const ProtobufCBinaryData *item =
			&net->addresses[step < n ? step : 2 * n - 1 - step];
		bool of_ipv6 =
			((const struct ifaddrmsg *)(void *)item->data)->ifa_family == AF_INET6;
		if (of_ipv6 != (step >= n) || ((uint32_t)lo == index_of(item)) != of_lo)
			continue;
		if (address_make(netlink, item, index_of(item)) < 0)
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "network namespace %u: cannot make an address again", id);
	}
	return 0;
}
