// SPDX-License-Identifier: LGPL-2.1-or-later
/* Taking out what waits in a pseudo-terminal; see pty-queues.c. */
#include "kinds/ttys/pty-content.h"
#include "kinds/ttys/ttys.h"

#include <asm/ioctls.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

/* One read is a line, where there are lines; 0 bytes are an end of file that was typed. */
static int take_input(const struct pty_sides *sides, struct pty_content *content, bool lines)
{
	for (;;) {
		uint8_t *to = content->input + content->n_input;
		size_t room = sizeof content->input - content->n_input;
		if (!room || content->n_lines == MOST_LINES) {
			errno = E2BIG;
			return pty_failed(content, "hold what was typed");
		}
		ssize_t got = pty_insist_read(sides->slave, to, room);
		if (got < 0)
			return errno == EAGAIN ? 0 : pty_failed(content, "read what was typed");
		if (got == 0 && !lines)
			return 0;
		uint32_t end = TTY_LINE__OPEN;
		if (lines)
			end = got && pty_ends_with(&sides->modes, to[got - 1]) ? TTY_LINE__ENDED
									       : TTY_LINE__CUT;
		content->lines[content->n_lines].length = (uint32_t)got;
		content->lines[content->n_lines++].end = end;
		content->n_input += (uint32_t)got;
	}
}

/* Asking whether there is something lets the kernel bring what is under way (n_tty_poll). */
static int take_output(const struct pty_sides *sides, struct pty_content *content)
{
	while (pty_is_ready(sides->master, POLLIN)) {
		size_t room = sizeof content->output - content->n_output;
		int waiting = 0;
		if (pty_insist(sides->master, FIONREAD, &waiting))
			return pty_failed(content, "tell how much was written");
		if (waiting <= 0)
			return 0; /* an end of the other side, no byte */
		if ((size_t)waiting > room) {
			errno = E2BIG;
			return pty_failed(content, "hold what was written");
		}
		ssize_t got = pty_insist_read(sides->master, content->output + content->n_output,
					      (size_t)waiting);
		if (got <= 0)
			return pty_failed(content, "read what was written");
		content->n_output += (uint32_t)got;
	}
	return 0;
}

/* What comes as output goes on; as it is in the kernel, not as it would be written (OPOST). */
static int take_echo(const struct pty_sides *sides, struct pty_content *content)
{
	uint32_t before = content->n_output;

	if (take_output(sides, content))
		return -1;
	uint32_t taken = content->n_output - before;
	content->n_output = before;
	content->n_echo = taken < LINE_ROOM ? taken : LINE_ROOM;
	memcpy(content->echo, content->output + before, content->n_echo);
	if (content->n_echo < taken) {
		errno = E2BIG;
		return pty_failed(content, "hold what was not echoed yet");
	}
	return 0;
}

/*
 * Output went on without the echo: neither a call nor a reader who makes room brings it, but the
 * next write does before anything else, also one of no bytes (process_echoes in n_tty_write).
 */
static int bring_echo(const struct pty_sides *sides, struct pty_content *content)
{
	struct termios2 modes = sides->modes;

	modes.c_oflag &= ~(tcflag_t)OPOST;
	if (pty_set_modes(sides, &modes, content))
		return -1;
	return pty_insist_write_nothing(sides->slave)
		       ? pty_failed(content, "ask for what is to be echoed")
		       : take_echo(sides, content);
}

/* Finds out whether and how output is stopped, and lets it go on. */
static int start_output(const struct pty_sides *sides, struct pty_content *content)
{
	struct termios2 modes = sides->modes;

	if (pty_is_ready(sides->slave, POLLOUT))
		return bring_echo(sides, content);
	modes.c_oflag &= ~(tcflag_t)OPOST;
	modes.c_iflag |= IXON;
	if (pty_set_modes(sides, &modes, content))
		return -1;
	if (pty_insist(sides->slave, TCXONC, (void *)TCOON))
		return pty_failed(content, "start its output");
	content->stop = pty_is_ready(sides->slave, POLLOUT) ? STOP_BY_CALL : STOP_BY_CHARACTER;
	modes.c_iflag &= ~(tcflag_t)IXON;
	return pty_set_modes(sides, &modes, content) || take_echo(sides, content) ? -1 : 0;
}

int pty_take_all(const struct pty_sides *sides, struct pty_content *content)
{
	struct termios2 modes = sides->modes;
	bool lines = pty_is_canonical(&modes);

	if (take_input(sides, content, lines))
		return -1;
	if (lines) {
		modes.c_lflag &= ~(tcflag_t)ICANON;
		if (pty_set_modes(sides, &modes, content) || take_input(sides, content, false) ||
		    pty_set_modes(sides, &sides->modes, content))
			return -1;
	}
	return take_output(sides, content) || start_output(sides, content) ? -1 : 0;
}
