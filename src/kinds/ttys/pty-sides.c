// SPDX-License-Identifier: LGPL-2.1-or-later
/* Asking both sides of a pseudo-terminal; see pty-content.h. */
#include "kinds/ttys/pty-content.h"

#include <asm/ioctls.h>
#include <errno.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { TRIES = 3 };

int pty_failed(struct pty_content *content, const char *doing)
{
	content->failure = errno;
	content->doing = doing;
	return -1;
}

bool pty_is_canonical(const struct termios2 *modes)
{
	return (modes->c_lflag & ICANON) && !(modes->c_lflag & EXTPROC);
}

bool pty_ends_with(const struct termios2 *modes, uint8_t byte)
{
	return byte == '\n' ||
	       (byte && (byte == modes->c_cc[VEOL] ||
			 ((modes->c_lflag & IEXTEN) && byte == modes->c_cc[VEOL2])));
}

int pty_insist(int fd, unsigned long request, const void *argument)
{
	for (int i = 0; i < TRIES; i++)
		if (ioctl(fd, request, argument) >= 0)
			return 0;
	return -1;
}

ssize_t pty_insist_read(int fd, uint8_t *to, size_t room)
{
	ssize_t got = -1;

	for (int i = 0; i < TRIES && got < 0; i++) {
		got = read(fd, to, room);
		if (got < 0 && errno == EAGAIN)
			break;
	}
	return got;
}

int pty_insist_write_nothing(int fd)
{
	for (int i = 0; i < TRIES; i++)
		if (write(fd, "", 0) == 0)
			return 0;
	return -1;
}

bool pty_is_ready(int fd, short events)
{
	struct pollfd ready = { .fd = fd, .events = events };
	int found = -1;

	for (int i = 0; i < TRIES && found < 0; i++)
		found = poll(&ready, 1, 0);
	return found > 0 && (ready.revents & events);
}

void pty_pause(void)
{
	const struct timespec pause = { .tv_nsec = 200 * 1000 };

	nanosleep(&pause, NULL);
}

long pty_milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int pty_set_modes(const struct pty_sides *sides, const struct termios2 *modes,
		  struct pty_content *content)
{
	return pty_insist(sides->master, TCSETS2, modes) ? pty_failed(content, "change its modes")
							 : 0;
}
