// SPDX-License-Identifier: LGPL-2.1-or-later
/* What images may say of plain namespaces and cgroups, which anybody may have written. */
#include "base/cleanup.h"
#include "kinds/cgroups/cgroups.h"
#include "kinds/files/files.h"
#include "kinds/ipc/ipc.h"
#include "kinds/namespaces/namespaces.h"
#include "kinds/namespaces/pid.h"
#include "kinds/namespaces/user-maps.h"
#include "kinds/net/net.h"
#include "model/namespaces.h"
#include "model/records.h"

#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/netfilter.h>
#include <linux/netfilter/ipset/ip_set.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <linux/sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { OWN_PID = 1, OWN_USER, OWN_UTS, TREE_UTS = 10 };

/* One task with two threads, in a namespace of its own of one type. */
struct fixture {
	struct arena arena;
	struct snapshot snapshot;
	struct error err;
	NsEntry *entry;
	struct task *task;
};

static CoreEntry *new_core(struct snapshot *snapshot)
{
	CoreEntry *core = snapshot_new(snapshot, CORE_ENTRY, CoreEntry);

	core->mtype = CORE_ENTRY__MARCH__X86_64;
	core->thread_core = snapshot_new(snapshot, THREAD_CORE_ENTRY, ThreadCoreEntry);
	core->thread_info = snapshot_new(snapshot, THREAD_INFO_X86, ThreadInfoX86);
	return core;
}

static void add_task(struct fixture *fixture)
{
	struct snapshot *snapshot = &fixture->snapshot;
	struct task *task = snapshot_add_task(snapshot);
	PstreeEntry *pstree = snapshot_new(snapshot, PSTREE_ENTRY, PstreeEntry);

	pstree->pid = pstree->pgid = pstree->sid = 100;
	pstree->n_threads = task->n_threads = 2;
	pstree->threads = arena_array(&fixture->arena, uint32_t, 2);
	pstree->threads[0] = 100;
	pstree->threads[1] = 101;
	task->pstree = pstree;
	task->threads = arena_array(&fixture->arena, CoreEntry *, 2);
	task->core = task->threads[0] = new_core(snapshot);
	task->threads[1] = new_core(snapshot);
	task->core->tc = snapshot_new(snapshot, TASK_CORE_ENTRY, TaskCoreEntry);
	task->core->tc->task_state = TASK_ALIVE;
	task->ids = snapshot_new(snapshot, TASK_KOBJ_IDS_ENTRY, TaskKobjIdsEntry);
	task->ids->files_id = 1;
	ids_set_namespace(task->ids, NAMESPACE_PID, OWN_PID);
	ids_set_namespace(task->ids, NAMESPACE_USER, OWN_USER);
	task->mm = snapshot_new(snapshot, MM_ENTRY, MmEntry);
	task->fs = snapshot_new(snapshot, FS_ENTRY, FsEntry);
	snapshot_add_table(snapshot, 1);
	fixture->task = task;
}

static void begin(struct fixture *fixture, enum namespace_type type)
{
	struct snapshot *snapshot = &fixture->snapshot;

	memset(fixture, 0, sizeof *fixture);
	arena_init(&fixture->arena);
	snapshot->arena = &fixture->arena;
	snapshot->inventory = snapshot_new(snapshot, INVENTORY_ENTRY, InventoryEntry);
	snapshot->inventory->root_ids =
		snapshot_new(snapshot, TASK_KOBJ_IDS_ENTRY, TaskKobjIdsEntry);
	ids_set_namespace(snapshot->inventory->root_ids, NAMESPACE_PID, OWN_PID);
	ids_set_namespace(snapshot->inventory->root_ids, NAMESPACE_USER, OWN_USER);
	ids_set_namespace(snapshot->inventory->root_ids, type, OWN_UTS);
	add_task(fixture);
	ids_set_namespace(fixture->task->ids, type, TREE_UTS);
	fixture->entry = snapshot_new(snapshot, NS_ENTRY, NsEntry);
	fixture->entry->id = TREE_UTS;
	fixture->entry->ns_cflag = namespace_types[type].flag;
	fixture->entry->has_userns_id = true;
	fixture->entry->userns_id = OWN_USER;
	snapshot_add_namespace(snapshot, fixture->entry);
}

static bool is_refused(struct fixture *fixture, enum error_name name)
{
	int result = snapshot_index(&fixture->snapshot, &fixture->err);
	bool refused = result == -1 && fixture->err.name == name;

	arena_done(&fixture->arena);
	return refused;
}

static void test_members_are_found(void **state)
{
	struct fixture fixture;
	struct snapshot *snapshot = &fixture.snapshot;

	(void)state;
	begin(&fixture, NAMESPACE_UTS);
	thread_set_namespace(snapshot, fixture.task->threads[1]->thread_core, NAMESPACE_UTS,
			     OWN_UTS);
	assert_int_equal(snapshot_index(snapshot, &fixture.err), 0);
	assert_int_equal(snapshot->n_plain_namespaces, 1);
	const struct task *task = &snapshot->tasks[0];
	struct namespace *own = snapshot->plain_namespaces[0];
	assert_ptr_equal(thread_namespace(snapshot, task, 0, NAMESPACE_UTS), own);
	assert_null(thread_namespace(snapshot, task, 1, NAMESPACE_UTS));
	/* Nobody comes back to the coordinator's own, so the process stays there at first. */
	assert_null(task_first_namespace(snapshot, task, NAMESPACE_UTS));
	assert_true(thread_is_late_for_any(snapshot, task, 0));
	assert_false(thread_is_late_for_any(snapshot, task, 1));
	arena_done(&fixture.arena);
}

static void test_what_no_kernel_has_made(void **state)
{
	struct fixture fixture;

	(void)state;
	begin(&fixture, NAMESPACE_UTS);
	fixture.entry->id = OWN_UTS; /* the dumper's */
	assert_true(is_refused(&fixture, ERR_IMAGE_INVALID));
	begin(&fixture, NAMESPACE_UTS);
	fixture.entry->id = 0;
	assert_true(is_refused(&fixture, ERR_IMAGE_INVALID));
	begin(&fixture, NAMESPACE_UTS);
	fixture.entry->userns_id = 99;
	assert_true(is_refused(&fixture, ERR_IMAGE_INVALID));
	begin(&fixture, NAMESPACE_UTS);
	fixture.entry->ns_cflag = 1;
	assert_true(is_refused(&fixture, ERR_IMAGE_INVALID));
	begin(&fixture, NAMESPACE_UTS);
	snapshot_add_namespace(&fixture.snapshot, fixture.entry); /* twice */
	assert_true(is_refused(&fixture, ERR_IMAGE_INVALID));
}

static void test_what_is_not_described(void **state)
{
	struct fixture fixture;

	(void)state;
	begin(&fixture, NAMESPACE_UTS);
	ids_set_namespace(fixture.task->ids, NAMESPACE_UTS, 11);
	assert_true(is_refused(&fixture, ERR_IMAGE_UNSUPPORTED));
	begin(&fixture, NAMESPACE_UTS);
	ids_set_namespace(fixture.task->ids, NAMESPACE_UTS, 11);
	fixture.snapshot.inventory->nestor_version = arena_string(&fixture.arena, "1");
	assert_true(is_refused(&fixture, ERR_IMAGE_INVALID));
	begin(&fixture, NAMESPACE_UTS);
	fixture.entry->ns_cflag = CLONE_NEWIPC; /* of another type than its member says */
	assert_true(is_refused(&fixture, ERR_IMAGE_INVALID));
	begin(&fixture, NAMESPACE_UTS);
	thread_set_namespace(&fixture.snapshot, fixture.task->threads[1]->thread_core,
			     NAMESPACE_UTS, 12);
	assert_true(is_refused(&fixture, ERR_IMAGE_UNSUPPORTED));
}

/* The check of a kind on the one namespace that there is; ends the fixture. */
static enum error_name check(struct fixture *fixture, const struct namespace_kind *kind)
{
	assert_int_equal(snapshot_index(&fixture->snapshot, &fixture->err), 0);
	int result = kind->check(&fixture->snapshot, fixture->snapshot.plain_namespaces[0],
				 &fixture->err);
	enum error_name name = result ? fixture->err.name : ERR_NONE;
	arena_done(&fixture->arena);
	return name;
}

static void begin_uts(struct fixture *fixture, const char *host, size_t length)
{
	begin(fixture, NAMESPACE_UTS);
	fixture->entry->uts = snapshot_new(&fixture->snapshot, UTSNS_ENTRY, UtsnsEntry);
	fixture->entry->uts->nodename = arena_printf(&fixture->arena, "%*s", (int)length, host);
	fixture->entry->uts->domainname = arena_string(&fixture->arena, "");
}

static void test_uts(void **state)
{
	struct fixture fixture;

	(void)state;
	begin(&fixture, NAMESPACE_UTS);
	assert_int_equal(check(&fixture, &uts_namespace_kind), ERR_IMAGE_INVALID);
	begin_uts(&fixture, "host", 64);
	assert_int_equal(check(&fixture, &uts_namespace_kind), ERR_NONE);
	begin_uts(&fixture, "host", 65);
	assert_int_equal(check(&fixture, &uts_namespace_kind), ERR_IMAGE_INVALID);
}

static Timespec *new_time(struct fixture *fixture, uint64_t seconds, uint64_t nanoseconds)
{
	Timespec *time = snapshot_new(&fixture->snapshot, TIMESPEC, Timespec);

	time->tv_sec = seconds;
	time->tv_nsec = nanoseconds;
	return time;
}

static enum error_name check_time(uint64_t seconds, uint64_t nanoseconds)
{
	struct fixture fixture;

	begin(&fixture, NAMESPACE_TIME);
	fixture.entry->time = snapshot_new(&fixture.snapshot, TIMENS_ENTRY, TimensEntry);
	fixture.entry->time->monotonic = new_time(&fixture, seconds, nanoseconds);
	fixture.entry->time->boottime = new_time(&fixture, 1, 2);
	return check(&fixture, &time_namespace_kind);
}

static void test_time(void **state)
{
	(void)state;
	assert_int_equal(check_time(100, 999999999), ERR_NONE);
	assert_int_equal(check_time(100, 1000000000), ERR_IMAGE_INVALID);
	assert_int_equal(check_time(UINT64_MAX, 0), ERR_IMAGE_INVALID);
	assert_int_equal(check_time(INT64_MAX, 0), ERR_IMAGE_INVALID);
}

/* The thread's children are in the namespace of that id, its process in another one. */
static enum error_name check_children(uint32_t own, uint32_t made, bool twice)
{
	struct fixture fixture;

	begin(&fixture, NAMESPACE_TIME);
	ids_set_namespace(fixture.task->ids, NAMESPACE_TIME, own);
	for (size_t thread = 0; thread < (twice ? 2 : 1); thread++) {
		ThreadCoreEntry *core = fixture.task->threads[thread]->thread_core;
		core->has_time_for_children_ns_id = true;
		core->time_for_children_ns_id = made;
	}
	int result = snapshot_index(&fixture.snapshot, &fixture.err);
	arena_done(&fixture.arena);
	return result ? fixture.err.name : ERR_NONE;
}

static void test_time_of_children(void **state)
{
	(void)state;
	assert_int_equal(check_children(OWN_UTS, TREE_UTS, false), ERR_NONE);
	assert_int_equal(check_children(OWN_UTS, TREE_UTS, true), ERR_IMAGE_INVALID);
	assert_int_equal(check_children(TREE_UTS, TREE_UTS, false), ERR_IMAGE_INVALID);
	assert_int_equal(check_children(OWN_UTS, TREE_UTS + 1, false), ERR_IMAGE_INVALID);
	assert_int_equal(check_children(OWN_UTS, OWN_UTS, false), ERR_IMAGE_INVALID);
}

static ProtobufCBinaryData new_pair(struct fixture *fixture, int index, int other)
{
	static const uint8_t veth[] = {
		5 + 4, 0, IFLA_INFO_KIND, 0, 'v', 'e', 't', 'h', 0, 0, 0, 0
	};
	struct {
		struct ifinfomsg info;
		struct rtattr name;
		char text[4];
		struct rtattr link;
		int32_t other;
		struct rtattr netnsid;
		int32_t number;
		struct rtattr kind;
		uint8_t nested[sizeof veth];
	} message = { .info.ifi_index = index,
		      .name = { RTA_LENGTH(4), IFLA_IFNAME },
		      .text = "ve0",
		      .link = { RTA_LENGTH(4), IFLA_LINK },
		      .other = other,
		      .netnsid = { RTA_LENGTH(4), IFLA_LINK_NETNSID },
		      .kind = { RTA_LENGTH(sizeof veth), IFLA_LINKINFO } };

	memcpy(message.nested, veth, sizeof veth);
	return (ProtobufCBinaryData){ sizeof message,
				      arena_copy(&fixture->arena, &message, sizeof message) };
}

/* Two namespaces with an end each; what the second one says of the first may be wrong. */
static enum error_name check_pair(int back_index, uint32_t back_id, uint32_t end_id)
{
	struct fixture fixture;
	NetnsContents contents[2] = { NETNS_CONTENTS__INIT, NETNS_CONTENTS__INIT };
	ProtobufCBinaryData links[2];
	NetPeer peers[2] = { NET_PEER__INIT, NET_PEER__INIT }, *lists[2] = { &peers[0], &peers[1] };

	begin(&fixture, NAMESPACE_NET);
	NsEntry *other = snapshot_new(&fixture.snapshot, NS_ENTRY, NsEntry);
	*other = *fixture.entry;
	other->id = TREE_UTS + 1;
	snapshot_add_namespace(&fixture.snapshot, other);
	links[0] = new_pair(&fixture, 2, 3);
	links[1] = new_pair(&fixture, 3, back_index);
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
	return check(&fixture, &net_namespace_kind);
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

/* A directory with a property, in a hierarchy. */
static enum error_name check_directory(const char *top, const char *below, const char *property)
{
	struct fixture fixture;
	CgroupEntry cgroups = CGROUP_ENTRY__INIT;
	CgControllerEntry controller = CG_CONTROLLER_ENTRY__INIT, *controllers = &controller;
	CgroupDirEntry dirs[2] = { CGROUP_DIR_ENTRY__INIT, CGROUP_DIR_ENTRY__INIT };
	CgroupDirEntry *tops = &dirs[0], *children = &dirs[1];
	CgroupPropEntry prop = CGROUP_PROP_ENTRY__INIT, *props = &prop;
	char *names[] = { "cpu" };

	begin(&fixture, NAMESPACE_UTS);
	prop.name = (char *)(uintptr_t)property;
	prop.value = "1";
	dirs[0].dir_name = (char *)(uintptr_t)top;
	dirs[1].dir_name = (char *)(uintptr_t)below;
	dirs[0].n_children = dirs[0].n_properties = 1;
	dirs[0].children = &children;
	dirs[0].properties = &props;
	controller.n_cnames = controller.n_dirs = cgroups.n_controllers = 1;
	controller.cnames = names;
	controller.dirs = &tops;
	cgroups.controllers = &controllers;
	snapshot_add_record(&fixture.snapshot, IMAGE_CGROUP, 0, &cgroups);
	int result =
		cgroups_kind.check(&fixture.snapshot, &fixture.snapshot.tasks[0], &fixture.err);
	arena_done(&fixture.arena);
	return result ? fixture.err.name : ERR_NONE;
}

static void test_cgroup_directories(void **state)
{
	(void)state;
	assert_int_equal(check_directory("/a", "b", "cpu.shares"), ERR_NONE);
	assert_int_equal(check_directory("/a/..", "b", "cpu.shares"), ERR_IMAGE_INVALID);
	assert_int_equal(check_directory("/a", "..", "cpu.shares"), ERR_IMAGE_INVALID);
	assert_int_equal(check_directory("/a", "b/c", "cpu.shares"), ERR_IMAGE_INVALID);
	assert_int_equal(check_directory("/a", "b", "../cpu.shares"), ERR_IMAGE_INVALID);
	assert_int_equal(check_directory("/a", "b", "cgroup.procs"), ERR_IMAGE_INVALID);
	assert_int_equal(check_directory("/a", "b", "release_agent"), ERR_IMAGE_INVALID);
}

static enum error_name check_filter(uint32_t type, size_t size)
{
	struct fixture fixture;
	static uint8_t bytes[64];
	NetnsContents content = NETNS_CONTENTS__INIT;
	NetFilter filter = NET_FILTER__INIT, *list = &filter;

	begin(&fixture, NAMESPACE_NET);
	filter.type = type;
	filter.message = (ProtobufCBinaryData){ size, bytes };
	content.filters = &list;
	content.n_filters = 1;
	fixture.entry->net = &content;
	return check(&fixture, &net_namespace_kind);
}

static void test_packet_filters(void **state)
{
	(void)state;
	assert_int_equal(check_filter(NFT_MSG_NEWTABLE, 20), ERR_NONE);
	assert_int_equal(check_filter(NFT_MSG_NEWTABLE, 3), ERR_IMAGE_INVALID);
	assert_int_equal(check_filter(NFT_MSG_DELTABLE, 20), ERR_IMAGE_INVALID);
	assert_int_equal(check_filter(UINT32_MAX, 20), ERR_IMAGE_INVALID);
}

static enum error_name check_net(NetnsContents *content)
{
	struct fixture fixture;

	begin(&fixture, NAMESPACE_NET);
	fixture.entry->net = content;
	return check(&fixture, &net_namespace_kind);
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

static enum error_name check_connection(size_t connection, size_t expectation)
{
	static uint8_t bytes[4096];
	ProtobufCBinaryData one = { connection, bytes }, other = { expectation, bytes };
	NetnsContents content = NETNS_CONTENTS__INIT;

	content.connections = &one;
	content.expectations = &other;
	content.n_connections = content.n_expectations = 1;
	return check_net(&content);
}

static void test_tracked_connections(void **state)
{
	(void)state;
	assert_int_equal(check_connection(100, 100), ERR_NONE);
	assert_int_equal(check_connection(3, 100), ERR_IMAGE_INVALID);
	assert_int_equal(check_connection(100, 3), ERR_IMAGE_INVALID);
	assert_int_equal(check_connection(4000, 100), ERR_IMAGE_INVALID);
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

/* A queue of an interface, with the record of a path. */
static enum error_name check_tun(const char *interface, uint32_t namespace_, uint32_t path_type)
{
	struct fixture fixture;
	NetnsContents content = NETNS_CONTENTS__INIT;

	begin(&fixture, NAMESPACE_NET);
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

static IpcDescEntry *new_description(struct fixture *fixture, uint32_t mode)
{
	IpcDescEntry *description = snapshot_new(&fixture->snapshot, IPC_DESC_ENTRY, IpcDescEntry);

	description->mode = mode;
	return description;
}

static void begin_ipc(struct fixture *fixture)
{
	begin(fixture, NAMESPACE_IPC);
	fixture->entry->ipc = snapshot_new(&fixture->snapshot, IPC_ENTRY, IpcEntry);
}

static enum error_name check_setting(const char *name, const char *value)
{
	struct fixture fixture;

	begin_ipc(&fixture);
	IpcSetting *setting = snapshot_new(&fixture.snapshot, IPC_SETTING, IpcSetting);
	setting->name = arena_string(&fixture.arena, name);
	setting->value = arena_string(&fixture.arena, value);
	fixture.entry->ipc->settings = arena_copy(&fixture.arena, &setting, sizeof setting);
	fixture.entry->ipc->n_settings = 1;
	return check(&fixture, &ipc_namespace_kind);
}

static enum error_name check_segment(uint64_t size, size_t content, uint32_t mode,
				     uint64_t attached)
{
	struct fixture fixture;

	begin_ipc(&fixture);
	IpcSegment *segment = snapshot_new(&fixture.snapshot, IPC_SEGMENT, IpcSegment);
	segment->desc = new_description(&fixture, mode);
	segment->size = size;
	segment->attached = attached;
	segment->content.data = arena_alloc(&fixture.arena, content + 1);
	segment->content.len = content;
	fixture.entry->ipc->segments = arena_copy(&fixture.arena, &segment, sizeof segment);
	fixture.entry->ipc->n_segments = 1;
	return check(&fixture, &ipc_namespace_kind);
}

static enum error_name check_posix_queue(const char *name, uint32_t most_messages,
					 uint32_t first_priority, uint32_t second_priority,
					 size_t size)
{
	struct fixture fixture;

	begin_ipc(&fixture);
	PosixQueue *queue = snapshot_new(&fixture.snapshot, POSIX_QUEUE, PosixQueue);
	if (name)
		queue->name = arena_string(&fixture.arena, name);
	queue->mode = 0600;
	queue->most_messages = most_messages;
	queue->most_bytes = 10;
	queue->messages = arena_array(&fixture.arena, PosixMessage *, 2);
	queue->n_messages = 2;
	for (size_t i = 0; i < 2; i++) {
		queue->messages[i] = snapshot_new(&fixture.snapshot, POSIX_MESSAGE, PosixMessage);
		queue->messages[i]->priority = i ? second_priority : first_priority;
		queue->messages[i]->text.data = arena_alloc(&fixture.arena, size + 1);
		queue->messages[i]->text.len = size;
	}
	fixture.entry->ipc->posix_queues = arena_copy(&fixture.arena, &queue, sizeof queue);
	fixture.entry->ipc->n_posix_queues = 1;
	return check(&fixture, &ipc_namespace_kind);
}

static void test_posix_queues(void **state)
{
	(void)state;
	assert_int_equal(check_posix_queue("name", 2, 7, 7, 10), ERR_NONE);
	assert_int_equal(check_posix_queue(NULL, 2, 7, 7, 10), ERR_IMAGE_INVALID);
	assert_int_equal(check_posix_queue("", 2, 7, 7, 10), ERR_IMAGE_INVALID);
	assert_int_equal(check_posix_queue("..", 2, 7, 7, 10), ERR_IMAGE_INVALID);
	assert_int_equal(check_posix_queue("a/b", 2, 7, 7, 10), ERR_IMAGE_INVALID);
	assert_int_equal(check_posix_queue("name", 1, 7, 7, 10), ERR_IMAGE_INVALID);
	assert_int_equal(check_posix_queue("name", 2, 7, 8, 10), ERR_IMAGE_INVALID);
	assert_int_equal(check_posix_queue("name", 2, 32768, 7, 10), ERR_IMAGE_INVALID);
	assert_int_equal(check_posix_queue("name", 2, 7, 7, 11), ERR_IMAGE_INVALID);
}

static enum error_name check_semaphore(uint32_t value, size_t count, uint32_t mode)
{
	struct fixture fixture;

	begin_ipc(&fixture);
	IpcSemaphores *set = snapshot_new(&fixture.snapshot, IPC_SEMAPHORES, IpcSemaphores);
	set->desc = new_description(&fixture, mode);
	set->values = arena_array(&fixture.arena, uint32_t, count + 1);
	set->values[0] = value;
	set->n_values = count;
	fixture.entry->ipc->semaphores = arena_copy(&fixture.arena, &set, sizeof set);
	fixture.entry->ipc->n_semaphores = 1;
	return check(&fixture, &ipc_namespace_kind);
}

static void test_ipc(void **state)
{
	struct fixture fixture;

	(void)state;
	begin(&fixture, NAMESPACE_IPC);
	assert_int_equal(check(&fixture, &ipc_namespace_kind), ERR_IMAGE_INVALID);
	assert_int_equal(check_setting("kernel/msgmax", "8192"), ERR_NONE);
	assert_int_equal(check_setting("kernel/core_pattern", "8192"), ERR_IMAGE_INVALID);
	assert_int_equal(check_setting("kernel/msgmax", "|/bin/sh"), ERR_IMAGE_INVALID);
	assert_int_equal(check_segment(100, 100, 0600, 0), ERR_NONE);
	assert_int_equal(check_segment(0, 0, 0600, 0), ERR_IMAGE_INVALID);
	assert_int_equal(check_segment(100, 101, 0600, 0), ERR_IMAGE_INVALID);
	assert_int_equal(check_segment(UINT64_MAX, 1, 0600, 0), ERR_IMAGE_INVALID);
	assert_int_equal(check_segment(100, 1, 04600, 0), ERR_IMAGE_INVALID);
	/* Attached by somebody who is not there. */
	assert_int_equal(check_segment(100, 1, 0600, 1), ERR_UNSUPPORTED_NAMESPACE);
	assert_int_equal(check_semaphore(7, 1, 0600), ERR_NONE);
	assert_int_equal(check_semaphore(32768, 1, 0600), ERR_IMAGE_INVALID);
	assert_int_equal(check_semaphore(1, 32001, 0600), ERR_IMAGE_INVALID);
	assert_int_equal(check_semaphore(1, 0, 0600), ERR_IMAGE_INVALID);
}

static void put_text(int dir_fd, const char *name, const char *text)
{
	autoclose int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

/* What /proc shows of a map on its outer side, in numbers of the namespace above. */
static void test_maps_of_users(void **state)
{
	struct arena arena;
	struct user_maps above, maps;
	struct error err = { 0 };
	char path[] = "/tmp/nestor-maps-XXXXXX";

	(void)state;
	arena_init(&arena);
	assert_non_null(mkdtemp(path));
	autoclose int dir_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	put_text(dir_fd, "uid_map", "0 100 10\n50 110 10\n");
	put_text(dir_fd, "gid_map", "7 5 1\n");
	put_text(dir_fd, "setgroups", "allow\n");
	assert_int_equal(user_maps_read(&above, &arena, dir_fd, NULL, &err), 0);
	assert_int_equal(above.entry->uid_map[1]->lower_first, 110);
	/* The first and the last number of an extent, and the first of that which goes on there. */
	put_text(dir_fd, "uid_map", "0 100 1\n1 109 1\n2 110 5\n8 119 1\n");
	put_text(dir_fd, "setgroups", "deny\n");
	assert_int_equal(user_maps_read(&maps, &arena, dir_fd, &above, &err), 0);
	assert_int_equal(maps.entry->n_uid_map, 4);
	const uint32_t lower[] = { 0, 9, 50, 59 };
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(maps.entry->uid_map[i]->lower_first, lower[i]);
	assert_int_equal(maps.entry->gid_map[0]->lower_first, 7);
	assert_true(maps.setgroups_denied);
	assert_false(above.setgroups_denied);
	put_text(dir_fd, "uid_map", "0 99 1\n");
	assert_int_equal(user_maps_read(&maps, &arena, dir_fd, &above, &err), -1);
	put_text(dir_fd, "uid_map", "0 120 1\n");
	assert_int_equal(user_maps_read(&maps, &arena, dir_fd, &above, &err), -1);
	assert_int_equal(err.name, ERR_KERNEL_REFUSED);
	for (size_t i = 0; i < 3; i++)
		unlinkat(dir_fd, (const char *[]){ "uid_map", "gid_map", "setgroups" }[i], 0);
	rmdir(path);
	arena_done(&arena);
}

static void test_cgroup_paths(void **state)
{
	(void)state;
	assert_true(cgroup_is_path("/"));
	assert_true(cgroup_is_path("/a/b.slice/..c"));
	assert_false(cgroup_is_path("a"));
	assert_false(cgroup_is_path(""));
	assert_false(cgroup_is_path("/.."));
	assert_false(cgroup_is_path("/a/../../b"));
	assert_false(cgroup_is_path("/a/."));
}

static void test_cgroups_of_tasks(void **state)
{
	struct fixture fixture;
	struct snapshot *snapshot = &fixture.snapshot;

	(void)state;
	begin(&fixture, NAMESPACE_UTS);
	CgroupEntry *cgroups = snapshot_new(snapshot, CGROUP_ENTRY, CgroupEntry);
	CgSetEntry *set =
		cgroup_parse_set(snapshot, "0::/../outside\n1:cpu:/in\n", 7, &fixture.err);
	assert_non_null(set);
	assert_int_equal(set->n_ctls, 2);
	cgroups->sets = arena_copy(&fixture.arena, &set, sizeof set);
	cgroups->n_sets = 1;
	snapshot_add_record(snapshot, IMAGE_CGROUP, 0, cgroups);
	assert_int_equal(snapshot_index(snapshot, &fixture.err), 0);
	TaskCoreEntry *tc = fixture.task->core->tc;
	tc->has_cg_set = true;
	tc->cg_set = 8;
	assert_int_equal(cgroups_kind.check(snapshot, &snapshot->tasks[0], &fixture.err), -1);
	assert_int_equal(fixture.err.name, ERR_IMAGE_INVALID);
	tc->cg_set = 7;
	fixture.err = (struct error){ 0 };
	assert_int_equal(cgroups_kind.check(snapshot, &snapshot->tasks[0], &fixture.err), -1);
	assert_int_equal(fixture.err.name, ERR_CGROUP_OUTSIDE);
	arena_done(&fixture.arena);
}

/* The limit is the first number that no process, and no thread, may have. */
static void test_limits_of_numbers(void **state)
{
	struct fixture fixture;
	struct snapshot *snapshot = &fixture.snapshot;

	(void)state;
	begin(&fixture, NAMESPACE_UTS);
	assert_int_equal(snapshot_index(snapshot, &fixture.err), 0);
	NsEntry *entry = snapshot_new(snapshot, NS_ENTRY, NsEntry);
	struct pid_namespace limited = *fixture.task->pid_namespace;
	limited.base.entry = entry;
	fixture.task->pid_namespace = &limited;
	entry->pid_max = 101;
	assert_int_equal(pid_limits_kind.check(snapshot, fixture.task, &fixture.err), 0);
	entry->has_pid_max = true;
	assert_int_equal(pid_limits_kind.check(snapshot, fixture.task, &fixture.err), -1);
	assert_int_equal(fixture.err.name, ERR_PID_OUT_OF_RANGE);
	entry->pid_max = 102;
	assert_int_equal(pid_limits_kind.check(snapshot, fixture.task, &fixture.err), 0);
	arena_done(&fixture.arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_members_are_found),
		cmocka_unit_test(test_what_no_kernel_has_made),
		cmocka_unit_test(test_what_is_not_described),
		cmocka_unit_test(test_uts),
		cmocka_unit_test(test_time),
		cmocka_unit_test(test_time_of_children),
		cmocka_unit_test(test_interfaces_of_two),
		cmocka_unit_test(test_cgroup_directories),
		cmocka_unit_test(test_packet_filters),
		cmocka_unit_test(test_ipsets),
		cmocka_unit_test(test_older_packet_filters),
		cmocka_unit_test(test_tracked_connections),
		cmocka_unit_test(test_features),
		cmocka_unit_test(test_generic_settings),
		cmocka_unit_test(test_tuns),
		cmocka_unit_test(test_ipc),
		cmocka_unit_test(test_posix_queues),
		cmocka_unit_test(test_limits_of_numbers),
		cmocka_unit_test(test_maps_of_users),
		cmocka_unit_test(test_cgroup_paths),
		cmocka_unit_test(test_cgroups_of_tasks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
