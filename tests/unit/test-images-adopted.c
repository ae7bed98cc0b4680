// SPDX-License-Identifier: LGPL-2.1-or-later
/* Namespaces in images of another tool: mounts, networks and System V objects. */
#include "images/images.h"
#include "images/manifest.h"
#include "kinds/kind.h"
#include "kinds/net/net.h"
#include "model/mounts.h"
#include "model/namespaces.h"
#include "sample-snapshot.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cmocka.h>

#include "images-fixture.h"

enum { DUMPERS = 30, TREES_NET, TREES_IPC, TREES_MNT, ROOM = 4096 };
enum { COMMON_MAGIC = 0x54564319, NETNS_MAGIC = 0x55933752, NETDEV_MAGIC = 0x57373951 };
enum { MNTS_MAGIC = 0x55563928, IPC_VAR_MAGIC = 0x53115007, IPC_MAGIC = 0x46283044 };

/* An image that is put together. */
struct image_text {
	size_t size;
	uint8_t bytes[ROOM];
};

static void put(struct image_text *image, const void *bytes, size_t size)
{
	assert_true(size <= ROOM - image->size);
	memcpy(image->bytes + image->size, bytes, size);
	image->size += size;
}

static void begin(struct image_text *image, uint32_t magic)
{
	const uint32_t common = COMMON_MAGIC;

	image->size = 0;
	if (magic != 0x58313116)
		put(image, &common, sizeof common);
	put(image, &magic, sizeof magic);
}

static void put_record(struct image_text *image, const ProtobufCMessage *message)
{
	uint32_t size = (uint32_t)protobuf_c_message_get_packed_size(message);
	uint8_t packed[ROOM];

	assert_true(size <= sizeof packed);
	protobuf_c_message_pack(message, packed);
	put(image, &size, sizeof size);
	put(image, packed, size);
}

static void write_image(const struct fixture *fixture, const char *name,
			const struct image_text *image)
{
	write_file(fixture, name, image->bytes, image->size);
}

static void write_one(const struct fixture *fixture, const char *name, uint32_t magic,
		      const ProtobufCMessage *message)
{
	struct image_text image;

	begin(&image, magic);
	put_record(&image, message);
	write_image(fixture, name, &image);
}

static void set_namespaces(TaskKobjIdsEntry *ids, uint32_t net, uint32_t ipc, uint32_t mnt)
{
	ids_set_namespace(ids, NAMESPACE_NET, net);
	ids_set_namespace(ids, NAMESPACE_IPC, ipc);
	ids_set_namespace(ids, NAMESPACE_MNT, mnt);
}

/* The sample, whose tasks are in namespaces of the tree, as if another tool had dumped it. */
static void write_foreign(struct fixture *fixture)
{
	TaskKobjIdsEntry dumpers = TASK_KOBJ_IDS_ENTRY__INIT;
	InventoryEntry inventory = INVENTORY_ENTRY__INIT;
	struct snapshot snapshot;
	char name[32];

	write_sample(fixture);
	sample_snapshot(&snapshot, &fixture->arena);
	assert_return_code(unlinkat(fixture->dir_fd, MANIFEST_NAME, 0), errno);
	set_namespaces(&dumpers, DUMPERS, DUMPERS + 10, DUMPERS + 20);
	inventory.img_version = 2;
	inventory.has_fdinfo_per_id = inventory.fdinfo_per_id = true;
	inventory.root_ids = &dumpers;
	write_one(fixture, "inventory.img", 0x58313116, &inventory.base);
	for (size_t i = 0; i < 2; i++) {
		TaskKobjIdsEntry *ids = snapshot.tasks[i].ids;
		set_namespaces(ids, TREES_NET, TREES_IPC, TREES_MNT);
		snprintf(name, sizeof name, "ids-%u.img", snapshot.tasks[i].pstree->pid);
		write_one(fixture, name, 0x54432030, &ids->base);
	}
}

static void put_mount(struct image_text *image, uint32_t id, uint32_t device, Fstype type,
		      char *root, char *place)
{
	MntEntry mount = MNT_ENTRY__INIT;

	mount.mnt_id = id;
	mount.parent_mnt_id = id == 1 ? 0 : 1;
	mount.root_dev = device;
	mount.fstype = type;
	mount.flags = MS_RELATIME | MS_PRIVATE | MS_STRICTATIME;
	mount.root = root;
	mount.mountpoint = place;
	mount.source = mount.options = "";
	if (id == 5)
		mount.ext_key = "outside";
	put_record(image, &mount.base);
}

static void write_mounts(struct fixture *fixture)
{
	struct image_text image;

	begin(&image, MNTS_MAGIC);
	put_mount(&image, 1, 8, FSTYPE__UNSUPPORTED, "/srv/tree", "/");
	put_mount(&image, 2, 9, FSTYPE__PROC, "/", "/proc");
	put_mount(&image, 3, 10, FSTYPE__SYSFS, "/", "/sys");
	put_mount(&image, 4, 8, FSTYPE__UNSUPPORTED, "/srv/tree/a/b", "/bound");
	put_mount(&image, 5, 8, FSTYPE__UNSUPPORTED, "/elsewhere", "/given");
	put_mount(&image, 6, 11, FSTYPE__MQUEUE, "/", "/mq");
	write_image(fixture, "mountpoints-33.img", &image);
}

static void write_network(struct fixture *fixture)
{
	NetDeviceEntry lo = NET_DEVICE_ENTRY__INIT, pair = NET_DEVICE_ENTRY__INIT;
	struct image_text image;
	NetnsEntry netns = NETNS_ENTRY__INIT;
	SysctlEntry settings[3] = { SYSCTL_ENTRY__INIT, SYSCTL_ENTRY__INIT, SYSCTL_ENTRY__INIT };
	SysctlEntry *all[] = { &settings[0], &settings[1] }, *group[] = { &settings[2] };

	settings[0].type = settings[1].type = SYSCTL_TYPE__CTL_32;
	settings[0].has_iarg = true; /* the second could not be read */
	settings[0].iarg = -7;
	settings[2].type = SYSCTL_TYPE__CTL_STR;
	settings[2].has_iarg = true;
	settings[2].sarg = "1\t0\n";
	netns.all_conf4 = all;
	netns.n_all_conf4 = 2;
	netns.ipv4_sysctl = group;
	netns.n_ipv4_sysctl = 1;
	lo.type = ND_TYPE__LOOPBACK;
	lo.ifindex = 1;
	lo.mtu = 65536;
	lo.flags = 0x49;
	lo.name = "lo";
	write_one(fixture, "netns-31.img", NETNS_MAGIC, &netns.base);
	begin(&image, NETDEV_MAGIC);
	put_record(&image, &lo.base);
	pair.type = ND_TYPE__VETH;
	pair.has_peer_ifindex = pair.has_peer_nsid = true;
	for (uint32_t i = 2; i < 5; i++) {
		pair.ifindex = i;
		pair.name = i == 2 ? "out" : i == 3 ? "one" : "two";
		pair.peer_ifindex = i == 3 ? 4 : 3;
		pair.peer_nsid = i == 2 ? DUMPERS : TREES_NET;
		put_record(&image, &pair.base);
	}
	write_image(fixture, "netdev-31.img", &image);
}

static void put_padding(struct image_text *image, size_t content, size_t to)
{
	static const uint8_t zeroes[16];

	put(image, zeroes, (to - content % to) % to);
}

static void write_segments(struct fixture *fixture)
{
	IpcDescEntry desc = IPC_DESC_ENTRY__INIT;
	IpcShmEntry segment = IPC_SHM_ENTRY__INIT;
	struct image_text image;

	begin(&image, IPC_MAGIC);
	desc.id = 3;
	segment.desc = &desc;
	segment.size = 5;
	for (int i = 0; i < 2; i++) {
		put_record(&image, &segment.base);
		put(&image, i ? "later" : "first", 5);
		put_padding(&image, 5, 4);
	}
	write_image(fixture, "ipcns-shm-32.img", &image);
}

static void write_ipc(struct fixture *fixture)
{
	static const uint16_t values[] = { 1, 2, 3 };
	uint32_t sem[] = { 32000, 1024000000, 500, 32000 };
	IpcVarEntry limits = IPC_VAR_ENTRY__INIT;
	IpcDescEntry desc = IPC_DESC_ENTRY__INIT;
	IpcSemEntry set = IPC_SEM_ENTRY__INIT;
	IpcMsgEntry queue = IPC_MSG_ENTRY__INIT;
	IpcMsg message = IPC_MSG__INIT;
	struct image_text image;

	limits.sem_ctls = sem;
	limits.n_sem_ctls = 4;
	limits.msg_ctlmax = 1;
	limits.msg_ctlmnb = 2;
	limits.msg_ctlmni = 3;
	limits.shm_ctlmax = UINT64_MAX;
	limits.shm_ctlall = 5;
	limits.shm_ctlmni = 6;
	limits.shm_rmid_forced = 7;
	limits.mq_queues_max = 8;
	limits.mq_msg_max = 9;
	limits.mq_msgsize_max = 10;
	limits.has_mq_msg_default = limits.has_mq_msgsize_default = true;
	limits.mq_msg_default = 11;
	limits.mq_msgsize_default = 12;
	limits.has_sem_next_id = limits.has_msg_next_id = true;
	limits.sem_next_id = UINT32_MAX; /* none */
	limits.msg_next_id = 13;
	write_one(fixture, "ipcns-var-32.img", IPC_VAR_MAGIC, &limits.base);
	write_segments(fixture);

	begin(&image, IPC_MAGIC);
	set.desc = queue.desc = &desc;
	set.nsems = 3;
	put_record(&image, &set.base);
	put(&image, values, sizeof values);
	put_padding(&image, sizeof values, 8);
	write_image(fixture, "ipcns-sem-32.img", &image);

	begin(&image, IPC_MAGIC);
	queue.qnum = 2;
	put_record(&image, &queue.base);
	for (uint64_t i = 0; i < 2; i++) {
		message.mtype = 7 + i;
		message.msize = 3;
		put_record(&image, &message.base);
		put(&image, i ? "two" : "one", 3);
		put_padding(&image, 3, 8);
	}
	write_image(fixture, "ipcns-msg-32.img", &image);
}

/* All of it; -1 with err. */
static int adopt(struct fixture *fixture, struct snapshot *snapshot, struct error *err)
{
	struct images *images = images_open(fixture->dir_fd, &fixture->arena, snapshot, err);
	int result = images ? trees_adopt(snapshot, images, err) : -1;

	images_free(images);
	return result;
}

static void write_all(struct fixture *fixture)
{
	write_foreign(fixture);
	write_mounts(fixture);
	write_network(fixture);
	write_ipc(fixture);
}

static const NsEntry *namespace_of(const struct snapshot *snapshot, enum namespace_type type)
{
	const struct namespace *found = thread_namespace(snapshot, &snapshot->tasks[0], 0, type);

	assert_non_null(found);
	return found->entry;
}

static void mounts_are_bound_from_the_root(void **state)
{
	struct fixture *fixture = *state;
	struct snapshot snapshot;
	struct error err = { 0 };

	write_all(fixture);
	must(adopt(fixture, &snapshot, &err), &err);
	const MntEntry *root = snapshot_mount(&snapshot, 1, NULL, NULL);
	assert_string_equal(root->bound_path, "/");
	assert_int_equal(root->flags, MS_RELATIME);
	assert_string_equal(snapshot_mount(&snapshot, 4, NULL, NULL)->bound_path, "/a/b");
	/* Who restores has to give what has a key. */
	assert_true(snapshot_mount(&snapshot, 5, NULL, NULL)->ext_mount);
	assert_null(snapshot_mount(&snapshot, 5, NULL, NULL)->bound_path);
	/* There is but one of each type to show. */
	assert_int_equal(snapshot_mount(&snapshot, 2, NULL, NULL)->nses->pidns_id,
			 snapshot.tasks[0].pid_namespace->base.id);
	const MntNsesEntry *sysfs = snapshot_mount(&snapshot, 3, NULL, NULL)->nses;
	const MntNsesEntry *mqueue = snapshot_mount(&snapshot, 6, NULL, NULL)->nses;
	assert_true(snapshot_mount(&snapshot, 2, NULL, NULL)->nses->has_pidns_id);
	assert_true(sysfs->has_netns_id && !sysfs->has_ipcns_id);
	assert_int_equal(sysfs->netns_id, TREES_NET);
	assert_true(mqueue->has_ipcns_id && !mqueue->has_netns_id);
	assert_int_equal(mqueue->ipcns_id, TREES_IPC);
	/* Nobody but root has made any. */
	assert_false(snapshot_mount(&snapshot, 2, NULL, NULL)->has_userns_id);
	assert_string_equal(snapshot_mount(&snapshot, 3, NULL, NULL)->fsname, "sysfs");
	/* And what --root says is that root. */
	assert_true(mounts_move_root(&snapshot, "/new"));
	assert_string_equal(snapshot_mount(&snapshot, 4, NULL, NULL)->bound_path, "/new/a/b");
}

static void networks_have_settings(void **state)
{
	struct fixture *fixture = *state;
	struct snapshot snapshot;
	struct error err = { 0 };

	write_all(fixture);
	must(adopt(fixture, &snapshot, &err), &err);
	const NetnsContents *net = namespace_of(&snapshot, NAMESPACE_NET)->net;
	assert_int_equal(net->n_links, 4);
	/* Who restores says where the other end of one of them is to be. */
	assert_int_equal(net->n_peers, 1);
	assert_int_equal(net->peers[0]->ifindex, 2);
	assert_false(net->peers[0]->has_ns_id);
	must(net_namespace_kind.check(
		     &snapshot, thread_namespace(&snapshot, &snapshot.tasks[0], 0, NAMESPACE_NET),
		     &err),
	     &err);
	assert_int_equal(net->n_settings, 2);
	assert_string_equal(net->settings[0]->name, "ipv4/conf/all/accept_local");
	assert_string_equal(net->settings[0]->value, "-7");
	assert_string_equal(net->settings[1]->name, "ipv4/ping_group_range");
	assert_string_equal(net->settings[1]->value, "1\t0");
}

static void networks_may_be_outside_or_new(void **state)
{
	struct fixture *fixture = *state;
	struct snapshot snapshot;
	struct error err = { 0 };
	NetnsEntry netns = NETNS_ENTRY__INIT;

	write_all(fixture);
	netns.ext_key = "the key";
	write_one(fixture, "netns-31.img", NETNS_MAGIC, &netns.base);
	must(adopt(fixture, &snapshot, &err), &err);
	assert_string_equal(namespace_of(&snapshot, NAMESPACE_NET)->ext_key, "the key");
	assert_null(namespace_of(&snapshot, NAMESPACE_NET)->net);
	/* --empty-ns. */
	assert_return_code(unlinkat(fixture->dir_fd, "netns-31.img", 0), errno);
	must(adopt(fixture, &snapshot, &err), &err);
	assert_int_equal(namespace_of(&snapshot, NAMESPACE_NET)->net->n_links, 0);
}

static void system_v_objects_have_content(void **state)
{
	static const char *const wanted[][2] = {
		{ "kernel/sem", "32000\t1024000000\t500\t32000" },
		{ "kernel/msgmax", "1" },
		{ "kernel/msgmnb", "2" },
		{ "kernel/msgmni", "3" },
		{ "kernel/shmmax", "18446744073709551615" },
		{ "kernel/shmall", "5" },
		{ "kernel/shmmni", "6" },
		{ "kernel/shm_rmid_forced", "7" },
		{ "fs/mqueue/queues_max", "8" },
		{ "fs/mqueue/msg_max", "9" },
		{ "fs/mqueue/msgsize_max", "10" },
		{ "fs/mqueue/msg_default", "11" },
		{ "fs/mqueue/msgsize_default", "12" },
		{ "kernel/msg_next_id", "13" },
	};
	struct fixture *fixture = *state;
	struct snapshot snapshot;
	struct error err = { 0 };

	write_all(fixture);
	must(adopt(fixture, &snapshot, &err), &err);
	const IpcEntry *ipc = namespace_of(&snapshot, NAMESPACE_IPC)->ipc;
	assert_int_equal(ipc->n_settings, sizeof wanted / sizeof *wanted);
	for (size_t i = 0; i < ipc->n_settings; i++) {
		assert_string_equal(ipc->settings[i]->name, wanted[i][0]);
		assert_string_equal(ipc->settings[i]->value, wanted[i][1]);
	}
	assert_int_equal(ipc->n_segments, 2);
	assert_memory_equal(ipc->segments[1]->content.data, "later", 5);
	assert_int_equal(ipc->n_semaphores, 1);
	assert_int_equal(ipc->semaphores[0]->n_values, 3);
	assert_int_equal(ipc->semaphores[0]->values[2], 3);
	assert_int_equal(ipc->n_queues, 1);
	assert_int_equal(ipc->queues[0]->n_messages, 2);
	assert_int_equal(ipc->queues[0]->messages[1]->type, 8);
	assert_memory_equal(ipc->queues[0]->messages[1]->text.data, "two", 3);
}

static void expect_refusal(struct fixture *fixture, enum error_name name, const char *about)
{
	struct snapshot snapshot;
	struct error err = { 0 };

	assert_int_equal(adopt(fixture, &snapshot, &err), -1);
	assert_int_equal(err.name, name);
	if (!strstr(err.text, about))
		fail_msg("%s", err.text);
}

static void what_is_not_told_is_refused(void **state)
{
	struct fixture *fixture = *state;
	NetDeviceEntry tun = NET_DEVICE_ENTRY__INIT;

	write_all(fixture);
	assert_return_code(unlinkat(fixture->dir_fd, "ipcns-var-32.img", 0), errno);
	expect_refusal(fixture, ERR_IMAGE_MISSING, "ipc namespace 32");
	write_ipc(fixture);
	tun.type = ND_TYPE__TUN;
	tun.name = "ve0";
	write_one(fixture, "netdev-31.img", NETDEV_MAGIC, &tun.base);
	expect_refusal(fixture, ERR_IMAGE_UNSUPPORTED, "ve0");
	write_network(fixture);
	write_file(fixture, "nftables-31.img", "table ip mine {\n", 16);
	expect_refusal(fixture, ERR_IMAGE_UNSUPPORTED, "table ip mine");
	write_file(fixture, "nftables-31.img", "", 0);
	assert_return_code(unlinkat(fixture->dir_fd, "mountpoints-33.img", 0), errno);
	expect_refusal(fixture, ERR_IMAGE_MISSING, "mount namespace 33");
}

/* A few bytes may speak of many segments, none of which is too large by itself. */
static void segments_are_counted_together(void **state)
{
	IpcDescEntry desc = IPC_DESC_ENTRY__INIT;
	IpcShmEntry segment = IPC_SHM_ENTRY__INIT;
	struct fixture *fixture = *state;
	struct image_text image;

	write_all(fixture);
	begin(&image, IPC_MAGIC);
	segment.desc = &desc;
	segment.size = 20 * 1024 * 1024;
	segment.has_in_pagemaps = segment.in_pagemaps = true;
	for (desc.id = 1; desc.id < 3; desc.id++)
		put_record(&image, &segment.base);
	write_image(fixture, "ipcns-shm-32.img", &image);
	expect_refusal(fixture, ERR_IMAGE_UNSUPPORTED, "segment 2");
}

/* Each file of objects ends where it likes; but for the ends of objects that is refused. */
static void objects_that_are_cut_off_are_refused(void **state)
{
	static const char *const names[] = { "ipcns-shm-32.img", "ipcns-sem-32.img",
					     "ipcns-msg-32.img" };
	struct fixture *fixture = *state;
	size_t size, accepted = 0;

	write_all(fixture);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		char *whole = read_file(fixture, names[i], &size);
		for (size_t cut = 0; cut < size; cut++) {
			struct snapshot snapshot;
			struct error err = { 0 };
			write_file(fixture, names[i], whole, cut);
			if (adopt(fixture, &snapshot, &err) == 0)
				accepted++;
			else
				assert_int_equal(err.name, ERR_IMAGE_INVALID);
		}
		write_file(fixture, names[i], whole, size);
	}
	/* No object at all, in each of them, or one segment without the other. */
	assert_int_equal(accepted, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIRECTORY(mounts_are_bound_from_the_root),
		IN_DIRECTORY(networks_have_settings),
		IN_DIRECTORY(networks_may_be_outside_or_new),
		IN_DIRECTORY(system_v_objects_have_content),
		IN_DIRECTORY(what_is_not_told_is_refused),
		IN_DIRECTORY(segments_are_counted_together),
		IN_DIRECTORY(objects_that_are_cut_off_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
