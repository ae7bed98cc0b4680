/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A driver of FUSE, in the protocol itself: a directory with a directory with files, in memory. It
 * gives each that is opened a handle of its own, and takes no other: statfs tells how many there
 * are, and "who" has the handle by which it is read.
 */
#ifndef NESTOR_TESTS_FUSE_DRIVER_H
#define NESTOR_TESTS_FUSE_DRIVER_H

#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NODES = 16, ROOM = 256 << 10, LONGEST = 64 };
enum { ROOT = 1, APPLICATIONS = 40, ONE, CONTENT, WHO, CACHED, PROGRAM, PAGES };
enum { HANDLES = 32, FIRST_HANDLE = 77000 };

/* What the driver serves: numbers of nodes are their places, and more. */
struct node {
	uint64_t number, parent;
	const char *name;
	uint32_t mode;
	int64_t lookups;
	char text[LONGEST];
	size_t size;
	char *content; /* instead of the text */
};

/* Of each that is polled: by which number, from the first time on. */
static uint64_t poll_handles[HANDLES];

static struct node nodes[NODES] = {
	{ .number = ROOT, .parent = ROOT, .name = ".", .mode = S_IFDIR | 0755 },
	{ .number = APPLICATIONS, .parent = ROOT, .name = "by-app", .mode = S_IFDIR | 0755 },
	{ .number = ONE, .parent = APPLICATIONS, .name = "one", .mode = S_IFDIR | 0755 },
	{ .number = CONTENT,
	  .parent = ONE,
	  .name = "content",
	  .mode = S_IFREG | 0644,
	  .text = "before",
	  .size = 6 },
	{ .number = WHO, .parent = ONE, .name = "who", .mode = S_IFREG | 0644, .size = 5 },
	{ .number = CACHED,
	  .parent = ONE,
	  .name = "cached",
	  .mode = S_IFREG | 0644,
	  .text = "0123456789",
	  .size = 10 },
	/* A copy of the scenario, and pages of numbers, where the scenario asks for them. */
	{ .parent = ONE, .name = "program", .mode = S_IFREG | 0755 },
	{ .parent = ONE, .name = "pages", .mode = S_IFREG | 0644 },
};
static uint64_t handles[HANDLES]; /* nodes, by the number of the handle from the first one on */
static int devices[2];
static uint32_t more_flags; /* of FUSE_INIT */
static const char *mount_options = "user_id=0,group_id=0,default_permissions";
static bool is_polled;	 /* what was written to "content" is told to who waits for other files */
static unsigned late_by; /* milliseconds that each answer takes */

static struct node *find(uint64_t number)
{
	for (int i = 0; i < NODES; i++)
		if (nodes[i].number == number)
			return &nodes[i];
	return NULL;
}

static struct fuse_attr attributes_of(const struct node *node)
{
	return (struct fuse_attr){ .ino = node->number,
				   .size = node->size,
				   .mode = node->mode,
				   .nlink = 1,
				   .blksize = 4096 };
}

static void reply(int fd, uint64_t unique, int error, const void *data, size_t size)
{
	static char text[ROOM];
	struct fuse_out_header out = { .len = (uint32_t)(sizeof out + size),
				       .error = error,
				       .unique = unique };

	memcpy(text, &out, sizeof out);
	if (size)
		memcpy(text + sizeof out, data, size);
	scenario_check(write(fd, text, out.len) == (ssize_t)out.len || errno == ENOENT,
		       "cannot answer: %s", strerror(errno));
}

static bool is_told(void);

/* Whoever waits is told as he was known when it was asked for the first time. */
static void answer_poll(int fd, const struct fuse_in_header *in, const struct fuse_poll_in *poll)
{
	uint64_t *known = &poll_handles[poll->fh - FIRST_HANDLE];
	struct fuse_poll_out out = { .revents = is_told() ? POLLIN : 0 };

	if (!is_polled)
		return reply(fd, in->unique, -ENOSYS, NULL, 0);
	if (!*known)
		*known = poll->kh;
	scenario_check(*known == poll->kh, "handle %llu is polled as %llu, not as %llu",
		       (unsigned long long)poll->fh, (unsigned long long)poll->kh,
		       (unsigned long long)*known);
	reply(fd, in->unique, 0, &out, sizeof out);
}

static void tell(int fd)
{
	struct {
		struct fuse_out_header header;
		struct fuse_notify_poll_wakeup_out wakeup;
	} notice = { .header = { .len = sizeof notice, .error = FUSE_NOTIFY_POLL } };

	for (int i = 0; i < HANDLES; i++) {
		notice.wakeup.kh = poll_handles[i];
		scenario_check(!poll_handles[i] || write(fd, &notice, sizeof notice) > 0,
			       "cannot tell: %s", strerror(errno));
	}
}

static void look_up(int fd, const struct fuse_in_header *in, const char *name)
{
	for (int i = 1; i < NODES; i++) {
		struct node *node = &nodes[i];
		if (!node->number || node->parent != in->nodeid || strcmp(node->name, name))
			continue;
		struct fuse_entry_out out = { .nodeid = node->number,
					      .generation = 7,
					      .attr = attributes_of(node) };
		node->lookups++;
		reply(fd, in->unique, 0, &out, sizeof out);
		return;
	}
	reply(fd, in->unique, -ENOENT, NULL, 0);
}

static void list(int fd, const struct fuse_in_header *in, const struct fuse_read_in *read)
{
	char text[4096];
	size_t size = 0;

	for (int i = (int)read->offset + 1; i < NODES; i++) {
		if (!nodes[i].number || nodes[i].parent != in->nodeid)
			continue;
		struct fuse_dirent entry = { .ino = nodes[i].number,
					     .off = (uint64_t)i,
					     .namelen = (uint32_t)strlen(nodes[i].name),
					     .type = nodes[i].mode >> 12 };
		memset(text + size, 0, 64);
		memcpy(text + size, &entry, FUSE_NAME_OFFSET);
		memcpy(text + size + FUSE_NAME_OFFSET, nodes[i].name, entry.namelen);
		size += FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + entry.namelen);
	}
	reply(fd, in->unique, 0, text, size);
}

/* What is made there has a number of its own, from the size of the table on. */
static void make_node(int fd, const struct fuse_in_header *in, uint32_t mode, const char *name)
{
	int place = 0;

	while (place < NODES && nodes[place].mode)
		place++;
	if (place == NODES)
		return reply(fd, in->unique, -ENOSPC, NULL, 0);
	char *copy = strdup(name);
	nodes[place] = (struct node){
		.number = 100 + (uint64_t)place, .parent = in->nodeid, .name = copy, .mode = mode
	};
	look_up(fd, in, copy);
}

static uint64_t new_handle(uint64_t node)
{
	static unsigned last;

	scenario_need(last < HANDLES, "too many are open");
	handles[last] = node;
	return FIRST_HANDLE + last++;
}

static void check_handle(const struct fuse_in_header *in, uint64_t handle)
{
	scenario_check(handle - FIRST_HANDLE < HANDLES &&
			       handles[handle - FIRST_HANDLE] == in->nodeid,
		       "handle %llu is not one of node %llu (%u)", (unsigned long long)handle,
		       (unsigned long long)in->nodeid, in->opcode);
}

static unsigned count_handles(void)
{
	unsigned n = 0;

	for (int i = 0; i < HANDLES; i++)
		n += handles[i] != 0;
	return n;
}

static bool is_told(void)
{
	return strncmp(find(CONTENT)->text, "before", 6) != 0;
}

static void read_from(int fd, const struct fuse_in_header *in, const struct fuse_read_in *read)
{
	struct node *node = find(in->nodeid);
	size_t at = read->offset < node->size ? read->offset : node->size;
	char text[LONGEST];

	check_handle(in, read->fh);
	if (node->content)
		return reply(fd, in->unique, 0, node->content + at,
			     node->size - at < read->size ? node->size - at : read->size);
	memcpy(text, node->text, LONGEST);
	if (in->nodeid == WHO)
		snprintf(text, sizeof text, "%llu", (unsigned long long)read->fh);
	reply(fd, in->unique, 0, text + at,
	      node->size - at < read->size ? node->size - at : read->size);
}

static void forget(uint64_t number, uint64_t count)
{
	struct node *node = find(number);

	if (!node || number == ROOT)
		return;
	node->lookups -= (int64_t)count;
	scenario_check(node->lookups >= 0, "%s is forgotten more often than it was looked up",
		       node->name);
}

static void answer(int fd, char *room, ssize_t size)
{
	struct fuse_in_header *in = (struct fuse_in_header *)room;
	void *rest = room + sizeof *in;
	struct node *node = find(in->nodeid);

	(void)size;
	switch (in->opcode) {
	case FUSE_INIT: {
		const struct fuse_init_in *init = rest;
		struct fuse_init_out out = { .major = 7,
					     .minor = 31,
					     .max_write = 65536,
					     .max_readahead = init->max_readahead,
					     .max_background = 9,
					     .congestion_threshold = 6,
					     .flags = FUSE_BIG_WRITES | FUSE_ATOMIC_O_TRUNC |
						      FUSE_ASYNC_READ | more_flags,
					     .time_gran = 1000 };
		return reply(fd, in->unique, 0, &out, sizeof out);
	}
	case FUSE_LOOKUP:
		return look_up(fd, in, rest);
	case FUSE_FORGET:
		return forget(in->nodeid, ((struct fuse_forget_in *)rest)->nlookup);
	case FUSE_BATCH_FORGET: {
		const struct fuse_batch_forget_in *batch = rest;
		const struct fuse_forget_one *one = (const void *)(batch + 1);
		for (uint32_t i = 0; i < batch->count; i++)
			forget(one[i].nodeid, one[i].nlookup);
		return;
	}
	case FUSE_GETATTR:
	case FUSE_SETATTR: {
		struct fuse_attr_out out = { .attr_valid = 0 };
		if (!node)
			return reply(fd, in->unique, -ESTALE, NULL, 0);
		out.attr = attributes_of(node);
		return reply(fd, in->unique, 0, &out, sizeof out);
	}
	case FUSE_OPEN:
	case FUSE_OPENDIR: {
		struct fuse_open_out out = {
			.open_flags = in->nodeid >= CACHED ? FOPEN_KEEP_CACHE : FOPEN_DIRECT_IO,
		};
		if (node)
			out.fh = new_handle(in->nodeid);
		return reply(fd, in->unique, node ? 0 : -ESTALE, &out, node ? sizeof out : 0);
	}
	case FUSE_READDIR:
		check_handle(in, ((struct fuse_read_in *)rest)->fh);
		return list(fd, in, rest);
	case FUSE_READ:
		return read_from(fd, in, rest);
	case FUSE_WRITE: {
		const struct fuse_write_in *write = rest;
		struct fuse_write_out out = { .size = write->size };
		check_handle(in, write->fh);
		if (node->content && write->offset + write->size <= node->size) {
			memcpy(node->content + write->offset, write + 1, write->size);
			return reply(fd, in->unique, 0, &out, sizeof out);
		}
		if (write->offset + write->size > LONGEST)
			return reply(fd, in->unique, -ENOSPC, NULL, 0);
		memcpy(node->text + write->offset, write + 1, write->size);
		node->size = write->offset + write->size;
		if (in->nodeid == CONTENT)
			tell(fd);
		return reply(fd, in->unique, 0, &out, sizeof out);
	}
	case FUSE_POLL:
		check_handle(in, ((struct fuse_poll_in *)rest)->fh);
		return answer_poll(fd, in, rest);
	case FUSE_STATFS: {
		struct fuse_statfs_out out = {
			.st = { .bsize = 4096, .namelen = 255, .files = count_handles() },
		};
		return reply(fd, in->unique, 0, &out, sizeof out);
	}
	case FUSE_RELEASE:
	case FUSE_RELEASEDIR: {
		uint64_t handle = ((struct fuse_release_in *)rest)->fh;
		check_handle(in, handle);
		handles[handle - FIRST_HANDLE] = poll_handles[handle - FIRST_HANDLE] = 0;
		return reply(fd, in->unique, 0, NULL, 0);
	}
	case FUSE_MKNOD:
		return make_node(fd, in, ((struct fuse_mknod_in *)rest)->mode,
				 (char *)rest + sizeof(struct fuse_mknod_in));
	case FUSE_UNLINK:
		for (int i = 0; i < NODES; i++)
			if (nodes[i].parent == in->nodeid && !strcmp(nodes[i].name, rest))
				nodes[i].parent = 0;
		return reply(fd, in->unique, 0, NULL, 0);
	case FUSE_FLUSH:
		check_handle(in, ((struct fuse_flush_in *)rest)->fh);
		return reply(fd, in->unique, 0, NULL, 0);
	case FUSE_ACCESS:
		return reply(fd, in->unique, 0, NULL, 0);
	case FUSE_INTERRUPT:
		return;
	default:
		return reply(fd, in->unique, -ENOSYS, NULL, 0);
	}
}

static int serve(void *unused)
{
	static char room[ROOM] __attribute__((aligned(8)));
	bool cloned = false;

	(void)unused;
	for (;;) {
		struct pollfd states[2] = { { .fd = devices[0], .events = POLLIN },
					    { .fd = cloned ? devices[1] : -1, .events = POLLIN } };
		if (poll(states, 2, -1) < 0)
			continue;
		for (int i = 0; i < 2; i++) {
			ssize_t size = states[i].revents ? read(states[i].fd, room, ROOM) : 0;
			if (size < 0 && errno == ENODEV)
				return 0;
			scenario_sleep_ms(late_by);
			if (size > 0)
				answer(states[i].fd, room, size);
		}
		if (!cloned)
			scenario_need(ioctl(devices[1], FUSE_DEV_IOC_CLONE, &devices[0]) == 0,
				      "clone: %s", strerror(errno));
		cloned = true;
	}
}

static inline void add_content(uint64_t number, const char *name, char *content, size_t size)
{
	for (int i = 0; i < NODES; i++)
		if (nodes[i].name && !strcmp(nodes[i].name, name)) {
			nodes[i].number = number;
			nodes[i].content = content;
			nodes[i].size = size;
		}
}

/* What each page begins with is its number, and 7. */
static inline void add_pages(unsigned n)
{
	char *content = calloc(n, 4096);

	for (unsigned i = 0; content && i < n; i++)
		((unsigned *)(content + i * 4096UL))[0] = i + 7;
	add_content(PAGES, "pages", content, n * 4096UL);
}

static inline void add_program(void)
{
	struct stat found = { .st_size = 0 };
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	scenario_need(fd >= 0 && fstat(fd, &found) == 0, "no program: %s", strerror(errno));
	char *content = malloc((size_t)found.st_size);
	scenario_need(content && read(fd, content, (size_t)found.st_size) == found.st_size,
		      "cannot read it");
	close(fd);
	add_content(PROGRAM, "program", content, (size_t)found.st_size);
}

/* Mounts it on "fs", and has a child serve it. */
static pid_t serve_fs(void)
{
	char text[128];

	for (int i = 0; i < 2; i++) {
		devices[i] = open("/dev/fuse", O_RDWR | O_CLOEXEC);
		scenario_need(devices[i] >= 0, "/dev/fuse: %s", strerror(errno));
	}
	snprintf(text, sizeof text, "fd=%d,rootmode=40000,%s", devices[0], mount_options);
	scenario_need(mkdir("fs", 0755) == 0 &&
			      mount("own", "fs", "fuse.own", MS_NOSUID | MS_NODEV, text) == 0,
		      "fuse: %s", strerror(errno));
	pid_t pid = scenario_child_in(0, serve, NULL);
	close(devices[0]);
	close(devices[1]);
	return pid;
}

/*
 * In a mount namespace of one's own: a directory "covered" with a file in it, which is returned
 * open, and a served one mounted over that in another namespace.
 */
static inline int cover_by_fs(pid_t *ret_driver)
{
	scenario_need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
			      mkdir("covered", 0755) == 0,
		      "private: %s", strerror(errno));
	int fd = open("covered/content", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	scenario_need(write(fd, "below", 5) == 5 && unshare(CLONE_NEWNS) == 0, "unshare: %s",
		      strerror(errno));
	*ret_driver = serve_fs();
	scenario_need(mount("fs/by-app/one", "covered", NULL, MS_BIND, NULL) == 0, "bind: %s",
		      strerror(errno));
	return fd;
}

/*
 * The file system is there as long as a child uses it, which says mark "uses" and checks itself
 * after the restore. Says mark "inside"; returns what a body of scenario_child does.
 */
static inline int serve_user(int (*use)(void *data))
{
	pid_t driver = serve_fs(), user = scenario_child(use, NULL);

	scenario_wait_mark("uses");
	scenario_mark("inside");
	scenario_wait_restored();
	scenario_reap(user);
	umount2("fs", MNT_DETACH);
	scenario_reap(driver);
	return 0;
}

#endif
