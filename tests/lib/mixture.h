/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Descriptors of any kind, made, duplicated, changed and taken from others as drawn from a seed;
 * and what a process sees of its own, to be compared with what it saw before. A scenario says by
 * `state` what is drawn, and by `made_by` what names begin with.
 */
#ifndef TESTS_LIB_MIXTURE_H
#define TESTS_LIB_MIXTURE_H

#include "drawing.h"
#include "terminal-numbers.h"

#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <linux/kcmp.h>
#include <pty.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

enum { FIRST = 3, BEHIND = 400, MOST = 40, PROCESSES = 6, STEPS = 28, TEXT_ROOM = 2048 };

#include "open-descriptors.h"

static int made_by, n_made; /* names of files */

static const char *new_name(void)
{
	static char name[64];

	snprintf(name, sizeof name, "made-%d-%d", made_by, n_made++);
	return name;
}

/* ---- Making ---- */

static ssize_t write_some(int fd)
{
	static const char bytes[] = "some bytes that wait to be read by somebody";
	int flags = fcntl(fd, F_GETFL);

	fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	ssize_t written = write(fd, bytes, draw(sizeof bytes - 1) + 1);
	fcntl(fd, F_SETFL, flags);
	return written;
}

static void make_pipe(void)
{
	int ends[2];

	if (pipe2(ends, draw(2) ? O_NONBLOCK : 0) == 0 && draw(2))
		write_some(ends[1]);
}

static void make_file(void)
{
	const char *name = new_name();
	int fd = open(name, O_RDWR | O_CREAT | (draw(2) ? O_APPEND : 0), 0600);

	write_some(fd);
	lseek(fd, draw(9), SEEK_SET);
	if (draw(3) == 0)
		open(name, O_RDONLY);
	if (draw(3) == 0)
		unlink(name);
}

static void make_pair(void)
{
	static const int types[] = { SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET };
	int ends[2], type = types[draw(3)];

	if (socketpair(AF_UNIX, type, 0, ends) < 0)
		return;
	for (int i = 0; i < 2; i++)
		if (draw(2))
			write_some(ends[i]);
	/* What waits behind the error of a reset cannot be seen: refused. */
	if (draw(4) == 0 && type != SOCK_SEQPACKET)
		close(ends[draw(2)]);
}

static void make_named_socket(void)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	/* An abstract name: those of files have to be absolute, and long ones do not fit. */
	snprintf(at.sun_path + 1, sizeof at.sun_path - 1, "mixed-%s", new_name());
	if (bind(fd, (struct sockaddr *)&at, sizeof at) < 0 || listen(fd, 3) < 0 || draw(2))
		return;
	int client = socket(AF_UNIX, SOCK_STREAM, 0);
	connect(client, (struct sockaddr *)&at, sizeof at);
	int server = accept(fd, NULL, NULL);
	write_some(draw(2) ? client : server);
}

static void make_tcp(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof at;
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	if (bind(listener, (struct sockaddr *)&at, sizeof at) < 0 || listen(listener, 5) < 0)
		return;
	getsockname(listener, (struct sockaddr *)&at, &length);
	int client = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(client, (struct sockaddr *)&at, sizeof at) < 0) /* lo is down */
		return;
	int server = accept(listener, NULL, NULL);
	write_some(draw(2) ? client : server);
	if (draw(3) == 0)
		shutdown(draw(2) ? client : server, SHUT_WR);
	if (draw(3) == 0)
		close(listener);
}

static void make_udp(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof at;
	int one = socket(AF_INET, SOCK_DGRAM, 0), other = socket(AF_INET, SOCK_DGRAM, 0);

	bind(one, (struct sockaddr *)&at, sizeof at);
	getsockname(one, (struct sockaddr *)&at, &length);
	connect(other, (struct sockaddr *)&at, sizeof at);
	if (draw(2))
		write_some(other);
}

/* The kernel brings it to the master, as output or as echo, in its own time (flush_to_ldisc). */
static void write_to_terminal(int master, int fd)
{
	ssize_t written = write_some(fd);
	int there = 0;

	for (int i = 0; i < 1000 && (ioctl(master, FIONREAD, &there) < 0 || there < written); i++)
		scenario_sleep_ms(5);
}

static void make_terminal(void)
{
	int master, slave;

	pass_numbers();
	int result = openpty(&master, &slave, NULL, NULL, NULL);
	leave_numbers();
	if (result < 0)
		return;
	if (draw(2))
		write_to_terminal(master, draw(2) ? master : slave);
	if (draw(4) == 0)
		close(slave);
}

static void make_event(void)
{
	struct itimerspec time = { .it_value.tv_sec = 1000 + (int)draw(1000) };
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, 1 + (int)draw(31));
	switch (draw(4)) {
	case 0:
		eventfd(draw(9), draw(2) ? EFD_SEMAPHORE : EFD_NONBLOCK);
		break;
	case 1:
		timerfd_settime(timerfd_create(CLOCK_MONOTONIC, 0), 0, &time, NULL);
		break;
	case 2:
		signalfd(-1, &signals, draw(2) ? SFD_NONBLOCK : 0);
		break;
	default:
		inotify_add_watch(inotify_init1(draw(2) ? IN_NONBLOCK : 0), "/", IN_DELETE_SELF);
	}
}

static void make_fifo(void)
{
	const char *name = new_name();

	mkfifo(name, 0600);
	int fd = open(name, O_RDWR);
	if (draw(2))
		open(name, O_RDONLY | O_NONBLOCK);
	if (draw(2))
		write_some(fd);
}

static void make_memory(void)
{
	int fd = memfd_create("mixed", MFD_ALLOW_SEALING);

	write_some(fd);
	if (draw(3) == 0)
		fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK);
}

static void make_epoll(void)
{
	int fd = epoll_create1(0);

	for (unsigned i = draw(4); i-- > 0;) {
		int watched = any_open();
		struct epoll_event event = { .events = EPOLLIN | (draw(2) ? (unsigned)EPOLLET : 0),
					     .data.u64 = draw(1000) };
		if (watched >= 0 && watched != fd)
			epoll_ctl(fd, EPOLL_CTL_ADD, watched, &event);
	}
}

static void make_path(void)
{
	switch (draw(4)) {
	case 0:
		open("/dev/null", O_RDWR);
		break;
	case 1:
		open(".", O_RDONLY | O_DIRECTORY);
		break;
	case 2:
		open("/", O_PATH);
		break;
	default:
		open("/proc/self", O_PATH | O_NOFOLLOW);
	}
}

static void (*const makers[])(void) = {
	make_pipe,     make_file,  make_pair, make_named_socket, make_tcp,   make_udp,
	make_terminal, make_event, make_fifo, make_memory,	 make_epoll, make_path,
};

/* ---- Passing on ---- */

static void duplicate_any(void)
{
	int fd = any_open();

	if (fd < 0)
		return;
	if (draw(2))
		fcntl(fd, draw(2) ? F_DUPFD : F_DUPFD_CLOEXEC, FIRST + (int)draw(300));
	else
		dup2(fd, FIRST + (int)draw(60));
}

static void change_any(void)
{
	int fd = any_open();

	if (fd >= 0 && draw(2))
		fcntl(fd, F_SETFD, draw(2) ? FD_CLOEXEC : 0);
	else if (fd >= 0)
		fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) ^ O_NONBLOCK);
}

/* Closing might leave an epoll instance with what nobody has any more: refused. */
static void take_from(pid_t pid)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);

	for (unsigned i = draw(4); i-- > 0;)
		syscall(SYS_pidfd_getfd, pidfd, FIRST + (int)draw(40), 0);
	close(pidfd);
}

static void step(void)
{
	int fds[MOST];

	if (list_open(fds) > MOST - 8)
		return;
	switch (draw(5)) {
	case 0:
		duplicate_any();
		break;
	case 1:
		change_any();
		break;
	default:
		makers[draw(sizeof makers / sizeof *makers)]();
	}
}

/* ---- What it is like ---- */

struct look {
	int n, fds[MOST];
	int descriptor_flags[MOST], flags[MOST], waiting[MOST];
	char text[MOST][TEXT_ROOM];
	/* The same description as another of ours, or of the parent. */
	bool same[MOST][MOST], parent[MOST][MOST];
};

/* What an epoll instance watches is told in no order. */
static int by_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* fdinfo without numbers that a restore may change. */
static void read_text(int fd, char *text)
{
	char path[64], line[256], lines[24][80];
	size_t length = 0, n = 0;

	text[0] = '\0';
	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
	FILE *file = fopen(path, "re");
	while (file && n < 24 && fgets(line, sizeof line, file)) {
		if (strncmp(line, "mnt_id", 6) == 0 || strncmp(line, "ino:", 4) == 0 ||
		    strncmp(line, "it_value", 8) == 0 || strncmp(line, "eventfd-id", 10) == 0)
			continue;
		line[strcspn(line, "\n")] = '\0';
		char *inode = strncmp(line, "tfd", 3) == 0 ? strstr(line, " pos:") : NULL;
		if (inode)
			*inode = '\0';
		snprintf(lines[n++], sizeof *lines, "%.79s", line);
	}
	if (file)
		fclose(file);
	qsort(lines, n, sizeof *lines, by_text);
	for (size_t i = 0; i < n; i++)
		length += (size_t)snprintf(text + length, TEXT_ROOM - length, "%s\n", lines[i]);
}

static bool is_same(pid_t pid, int one, int other)
{
	return syscall(SYS_kcmp, getpid(), pid, KCMP_FILE, one, other) == 0;
}

static void look_at(struct look *look, const int *fds, int n, pid_t parent)
{
	look->n = n;
	for (int i = 0; i < n; i++) {
		look->fds[i] = fds[i];
		look->descriptor_flags[i] = fcntl(fds[i], F_GETFD);
		look->flags[i] = fcntl(fds[i], F_GETFL);
		if (ioctl(fds[i], FIONREAD, &look->waiting[i]) < 0)
			look->waiting[i] = -1;
		read_text(fds[i], look->text[i]);
		for (int k = 0; k < n; k++) {
			look->same[i][k] = is_same(getpid(), fds[i], fds[k]);
			look->parent[i][k] = parent && is_same(parent, fds[i], fds[k]);
		}
	}
}

static void name_of(int fd, char name[128])
{
	char path[64];

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	ssize_t length = readlink(path, name, 127);
	name[length > 0 ? length : 0] = '\0';
}

static void compare(const struct look *before, const struct look *after)
{
	int open_now[MOST];
	char name[128];

	scenario_check(list_open(open_now) == before->n, "%d are open, %d were",
		       list_open(open_now), before->n);
	for (int i = 0; i < before->n; i++) {
		name_of(before->fds[i], name);
		scenario_check(before->descriptor_flags[i] == after->descriptor_flags[i] &&
				       before->flags[i] == after->flags[i],
			       "%d (%s): flags %x %o, were %x %o", before->fds[i], name,
			       after->descriptor_flags[i], after->flags[i],
			       before->descriptor_flags[i], before->flags[i]);
		scenario_check(before->waiting[i] == after->waiting[i],
			       "%d (%s): %d bytes wait, %d did", before->fds[i], name,
			       after->waiting[i], before->waiting[i]);
		scenario_check(strcmp(before->text[i], after->text[i]) == 0,
			       "%d (%s): before\n%safter\n%s", before->fds[i], name,
			       before->text[i], after->text[i]);
		for (int k = 0; k < before->n; k++)
			scenario_check(
				before->same[i][k] == after->same[i][k] &&
					before->parent[i][k] == after->parent[i][k],
				"%d and %d (%s) are shared in another way: %d %d, were %d %d",
				before->fds[i], before->fds[k], name, after->same[i][k],
				after->parent[i][k], before->same[i][k], before->parent[i][k]);
	}
}

static struct look *new_look(void)
{
	struct look *look = mmap(NULL, sizeof *look, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	scenario_need(look != MAP_FAILED, "no memory");
	return look;
}

#endif
