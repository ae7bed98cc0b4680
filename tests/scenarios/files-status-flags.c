// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-status-flags
 * promise: descriptions of every sort keep what fcntl sets (O_APPEND, O_NONBLOCK, O_NOATIME), also
 *	where it means nothing
 * flavours: flat one user user-three
 * needs: initial-user-namespace
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

static int of_eventfd(void)
{
	return eventfd(3, EFD_CLOEXEC);
}

static int of_great_eventfd(void)
{
	int fd = eventfd(0, 0);

	return eventfd_write(fd, 1ULL << 40) ? -1 : fd;
}

static int of_timerfd(void)
{
	return timerfd_create(CLOCK_MONOTONIC, 0);
}

static int of_signalfd(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	return signalfd(-1, &set, 0);
}

static int of_inotify(void)
{
	return inotify_init1(0);
}

static int of_epoll(void)
{
	return epoll_create1(0);
}

static int of_pidfd(void)
{
	return pidfd_open(getpid(), 0);
}

static int of_pipe(void)
{
	int ends[2];

	return pipe(ends) ? -1 : ends[1];
}

static int of_fifo(void)
{
	(void)mkfifo("fifo", 0600);
	return open("fifo", O_RDWR);
}

static int of_memfd(void)
{
	return memfd_create("flags", 0);
}

static int of_file(void)
{
	return open("file", O_RDWR | O_CREAT, 0600);
}

static int of_directory(void)
{
	return open(".", O_RDONLY | O_DIRECTORY);
}

static int of_device(void)
{
	return open("/dev/null", O_RDWR);
}

static int of_unix(void)
{
	int ends[2];

	return socketpair(AF_UNIX, SOCK_STREAM, 0, ends) ? -1 : ends[0];
}

static int of_tcp(void)
{
	return socket(AF_INET, SOCK_STREAM, 0);
}

static int of_udp(void)
{
	return socket(AF_INET6, SOCK_DGRAM, 0);
}

static int of_netlink(void)
{
	return socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
}

static const struct sort {
	const char *name;
	int (*make)(void);
} sorts[] = {
	{ "an eventfd", of_eventfd },
	{ "an eventfd that counts far", of_great_eventfd },
	{ "a timerfd", of_timerfd },
	{ "a signalfd", of_signalfd },
	{ "an inotify", of_inotify },
	{ "an epoll", of_epoll },
	{ "a pidfd", of_pidfd },
	{ "a pipe", of_pipe },
	{ "a fifo", of_fifo },
	{ "a memfd", of_memfd },
	{ "a file", of_file },
	{ "a directory", of_directory },
	{ "a device", of_device },
	{ "a unix socket", of_unix },
	{ "a TCP socket", of_tcp },
	{ "a UDP socket", of_udp },
	{ "a netlink socket", of_netlink },
};

static const int settings[] = { 0, O_APPEND, O_NONBLOCK, O_NOATIME,
				O_APPEND | O_NONBLOCK | O_NOATIME };

enum { SORTS = sizeof sorts / sizeof *sorts, SETTINGS = sizeof settings / sizeof *settings };

int main(int argc, char **argv)
{
	int fds[SORTS][SETTINGS], flags[SORTS][SETTINGS];
	unsigned set = 0;

	scenario_begin(argc, argv);
	for (size_t i = 0; i < SORTS; i++)
		for (size_t k = 0; k < SETTINGS; k++) {
			fds[i][k] = sorts[i].make();
			scenario_need(fds[i][k] >= 0, "cannot make %s", sorts[i].name);
			/* O_NOATIME takes the owner of the inode, or rights over it. */
			set += fcntl(fds[i][k], F_SETFL, settings[k]) == 0 && settings[k] != 0;
			flags[i][k] = fcntl(fds[i][k], F_GETFL);
		}
	scenario_need(set >= SORTS * 2, "only %u have flags", set);

	scenario_ready();

	for (size_t i = 0; i < SORTS; i++)
		for (size_t k = 0; k < SETTINGS; k++) {
			int now = fcntl(fds[i][k], F_GETFL);
			scenario_check(now == flags[i][k], "flags of %s are %o, were %o",
				       sorts[i].name, (unsigned)now, (unsigned)flags[i][k]);
		}
	return scenario_end();
}
