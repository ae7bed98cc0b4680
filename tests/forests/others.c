// SPDX-License-Identifier: LGPL-2.1-or-later
/* Namespaces of the other types, made and entered at random, with something in each. */
#include <net/if.h>

#include "forest.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <linux/veth.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

enum { KEY = 0x6e657374, MOST_BRIDGES = 3, NOBODY = 65534, RARE = 8, MOST_MOUNTS = 3 };

#define TIME 0x80 /* CLONE_NEWTIME */

static const struct other_type {
	const char *name;
	int flag;
} types[] = {
	{ "uts", CLONE_NEWUTS },       { "ipc", CLONE_NEWIPC }, { "net", CLONE_NEWNET },
	{ "cgroup", CLONE_NEWCGROUP }, { "time", TIME },	{ "mnt", CLONE_NEWNS },
};
enum { N_TYPES = sizeof types / sizeof *types };

static void name_host(struct dice *dice)
{
	char name[32];
	int length = snprintf(name, sizeof name, "host-%u", draw(dice, UINT32_MAX));

	if (sethostname(name, (size_t)length) < 0)
		return;
	length = snprintf(name, sizeof name, "domain-%u", draw(dice, UINT32_MAX));
	if (once_in(dice, 2) && setdomainname(name, (size_t)length) < 0)
		return;
}

static bool is_nobody(void)
{
	return geteuid() == NOBODY || getegid() == NOBODY;
}

/* ---- ipc ---- */

static void make_objects(struct dice *dice)
{
	/* Whose owner has no number where it belongs to is refused. */
	bool allowed = !is_nobody();
	int id = allowed ? semget(KEY, 1, IPC_CREAT | 0666) : -1;
	struct {
		long type;
		char text[8];
	} message = { 1 + (long)draw(dice, 9), "forest" };

	if (id >= 0)
		semctl(id, 0, SETVAL, (int)draw(dice, 30000));
	id = allowed && once_in(dice, 2) ? msgget(KEY, IPC_CREAT | 0666) : -1;
	for (uint32_t i = draw(dice, 4); id >= 0 && i > 0; i--)
		msgsnd(id, &message, sizeof message.text, IPC_NOWAIT);
}

static void draw_objects(struct surroundings *seen)
{
	int id = semget(KEY, 1, 0);
	struct msqid_ds queue;

	seen->semaphore = id >= 0 ? semctl(id, 0, GETVAL) : -1;
	id = msgget(KEY, 0);
	seen->messages = id >= 0 && msgctl(id, IPC_STAT, &queue) == 0 ? (int)queue.msg_qnum : -1;
}

/* ---- net ---- */

static int open_namespace(pid_t pid, const char *name)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/ns/%s", (int)pid, name);
	return open(path, O_RDONLY | O_CLOEXEC);
}

struct pair_request {
	struct nlmsghdr header;
	struct ifinfomsg info;
	uint8_t attributes[256];
};

static struct rtattr *put(struct pair_request *request, unsigned short type, const void *data,
			  size_t size)
{
	struct rtattr *at = (void *)((uint8_t *)request + request->header.nlmsg_len);

	at->rta_type = type;
	at->rta_len = (unsigned short)RTA_LENGTH(size);
	memcpy(RTA_DATA(at), data, size);
	request->header.nlmsg_len += (uint32_t)RTA_SPACE(size);
	return at;
}

static void end_nested(const struct pair_request *request, struct rtattr *at)
{
	at->rta_len = (unsigned short)((const uint8_t *)request + request->header.nlmsg_len -
				       (uint8_t *)at);
}

/* Whoever may not is told so by an answer that nobody reads. */
static void make_pair(struct dice *dice, int there)
{
	struct pair_request request = { .header = { .nlmsg_len = NLMSG_LENGTH(sizeof request.info),
						    .nlmsg_type = RTM_NEWLINK,
						    .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK |
								   NLM_F_CREATE | NLM_F_EXCL } };
	const struct ifinfomsg nothing = { 0 };
	char name[IF_NAMESIZE], answer[1024];
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	snprintf(name, sizeof name, "ve%u", draw(dice, 1000000));
	put(&request, IFLA_IFNAME, name, strlen(name) + 1);
	struct rtattr *info = put(&request, IFLA_LINKINFO, NULL, 0);
	put(&request, IFLA_INFO_KIND, "veth", 5);
	struct rtattr *data = put(&request, IFLA_INFO_DATA, NULL, 0);
	struct rtattr *peer = put(&request, VETH_INFO_PEER, &nothing, sizeof nothing);
	snprintf(name, sizeof name, "ve%u", draw(dice, 1000000));
	put(&request, IFLA_IFNAME, name, strlen(name) + 1);
	if (there >= 0)
		put(&request, IFLA_NET_NS_FD, &there, sizeof there);
	end_nested(&request, peer);
	end_nested(&request, data);
	end_nested(&request, info);
	if (send(fd, &request, request.header.nlmsg_len, 0) > 0 &&
	    recv(fd, answer, sizeof answer, 0) < 0)
		perror("netlink");
	if (fd >= 0)
		close(fd);
}

static bool are_one(int fd, int other)
{
	struct stat one, two;

	return fstat(fd, &one) == 0 && fstat(other, &two) == 0 && one.st_ino == two.st_ino;
}

/* With both ends here, or the other one where somebody else is. */
static void make_pairs(struct dice *dice, pid_t pid, pid_t root)
{
	int there = open_namespace(pid, "net"), host = open_namespace(root, "net");

	for (uint32_t i = draw(dice, 3); i > 0; i--)
		make_pair(dice, there < 0 || host < 0 || are_one(there, host) ? -1 : there);
	if (there >= 0)
		close(there);
	if (host >= 0)
		close(host);
}

/* lo may be up, and bridges there, which are up or not, some with an address. */
static void make_interfaces(struct dice *dice)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	struct sockaddr_in address = { .sin_family = AF_INET };

	if (once_in(dice, 2))
		ioctl(fd, SIOCSIFFLAGS, &request);
	for (uint32_t i = draw(dice, MOST_BRIDGES + 1); i > 0; i--) {
		snprintf(request.ifr_name, sizeof request.ifr_name, "br%u", draw(dice, 100000));
		request.ifr_flags = IFF_UP;
		if (ioctl(fd, SIOCBRADDBR, request.ifr_name) == 0 && once_in(dice, 2))
			ioctl(fd, SIOCSIFFLAGS, &request);
		address.sin_addr.s_addr = htonl(0x0a000001 | draw(dice, 0xffff) << 8);
		memcpy(&request.ifr_addr, &address, sizeof address);
		if (once_in(dice, 2))
			ioctl(fd, SIOCSIFADDR, &request);
	}
	if (fd >= 0)
		close(fd);
}

static void draw_interfaces(struct surroundings *seen)
{
	struct if_nameindex *interfaces = if_nameindex();
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	size_t length = 0;

	for (size_t i = 0; interfaces && interfaces[i].if_index; i++) {
		struct ifreq request = { 0 };
		struct sockaddr_in address = { 0 };
		uint8_t hardware[6];
		snprintf(request.ifr_name, sizeof request.ifr_name, "%.15s", interfaces[i].if_name);
		if (ioctl(fd, SIOCGIFADDR, &request) == 0)
			memcpy(&address, &request.ifr_addr, sizeof address);
		ioctl(fd, SIOCGIFHWADDR, &request);
		memcpy(hardware, request.ifr_hwaddr.sa_data, sizeof hardware);
		ioctl(fd, SIOCGIFFLAGS, &request);
		length += (size_t)snprintf(
			seen->interfaces + length, sizeof seen->interfaces - length,
			"%u %s %s %02x%02x%02x %x, ", interfaces[i].if_index, request.ifr_name,
			request.ifr_flags & IFF_UP ? "up" : "down", hardware[3], hardware[4],
			hardware[5], address.sin_addr.s_addr);
		if (length >= sizeof seen->interfaces)
			break;
	}
	if_freenameindex(interfaces);
	if (fd >= 0)
		close(fd);
}

/* ---- mounts ---- */

static const char *const places[] = { "/mnt", "/mnt/below", "/media" };

/* File systems with a file of a number, at places that may lie in each other. */
static void make_mounts(struct dice *dice)
{
	char text[64];

	/* A file system remembers who made it, also whom its namespace has no number for. */
	if (is_nobody() ||
	    mount(NULL, "/", NULL, MS_REC | (once_in(dice, 2) ? MS_PRIVATE : MS_SLAVE), NULL) < 0)
		return;
	for (uint32_t i = draw(dice, MOST_MOUNTS + 1); i > 0; i--) {
		const char *place = places[draw(dice, 3)];
		unsigned long flags = once_in(dice, 2) ? MS_NOSUID | MS_NODEV : 0;
		if (mount("forest", place, "tmpfs", flags, "size=64k,mode=755") < 0)
			continue;
		snprintf(text, sizeof text, "%s/below", place);
		mkdir(text, 0755);
		snprintf(text, sizeof text, "%s/number", place);
		int fd = open(text, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
		if (fd < 0)
			continue;
		dprintf(fd, "%u", draw(dice, UINT32_MAX));
		close(fd);
		if (once_in(dice, RARE))
			mount(NULL, place, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | flags, NULL);
	}
}

static void draw_mounts(struct surroundings *seen)
{
	size_t length = 0;

	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		char text[64], number[16] = "";
		struct statfs system = { 0 };
		snprintf(text, sizeof text, "%s/number", places[i]);
		int fd = open(text, O_RDONLY | O_CLOEXEC);
		if (fd >= 0 && (read(fd, number, sizeof number - 1) < 0 || close(fd) < 0))
			number[0] = '?';
		if (fd >= 0 && statfs(places[i], &system) == 0)
			length += (size_t)snprintf(
				seen->mounts + length, sizeof seen->mounts - length, "%s %s %lx, ",
				places[i], number, (unsigned long)system.f_flags);
	}
}

/* ---- time ---- */

/* Nobody is in it yet, so its clocks may be set. */
static void set_clocks(struct dice *dice)
{
	int fd = open("/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	dprintf(fd, "monotonic %u 0\nboottime %u 0\n", draw(dice, 100000), draw(dice, 100000));
	close(fd);
}

static int clocks_apart(void)
{
	struct timespec boot, monotonic;

	clock_gettime(CLOCK_BOOTTIME, &boot);
	clock_gettime(CLOCK_MONOTONIC, &monotonic);
	return (int)((boot.tv_sec - monotonic.tv_sec) * 10 +
		     (boot.tv_nsec - monotonic.tv_nsec + 50 * 1000 * 1000) / (100 * 1000 * 1000)) /
	       10;
}

/* ---- all of them ---- */

void make_other_namespace(struct dice *dice, bool single, pid_t pid, pid_t root)
{
	const struct other_type *type = &types[draw(dice, N_TYPES)];

	/* Most others that such a one has been made for are refused. */
	if ((type->flag == TIME && !once_in(dice, RARE)) ||
	    (type->flag == CLONE_NEWNS && !single) || unshare(type->flag) < 0)
		return;
	switch (type->flag) {
	case CLONE_NEWUTS:
		name_host(dice);
		break;
	case CLONE_NEWIPC:
		make_objects(dice);
		break;
	case CLONE_NEWNET:
		make_interfaces(dice);
		make_pairs(dice, pid, root);
		break;
	case CLONE_NEWNS:
		make_mounts(dice);
		break;
	case TIME:
		set_clocks(dice);
		break;
	default:
		break;
	}
}

void enter_other_namespace(struct dice *dice, bool single, pid_t pid)
{
	const struct other_type *type = &types[draw(dice, N_TYPES)];
	int fd = open_namespace(pid, type->name);

	if (fd < 0)
		return;
	if (type->flag != CLONE_NEWNS || single)
		setns(fd, type->flag);
	close(fd);
}

void draw_surroundings(struct surroundings *ret_seen)
{
	struct surroundings seen = { .clocks_apart = clocks_apart() };
	struct utsname names;

	if (uname(&names) == 0)
		snprintf(seen.host, sizeof seen.host, "%.64s", names.nodename);
	if (getdomainname(seen.domain, sizeof seen.domain - 1) < 0)
		seen.domain[0] = '?';
	draw_objects(&seen);
	draw_interfaces(&seen);
	draw_mounts(&seen);
	*ret_seen = seen;
}
