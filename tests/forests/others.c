// SPDX-License-Identifier: LGPL-2.1-or-later
/* Namespaces of the other types, made and entered at random, with something in each. */
#include <net/if.h>

#include "forest.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

enum { KEY = 0x6e657374, MOST_BRIDGES = 3, NOBODY = 65534, RARE = 4 };

#define TIME 0x80 /* CLONE_NEWTIME */

static const struct other_type {
	const char *name;
	int flag;
} types[] = {
	{ "uts", CLONE_NEWUTS },       { "ipc", CLONE_NEWIPC }, { "net", CLONE_NEWNET },
	{ "cgroup", CLONE_NEWCGROUP }, { "time", TIME },
};
enum { N_TYPES = sizeof types / sizeof *types };

static void name_host(struct dice *dice)
{
	char name[32];
	int length = snprintf(name, sizeof name, "host-%u", draw(dice, UINT32_MAX));

	if (sethostname(name, (size_t)length) < 0)
		return;
}

static void make_semaphore(struct dice *dice)
{
	/* Whose owner has no number where it belongs to is refused. */
	int id = geteuid() == NOBODY || getegid() == NOBODY ? -1 : semget(KEY, 1, IPC_CREAT | 0666);

	if (id >= 0)
		semctl(id, 0, SETVAL, (int)draw(dice, 30000));
}

/* lo may be up, and bridges there, which are up or not. */
static void make_interfaces(struct dice *dice)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP };

	if (once_in(dice, 2))
		ioctl(fd, SIOCSIFFLAGS, &request);
	for (uint32_t i = draw(dice, MOST_BRIDGES + 1); i > 0; i--) {
		snprintf(request.ifr_name, sizeof request.ifr_name, "br%u", draw(dice, 100000));
		if (ioctl(fd, SIOCBRADDBR, request.ifr_name) == 0 && once_in(dice, 2))
			ioctl(fd, SIOCSIFFLAGS, &request);
	}
	if (fd >= 0)
		close(fd);
}

void make_other_namespace(struct dice *dice)
{
	const struct other_type *type = &types[draw(dice, N_TYPES)];

	/* Most others that such a one has been made for are refused. */
	if ((type->flag == TIME && !once_in(dice, RARE)) || unshare(type->flag) < 0)
		return;
	if (type->flag == CLONE_NEWUTS)
		name_host(dice);
	else if (type->flag == CLONE_NEWIPC)
		make_semaphore(dice);
	else if (type->flag == CLONE_NEWNET)
		make_interfaces(dice);
}

void enter_other_namespace(struct dice *dice, pid_t pid)
{
	const struct other_type *type = &types[draw(dice, N_TYPES)];
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/ns/%s", (int)pid, type->name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	setns(fd, type->flag);
	close(fd);
}

void draw_surroundings(struct surroundings *ret_seen)
{
	struct surroundings seen = { .semaphore = -1 };
	struct if_nameindex *interfaces = if_nameindex();
	struct utsname names;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), id = semget(KEY, 1, 0);
	size_t length = 0;

	if (uname(&names) == 0)
		snprintf(seen.host, sizeof seen.host, "%.64s", names.nodename);
	if (id >= 0)
		seen.semaphore = semctl(id, 0, GETVAL);
	for (size_t i = 0; interfaces && interfaces[i].if_index; i++) {
		struct ifreq request = { 0 };
		snprintf(request.ifr_name, sizeof request.ifr_name, "%.15s", interfaces[i].if_name);
		ioctl(fd, SIOCGIFFLAGS, &request);
		length +=
			(size_t)snprintf(seen.interfaces + length, sizeof seen.interfaces - length,
					 "%u %s %s, ", interfaces[i].if_index, request.ifr_name,
					 request.ifr_flags & IFF_UP ? "up" : "down");
		if (length >= sizeof seen.interfaces)
			break;
	}
	if_freenameindex(interfaces);
	if (fd >= 0)
		close(fd);
	*ret_seen = seen;
}
