// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: namespaces-mixed
 * promise: processes that are apart, each in any of new namespaces of all types as drawn from a
 *	seed, and hold any mixture of descriptors, mounts, memory and System V objects that they
 *	have made there, been born with, sent to or taken from each other, hold and share the same
 *	afterwards
 * flavours: flat three user-three
 * needs: initial-user-namespace
 * alone: terminal numbers are one for all
 * ignore: stat
 * arguments: 1 4 5 10 13 16 24 30 8579
 */
#include "mixture.h"

#include <linux/mount.h>
#include <linux/netlink.h>
#include <linux/sched.h>
#include <mqueue.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ipc.h>
#include <sys/mount.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/wait.h>

static bool born_in_tree;
static void *segments[STEPS];
static int n_segments;

/* ---- Namespaces ---- */

static const unsigned long long all_types[] = { CLONE_NEWUSER, CLONE_NEWNS,    CLONE_NEWNET,
						CLONE_NEWIPC,  CLONE_NEWUTS,   CLONE_NEWPID,
						CLONE_NEWTIME, CLONE_NEWCGROUP };

static unsigned long long draw_types(void)
{
	unsigned long long types = 0;

	for (size_t i = 0; i < sizeof all_types / sizeof *all_types; i++)
		if (draw(3) == 0)
			types |= all_types[i];
	return types;
}

/* Who maps its parent's ids as they are, has them all. */
static void same_map(char *map, size_t size, const char *path)
{
	unsigned long inside, outside, count;
	size_t length = 0;
	FILE *file = fopen(path, "re");

	map[0] = '\0';
	while (file && fscanf(file, "%lu %lu %lu", &inside, &outside, &count) == 3)
		length += (size_t)snprintf(map + length, size - length, "%lu %lu %lu\n", inside,
					   inside, count);
	if (file)
		fclose(file);
}

static void set_lo_up(void)
{
	struct ifreq request = { .ifr_name = "lo" };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	request.ifr_flags = IFF_UP | IFF_RUNNING;
	ioctl(fd, SIOCSIFFLAGS, &request);
	close(fd);
}

static void settle(unsigned long long types)
{
	if (types & CLONE_NEWNS) {
		mount(NULL, "/", NULL, MS_REC | (draw(2) ? MS_PRIVATE : MS_SLAVE), NULL);
		if (types & CLONE_NEWPID && draw(2))
			mount("proc", "/proc", "proc", 0, NULL);
	}
	if (types & CLONE_NEWNET && draw(2))
		set_lo_up();
	/* Segments of another ipc namespace: refused. */
	while (types & CLONE_NEWIPC && n_segments)
		shmdt(segments[--n_segments]);
	if (types & CLONE_NEWUTS)
		sethostname(new_name(), 6);
}

/* ---- What is made there ---- */

static void make_mount(void)
{
	static const char *const types[] = { "tmpfs",  "tmpfs",	 "ramfs", "proc",
					     "mqueue", "devpts", "sysfs" };
	char name[96];
	const char *place = new_name();

	if (mkdir(place, 0700) < 0)
		return;
	snprintf(name, sizeof name, "%s/held", place);
	if (draw(4) == 0)
		mount(".", place, NULL, MS_BIND, NULL);
	else
		mount("mixed", place, types[draw(7)], draw(2) ? MS_NOSUID : 0, NULL);
	if (draw(2))
		write_some(open(name, O_RDWR | O_CREAT, 0600));
	if (draw(4) == 0)
		open(place, O_PATH);
	if (draw(4) == 0)
		mount(NULL, place, NULL, draw(2) ? MS_SHARED : MS_UNBINDABLE, NULL);
	if (draw(5) == 0)
		unlink(name);
}

static void make_namespace_file(void)
{
	static const char *const names[] = { "user", "mnt", "net",  "ipc",
					     "uts",  "pid", "time", "cgroup" };
	char path[64];

	snprintf(path, sizeof path, "/proc/self/ns/%s", names[draw(8)]);
	open(path, O_RDONLY);
}

static void make_process_file(void)
{
	static const char *const names[] = { "status",	"stat",	  "maps",  "mountinfo",
					     "environ", "cgroup", "limits" };
	char path[64], bytes[8];

	snprintf(path, sizeof path, "/proc/self/%s", names[draw(7)]);
	int fd = open(path, O_RDONLY);
	if (draw(2) && read(fd, bytes, sizeof bytes) < 0)
		scenario_note("cannot read %s", path);
}

static void make_pidfd(void)
{
	pid_t parent = born_in_tree ? getppid() : 0;

	syscall(SYS_pidfd_open, draw(2) && parent ? parent : getpid(), 0);
}

static void make_other_socket(void)
{
	struct sockaddr_nl at = { .nl_family = AF_NETLINK, .nl_groups = draw(2) };
	int fd = -1;

	switch (draw(4)) {
	case 0:
		fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
		bind(fd, (struct sockaddr *)&at, sizeof at);
		break;
	case 1:
		fd = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
		break;
	case 2:
		fd = socket(AF_INET6, draw(2) ? SOCK_STREAM : SOCK_DGRAM, 0);
		break;
	default:
		fd = socket(AF_PACKET, SOCK_DGRAM, 0);
	}
	fcntl(fd, F_SETFD, FD_CLOEXEC);
}

static void make_queue(void)
{
	char name[80];
	struct mq_attr attributes = { .mq_maxmsg = 4, .mq_msgsize = 32 };

	snprintf(name, sizeof name, "/mixed-%s", new_name());
	mqd_t queue = mq_open(name, O_RDWR | O_CREAT | O_NONBLOCK, 0600, &attributes);
	if (queue < 0)
		return;
	mq_send(queue, "waits", 6, draw(5));
	mq_unlink(name);
}

/* Removed: goes with the last who has it attached. */
static void make_segment(void)
{
	int id = shmget(IPC_PRIVATE, 8192, IPC_CREAT | 0600);
	char *at = id < 0 ? (void *)-1 : shmat(id, NULL, 0);

	if (at != (void *)-1) {
		at[draw(8192)] = 1;
		segments[n_segments++] = at;
	}
	shmctl(id, IPC_RMID, NULL);
}

static void make_mapping(void)
{
	int fd = memfd_create("mapped", 0);

	write_some(fd);
	mmap(NULL, 4096, PROT_READ | PROT_WRITE, draw(2) ? MAP_SHARED : MAP_PRIVATE, fd, 0);
	if (draw(2))
		close(fd);
	char *shared = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared != MAP_FAILED)
		shared[draw(8192)] = 2;
}

static void make_detached(void)
{
	syscall(SYS_open_tree, AT_FDCWD, draw(2) ? "." : "/proc",
		draw(2) ? OPEN_TREE_CLONE : OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
}

/* To whom it goes is as may be: it waits there. */
static void send_any(void)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec byte = { .iov_base = (char[]){ "r" }, .iov_len = 1 };
	struct msghdr message = { .msg_iov = &byte,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof control };
	int ends[2], fd = any_open();

	if (fd < 0 || socketpair(AF_UNIX, draw(2) ? SOCK_STREAM : SOCK_DGRAM, 0, ends) < 0)
		return;
	control.header = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof fd),
					   .cmsg_level = SOL_SOCKET,
					   .cmsg_type = SCM_RIGHTS };
	memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
	sendmsg(ends[0], &message, MSG_DONTWAIT);
}

static void make_thing_of_namespace(void)
{
	static void (*const these[])(void) = {
		make_mount,    make_mount, make_namespace_file, make_process_file,
		make_pidfd,    make_queue, make_segment,	make_mapping,
		make_detached, send_any,   make_other_socket,
	};
	int fds[MOST];

	if (list_open(fds) <= MOST - 8)
		these[draw(sizeof these / sizeof *these)]();
}

/* ---- Living ---- */

struct child {
	int number;
	uint64_t seed;
	pid_t parent;
	unsigned long long types;
};

static void live(const struct child *self);

static int child_main(void *data)
{
	const struct child *child = data;

	state = child->seed;
	born_in_tree = true;
	settle(child->types);
	live(child);
	return 0;
}

static pid_t make_child(struct child *child)
{
	char uids[512], gids[512], mark[32];
	struct scenario_users users = { .uids = uids, .gids = gids };
	pid_t pid;

	same_map(uids, sizeof uids, "/proc/self/uid_map");
	same_map(gids, sizeof gids, "/proc/self/gid_map");
	if (child->types & CLONE_NEWUSER)
		pid = scenario_child_users(child->types & ~(unsigned long long)CLONE_NEWUSER,
					   &users, child_main, child);
	else
		pid = scenario_child_in(child->types, child_main, child);
	snprintf(mark, sizeof mark, "made-%d", child->number);
	scenario_wait_mark(mark);
	return pid;
}

static int make_children(int number, pid_t children[2])
{
	int n = 0;

	for (int i = 0; i < 2; i++) {
		struct child child = { .number = 2 * number + 1 + i,
				       .seed = state * 7 + (unsigned)i + 1,
				       .types = draw_types() };
		/* By what number it knows its parent. */
		child.parent = child.types & CLONE_NEWPID ? 0 : getpid();
		if (child.number < PROCESSES)
			children[n++] = make_child(&child);
	}
	return n;
}

static void wait_for_all(const char *what, int first)
{
	char mark[32];

	for (int i = first; i < PROCESSES; i++) {
		snprintf(mark, sizeof mark, "%s-%d", what, i);
		scenario_wait_mark(mark);
	}
}

static void say(const char *what, int number)
{
	char mark[32];

	snprintf(mark, sizeof mark, "%s-%d", what, number);
	scenario_mark(mark);
}

static void live(const struct child *self)
{
	struct look *before = new_look(), *after = new_look();
	pid_t children[2] = { 0 };
	int number = self->number;

	made_by = number;
	for (int i = 0; i < STEPS / (number + 1); i++)
		draw(2) ? step() : make_thing_of_namespace();
	int n_children = make_children(number, children);
	for (int i = 0; i < n_children; i++)
		if (draw(2))
			take_from(children[i]);
	if (number)
		say("made", number);
	/* The parent takes of us, and goes on before it looks. */
	if (number)
		scenario_wait_mark("complete");
	else
		scenario_mark("complete");
	before->n = list_open(before->fds);
	scenario_sleep_ms(30);
	look_at(before, before->fds, before->n, self->parent);
	say("seen", number);
	if (!number) {
		wait_for_all("seen", 1);
		scenario_ready();
	} else {
		scenario_wait_restored();
	}
	look_at(after, before->fds, before->n, self->parent);
	compare(before, after);
	say("compared", number);
	/* Others still compare with us. */
	wait_for_all("compared", 0);
	for (int i = 0; i < n_children; i++)
		scenario_reap(children[i]);
}

int main(int argc, char **argv)
{
	struct child self = { 0 };

	scenario_begin(argc, argv);
	begin_drawing(argc, argv);
	scenario_need(unshare(CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWUTS |
			      CLONE_NEWCGROUP) == 0,
		      "cannot be apart from all others");
	settle(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS);
	scenario_need(mount("proc", "/proc", "proc", 0, NULL) == 0, "no /proc of its own");
	live(&self);
	return scenario_end();
}
