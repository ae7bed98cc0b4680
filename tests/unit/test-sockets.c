// SPDX-License-Identifier: LGPL-2.1-or-later
/* Records of sockets are untrusted: the last value that is taken, and the first that is not. */
#include "base/arena.h"
#include "kinds/kind.h"
#include "kinds/sockets/inet.h"
#include "kinds/sockets/options.h"
#include "kinds/sockets/socket.h"
#include "kinds/sockets/unix.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Last: it defines a macro called fail. */
#include <cmocka.h>

#define LONGEST_NAME "fifteen-letters"

struct fixture {
	struct snapshot snapshot;
	FileEntry file;
	PacketSkEntry packet;
	SkOptsEntry options;
	PacketMclist membership, *memberships[1];
	uint8_t address[9];
	struct error err;
};

static int set_up(void **state)
{
	static struct fixture fixture;

	memset(&fixture, 0, sizeof fixture);
	file_entry__init(&fixture.file);
	packet_sk_entry__init(&fixture.packet);
	sk_opts_entry__init(&fixture.options);
	packet_mclist__init(&fixture.membership);
	fixture.file.id = fixture.packet.id = 7;
	fixture.file.psk = &fixture.packet;
	fixture.packet.type = SOCK_RAW;
	fixture.packet.protocol = htons(ETH_P_ALL);
	fixture.packet.opts = &fixture.options;
	fixture.packet.mclist = fixture.memberships;
	fixture.packet.n_mclist = 1;
	fixture.memberships[0] = &fixture.membership;
	fixture.membership.type = PACKET_MR_MULTICAST;
	fixture.membership.addr = (ProtobufCBinaryData){ 6, fixture.address };
	*state = &fixture;
	return 0;
}

static void expect(struct fixture *fixture, bool valid)
{
	fixture->err = (struct error){ 0 };
	int result = packet_socket_kind.check(&fixture->snapshot, &fixture->file, &fixture->err);

	assert_int_equal(result, valid ? 0 : -1);
	assert_int_equal(fixture->err.name, valid ? ERR_NONE : ERR_IMAGE_INVALID);
}

static void records_of_packet_sockets(void **state)
{
	struct fixture *fixture = *state;
	PacketSkEntry *packet = &fixture->packet;

	expect(fixture, true);
	packet->type = SOCK_DGRAM;
	packet->protocol = UINT16_MAX;
	packet->ifindex = INT32_MAX;
	packet->ifname = LONGEST_NAME;
	expect(fixture, true);
	packet->ifname = LONGEST_NAME "!";
	expect(fixture, false);
	packet->ifname = NULL;
	packet->type = SOCK_STREAM;
	expect(fixture, false);
	packet->type = SOCK_RAW;
	packet->protocol = UINT16_MAX + 1;
	expect(fixture, false);
	packet->protocol = 0;
	packet->ifindex = (uint32_t)INT32_MAX + 1;
	expect(fixture, false);
	packet->ifindex = 0;
	packet->id = 8;
	expect(fixture, false);
	packet->id = 7;
	packet->opts = NULL;
	expect(fixture, false);
	fixture->file.psk = NULL;
	expect(fixture, false);
}

static void memberships_of_packet_sockets(void **state)
{
	struct fixture *fixture = *state;
	PacketMclist *membership = &fixture->membership;

	membership->type = PACKET_MR_UNICAST;
	membership->addr.len = 8;
	membership->count = UINT16_MAX;
	membership->ifname = LONGEST_NAME;
	expect(fixture, true);
	membership->ifname = LONGEST_NAME "!";
	expect(fixture, false);
	membership->ifname = NULL;
	membership->addr.len = 9;
	expect(fixture, false);
	membership->addr.len = 0;
	membership->count = UINT16_MAX + 1;
	expect(fixture, false);
	membership->count = 0;
	membership->type = PACKET_MR_UNICAST + 1;
	expect(fixture, false);
}

static void options_of_sockets(void **state)
{
	struct fixture *fixture = *state;
	SkOptsEntry *options = &fixture->options;

	options->so_snd_tmo_usec = options->so_rcv_tmo_usec = 999999;
	options->so_snd_tmo_sec = options->so_rcv_tmo_sec = INT64_MAX;
	options->so_sndbuf = options->so_rcvbuf = INT32_MAX;
	options->so_bound_dev = LONGEST_NAME;
	expect(fixture, true);
	options->so_bound_dev = LONGEST_NAME "!";
	expect(fixture, false);
	options->so_bound_dev = NULL;
	options->so_snd_tmo_usec++;
	expect(fixture, false);
	options->so_snd_tmo_usec = 0;
	options->so_rcv_tmo_usec++;
	expect(fixture, false);
	options->so_rcv_tmo_usec = 0;
	options->so_snd_tmo_sec++;
	expect(fixture, false);
	options->so_snd_tmo_sec = 0;
	options->so_rcv_tmo_sec++;
	expect(fixture, false);
	options->so_rcv_tmo_sec = 0;
	options->so_sndbuf++;
	expect(fixture, false);
	options->so_sndbuf = 0;
	options->so_rcvbuf++;
	expect(fixture, false);
}

/* ---- ends of connections ---- */

static void make_end(InetSkEntry *sk, uint32_t *src, uint32_t *dst, size_t words, uint32_t src_port,
		     uint32_t dst_port)
{
	inet_sk_entry__init(sk);
	sk->family = words == 1 ? AF_INET : AF_INET6;
	sk->src_addr = src;
	sk->dst_addr = dst;
	sk->n_src_addr = sk->n_dst_addr = words;
	sk->src_port = src_port;
	sk->dst_port = dst_port;
}

/* Both functions have to say so, the second one among others that are none. */
static void expect_meeting(const InetSkEntry *one, const InetSkEntry *other, bool meets)
{
	uint32_t elsewhere[] = { 3 }, there[] = { 4 };
	InetSkEntry stranger;
	struct arena arena;

	assert_int_equal(inet_ends_meet(one, other), meets);
	assert_int_equal(inet_ends_meet(other, one), meets);
	arena_init(&arena);
	struct inet_ends *ends = inet_ends_new(&arena, 3);
	assert_false(inet_ends_has_other(ends, one));
	make_end(&stranger, elsewhere, there, 1, 5, 6);
	inet_ends_add(ends, &stranger, NULL);
	assert_false(inet_ends_has_other(ends, one));
	inet_ends_add(ends, other, NULL);
	make_end(&stranger, there, elsewhere, 1, 1000, 1000);
	inet_ends_add(ends, &stranger, NULL);
	assert_int_equal(inet_ends_has_other(ends, one), meets);
	arena_done(&arena);
}

static void ends_that_meet(void **state)
{
	uint32_t near[] = { 1, 10, 11, 12 }, far[] = { 2, 20, 21, 22 };
	InetSkEntry one, other;

	(void)state;
	for (size_t words = 1; words <= 4; words += 3) {
		make_end(&one, near, far, words, 1000, 2000);
		make_end(&other, far, near, words, 2000, 1000);
		expect_meeting(&one, &other, true);
		expect_meeting(&one, &one, false);
		make_end(&other, far, near, words, 2001, 1000);
		expect_meeting(&one, &other, false);
		make_end(&other, far, near, words, 2000, 1001);
		expect_meeting(&one, &other, false);
		make_end(&other, near, near, words, 2000, 1000);
		expect_meeting(&one, &other, false);
		make_end(&other, far, far, words, 2000, 1000);
		expect_meeting(&one, &other, false);
	}
}

static void ends_of_both_families(void **state)
{
	uint32_t near[] = { 0, 0, htonl(0xffff), 1 }, far[] = { 0, 0, htonl(0xffff), 2 };
	uint32_t plain[] = { 0, 0, 0, 2 };
	InetSkEntry one, other;

	(void)state;
	make_end(&one, near, far, 4, 1000, 2000);
	make_end(&other, far + 3, near + 3, 1, 2000, 1000);
	expect_meeting(&one, &other, true);
	/* Another address is not one of AF_INET. */
	make_end(&one, near, plain, 4, 1000, 2000);
	expect_meeting(&one, &other, false);
}

/* Of several with these addresses it is the one in the same network namespace, or nobody's. */
static void ends_in_namespaces(void **state)
{
	uint32_t near[] = { 1 }, far[] = { 2 };
	InetSkEntry one, others[2];
	int owners[2];
	struct arena arena;

	(void)state;
	arena_init(&arena);
	struct inet_ends *ends = inet_ends_new(&arena, 2);
	make_end(&one, near, far, 1, 1000, 2000);
	one.ns_id = 7;
	assert_null(inet_ends_other(ends, &one));
	for (int i = 0; i < 2; i++) {
		make_end(&others[i], far, near, 1, 2000, 1000);
		others[i].ns_id = 8 + (uint32_t)i;
		inet_ends_add(ends, &others[i], &owners[i]);
		assert_ptr_equal(inet_ends_other(ends, &one), i ? NULL : &owners[0]);
	}
	one.ns_id = 9;
	assert_ptr_equal(inet_ends_other(ends, &one), &owners[1]);
	one.ns_id = 8;
	assert_ptr_equal(inet_ends_other(ends, &one), &owners[0]);
	arena_done(&arena);
}

/* `sent` is what the first end says that it has sent of 1000 bytes, numbered from 5000 on. */
static uint32_t unsent_after(uint32_t sent, uint32_t received, uint32_t state,
			     uint32_t state_of_peer)
{
	InetSkEntry sk = INET_SK_ENTRY__INIT, peer = INET_SK_ENTRY__INIT;
	TcpStreamEntry entry = TCP_STREAM_ENTRY__INIT, of_peer = TCP_STREAM_ENTRY__INIT;

	sk.state = state;
	peer.state = state_of_peer;
	entry.outq_seq = 6000 + (state == TCP_FIN_WAIT1);
	entry.outq_len = 1000;
	entry.unsq_len = 1000 - sent;
	of_peer.inq_seq = 5000 + received + (state_of_peer == TCP_CLOSE_WAIT);
	tcp_settle(&sk, &entry, &peer, &of_peer);
	return entry.unsq_len;
}

static void ends_read_one_after_the_other(void **state)
{
	(void)state;
	assert_int_equal(unsent_after(200, 200, TCP_ESTABLISHED, TCP_ESTABLISHED), 800);
	/* It is under way. */
	assert_int_equal(unsent_after(200, 100, TCP_ESTABLISHED, TCP_ESTABLISHED), 800);
	/* It was sent meanwhile. */
	assert_int_equal(unsent_after(0, 300, TCP_ESTABLISHED, TCP_ESTABLISHED), 700);
	assert_int_equal(unsent_after(200, 1000, TCP_ESTABLISHED, TCP_ESTABLISHED), 0);
	assert_int_equal(unsent_after(200, 1000, TCP_FIN_WAIT1, TCP_CLOSE_WAIT), 0);
	assert_int_equal(unsent_after(200, 900, TCP_FIN_WAIT1, TCP_ESTABLISHED), 100);
	/* That is of another connection. */
	assert_int_equal(unsent_after(200, 1001, TCP_ESTABLISHED, TCP_ESTABLISHED), 800);
}

/* An address of a link is none without its interface; what kept that from being found is told. */
static void scopes_of_addresses(void **state)
{
	(void)state;
	uint32_t words[4] = { htonl(0xfe800000), 0, 0, htonl(1) };
	InetSkEntry sk = INET_SK_ENTRY__INIT;
	union inet_address address;
	struct rlimit limit, none;

	sk.family = AF_INET6;
	sk.src_addr = words;
	sk.n_src_addr = 4;
	sk.ifname = "lo";
	assert_int_equal(inet_source(&sk, &address), sizeof address.v6);
	assert_int_equal(address.v6.sin6_scope_id, 1);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = (struct rlimit){ 0, limit.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	int length = (int)inet_source(&sk, &address), failure = errno;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(length, 0);
	assert_int_equal(failure, EMFILE);
	sk.ifname = "no-such-one";
	assert_int_equal(inet_source(&sk, &address), 0);
	assert_int_equal(errno, ENODEV);
}

static bool is_taken(const struct snapshot *snapshot, InetSkEntry *sk, uint32_t error)
{
	struct error err = { 0 };

	sk->error = error;
	return tcp_ended_check(snapshot, sk, &err) == 0;
}

/* Only who has ended tells how, and who could not connect has received nothing. */
static void what_ended_connections_tell(void **state)
{
	struct arena arena;
	struct snapshot tree = { .arena = &arena }, *snapshot = &tree;
	InetSkEntry sk = INET_SK_ENTRY__INIT;

	(void)state;
	arena_init(&arena);
	sk.id = 1;
	sk.type = SOCK_STREAM;
	sk.proto = IPPROTO_TCP;
	sk.state = TCP_CLOSE;
	assert_true(is_taken(snapshot, &sk, 0));
	assert_false(is_taken(snapshot, &sk, ECONNRESET));
	sk.has_shutdown = true;
	sk.shutdown = SK_SHUTDOWN__BOTH;
	assert_true(is_taken(snapshot, &sk, ECONNRESET));
	assert_true(is_taken(snapshot, &sk, EPIPE));
	assert_true(is_taken(snapshot, &sk, ECONNREFUSED));
	assert_false(is_taken(snapshot, &sk, ETIMEDOUT));
	struct record *record =
		snapshot_add_record(snapshot, IMAGE_SK_QUEUES, sk.id,
				    snapshot_new(snapshot, SK_PACKET_ENTRY, SkPacketEntry));
	record->payload_size = 8;
	assert_true(is_taken(snapshot, &sk, 0));
	assert_false(is_taken(snapshot, &sk, ECONNREFUSED));
	record->payload_size = (size_t)1 << 30;
	assert_false(is_taken(snapshot, &sk, 0));
	record->payload_size = 8;
	sk.proto = IPPROTO_MPTCP;
	assert_false(is_taken(snapshot, &sk, 0));
	sk.proto = IPPROTO_TCP;
	sk.state = TCP_LISTEN;
	assert_false(is_taken(snapshot, &sk, 0));
	arena_done(&arena);
}

static void check_limit_of_buffers(const char *path, int option)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct all[2], fewer[2];
	struct error err = { 0 };
	FILE *file = fopen(path, "r");
	int most;

	assert_non_null(file);
	assert_int_equal(fscanf(file, "%d", &most), 1);
	fclose(file);
	assert_int_equal(syscall(SYS_capget, &header, all), 0);
	memcpy(fewer, all, sizeof fewer);
	fewer[0].effective &= ~(1u << CAP_NET_ADMIN);
	assert_int_equal(syscall(SYS_capset, &header, fewer), 0);
	/* The kernel tells twice of what was set. */
	assert_int_equal(socket_buffer_check("it", option, 2 * most, &err), 0);
	assert_int_equal(socket_buffer_check("it", option, 2 * most + 2, &err), -1);
	assert_int_equal(err.name, ERR_LIMIT_TOO_LOW);
	assert_int_equal(syscall(SYS_capset, &header, all), 0);
}

static void buffers_that_may_be_had(void **state)
{
	(void)state;
	check_limit_of_buffers("/proc/sys/net/core/wmem_max", SO_SNDBUF);
	check_limit_of_buffers("/proc/sys/net/core/rmem_max", SO_RCVBUF);
}

/* The address that was bound, where the socket is, and where that address began; NULL: nowhere. */
static void addresses_begin_somewhere(void **state)
{
	static const struct {
		const char *address, *place, *start;
	} rows[] = {
		{ "b/s", "/a/b/s", "/a/" }, { "b/s", "/a/b/renamed", "/a/" },
		{ "b/s", "/ab/s", NULL },   { "/a/b/s", "/a/b/s", "" },
		{ "/b/s", "/a/b/s", "/a" }, { "s", "/s", "/" },
		{ "x/s", "/a/b/s", NULL },  { "/a/b/c/s", "/b/c/s", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		UnixSkEntry sk = UNIX_SK_ENTRY__INIT;
		char start[PATH_MAX] = "";

		sk.name.data = (uint8_t *)(uintptr_t)rows[i].address;
		sk.name.len = strlen(rows[i].address);
		sk.place = (char *)(uintptr_t)rows[i].place;
		assert_int_equal(unix_place_begins(&sk, start), rows[i].start != NULL);
		if (rows[i].start)
			assert_string_equal(start, rows[i].start);
	}
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(records_of_packet_sockets),
		TEST(memberships_of_packet_sockets),
		TEST(options_of_sockets),
		cmocka_unit_test(ends_that_meet),
		cmocka_unit_test(ends_of_both_families),
		cmocka_unit_test(ends_in_namespaces),
		cmocka_unit_test(ends_read_one_after_the_other),
		cmocka_unit_test(scopes_of_addresses),
		cmocka_unit_test(what_ended_connections_tell),
		cmocka_unit_test(buffers_that_may_be_had),
		cmocka_unit_test(addresses_begin_somewhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
