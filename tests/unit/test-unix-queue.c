// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Who is told to have sent what waited in a unix socket, where no task of the tree can be asked;
 * records of who waits to be accepted; and
 * descriptors in what waits, which a dump receives.
 */
#include "base/arena.h"
#include "collect/collect.h"
#include "kinds/opener.h"
#include "kinds/sockets/socket.h"
#include "kinds/sockets/unix.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { FILE_ID = 7, OTHER = 1 };

struct message {
	bool told; /* the kernel was asked for the sender when it was sent */
	uid_t uid;
	gid_t gid;
};

static void add_message(struct snapshot *snapshot, const struct message *message)
{
	SkPacketEntry *packet = snapshot_new(snapshot, SK_PACKET_ENTRY, SkPacketEntry);

	packet->id_for = FILE_ID;
	packet->length = 1;
	packet->has_sender_uid = packet->has_sender_gid = message->told;
	packet->sender_uid = message->uid;
	packet->sender_gid = message->gid;
	struct record *record = snapshot_add_record(snapshot, IMAGE_SK_QUEUES, FILE_ID, packet);
	record->payload = arena_copy(snapshot->arena, "x", 1);
	record->payload_size = 1;
}

static void expect_message(int fd, const struct message *message)
{
	union {
		char room[CMSG_SPACE(sizeof(struct ucred))];
		struct cmsghdr align;
	} control;
	char byte;
	struct iovec part = { &byte, 1 };
	struct msghdr header = { .msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof control };
	struct ucred sender;

	assert_int_equal(recvmsg(fd, &header, MSG_DONTWAIT), 1);
	const struct cmsghdr *told = CMSG_FIRSTHDR(&header);
	assert_non_null(told);
	assert_int_equal(told->cmsg_type, SCM_CREDENTIALS);
	memcpy(&sender, CMSG_DATA(told), sizeof sender);
	/* Nobody asked: the ids that stand for those that are not known. */
	assert_int_equal(sender.uid, message->told ? message->uid : 65534);
	assert_int_equal(sender.gid, message->told ? message->gid : 65534);
	assert_int_equal(sender.pid == 0, !message->told);
}

static void each_has_its_sender(void **state)
{
	const uid_t uid = geteuid();
	const gid_t gid = getegid();
	const struct message messages[] = { { true, uid, gid },
					    { true, uid, gid + OTHER },
					    { true, uid + OTHER, gid },
					    { true, uid + OTHER, gid + OTHER },
					    { false, 0, 0 },
					    { true, uid, gid } };
	const size_t n = sizeof messages / sizeof *messages;
	struct arena arena;
	struct error err = { 0 };
	int pair[2], one = 1;

	(void)state;
	if (uid)
		skip();
	arena_init(&arena);
	struct snapshot snapshot = { .arena = &arena };
	struct file_opener opener = { .snapshot = &snapshot, .arena = &arena };
	UnixSkEntry sk = UNIX_SK_ENTRY__INIT;
	SkOptsEntry options = SK_OPTS_ENTRY__INIT;
	FileEntry file = FILE_ENTRY__INIT;
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), 0);
	options.has_so_passcred = options.so_passcred = true;
	sk.opts = &options;
	sk.type = SOCK_DGRAM;
	file.id = FILE_ID;
	struct unix_end end = { .entry = &file,
				.sk = &sk,
				.made = true,
				.place = opener_keep(&opener, pair[0]),
				.gone_fd = pair[1] };
	struct unix_world world = { .opener = &opener, .ends = &end, .n_ends = 1 };
	for (size_t i = 0; i < n; i++)
		add_message(&snapshot, &messages[i]);
	if (unix_queue_fill(&world, &end, &err))
		fail_msg("%s", err.text);
	assert_int_equal(setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &one, sizeof one), 0);
	for (size_t i = 0; i < n; i++)
		expect_message(pair[0], &messages[i]);
	close(pair[0]);
	close(pair[1]);
	arena_done(&arena);
}

/* A listener, and a client that was gone before anybody accepted it. */
struct backlog {
	FileEntry files[2];
	UnixSkEntry listener, client;
	SkOptsEntry options;
	uint32_t pending[1];
};

static void set_up_backlog(struct backlog *it)
{
	static uint8_t name[] = "there";

	file_entry__init(&it->files[0]);
	file_entry__init(&it->files[1]);
	unix_sk_entry__init(&it->listener);
	unix_sk_entry__init(&it->client);
	sk_opts_entry__init(&it->options);
	it->files[0].usk = &it->listener;
	it->files[1].usk = &it->client;
	it->files[0].type = it->files[1].type = FD_TYPES__UNIXSK;
	it->listener.opts = it->client.opts = &it->options;
	it->listener.type = it->client.type = SOCK_STREAM;
	it->listener.id = it->files[0].id = 1;
	it->client.id = it->files[1].id = 2;
	it->listener.ino = 11;
	it->client.ino = it->pending[0] = 12;
	it->listener.state = TCP_LISTEN;
	it->client.state = TCP_ESTABLISHED;
	it->listener.name = (ProtobufCBinaryData){ sizeof name, name };
	it->listener.pending = it->pending;
	it->listener.n_pending = 1;
	it->client.uflags = UNIX_GONE;
}

static bool is_accepted(struct backlog *it)
{
	struct arena arena;
	struct error err = { 0 };

	arena_init(&arena);
	struct snapshot snapshot = { .arena = &arena };
	struct file_opener opener = { .snapshot = &snapshot, .arena = &arena };
	for (size_t i = 0; i < 2; i++)
		snapshot_add_file(&snapshot, &it->files[i]);
	bool accepted = unix_socket_kind.check(&snapshot, &it->files[0], &err) == 0 &&
			unix_socket_kind.check(&snapshot, &it->files[1], &err) == 0 &&
			unix_world_new(&opener, &err);
	assert_true(accepted || err.name == ERR_IMAGE_INVALID || err.name == ERR_IMAGE_UNSUPPORTED);
	arena_done(&arena);
	return accepted;
}

static void who_is_gone_waits_and_is_nothing_else(void **state)
{
	static uint8_t name[] = "own";
	struct backlog it;

	(void)state;
	set_up_backlog(&it);
	assert_true(is_accepted(&it));
	it.listener.n_pending = 0;
	assert_false(is_accepted(&it));
	set_up_backlog(&it);
	it.client.uflags |= UNIX_OUTSIDE;
	assert_false(is_accepted(&it));
	set_up_backlog(&it);
	it.client.uflags |= 2 * UNIX_GONE;
	assert_false(is_accepted(&it));
	set_up_backlog(&it);
	it.client.state = TCP_CLOSE;
	assert_false(is_accepted(&it));
	set_up_backlog(&it);
	it.client.peer = 11;
	assert_false(is_accepted(&it));
	set_up_backlog(&it);
	it.client.name = (ProtobufCBinaryData){ sizeof name, name };
	assert_false(is_accepted(&it));
	set_up_backlog(&it);
	it.client.type = SOCK_SEQPACKET;
	assert_false(is_accepted(&it));
}

/* A record of `size` bytes; -1: one with descriptors instead. */
static void add_urgent(struct snapshot *snapshot, int size)
{
	SkPacketEntry *packet = snapshot_new(snapshot, SK_PACKET_ENTRY, SkPacketEntry);

	packet->id_for = FILE_ID;
	packet->has_urgent = packet->urgent = true;
	if (size < 0) {
		packet->scm = arena_array(snapshot->arena, ScmEntry *, 1);
		packet->scm[0] = snapshot_new(snapshot, SCM_ENTRY, ScmEntry);
		packet->scm[0]->type = SCM_RIGHTS;
		packet->n_scm = 1;
		size = 0;
	}
	struct record *record = snapshot_add_record(snapshot, IMAGE_SK_QUEUES, FILE_ID, packet);
	record->payload = arena_copy(snapshot->arena, "abc", (size_t)size);
	record->payload_size = (size_t)size;
}

static bool may_wait(uint32_t type, const int *sizes, size_t count)
{
	UnixSkEntry sk = UNIX_SK_ENTRY__INIT;
	struct arena arena;
	struct error err = { 0 };

	arena_init(&arena);
	struct snapshot snapshot = { .arena = &arena };
	sk.id = FILE_ID;
	sk.type = type;
	for (size_t i = 0; i < count; i++)
		add_urgent(&snapshot, sizes[i]);
	bool may = unix_queue_check(&snapshot, &sk, &err) == 0;
	assert_true(may || err.name == ERR_IMAGE_INVALID);
	arena_done(&arena);
	return may;
}

static void one_byte_is_urgent_behind_marks(void **state)
{
	(void)state;
	assert_true(may_wait(SOCK_STREAM, (int[]){ 0, 0, 1 }, 3));
	assert_true(may_wait(SOCK_STREAM, (int[]){ 0 }, 1));
	assert_false(may_wait(SOCK_STREAM, (int[]){ 1, 0 }, 2));
	assert_false(may_wait(SOCK_STREAM, (int[]){ 1, 1 }, 2));
	assert_false(may_wait(SOCK_STREAM, (int[]){ 2 }, 1));
	assert_false(may_wait(SOCK_STREAM, (int[]){ -1 }, 1));
	assert_false(may_wait(SOCK_DGRAM, (int[]){ 1 }, 1));
	assert_false(may_wait(SOCK_SEQPACKET, (int[]){ 0 }, 1));
}

static bool may_have_sent(const uint32_t *numbers, size_t levels)
{
	UnixSkEntry sk = UNIX_SK_ENTRY__INIT;
	struct arena arena;
	struct error err = { 0 };

	arena_init(&arena);
	struct snapshot snapshot = { .arena = &arena };
	SkPacketEntry *packet = snapshot_new(&snapshot, SK_PACKET_ENTRY, SkPacketEntry);
	packet->id_for = sk.id = FILE_ID;
	sk.type = SOCK_DGRAM;
	packet->n_sender_pid = levels;
	packet->sender_pid = arena_copy(&arena, numbers, levels * sizeof *numbers);
	snapshot_add_record(&snapshot, IMAGE_SK_QUEUES, FILE_ID, packet);
	bool may = unix_queue_check(&snapshot, &sk, &err) == 0;
	assert_true(may || err.name == ERR_IMAGE_INVALID);
	arena_done(&arena);
	return may;
}

static void senders_have_numbers_of_all_levels(void **state)
{
	uint32_t numbers[MAX_PID_LEVELS + 1];

	(void)state;
	for (size_t i = 0; i < MAX_PID_LEVELS + 1; i++)
		numbers[i] = INT32_MAX;
	assert_true(may_have_sent(numbers, 1));
	assert_true(may_have_sent(numbers, MAX_PID_LEVELS));
	assert_false(may_have_sent(numbers, MAX_PID_LEVELS + 1));
	numbers[0]++;
	assert_false(may_have_sent(numbers, 1));
	numbers[0] = 0;
	assert_false(may_have_sent(numbers, 1));
}

/* What waits is told out of turn once, and is in its place else. */
static void send_urgent(struct snapshot *snapshot, int pair[2], struct error *err)
{
	struct file_opener opener = { .snapshot = snapshot, .arena = snapshot->arena };
	UnixSkEntry sk = UNIX_SK_ENTRY__INIT;
	SkOptsEntry options = SK_OPTS_ENTRY__INIT;
	FileEntry file = FILE_ENTRY__INIT;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	sk.opts = &options;
	sk.type = SOCK_STREAM;
	file.id = FILE_ID;
	struct unix_end end = { .entry = &file,
				.sk = &sk,
				.made = true,
				.place = opener_keep(&opener, pair[0]),
				.gone_fd = pair[1] };
	struct unix_world world = { .opener = &opener, .ends = &end, .n_ends = 1 };
	if (unix_queue_fill(&world, &end, err))
		fail_msg("%s", err->text);
	/* A client cannot take what it has sent itself. */
	assert_int_equal(unix_queue_send(&world, &end, err), -1);
	assert_ptr_equal(err->name, ERR_IMAGE_INVALID);
}

static void marks_and_the_byte_are_sent_again(void **state)
{
	struct arena arena;
	struct error err = { 0 };
	int pair[2], mark = 0;
	char got[4] = "";

	(void)state;
	arena_init(&arena);
	struct snapshot snapshot = { .arena = &arena };
	add_urgent(&snapshot, 0);
	add_urgent(&snapshot, 1);
	send_urgent(&snapshot, pair, &err);
	assert_int_equal(ioctl(pair[0], SIOCATMARK, &mark), 0);
	assert_int_equal(mark, 1);
	assert_int_equal(recv(pair[0], got, sizeof got, MSG_OOB), 1);
	assert_int_equal(got[0], 'a');
	assert_true(recv(pair[0], got, sizeof got, MSG_DONTWAIT) < 0);
	close(pair[0]);
	close(pair[1]);
	arena_done(&arena);
}

/* ---- dump ---- */

static void send_descriptor(int fd, int sent)
{
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec part = { (char[]){ "x" }, 1 };
	struct msghdr header = { .msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof control };
	struct cmsghdr *rights = CMSG_FIRSTHDR(&header);

	rights->cmsg_level = SOL_SOCKET;
	rights->cmsg_type = SCM_RIGHTS;
	rights->cmsg_len = CMSG_LEN(sizeof sent);
	memcpy(CMSG_DATA(rights), &sent, sizeof sent);
	assert_int_equal(sendmsg(fd, &header, 0), 1);
}

/* Collects what waits at a socket, where numbers of descriptors end so far above its own. */
static enum error_name collect_with_room(int fd, rlim_t room)
{
	UnixSkEntry sk = UNIX_SK_ENTRY__INIT;
	SkOptsEntry options = SK_OPTS_ENTRY__INIT;
	struct arena arena;
	struct rlimit before;
	struct error err = { 0 };

	arena_init(&arena);
	struct snapshot snapshot = { .arena = &arena };
	struct collect collect = { .arena = &arena, .snapshot = &snapshot };
	struct target target = { .collect = &collect };
	const struct open_file file = { .target = &target, .what = "a socket" };
	sk.opts = &options;
	sk.type = SOCK_STREAM;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	const struct rlimit limit = { (rlim_t)fd + room, before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	int result = unix_queue_collect(&file, fd, &sk, &err);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	collect_files_done(&collect);
	arena_done(&arena);
	assert_int_equal(result, err.name ? -1 : 0);
	return err.name;
}

/* A dump wants more than what it receives, which stays open. */
static void descriptors_on_their_way_leave_room(void **state)
{
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	send_descriptor(pair[0], STDIN_FILENO);
	assert_int_equal(collect_with_room(pair[1], 100), ERR_NONE);
	assert_int_equal(collect_with_room(pair[1], 20), ERR_LIMIT_TOO_LOW);
	close(pair[0]);
	close(pair[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_has_its_sender),
		cmocka_unit_test(one_byte_is_urgent_behind_marks),
		cmocka_unit_test(senders_have_numbers_of_all_levels),
		cmocka_unit_test(marks_and_the_byte_are_sent_again),
		cmocka_unit_test(who_is_gone_waits_and_is_nothing_else),
		cmocka_unit_test(descriptors_on_their_way_leave_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
