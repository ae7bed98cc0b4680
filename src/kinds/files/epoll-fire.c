// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Lets the entry that an epoll instance has of an open file fire, while that is not ready for
 * anything: it is made ready for a moment, and then is as before. Nobody of the tree runs who could
 * see that, and nobody gets a signal for it (O_ASYNC). Timers do not run and nothing is watched
 * yet: entries come before these (connects_first of the kind).
 *
 * The reading end of an empty pipe has a byte of ours, the other one of a full pipe some room.
 * A listener of TCP does not listen: whoever connects to it right then is refused as before
 * the restore. One of unix(7) has ourselves for a client.
 */
#include "kinds/files/epoll-fire.h"

#include "base/cleanup.h"
#include "base/procfs.h"
#include "kernel/aside.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

#ifndef SIOCGSKNS
#define SIOCGSKNS 0x894C
#endif
#ifndef SIOCUNIXFILE
#define SIOCUNIXFILE 0x89E0 /* SIOCPROTOPRIVATE; linux/un.h, 5.1: O_PATH of the name */
#endif
#ifndef INOTIFY_IOC_SETNEXTWD
#define INOTIFY_IOC_SETNEXTWD _IOW('I', 0, int32_t)
#endif
#ifndef TFD_IOC_SET_TICKS
#define TFD_IOC_SET_TICKS _IOW('T', 0, uint64_t)
#endif

/* What it takes to have it as before. */
struct moment {
	int other; /* a descriptor that is closed; -1 */
	int number;
	int window; /* of a listener: how large it may be at most; 0: as large as it likes */
};

/* 0, or -1 with errno. */
struct way {
	bool (*is)(int fd);
	int (*make_ready)(int fd, struct moment *moment);
	int (*put_back)(int fd, struct moment *moment);
};

/* ---- Pipes ---- */

static bool is_pipe(int fd, int access)
{
	struct stat stat;

	return fstat(fd, &stat) == 0 && S_ISFIFO(stat.st_mode) &&
	       (fcntl(fd, F_GETFL) & O_ACCMODE) == access;
}

static bool is_reading_end(int fd)
{
	return is_pipe(fd, O_RDONLY);
}

static int give_byte(int fd, struct moment *moment)
{
	char path[64], byte = 0;

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	moment->other = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	return moment->other < 0 || write(moment->other, &byte, 1) != 1 ? -1 : 0;
}

static int take_byte(int fd, struct moment *moment)
{
	char byte;

	(void)moment;
	return read(fd, &byte, 1) == 1 ? 0 : -1;
}

/* One that would be larger than everybody may have it is left. */
static bool is_writing_end(int fd)
{
	char most[32];
	int size = is_pipe(fd, O_WRONLY) ? fcntl(fd, F_GETPIPE_SZ) : -1;

	return size >= 0 &&
	       procfs_read_into(AT_FDCWD, "/proc/sys/fs/pipe-max-size", most, sizeof most) >= 0 &&
	       size <= atoi(most) / 2;
}

static int make_larger(int fd, struct moment *moment)
{
	moment->number = fcntl(fd, F_GETPIPE_SZ);
	return moment->number < 0 || fcntl(fd, F_SETPIPE_SZ, 2 * moment->number) < 0 ? -1 : 0;
}

static int make_smaller(int fd, struct moment *moment)
{
	return fcntl(fd, F_SETPIPE_SZ, moment->number) < 0 ? -1 : 0;
}

/* ---- What is no file anywhere ---- */

static bool is_anonymous(int fd, const char *name)
{
	char path[64], link[64];

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	ssize_t length = readlink(path, link, sizeof link - 1);
	link[length < 0 ? 0 : length] = '\0';
	return strcmp(link, name) == 0;
}

static bool is_timer(int fd)
{
	return is_anonymous(fd, "anon_inode:[timerfd]");
}

static int expire(int fd, struct moment *moment)
{
	uint64_t ticks = 1;

	(void)moment;
	return ioctl(fd, TFD_IOC_SET_TICKS, &ticks);
}

static int read_timer(int fd, struct moment *moment)
{
	uint64_t ticks;

	(void)moment;
	return read(fd, &ticks, sizeof ticks) == sizeof ticks ? 0 : -1;
}

static bool is_inotify(int fd)
{
	return is_anonymous(fd, "anon_inode:inotify");
}

static int watch_change(int fd, struct moment *moment)
{
	char path[64];

	moment->other = memfd_create("nestor", MFD_CLOEXEC);
	snprintf(path, sizeof path, "/proc/self/fd/%d", moment->other);
	moment->number = moment->other < 0 ? -1 : inotify_add_watch(fd, path, IN_ATTRIB);
	return moment->number < 0 ? -1 : fchmod(moment->other, 0600);
}

/* That it has changed, and that it is watched no more. */
static int watch_nothing(int fd, struct moment *moment)
{
	struct inotify_event events[2];

	if (inotify_rm_watch(fd, moment->number) || read(fd, events, sizeof events) < 0)
		return -1;
	return ioctl(fd, INOTIFY_IOC_SETNEXTWD, moment->number);
}

static bool is_epoll(int fd)
{
	return is_anonymous(fd, "anon_inode:[eventpoll]");
}

static int watch_event(int fd, struct moment *moment)
{
	struct epoll_event event = { .events = EPOLLOUT };

	moment->other = eventfd(0, EFD_CLOEXEC);
	return moment->other < 0 ? -1 : epoll_ctl(fd, EPOLL_CTL_ADD, moment->other, &event);
}

static int forget_event(int fd, struct moment *moment)
{
	return epoll_ctl(fd, EPOLL_CTL_DEL, moment->other, NULL);
}

/* ---- Sockets ---- */

static int option_of(int fd, int option)
{
	int value;
	socklen_t length = sizeof value;

	return getsockopt(fd, SOL_SOCKET, option, &value, &length) ? -1 : value;
}

static bool listens(int fd)
{
	return option_of(fd, SO_ACCEPTCONN) == 1;
}

static bool is_tcp_listener(int fd)
{
	return listens(fd) && option_of(fd, SO_PROTOCOL) == IPPROTO_TCP;
}

static int listen_no_more(int fd, struct moment *moment)
{
	struct tcp_info info = { 0 };
	socklen_t length = sizeof info, window_length = sizeof moment->window;

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) ||
	    getsockopt(fd, IPPROTO_TCP, TCP_WINDOW_CLAMP, &moment->window, &window_length))
		return -1;
	moment->number = (int)info.tcpi_sacked; /* of a listener: its backlog */
	return shutdown(fd, SHUT_RD);
}

/* Of what it was told, only that goes with the end of listening (tcp_disconnect). */
static int listen_again(int fd, struct moment *moment)
{
	if (listen(fd, moment->number))
		return -1;
	return moment->window ? setsockopt(fd, IPPROTO_TCP, TCP_WINDOW_CLAMP, &moment->window,
					   sizeof moment->window)
			      : 0;
}

static int unix_name(int fd, struct sockaddr_un *address, socklen_t *length)
{
	*length = sizeof *address;
	return getsockname(fd, (struct sockaddr *)address, length);
}

static bool is_path(const struct sockaddr_un *address, socklen_t length)
{
	return length > offsetof(struct sockaddr_un, sun_path) && address->sun_path[0];
}

/* The inode of a name in a file system, wherever that is: -1 for who may not have it. */
static bool is_unix_listener(int fd)
{
	struct sockaddr_un address;
	socklen_t length;

	if (!listens(fd) || option_of(fd, SO_DOMAIN) != AF_UNIX || unix_name(fd, &address, &length))
		return false;
	autoclose int name = is_path(&address, length) ? ioctl(fd, SIOCUNIXFILE) : -1;
	return !is_path(&address, length) || name >= 0;
}

static int connect_to(int fd, struct moment *moment)
{
	struct sockaddr_un address;
	socklen_t length;
	autoclose int net = ioctl(fd, SIOCGSKNS), name = -1;

	if (net < 0 || unix_name(fd, &address, &length))
		return -1;
	moment->other = aside_socket(net, AF_UNIX, option_of(fd, SO_TYPE) | SOCK_NONBLOCK, 0);
	if (moment->other < 0)
		return -1;
	if (is_path(&address, length)) {
		name = ioctl(fd, SIOCUNIXFILE);
		length = sizeof address;
		snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d", name);
	}
	return connect(moment->other, (struct sockaddr *)&address, length);
}

/* One that is not ourselves has come in between. */
static int accept_ourselves(int fd, struct moment *moment)
{
	struct ucred peer = { 0 };
	socklen_t length = sizeof peer;
	autoclose int accepted = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

	(void)moment;
	if (accepted < 0 || getsockopt(accepted, SOL_SOCKET, SO_PEERCRED, &peer, &length))
		return -1;
	errno = EBUSY;
	return peer.pid == getpid() ? 0 : -1;
}

/* ---- All of them ---- */

static const struct way ways[] = {
	{ is_reading_end, give_byte, take_byte },
	{ is_writing_end, make_larger, make_smaller },
	{ is_timer, expire, read_timer },
	{ is_inotify, watch_change, watch_nothing },
	{ is_epoll, watch_event, forget_event },
	{ is_tcp_listener, listen_no_more, listen_again },
	{ is_unix_listener, connect_to, accept_ourselves },
	{ 0 },
};

/* NULL: none, or a shortage that is in errno. */
static const struct way *way_of(int fd)
{
	for (const struct way *way = ways; way->is; way++) {
		errno = 0;
		if (way->is(fd))
			return way;
		if (errno_tells_nothing(errno))
			return NULL;
	}
	errno = ENODATA;
	return NULL;
}

int epoll_can_fire(int fd)
{
	return way_of(fd) ? 1 : errno == ENODATA ? 0 : -1;
}

int epoll_fire(int epoll, int fd)
{
	const struct way *way = way_of(fd);
	struct moment moment = { .other = -1 };
	struct epoll_event fired;

	if (!way)
		return errno;
	const int flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, (flags | O_NONBLOCK) & ~O_ASYNC) < 0)
		return errno;
	int n = way->make_ready(fd, &moment) ? -1 : epoll_wait(epoll, &fired, 1, 0);
	int failure = n == 1 ? 0 : ENODATA;
	if (n < 0 || way->put_back(fd, &moment) || fcntl(fd, F_SETFL, flags) < 0)
		failure = errno;
	cleanup_close(&moment.other);
	return failure;
}
