/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Terminals, sessions that they control, and whatever may be done with them, as drawn from a seed.
 * What the dump refuses or loses (docs/kinds.md) is left out, or cleared away by settle_all.
 */
#ifndef TESTS_LIB_TERMINAL_MIXTURE_H
#define TESTS_LIB_TERMINAL_MIXTURE_H

#include "twice.h"

#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/syscall.h>
#include <unistd.h>

int ioctl(int fd, unsigned long request, ...); /* sys/ioctl.h brings another termios */

struct size {
	unsigned short rows, columns, x_pixels, y_pixels;
};

enum { FIRST = 3, BEHIND = 120, MOST = 26, PROCESSES = 5 };

#include "open-descriptors.h"

enum { INSTANCES = 2, HELD = 30, HELD_FROM = 300 };
enum { MOST_TYPED = 2400, NUMBERS = 256, SEEN_MS = 1 };

/* Of all processes; those that are not there yet are 0. */
struct known {
	pid_t pids[PROCESSES];
	bool is_gone[PROCESSES];
	dev_t instances[INSTANCES];
	bool are_far; /* no number is one of two instances */
	struct known_terminal {
		/* What was typed before that is not seen. */
		bool was_open;
		unsigned typed;
	} terminals[INSTANCES][NUMBERS];
};
static struct known *known;
static int number; /* of this process */

static const char *const instance_names[INSTANCES] = { "pts", "pts-1" };

/* ---- What is there ---- */

static bool is_master(int fd)
{
	struct stat status;

	return fstat(fd, &status) == 0 && status.st_rdev == makedev(5, 2);
}

static bool is_hung_up(int fd)
{
	struct termios2 modes;

	return ioctl(fd, TCGETS2, &modes) < 0;
}

static int open_peer(int master, int flags)
{
	return ioctl(master, TIOCGPTPEER, flags);
}

/* NULL: of /dev/tty, or hung up. */
static struct known_terminal *terminal_of(int fd, int *ret_instance, unsigned *ret_index)
{
	struct stat status;
	int name = is_master(fd) ? open_peer(fd, O_PATH) : dup(fd);

	if (name < 0)
		return NULL;
	fstat(name, &status);
	close(name);
	*ret_index = minor(status.st_rdev);
	for (int i = 0; i < INSTANCES; i++)
		if (known->instances[i] == status.st_dev && *ret_index < NUMBERS) {
			*ret_instance = i;
			return &known->terminals[i][*ret_index];
		}
	return NULL;
}

static bool was_open(int fd)
{
	unsigned index;
	int instance;
	const struct known_terminal *terminal = terminal_of(fd, &instance, &index);

	return terminal && terminal->was_open;
}

static pid_t any_process(void)
{
	int i = (int)draw(PROCESSES);

	return known->pids[i] && !known->is_gone[i] ? known->pids[i] : getpid();
}

/* Who is in a session before its leader takes a terminal has it after a restore. */
static bool may_take_terminal(void)
{
	if (getsid(0) != getpid())
		return false;
	for (int i = 0; i < PROCESSES; i++)
		if (i != number && known->pids[i] && !known->is_gone[i] &&
		    getsid(known->pids[i]) == getpid())
			return false;
	return true;
}

/* ---- Making ---- */

static int open_ptmx(int instance, int flags)
{
	char name[32];

	snprintf(name, sizeof name, "%s/ptmx", instance_names[instance]);
	return open(name, O_RDWR | O_NOCTTY | flags);
}

/* Numbers that are not to be drawn, out of the way of all that is. */
static void hold_numbers(int instance)
{
	for (int i = 0; i < HELD; i++) {
		int fd = open_ptmx(instance, O_CLOEXEC);
		scenario_need(fcntl(fd, F_DUPFD_CLOEXEC, HELD_FROM) >= 0, "no numbers");
		close(fd);
	}
}

static void leave_numbers(void)
{
	for (int fd = HELD_FROM; fd < HELD_FROM + INSTANCES * HELD; fd++)
		close(fd);
}

/* Their file systems have other numbers after a restore. */
static void find_instances(void)
{
	struct stat status;

	for (int i = 0; i < INSTANCES; i++) {
		scenario_need(stat(instance_names[i], &status) == 0, "no devpts");
		known->instances[i] = status.st_dev;
	}
}

static void mount_devpts(const char *name)
{
	scenario_need(mkdir(name, 0755) == 0 &&
			      mount("devpts", name, "devpts", 0, "newinstance,ptmxmode=0666") == 0,
		      "no devpts: %m");
}

/* Two devpts; the first may be that of the machine, where others have numbers, too. */
static void make_instances(bool is_own)
{
	known->are_far = is_own && draw(4) != 0;
	for (int i = 0; i < INSTANCES; i++)
		if (i || is_own)
			mount_devpts(instance_names[i]);
		else
			scenario_need(symlink("/dev/pts", instance_names[i]) == 0, "no link");
	mount_devpts("pts-other");
	/* The lowest of the machine are what others take while ours are free. */
	if (!is_own || known->are_far)
		hold_numbers(0);
	find_instances();
}

static void open_slave(int master)
{
	static const int modes[] = { O_RDWR, O_RDWR, O_RDWR, O_RDONLY, O_WRONLY };
	int flags = modes[draw(5)] | (draw(3) ? 0 : O_NONBLOCK);
	struct known_terminal *terminal;
	unsigned index;
	char name[32];
	int instance;

	terminal = is_master(master) ? terminal_of(master, &instance, &index) : NULL;
	if (!terminal)
		return;
	if (!may_take_terminal() || draw(2))
		flags |= O_NOCTTY;
	snprintf(name, sizeof name, "%s/%u", instance_names[instance], index);
	int fd = draw(2) ? open_peer(master, flags) : open(name, flags);
	if (fd >= 0)
		terminal->was_open = true;
}

static void make(void)
{
	int fd = open_ptmx((int)draw(INSTANCES), draw(4) ? 0 : O_NONBLOCK), unlocked = 0, instance;
	unsigned index;
	struct known_terminal *terminal = fd < 0 ? NULL : terminal_of(fd, &instance, &index);

	if (!terminal)
		return;
	*terminal = (struct known_terminal){ 0 };
	if (draw(8))
		ioctl(fd, TIOCSPTLCK, &unlocked);
	if (draw(4))
		open_slave(fd);
}

static void open_own(void)
{
	/* Of which of several terminals with that number it is may not be seen. */
	if (known->are_far)
		open("/dev/tty", O_RDWR | (draw(3) ? 0 : O_NONBLOCK));
}

/* ---- Sessions ---- */

static void lead(int fd)
{
	(void)fd;
	setsid();
}

static void join_group(int fd)
{
	(void)fd;
	setpgid(0, draw(2) ? 0 : getpgid(any_process()));
}

static void take_terminal(int fd)
{
	if (may_take_terminal() && (!is_master(fd) || was_open(fd)))
		ioctl(fd, TIOCSCTTY, draw(4) == 0);
}

static void leave_terminal(int fd)
{
	/* Of others of the session it is lost that they have left it. */
	if (getsid(0) == getpid() && draw(3) == 0)
		ioctl(fd, TIOCNOTTY);
}

static void bring_to_foreground(int fd)
{
	pid_t group = getpgid(any_process());

	ioctl(fd, TIOCSPGRP, &group);
}

/* ---- Settings ---- */

/*
 * The kernel brings what was written to the other side a little later, and its echo back, in the
 * order in which it was asked to: what is written after it has come when that has at least begun.
 */
static void wait_until_seen(void)
{
	int unlocked = 0, master = open("pts-other/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);

	ioctl(master, TIOCSPTLCK, &unlocked);
	int slave = open_peer(master, O_RDWR | O_NOCTTY);
	struct pollfd come = { .fd = slave, .events = POLLIN };
	for (int i = 0; i < 3; i++) {
		scenario_need(write(master, "\n", 1) == 1 && poll(&come, 1, 10000) == 1,
			      "nothing comes");
		ioctl(slave, TCFLSH, (long)TCIFLUSH);
	}
	close(slave);
	close(master);
	scenario_sleep_ms(SEEN_MS);
}

static void set_raw(struct termios2 *modes)
{
	modes->c_iflag = 0;
	modes->c_oflag &= ~(tcflag_t)OPOST;
	modes->c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | ISIG | IEXTEN);
}

static void set_usual(struct termios2 *modes)
{
	modes->c_iflag = ICRNL | IXON;
	modes->c_oflag = OPOST | ONLCR;
	modes->c_lflag = ICANON | ECHO | ECHOE | ECHOK | ISIG | IEXTEN | ECHOCTL | ECHOKE;
}

/* But what depends on the column, or on what was typed last, which are lost. */
static void set_any(struct termios2 *modes)
{
	modes->c_iflag ^= 1U << draw(15);
	modes->c_oflag ^= (1U << draw(8)) & ~ONOCR;
	modes->c_lflag ^= (1U << draw(17)) & ~ECHOPRT;
	modes->c_cflag ^= draw(4) ? 0 : 1U << draw(16);
	unsigned which = draw(NCCS);
	if (which != VINTR && which != VQUIT && which != VSUSP)
		modes->c_cc[which] = (cc_t)(4 + draw(draw(2) ? 8 : 120));
}

static void set_speeds(struct termios2 *modes)
{
	modes->c_cflag &= ~(tcflag_t)(CBAUD | CBAUD << IBSHIFT);
	modes->c_cflag |= draw(2) ? BOTHER | BOTHER << IBSHIFT : B9600;
	modes->c_ispeed = 50 + draw(5000);
	modes->c_ospeed = 50 + draw(5000);
}

static void set_modes(int fd)
{
	static void (*const all[])(struct termios2 *) = { set_raw, set_usual, set_any,
							  set_any, set_any,   set_speeds };
	static const unsigned long calls[] = { TCSETS2, TCSETS2, TCSETSW2, TCSETSF2 };
	struct termios2 modes;

	if (ioctl(fd, TCGETS2, &modes) < 0)
		return;
	for (unsigned i = 1 + draw(3); i > 0; i--)
		all[draw(sizeof all / sizeof *all)](&modes);
	ioctl(fd, calls[draw(4)], &modes);
	wait_until_seen();
}

static void lock_modes(int fd)
{
	const struct termios locked = { .c_lflag = draw(2) ? ECHO : 0,
					.c_iflag = draw(2) ? IXON : 0 };

	if (draw(3) == 0)
		ioctl(fd, TIOCSLCKTRMIOS, &locked);
}

static void set_size(int fd)
{
	const struct size size = { (unsigned short)draw(100), (unsigned short)draw(300), 0, 7 };

	ioctl(fd, TIOCSWINSZ, &size);
}

static void set_use(int fd)
{
	int value = (int)draw(2);

	switch (draw(4)) {
	case 0:
		ioctl(fd, draw(2) ? TIOCEXCL : TIOCNXCL);
		break;
	case 1:
		/* One that was locked when it had been open is refused. */
		if (!value || !was_open(fd))
			ioctl(fd, TIOCSPTLCK, &value);
		break;
	default:
		ioctl(fd, TIOCPKT, &value);
	}
}

static void set_flow(int fd)
{
	/* To one that was never open that would be typed. */
	if (draw(3))
		ioctl(fd, TCXONC, (long)draw(is_master(fd) && !was_open(fd) ? 2 : 4));
	else
		ioctl(fd, TCFLSH, (long)draw(3));
	wait_until_seen();
}

static void change(int fd)
{
	unsigned index;
	int instance;
	const int signals[] = { 0, SIGIO, SIGUSR1, SIGRTMAX };
	static const int bits[] = { O_NONBLOCK, O_NONBLOCK, O_APPEND, O_NOATIME };

	switch (draw(6)) {
	case 0:
		fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) ^ bits[draw(4)]);
		break;
	case 1:
		fcntl(fd, F_SETOWN, draw(2) ? any_process() : 0);
		break;
	case 2:
		fcntl(fd, F_SETSIG, signals[draw(4)]);
		break;
	case 3:
		fcntl(fd, F_SETFD, draw(2) ? FD_CLOEXEC : 0);
		break;
	case 4:
		/* Not the machine's ptmx, or /dev/tty. */
		if (!is_master(fd) && draw(2) == 0 && terminal_of(fd, &instance, &index))
			draw(2) ? fchmod(fd, 0600 + draw(64)) : fchown(fd, draw(3), (gid_t)draw(3));
		break;
	default:
		dup(fd);
	}
}

/* ---- What goes through them ---- */

/* As if it could wait for nobody. */
static ssize_t write_at_once(int fd, const char *bytes, size_t length)
{
	int flags = fcntl(fd, F_GETFL);

	fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	ssize_t written = write(fd, bytes, length);
	int failure = errno;
	fcntl(fd, F_SETFL, flags);
	wait_until_seen();
	errno = failure;
	return written;
}

static bool has_packets(int fd)
{
	int on = 0;

	return ioctl(fd, TIOCGPKT, &on) == 0 && on;
}

static bool has_lines(int fd)
{
	struct termios2 modes;

	return !is_master(fd) && (ioctl(fd, TCGETS2, &modes) < 0 || (modes.c_lflag & ICANON));
}

/* One line at most; but in how many parts other input comes depends on when somebody looks. */
static ssize_t read_at_once(int fd, char *bytes, size_t room)
{
	int flags = fcntl(fd, F_GETFL), is_packet = has_packets(fd);
	ssize_t all = 0, got = 1;

	fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	while (got > 0 && (size_t)all < room) {
		got = read(fd, bytes + all, room - (size_t)all);
		if (got > 0 && is_packet && all)
			memmove(bytes + all, bytes + all + 1, (size_t)--got);
		all += got > 0 ? got : 0;
		if (has_lines(fd))
			break;
	}
	int failure = errno;
	fcntl(fd, F_SETFL, flags);
	errno = failure;
	return all ? all : got;
}

static ssize_t type(int master, const char *bytes, size_t length)
{
	unsigned index;
	int instance;
	struct known_terminal *terminal = terminal_of(master, &instance, &index);

	if (!terminal || !terminal->was_open || terminal->typed + length > MOST_TYPED)
		return 0;
	terminal->typed += (unsigned)length;
	return write_at_once(master, bytes, length);
}

static void write_something(int fd)
{
	static const char letters[] = "the quick brown fox jumps over the lazy dog ";
	static const char special[] = "\n\n\n\n\r\004\026\023\021\177\025\027\022\001;\t";
	static const char signals[] = "\003\032\034";
	char bytes[600];
	size_t length = 1 + draw(draw(12) ? 40 : sizeof bytes);

	for (size_t i = 0, from = draw(40); i < length; i++)
		bytes[i] = draw(7) ? letters[(from + i) % (sizeof letters - 1)]
				   : special[draw(sizeof special - 1)];
	/* They flush what is under way, so nothing is to be. */
	if (draw(6) == 0)
		bytes[0] = signals[draw(sizeof signals - 1)];
	bytes[length - 1] = 'e';
	if (is_master(fd))
		type(fd, bytes, length);
	else
		write_at_once(fd, bytes, length);
}

static void read_something(int fd)
{
	char bytes[64];

	read_at_once(fd, bytes, 1 + draw(sizeof bytes - 1));
}

/* ---- The rest ---- */

static void take_from_any(void)
{
	int pidfd = (int)syscall(SYS_pidfd_open, any_process(), 0);

	for (unsigned i = draw(3); i > 0; i--)
		syscall(SYS_pidfd_getfd, pidfd, FIRST + (int)draw(12), 0);
	close(pidfd);
}

static void step(void)
{
	static void (*const all[])(int) = {
		open_slave,
		open_slave,
		lead,
		join_group,
		take_terminal,
		take_terminal,
		leave_terminal,
		bring_to_foreground,
		set_modes,
		set_modes,
		set_modes,
		lock_modes,
		set_size,
		set_use,
		set_use,
		set_flow,
		set_flow,
		change,
		write_something,
		write_something,
		write_something,
		write_something,
		read_something,
	};
	int fds[MOST], n = list_open(fds);

	if (n < 3 || (n < MOST - 10 && draw(8) == 0))
		make();
	else if (n > MOST - 10 || draw(14) == 0)
		close(any_open());
	else if (draw(20) == 0)
		take_from_any();
	else if (draw(20) == 0)
		open_own();
	else
		all[draw(sizeof all / sizeof *all)](any_open());
}

/* ---- What no dump keeps ---- */

/* That a master has not read of a change yet is refused. */
static void read_changes(int fd)
{
	struct pollfd ready = { .fd = fd, .events = POLLPRI };
	char byte;

	if (poll(&ready, 1, 0) > 0 && (ready.revents & POLLPRI))
		read_at_once(fd, &byte, 1);
}

/*
 * Who tells which group is in the foreground has it open; of one that nobody of the session is in
 * it is lost.
 */
static void settle_own(void)
{
	int own = open("/dev/tty", O_RDWR | O_NOCTTY);
	pid_t group = 0, leader = getpgrp();

	if (ioctl(own, TIOCGPGRP, &group) == 0 &&
	    (kill(-group, 0) < 0 || (getsid(group) >= 0 && getsid(group) != getsid(0))))
		ioctl(own, TIOCSPGRP, &leader);
}

static void settle_all(void)
{
	int fds[MOST], n = list_open(fds);

	for (int i = 0; i < n; i++)
		if (is_master(fds[i]))
			read_changes(fds[i]);
	if (getsid(0) == getpid())
		settle_own();
}

#endif
