// SPDX-License-Identifier: LGPL-2.1-or-later
/* What open files and namespaces are called where people look at a tree; and their records. */
#include "base/arena.h"
#include "base/text.h"
#include "kinds/kind.h"
#include "kinds/sockets/unix.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <cmocka.h>

#define FILE_OF(...) (&(const FileEntry){ __VA_ARGS__ })
#define NAME_OF(text)                               \
	{                                           \
		sizeof(text) - 1, (uint8_t *)(text) \
	}

static uint32_t here[] = { 0x0100007f }, there[] = { 0x0200007f }, nowhere[] = { 0 },
		here_6[] = { 0, 0, 0, 0x01000000 };
static CgMemberEntry first = { .name = "cpu", .path = "/a" },
		     same = { .name = "pids", .path = "/a" }, other = { .name = "", .path = "/b" };
static CgMemberEntry *members[] = { &first, &same, &other };

static const struct {
	const char *kind; /* name; NULL: as the row before */
	const FileEntry *entry;
	const char *text;
} rows[] = {
	{ "terminal", FILE_OF(.tty = &(TtyFileEntry){ .tty_info_id = 3, .master = true }),
	  "terminal 3 master" },
	{ NULL, FILE_OF(.tty = &(TtyFileEntry){ .tty_info_id = 4 }), "terminal 4 slave" },
	{ NULL, FILE_OF(.tty = &(TtyFileEntry){ .tty_info_id = 4, .path = "/dev/tty" }),
	  "terminal 4 /dev/tty" },
	{ NULL,
	  FILE_OF(.tty = &(TtyFileEntry){ .tty_info_id = 4,
					  .path = "/dev/pts/0",
					  .has_mount_id = true }),
	  "terminal 4 slave" },
	{ "io_uring", FILE_OF(.uring = &(IoUringEntry){ .sq_entries = 8, .cq_entries = 16 }),
	  "io_uring of 8 and 16 entries" },
	{ "memory file", FILE_OF(.memfd = &(MemfdFileEntry){ .inode_id = 7 }), "memory file 7" },
	{ "POSIX message queue", FILE_OF(.posix_queue = &(PosixQueueEntry){ .name = "/q" }),
	  "POSIX message queue /q" },
	{ NULL, FILE_OF(.posix_queue = &(PosixQueueEntry){ .name = NULL }),
	  "POSIX message queue without a name" },
	{ "regular", FILE_OF(.reg = &(RegFileEntry){ .name = "/etc/passwd" }), "/etc/passwd" },
	{ NULL, FILE_OF(.reg = &(RegFileEntry){ .name = "tmp/x" }), "/tmp/x" },
	{ "named pipe", FILE_OF(.fifo = &(FifoEntry){ .pipe_id = 12 }), "named pipe 12" },
	{ "pipe", FILE_OF(.pipe = &(PipeEntry){ .pipe_id = 5, .flags = O_RDONLY | O_NONBLOCK }),
	  "pipe 5 read end" },
	{ NULL, FILE_OF(.pipe = &(PipeEntry){ .pipe_id = 5, .flags = O_WRONLY }),
	  "pipe 5 write end" },
	{ NULL, FILE_OF(.pipe = &(PipeEntry){ .pipe_id = 5, .flags = O_RDWR }),
	  "pipe 5 both ends" },
	{ NULL, FILE_OF(.pipe = &(PipeEntry){ .pipe_id = 5, .flags = O_ACCMODE }),
	  "pipe 5 no end" },
	{ "eventfd", FILE_OF(.efd = &(EventfdFileEntry){ .counter = 3 }), "eventfd, count 3" },
	{ NULL, FILE_OF(.efd = &(EventfdFileEntry){ .flags = EFD_SEMAPHORE, .counter = 1 }),
	  "eventfd (semaphore), count 1" },
	{ "timerfd", FILE_OF(.tfd = &(TimerfdEntry){ .clockid = 1, .vsec = 12, .vnsec = 5000000 }),
	  "timerfd of clock 1, 12.005000000 s left" },
	{ "signalfd", FILE_OF(.sgfd = &(SignalfdEntry){ .sigmask = 0x200 }),
	  "signalfd, mask 0000000000000200" },
	{ "pidfd", FILE_OF(.pidfd = &(PidfdEntry){ .nspid = 8 }), "pidfd of 8" },
	{ NULL, FILE_OF(.pidfd = &(PidfdEntry){ .nspid = -1 }), "pidfd of a process that is gone" },
	{ "inotify", FILE_OF(.ify = &(InotifyFileEntry){ .n_wd = 2 }),
	  "inotify instance, 2 watches" },
	{ "fanotify", FILE_OF(.ffy = &(FanotifyFileEntry){ .n_mark = 3 }),
	  "fanotify group, 3 marks" },
	{ "epoll", FILE_OF(.epfd = &(EventpollFileEntry){ .n_tfd = 4 }),
	  "epoll instance, watches 4" },
	{ "tun", FILE_OF(.tunf = &(TunfileEntry){ .netdev = "tap0" }), "tun of tap0" },
	{ NULL, FILE_OF(.tunf = &(TunfileEntry){ .detached = true }),
	  "tun of no interface, switched off" },
	{ "fuse device", FILE_OF(.fuse_device = &(FuseDeviceEntry){ .has_connection = true }),
	  "fuse device" },
	{ NULL, FILE_OF(.fuse_device = &(FuseDeviceEntry){ .has_connection = false }),
	  "fuse device, of nothing yet" },
	{ "unix socket",
	  FILE_OF(.usk = &(
			  UnixSkEntry){ .ino = 9, .state = TCP_LISTEN, .name = NAME_OF("/run/s") }),
	  "unix socket 9 listening /run/s" },
	{ NULL, FILE_OF(.usk = &(UnixSkEntry){ .ino = 9, .peer = 1, .name = NAME_OF("\0abc") }),
	  "unix socket 9 connected @abc" },
	{ NULL, FILE_OF(.usk = &(UnixSkEntry){ .ino = 9, .peer = 1, .uflags = UNIX_GONE }),
	  "unix socket 9 gone before it was accepted" },
	{ NULL, FILE_OF(.usk = &(UnixSkEntry){ .ino = 9 }), "unix socket 9" },
	{ "inet socket",
	  FILE_OF(.isk = &(InetSkEntry){ .family = AF_INET,
					 .type = SOCK_STREAM,
					 .proto = IPPROTO_TCP,
					 .state = TCP_LISTEN,
					 .src_addr = here,
					 .dst_addr = nowhere,
					 .src_port = 80 }),
	  "TCP socket listening at 127.0.0.1:80" },
	{ NULL,
	  FILE_OF(.isk = &(InetSkEntry){ .family = AF_INET,
					 .type = SOCK_DGRAM,
					 .proto = IPPROTO_UDP,
					 .state = TCP_CLOSE,
					 .src_addr = here,
					 .dst_addr = there,
					 .src_port = 53,
					 .dst_port = 54 }),
	  "UDP socket 127.0.0.1:53 to 127.0.0.2:54" },
	{ NULL,
	  FILE_OF(.isk = &(InetSkEntry){ .family = AF_INET6,
					 .type = SOCK_DGRAM,
					 .proto = IPPROTO_UDPLITE,
					 .state = TCP_CLOSE,
					 .src_addr = here_6,
					 .dst_addr = here_6,
					 .src_port = 53 }),
	  "UDP-Lite socket [::1]:53" },
	{ NULL,
	  FILE_OF(.isk = &(InetSkEntry){ .family = AF_INET,
					 .type = SOCK_RAW,
					 .proto = IPPROTO_ICMP,
					 .state = TCP_ESTABLISHED,
					 .src_addr = here,
					 .dst_addr = there }),
	  "raw socket 127.0.0.1:0 to 127.0.0.2:0" },
	{ NULL,
	  FILE_OF(.isk = &(InetSkEntry){ .family = AF_INET,
					 .type = SOCK_DGRAM,
					 .proto = IPPROTO_ICMP,
					 .state = TCP_CLOSE,
					 .src_addr = here,
					 .dst_addr = nowhere,
					 .src_port = 7 }),
	  "ICMP socket 127.0.0.1:7" },
	{ "packet socket", FILE_OF(.psk = &(PacketSkEntry){ .protocol = 0x0300, .ifname = "eth0" }),
	  "packet socket protocol 0x0003 at eth0" },
	{ NULL, FILE_OF(.psk = &(PacketSkEntry){ .protocol = 0x0008 }),
	  "packet socket protocol 0x0800" },
	{ "netlink socket",
	  FILE_OF(.nlsk = &(NetlinkSkEntry){ .protocol = NETLINK_KOBJECT_UEVENT, .portid = 6 }),
	  "netlink socket (uevent) port 6" },
	{ NULL, FILE_OF(.nlsk = &(NetlinkSkEntry){ .protocol = NETLINK_CRYPTO, .portid = 6 }),
	  "netlink socket (crypto) port 6" },
	{ NULL, FILE_OF(.nlsk = &(NetlinkSkEntry){ .protocol = NETLINK_CRYPTO + 1, .portid = 6 }),
	  "netlink socket (protocol 22) port 6" },
	{ "BPF program", FILE_OF(.bpf_program = &(BpfProgramEntry){ .name = "look" }),
	  "BPF program look" },
	{ "BPF map", FILE_OF(.bpf = &(BpfmapFileEntry){ .map_id = 2, .map_name = "seen" }),
	  "BPF map 2 seen" },
	{ "BPF link", FILE_OF(.bpf_link = &(BpfLinkEntry){ .number = 3, .path = "/group" }),
	  "BPF link 3 to /group" },
	{ "BPF types", FILE_OF(.bpf_btf = &(BpfBtfEntry){ .number = 4 }), "BPF types 4" },
	{ "namespace", FILE_OF(.nsf = &(NsFileEntry){ .ns_cflag = CLONE_NEWUTS, .ns_id = 11 }),
	  "uts namespace 11" },
	{ NULL, FILE_OF(.nsf = &(NsFileEntry){ .ns_cflag = 1, .ns_id = 11 }),
	  "unknown namespace 11" },
};

static void each_file_is_described(void **state)
{
	const char *kind = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const struct file_kind *const *row = kinds.files;
		char text[256] = "";

		kind = rows[i].kind ?: kind;
		while (*row && strcmp((*row)->name, kind) != 0)
			row++;
		assert_non_null(*row);
		(*row)->describe(rows[i].entry, text, sizeof text);
		assert_string_equal(text, rows[i].text);
	}
}

/* A kind that is added has its row above. */
static void no_kind_is_left_out(void **state)
{
	(void)state;
	for (const struct file_kind *const *kind = kinds.files; *kind; kind++) {
		bool found = false;

		for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
			found = found || (rows[i].kind && strcmp(rows[i].kind, (*kind)->name) == 0);
		if (!found)
			fail_msg("%s", (*kind)->name);
	}
}

static void expect_invalid(const struct file_kind *kind, const FileEntry *entry)
{
	struct arena arena;
	struct error err = { 0 };
	struct snapshot snapshot = { .arena = &arena };

	arena_init(&arena);
	if (kind->check &&
	    (kind->check(&snapshot, entry, &err) != -1 || err.name != ERR_IMAGE_INVALID))
		fail_msg("%s", kind->name);
	arena_done(&arena);
}

/* Whoever writes an image may leave out what the type promises, or mean another file by it. */
static void each_file_has_its_own_record(void **state)
{
	const struct file_kind *const *kind = kinds.files;

	(void)state;
	for (; *kind; kind++) {
		FileEntry nothing = FILE_ENTRY__INIT;

		nothing.type = (*kind)->type;
		expect_invalid(*kind, &nothing);
	}
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		FileEntry another = *rows[i].entry;

		for (kind = kinds.files; rows[i].kind && strcmp((*kind)->name, rows[i].kind) != 0;)
			kind++;
		another.id = 1000;
		if (rows[i].kind)
			expect_invalid(*kind, &another);
	}
}

static void expect(enum namespace_type type, const NsEntry *entry, const char *expected)
{
	struct arena arena;
	struct text text;

	arena_init(&arena);
	text_init(&text, &arena);
	kinds.namespaces[type]->describe(entry, &text);
	assert_string_equal(text.length ? text.string : "", expected);
	arena_done(&arena);
}

static void namespaces_are_described(void **state)
{
	TimensEntry clocks = { .monotonic = &(Timespec){ .tv_sec = 5 },
			       .boottime = &(Timespec){ .tv_sec = 9 } };
	CgSetEntry root = { .n_ctls = 3, .ctls = members };

	(void)state;
	expect(NAMESPACE_TIME, &(const NsEntry){ .id = 1 }, "");
	expect(NAMESPACE_TIME, &(const NsEntry){ .time = &clocks },
	       "monotonic clock at 5 s, boot time 9 s");
	expect(NAMESPACE_CGROUP, &(const NsEntry){ .id = 1 }, "");
	expect(NAMESPACE_CGROUP, &(const NsEntry){ .cgroup_root = &root }, "root cpu:/a, :/b");
	expect(NAMESPACE_NET, &(const NsEntry){ .id = 1 }, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_file_is_described),
		cmocka_unit_test(no_kind_is_left_out),
		cmocka_unit_test(each_file_has_its_own_record),
		cmocka_unit_test(namespaces_are_described),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
