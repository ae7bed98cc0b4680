// SPDX-License-Identifier: LGPL-2.1-or-later
/* What images may say of what is in a network namespace, which anybody may have written. */
#include "one-namespace.h"

#include "kinds/files/files.h"
#include "kinds/net/net.h"
#include "model/records.h"

#include <linux/fib_rules.h>
#include <linux/if_addrlabel.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/netfilter.h>
#include <linux/netfilter/ipset/ip_set.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* One of a pair ("veth"), or above another one ("vlan"). */
static ProtobufCBinaryData new_link(struct arena *arena, const char *name, int index, int other)
{
	uint8_t kind[] = { 5 + 4, 0, IFLA_INFO_KIND, 0, 'k', 'i', 'n', 'd', 0, 0, 0, 0 };
	struct {
		struct ifinfomsg info;
		struct rtattr name;
		char text[4];
		struct rtattr link;
		int32_t other;
		struct rtattr netnsid;
		int32_t number;
		struct rtattr kind;
		uint8_t nested[sizeof kind];
	} message = { .info.ifi_index = index,
		      .name = { RTA_LENGTH(4), IFLA_IFNAME },
		      .text = "ve0",
		      .link = { RTA_LENGTH(4), IFLA_LINK },
		      .other = other,
		      .netnsid = { RTA_LENGTH(4), IFLA_LINK_NETNSID },
		      .kind = { RTA_LENGTH(sizeof kind), IFLA_LINKINFO } };

	memcpy(kind + 4, name, 4);
	memcpy(message.nested, kind, sizeof kind);
	return (ProtobufCBinaryData){ sizeof message, arena_copy(arena, &message, sizeof message) };
}

/* Two namespaces with an end each; what the second one says of the first may be wrong. */
static enum error_name check_pair(int back_index, uint32_t back_id, uint32_t end_id)
{
	struct one_namespace fixture;
	NetnsContents contents[2] = { NETNS_CONTENTS__INIT, NETNS_CONTENTS__INIT };
	ProtobufCBinaryData links[2];
	NetPeer peers[2] = { NET_PEER__INIT, NET_PEER__INIT }, *lists[2] = { &peers[0], &peers[1] };

	one_namespace_begin(&fixture, NAMESPACE_NET);
	NsEntry *other = snapshot_new(&fixture.snapshot, NS_ENTRY, NsEntry);
	*other = *fixture.entry;
	other->id = TREE_UTS + 1;
	snapshot_add_namespace(&fixture.snapshot, other);
	links[0] = new_link(&fixture.arena, "veth", 2, 3);
	links[1] = new_link(&fixture.arena, "veth", 3, back_index);
	for (size_t i = 0; i < 2; i++) {
		peers[i].ifindex = 2 + (uint32_t)i;
		peers[i].has_ns_id = true;
		contents[i].n_links = contents[i].n_peers = 1;
		contents[i].links = &links[i];
		contents[i].peers = &lists[i];
	}
	peers[0].ns_id = end_id;
	peers[1].ns_id = back_id;
	fixture.entry->net = &contents[0];
	other->net = &contents[1];
	return one_namespace_check(&fixture, &net_namespace_kind);
}

static void test_interfaces_of_two(void **state)
{
	(void)state;
	assert_int_equal(check_pair(2, TREE_UTS, TREE_UTS + 1), ERR_NONE);
	assert_int_equal(check_pair(4, TREE_UTS, TREE_UTS + 1), ERR_IMAGE_INVALID);
	assert_int_equal(check_pair(2, TREE_UTS + 1, TREE_UTS + 1), ERR_IMAGE_INVALID);
	assert_int_equal(check_pair(2, TREE_UTS, TREE_UTS), ERR_IMAGE_INVALID);
	assert_int_equal(check_pair(2, TREE_UTS, TREE_UTS + 2), ERR_IMAGE_INVALID);
	assert_int_equal(check_pair(2, TREE_UTS, OWN_UTS), ERR_IMAGE_INVALID);
}

/* Does a namespace with one interface, 2, stand on another one, of this id? */
static bool stands_on(const char *kind, const NetPeer *peer, uint32_t id)
{
	NetnsContents contents = NETNS_CONTENTS__INIT;
	NsEntry entry = NS_ENTRY__INIT;
	NetPeer *peers[] = { (NetPeer *)(uintptr_t)peer };
	struct arena arena;

	arena_init(&arena);
	ProtobufCBinaryData link = new_link(&arena, kind, 2, 3);
	const struct namespace from = { .entry = &entry }, other = { .id = id };
	assert_false(peers_stand_on(&from, &other));
	entry.net = &contents;
	contents.links = &link;
	contents.peers = peers;
	contents.n_links = contents.n_peers = 1;
	bool stands = peers_stand_on(&from, &other);
	arena_done(&arena);
	return stands;
}

static void test_interfaces_above_others(void **state)
{
	NetPeer peer = NET_PEER__INIT;

	(void)state;
	peer.ifindex = 2;
	peer.ns_id = TREE_UTS;
	assert_false(stands_on("vlan", &peer, TREE_UTS));
	peer.has_ns_id = true;
	assert_true(stands_on("vlan", &peer, TREE_UTS));
	assert_false(stands_on("veth", &peer, TREE_UTS));
	assert_false(stands_on("vlan", &peer, TREE_UTS + 1));
	peer.ifindex = 3;
	assert_false(stands_on("vlan", &peer, TREE_UTS));
}

static enum error_name check_filter(uint32_t type, size_t size)
{
	struct one_namespace fixture;
	static uint8_t bytes[64];
	NetnsContents content = NETNS_CONTENTS__INIT;
	NetFilter filter = NET_FILTER__INIT, *list = &filter;

	one_namespace_begin(&fixture, NAMESPACE_NET);
	filter.type = type;
	filter.message = (ProtobufCBinaryData){ size, bytes };
	content.filters = &list;
	content.n_filters = 1;
	fixture.entry->net = &content;
	return one_namespace_check(&fixture, &net_namespace_kind);
}

static void test_packet_filters(void **state)
{
	(void)state;
	assert_int_equal(check_filter(NFT_MSG_NEWTABLE, 20), ERR_NONE);
	assert_int_equal(check_filter(NFT_MSG_NEWTABLE, 4), ERR_NONE);
	assert_int_equal(check_filter(NFT_MSG_NEWTABLE, 3), ERR_IMAGE_INVALID);
	assert_int_equal(check_filter(NFT_MSG_DELTABLE, 20), ERR_IMAGE_INVALID);
	assert_int_equal(check_filter(UINT32_MAX, 20), ERR_IMAGE_INVALID);
}

static enum error_name check_net(NetnsContents *content)
{
	struct one_namespace fixture;

	one_namespace_begin(&fixture, NAMESPACE_NET);
	fixture.entry->net = content;
	return one_namespace_check(&fixture, &net_namespace_kind);
}

static enum error_name check_ipset(const char *name, uint32_t first, uint32_t second, size_t size)
{
	struct {
		struct nfgenmsg header;
		struct rtattr name;
		char text[40];
	} message = { .name = { (unsigned short)RTA_LENGTH(strlen(name) + 1),
				IPSET_ATTR_SETNAME } };
	static uint8_t bytes[64];
	ProtobufCBinaryData elements = { size, bytes };
	NetIpset one = NET_IPSET__INIT, other = NET_IPSET__INIT, *list[] = { &one, &other };
	NetnsContents content = NETNS_CONTENTS__INIT;

	snprintf(message.text, sizeof message.text, "%s", name);
	one.index = first;
	other.index = second;
	one.created = other.created = (ProtobufCBinaryData){ sizeof message, (uint8_t *)&message };
	one.elements = &elements;
	one.n_elements = 1;
	content.ipsets = list;
	content.n_ipsets = 2;
	return check_net(&content);
}

static void test_ipsets(void **state)
{
	(void)state;
	assert_int_equal(check_ipset("some", 0, 3, 20), ERR_NONE);
	assert_int_equal(check_ipset("", 0, 3, 20), ERR_IMAGE_INVALID);
	assert_int_equal(check_ipset("a-name-that-is-as-long-as-none-of", 0, 3, 20),
			 ERR_IMAGE_INVALID);
	assert_int_equal(check_ipset("some", 3, 3, 20), ERR_IMAGE_INVALID);
	assert_int_equal(check_ipset("some", 3, UINT32_MAX, 20), ERR_IMAGE_INVALID);
	assert_int_equal(check_ipset("some", UINT32_MAX, 0, 20), ERR_IMAGE_INVALID);
	assert_int_equal(check_ipset("some", 0, 3, 3), ERR_IMAGE_INVALID);
}

static enum error_name check_xtable(uint32_t family, const char *name, size_t n_hooks,
				    uint16_t next, uint32_t n_entries)
{
	static uint32_t hooks[8];
	struct ipt_entry entries[2] = { { .next_offset = next },
					{ .next_offset = sizeof *entries } };
	NetXtable table = NET_XTABLE__INIT, *list = &table;
	NetnsContents content = NETNS_CONTENTS__INIT;

	table.family = family;
	table.name = (char *)(uintptr_t)name;
	table.hook_entry = table.underflow = hooks;
	table.n_hook_entry = table.n_underflow = n_hooks;
	table.num_entries = n_entries;
	table.entries = (ProtobufCBinaryData){ sizeof entries, (uint8_t *)entries };
	content.xtables = &list;
	content.n_xtables = 1;
	return check_net(&content);
}

static void test_older_packet_filters(void **state)
{
	(void)state;
	assert_int_equal(check_xtable(NFPROTO_IPV4, "filter", 5, sizeof(struct ipt_entry), 2),
			 ERR_NONE);
	assert_int_equal(check_xtable(NFPROTO_IPV4, "filter", 5, 2 * sizeof(struct ipt_entry), 1),
			 ERR_NONE);
	assert_int_equal(check_xtable(NFPROTO_IPV4, "filter", 5, sizeof(struct ipt_entry), 3),
			 ERR_IMAGE_INVALID);
	assert_int_equal(check_xtable(NFPROTO_IPV4, "filter", 3, sizeof(struct ipt_entry), 2),
			 ERR_IMAGE_INVALID);
	assert_int_equal(check_xtable(NFPROTO_IPV4, "filter", 5, 0, 2), ERR_IMAGE_INVALID);
	assert_int_equal(check_xtable(NFPROTO_IPV4, "filter", 5, UINT16_MAX, 1), ERR_IMAGE_INVALID);
	assert_int_equal(check_xtable(NFPROTO_BRIDGE, "filter", 5, sizeof(struct ipt_entry), 2),
			 ERR_IMAGE_INVALID);
	assert_int_equal(check_xtable(NFPROTO_IPV4, "a-name-that-is-as-long-as-none-of", 5,
				      sizeof(struct ipt_entry), 2),
			 ERR_IMAGE_INVALID);
}

#define LIST(list) #list, offsetof(NetnsContents, list), offsetof(NetnsContents, n_##list)

/* Lists of messages as the kernel tells them, and the lengths that are taken. */
static const struct message_row {
	const char *name;
	size_t items, count; /* members of NetnsContents */
	size_t least, most;  /* 0: that is not looked at */
} message_rows[] = {
	{ LIST(addresses), sizeof(struct ifaddrmsg), 0 },
	{ LIST(routes), sizeof(struct rtmsg), 0 },
	{ LIST(rules), sizeof(struct fib_rule_hdr), 0 },
	{ LIST(neighbours), sizeof(struct ndmsg), 0 },
	{ LIST(fdb), sizeof(struct ndmsg), 0 },
	{ LIST(nexthops), sizeof(struct nhmsg), 0 },
	{ LIST(proxies), sizeof(struct ndmsg), 0 },
	{ LIST(address_labels), sizeof(struct ifaddrlblmsg), 0 },
	{ LIST(groups), sizeof(struct br_port_msg), 0 },
	{ LIST(connections), sizeof(struct nfgenmsg), 2048 },
	{ LIST(expectations), sizeof(struct nfgenmsg), 2048 },
};

/* The second of two, of which the first is sound. */
static void expect_message(const struct message_row *row, size_t size, enum error_name expected)
{
	NetnsContents content = NETNS_CONTENTS__INIT;
	ProtobufCBinaryData items[] = { { row->least, calloc(1, row->least) },
					{ size, calloc(1, size + 1) } };

	*(ProtobufCBinaryData **)((char *)&content + row->items) = items;
	*(size_t *)((char *)&content + row->count) = 2;
	enum error_name found = check_net(&content);
	if (found != expected)
		fail_msg("%s with %zu bytes: %s", row->name, size, error_name(found));
	free(items[0].data);
	free(items[1].data);
}

static void test_lengths_of_messages(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof message_rows / sizeof *message_rows; i++) {
		const struct message_row *row = &message_rows[i];
		expect_message(row, row->least, ERR_NONE);
		expect_message(row, row->least - 1, ERR_IMAGE_INVALID);
		expect_message(row, 0, ERR_IMAGE_INVALID);
		if (row->most) {
			expect_message(row, row->most, ERR_NONE);
			expect_message(row, row->most + 1, ERR_IMAGE_INVALID);
		}
	}
}

/* With so many bytes of bits for so many names. */
static enum error_name check_features(uint32_t index, size_t n_names, size_t n_changeable,
				      size_t n_wanted)
{
	static uint8_t bits[256];
	static char *names[2000];
	struct {
		struct ifinfomsg info;
		struct rtattr at;
		char name[4];
	} link = { { .ifi_index = 3, .ifi_type = 772 /* lo */ },
		   { RTA_LENGTH(4), IFLA_IFNAME },
		   "lo" };
	ProtobufCBinaryData item = { sizeof link, (uint8_t *)&link };
	NetFeatures features = NET_FEATURES__INIT, *list = &features;
	NetnsContents content = NETNS_CONTENTS__INIT;

	content.links = &item;
	content.n_links = 1;
	content.feature_names = names;
	content.n_feature_names = n_names;
	features.ifindex = index;
	features.changeable = (ProtobufCBinaryData){ n_changeable, bits };
	features.wanted = (ProtobufCBinaryData){ n_wanted, bits };
	content.features = &list;
	content.n_features = 1;
	return check_net(&content);
}

static void test_features(void **state)
{
	(void)state;
	assert_int_equal(check_features(3, 17, 3, 3), ERR_NONE);
	assert_int_equal(check_features(4, 17, 3, 3), ERR_IMAGE_INVALID);
	assert_int_equal(check_features(3, 17, 2, 3), ERR_IMAGE_INVALID);
	assert_int_equal(check_features(3, 17, 3, 2), ERR_IMAGE_INVALID);
	assert_int_equal(check_features(3, 2000, 250, 250), ERR_IMAGE_INVALID);
}

static enum error_name check_generic(const char *family, size_t size)
{
	static uint8_t bytes[4096];
	NetGeneric generic = NET_GENERIC__INIT, *list = &generic;
	NetnsContents content = NETNS_CONTENTS__INIT;

	generic.family = (char *)(uintptr_t)family;
	generic.value = (ProtobufCBinaryData){ size, bytes };
	content.generic = &list;
	content.n_generic = 1;
	return check_net(&content);
}

static void test_generic_settings(void **state)
{
	(void)state;
	assert_int_equal(check_generic("mptcp_pm", 16), ERR_NONE);
	assert_int_equal(check_generic("SEG6", 20), ERR_NONE);
	assert_int_equal(check_generic("nlctrl", 16), ERR_IMAGE_INVALID);
	assert_int_equal(check_generic("mptcp_pm", 4000), ERR_IMAGE_INVALID);
}

static enum error_name check_setting(const char *name)
{
	struct one_namespace fixture;
	NetnsContents content = NETNS_CONTENTS__INIT;
	NetSetting setting = NET_SETTING__INIT, *list = &setting;

	one_namespace_begin(&fixture, NAMESPACE_NET);
	setting.name = (char *)(uintptr_t)name;
	setting.value = (char *)(uintptr_t) "1";
	content.settings = &list;
	content.n_settings = 1;
	fixture.entry->net = &content;
	return one_namespace_check(&fixture, &net_namespace_kind);
}

static void test_names_of_settings(void **state)
{
	static const char *const wrong[] = { "",
					     "/",
					     ".",
					     "..",
					     "/ipv4/ip_forward",
					     "../kernel/pid_max",
					     "ipv4/../../kernel/pid_max",
					     "ipv4/./ip_forward",
					     "ipv4//ip_forward",
					     "ipv4/",
					     "ipv4/.." };
	char long_name[300] = "ipv4/";

	(void)state;
	assert_int_equal(check_setting("ipv4/ip_forward"), ERR_NONE);
	assert_int_equal(check_setting("ipv4/conf/a..b/forwarding"), ERR_NONE);
	assert_int_equal(check_setting("ipv4/conf/..b/forwarding"), ERR_NONE);
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		assert_int_equal(check_setting(wrong[i]), ERR_IMAGE_INVALID);
	memset(long_name + 5, 'n', sizeof long_name - 6);
	assert_int_equal(check_setting(long_name), ERR_IMAGE_INVALID);
}

/* A queue of an interface, with the record of a path. */
static enum error_name check_tun(const char *interface, uint32_t namespace_, uint32_t path_type)
{
	struct one_namespace fixture;
	NetnsContents content = NETNS_CONTENTS__INIT;

	one_namespace_begin(&fixture, NAMESPACE_NET);
	fixture.entry->net = &content;
	FileEntry *named = snapshot_new(&fixture.snapshot, FILE_ENTRY, FileEntry);
	FileEntry *file = snapshot_new(&fixture.snapshot, FILE_ENTRY, FileEntry);
	named->id = 1;
	named->type = path_type;
	named->reg = snapshot_new(&fixture.snapshot, REG_FILE_ENTRY, RegFileEntry);
	file->id = 2;
	file->type = FD_TYPES__TUNF;
	file->tunf = snapshot_new(&fixture.snapshot, TUNFILE_ENTRY, TunfileEntry);
	*file->tunf = (TunfileEntry){ .base = file->tunf->base,
				      .id = 2,
				      .netdev = (char *)(uintptr_t)interface,
				      .has_ns_id = namespace_ != 0,
				      .ns_id = namespace_,
				      .has_regf_id = true,
				      .regf_id = 1 };
	snapshot_add_file(&fixture.snapshot, named);
	snapshot_add_file(&fixture.snapshot, file);
	int result = snapshot_index(&fixture.snapshot, &fixture.err) ||
		     tun_kind.check(&fixture.snapshot, file, &fixture.err);
	arena_done(&fixture.arena);
	return result ? fixture.err.name : ERR_NONE;
}

static void test_tuns(void **state)
{
	(void)state;
	assert_int_equal(check_tun("tun0", TREE_UTS, FD_TYPES__REG), ERR_NONE);
	assert_int_equal(check_tun(NULL, 0, FD_TYPES__REG), ERR_NONE);
	assert_int_equal(check_tun(NULL, OWN_UTS, FD_TYPES__REG), ERR_NONE);
	assert_int_equal(check_tun("tun0", OWN_UTS, FD_TYPES__REG), ERR_IMAGE_INVALID);
	assert_int_equal(check_tun("tun0", 0, FD_TYPES__REG), ERR_IMAGE_INVALID);
	assert_int_equal(check_tun("tun0", OWN_PID, FD_TYPES__REG), ERR_IMAGE_INVALID);
	assert_int_equal(check_tun("", TREE_UTS, FD_TYPES__REG), ERR_IMAGE_INVALID);
	assert_int_equal(check_tun("a-long-name-of-it", TREE_UTS, FD_TYPES__REG),
			 ERR_IMAGE_INVALID);
	assert_int_equal(check_tun("tun0", TREE_UTS, FD_TYPES__FIFO), ERR_IMAGE_UNSUPPORTED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_interfaces_of_two),
		cmocka_unit_test(test_interfaces_above_others),
		cmocka_unit_test(test_packet_filters),
		cmocka_unit_test(test_ipsets),
		cmocka_unit_test(test_older_packet_filters),
		cmocka_unit_test(test_lengths_of_messages),
		cmocka_unit_test(test_features),
		cmocka_unit_test(test_generic_settings),
		cmocka_unit_test(test_names_of_settings),
		cmocka_unit_test(test_tuns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
