// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What may be in a network namespace and is not kept is refused by name: rules and keys of
 * IPsec, what lives in families of generic netlink, and what netfilter has besides rules and
 * connections.
 */
#include <netinet/in.h> /* before those of Linux, which then leave out what it has */

#include "kinds/net/net.h"

#include <errno.h>
#include <linux/fou.h>
#include <linux/genetlink.h>
#include <linux/ila.h>
#include <linux/ioam6_genl.h>
#include <linux/ip_vs.h>
#include <linux/l2tp.h>
#include <linux/mptcp.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_acct.h>
#include <linux/netfilter/nfnetlink_cthelper.h>
#include <linux/netfilter/nfnetlink_cttimeout.h>
#include <linux/seg6_genl.h>
#include <linux/smc.h>
#include <linux/tipc_netlink.h>
#include <linux/xfrm.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* ---- what is there at all ---- */

static int count(const void *bytes, size_t size, void *data)
{
	(void)bytes;
	(void)size;
	++*(size_t *)data;
	return 0;
}

static int fail_there(uint32_t id, const char *words, struct error *err)
{
	return fail(err, ERR_UNSUPPORTED_NAMESPACE, "network namespace %u has %s", id, words);
}

static int take_default(const void *bytes, size_t size, void *data)
{
	if (size >= sizeof(struct xfrm_userpolicy_default))
		memcpy(data, bytes, sizeof(struct xfrm_userpolicy_default));
	return 0;
}

static int refuse_ipsec(uint32_t id, struct error *err)
{
	struct xfrm_userpolicy_default usual = { 0 };
	size_t n_rules = 0, n_keys = 0;
	struct netlink *netlink;
	int there = netlink_open_if_there(NETLINK_XFRM, &netlink);

	if (there <= 0)
		return there ? fail_errno(err, ERR_KERNEL_REFUSED, "cannot open a socket of IPsec")
			     : 0;
	int result = netlink_dump_by(netlink, XFRM_MSG_GETPOLICY, NULL, 0, count, &n_rules) ||
		     netlink_dump_by(netlink, XFRM_MSG_GETSA, NULL, 0, count, &n_keys);
	/* What becomes of what no rule is for (5.14). */
	if (!result && netlink_ask(netlink, XFRM_MSG_GETDEFAULT, &usual, sizeof usual, take_default,
				   &usual) < 0)
		result = errno != EINVAL && errno != EOPNOTSUPP;
	netlink_close(netlink);
	if (result)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "cannot read the rules of IPsec of network namespace %u", id);
	n_rules += usual.in == XFRM_USERPOLICY_BLOCK || usual.fwd == XFRM_USERPOLICY_BLOCK ||
		   usual.out == XFRM_USERPOLICY_BLOCK;
	return n_rules || n_keys ? fail_there(id, "rules or keys of IPsec (ip xfrm)", err) : 0;
}

static const struct family {
	const char *name;
	uint8_t list; /* the command that tells all there are */
	uint8_t version;
	const char *words;
} families[] = {
	{ MPTCP_PM_NAME, MPTCP_PM_CMD_GET_ADDR, MPTCP_PM_VER, "endpoints of MPTCP (ip mptcp)" },
	{ IPVS_GENL_NAME, IPVS_CMD_GET_SERVICE, IPVS_GENL_VERSION, "services of IPVS (ipvsadm)" },
	{ FOU_GENL_NAME, FOU_CMD_GET, FOU_GENL_VERSION, "ports of tunnels in UDP (ip fou)" },
	{ L2TP_GENL_NAME, L2TP_CMD_TUNNEL_GET, L2TP_GENL_VERSION, "tunnels of L2TP (ip l2tp)" },
	{ IOAM6_GENL_NAME, IOAM6_CMD_DUMP_NAMESPACES, IOAM6_GENL_VERSION,
	  "namespaces of IOAM (ip ioam)" },
	{ IOAM6_GENL_NAME, IOAM6_CMD_DUMP_SCHEMAS, IOAM6_GENL_VERSION,
	  "schemas of IOAM (ip ioam)" },
	{ SEG6_GENL_NAME, SEG6_CMD_DUMPHMAC, SEG6_GENL_VERSION, "keys of segments (ip sr)" },
	{ ILA_GENL_NAME, ILA_CMD_GET, ILA_GENL_VERSION, "translations of ILA (ip ila)" },
	{ TIPC_GENL_V2_NAME, TIPC_NL_BEARER_GET, TIPC_GENL_V2_VERSION, "bearers of TIPC (tipc)" },
	{ SMCR_GENL_FAMILY_NAME, SMC_PNETID_GET, SMCR_GENL_FAMILY_VERSION,
	  "names of networks for SMC (smc_pnet)" },
};

static int refuse_family(struct netlink *netlink, struct collect *collect,
			 const struct family *family, uint32_t id, struct error *err)
{
	const struct genlmsghdr header = { .cmd = family->list, .version = family->version };
	size_t n = 0;
	uint16_t number;

	if (generic_family(netlink, collect, family->name, &number))
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "network namespace %u: cannot see whether there are %s", id,
				  family->words);
	if (!number)
		return 0;
	if (netlink_dump_by(netlink, number, &header, sizeof header, count, &n) < 0 &&
	    !generic_is_hidden(collect))
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "network namespace %u: cannot see whether it has %s", id,
				  family->words);
	return n ? fail_there(id, family->words, err) : 0;
}

static int refuse_families(struct collect *collect, uint32_t id, struct error *err)
{
	struct netlink *netlink = netlink_open_protocol(NETLINK_GENERIC);
	int result = 0;

	if (!netlink)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot open generic netlink");
	for (size_t i = 0; result == 0 && i < sizeof families / sizeof *families; i++)
		result = refuse_family(netlink, collect, &families[i], id, err);
	netlink_close(netlink);
	return result;
}

/* ---- what netfilter has besides rules ---- */

static int refuse_objects(uint32_t id, struct error *err)
{
	static const struct {
		uint8_t subsystem, list;
		const char *words;
	} objects[] = {
		{ NFNL_SUBSYS_ACCT, NFNL_MSG_ACCT_GET, "objects that count packets (nfacct)" },
		{ NFNL_SUBSYS_CTNETLINK_TIMEOUT, IPCTNL_MSG_TIMEOUT_GET,
		  "times for connections that are tracked (nfct timeout)" },
		{ NFNL_SUBSYS_CTHELPER, NFNL_MSG_CTHELPER_GET,
		  "helpers of programs for connections that are tracked (nfct helper)" },
	};
	/* To be asked for what it has not is much for a kernel that looks for modules. */
	static bool is_absent[sizeof objects / sizeof *objects];
	const struct nfgenmsg question = { .nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0 };
	const char *failed = NULL, *found = NULL;
	struct netlink *netlink;
	int there = netlink_open_if_there(NETLINK_NETFILTER, &netlink);

	if (there <= 0)
		return there ? fail_errno(err, ERR_KERNEL_REFUSED, "cannot open a netfilter socket")
			     : 0;
	for (size_t i = 0; !failed && !found && i < sizeof objects / sizeof *objects; i++) {
		size_t n = 0;
		if (!is_absent[i] &&
		    netlink_dump_by(netlink, objects[i].subsystem << 8 | objects[i].list, &question,
				    sizeof question, count, &n) < 0) {
			is_absent[i] = errno == EINVAL || errno == EOPNOTSUPP;
			failed = is_absent[i] ? NULL : objects[i].words;
		}
		found = n ? objects[i].words : NULL;
	}
	netlink_close(netlink);
	if (failed)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "network namespace %u: cannot see whether it has %s", id, failed);
	return found ? fail_there(id, found, err) : 0;
}

int lost_refuse(struct collect *collect, uint32_t id, struct error *err)
{
	return refuse_ipsec(id, err) || refuse_families(collect, id, err) ||
			       refuse_objects(id, err) || ebtables_refuse(id, err)
		       ? -1
		       : 0;
}
