// SPDX-License-Identifier: LGPL-2.1-or-later
/* Putting back what waits in a pseudo-terminal; see pty-queues.c. */
#include "kinds/ttys/pty-content.h"
#include "kinds/ttys/ttys.h"

#include <asm/ioctls.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

/*
 * What the line discipline does not hold lies in buffers, of which each holds twice its size
 * (drivers/tty/tty_buffer.c). They are as large as what is written at once, up to the largest, and
 * another one is made until there are more than 8 KiB of them (tty_buffer_alloc); but the smallest
 * are kept when they are empty, and taken again whatever there is: up to 33 of them.
 */
enum { SMALLEST = 256, MEDIUM = 512, LARGEST = 1792, MOST_KEPT = 33 };

/* Modes in which typed characters are taken for what they are. */
static struct termios2 quiet_modes(const struct termios2 *modes)
{
	struct termios2 quiet = *modes;

	quiet.c_iflag = 0;
	quiet.c_oflag &= ~(tcflag_t)OPOST;
	quiet.c_lflag &= ICANON | EXTPROC;
	if (!pty_is_canonical(modes))
		return quiet;
	quiet.c_iflag = IXON;
	quiet.c_lflag |= IEXTEN;
	for (size_t i = 0; i < NCCS; i++)
		if (i != VMIN && i != VTIME && i != VEOL && i != VEOL2)
			quiet.c_cc[i] = 0;
	if (!(modes->c_lflag & IEXTEN))
		quiet.c_cc[VEOL2] = 0;
	quiet.c_cc[VLNEXT] = TAKES_NEXT;
	quiet.c_cc[VEOF] = ENDS_LINE;
	quiet.c_cc[VSTOP] = STOPS;
	return quiet;
}

static int write_pieces(int fd, const uint8_t *bytes, size_t left, size_t piece,
			struct pty_content *content)
{
	long end = pty_milliseconds() + PATIENCE_MS;
	size_t most = piece;

	while (left) {
		ssize_t put = write(fd, bytes, left < most ? left : most);
		if (put > 0) {
			bytes += put, left -= (size_t)put;
			most = piece;
		} else if (most > 1) {
			most /= 2; /* there may be some room in the last buffer */
		} else if (pty_milliseconds() > end) {
			return pty_failed(content, "put back what waited in it");
		} else {
			pty_pause();
			most = piece;
		}
	}
	return 0;
}

static int write_all(int fd, const uint8_t *bytes, size_t left, struct pty_content *content)
{
	return write_pieces(fd, bytes, left, LINE_ROOM, content);
}

/* Until the line discipline of the master holds so much. */
static int wait_for_output(const struct pty_sides *sides, size_t count, struct pty_content *content)
{
	int waiting = 0;

	for (long end = pty_milliseconds() + PATIENCE_MS;; pty_pause()) {
		if (pty_is_ready(sides->master, POLLIN) &&
		    pty_insist(sides->master, FIONREAD, &waiting))
			return pty_failed(content, "tell how much was written");
		if (waiting >= (int)count)
			return 0;
		if (pty_milliseconds() > end) {
			errno = EAGAIN;
			return pty_failed(content, "put back what was written");
		}
	}
}

/*
 * There is room for as much as anybody could have written, in whatever pieces: what the line
 * discipline holds, then buffers that come to 8 KiB and no more, one that is as large as can be,
 * and those that are kept.
 */
static int write_output(const struct pty_sides *sides, struct pty_content *content)
{
	static const struct {
		size_t size, total;
	} pieces[] = { { SMALLEST, LINE_ROOM - 1 },
		       { MEDIUM, 30 * MEDIUM },
		       { SMALLEST, 2 * SMALLEST },
		       { LARGEST, 2 * LARGEST },
		       { SMALLEST, OUTPUT_ROOM } };
	size_t done = 0;

	for (size_t i = 0; i < sizeof pieces / sizeof pieces[0] && done < content->n_output; i++) {
		size_t left = content->n_output - done;
		size_t some = left < pieces[i].total ? left : pieces[i].total;
		if (write_pieces(sides->slave, content->output + done, some, pieces[i].size,
				 content) ||
		    (i == 0 && wait_for_output(sides, some, content)))
			return -1;
		done += some;
	}
	return 0;
}

/* Has the smallest buffers made, which a terminal that was used has kept. */
static int make_buffers(const struct pty_sides *sides, struct pty_content *content)
{
	static const uint8_t bytes[SMALLEST];
	uint8_t back[LINE_ROOM];
	size_t written = 0;

	/* What the line discipline has taken in leaves its buffers free again. */
	for (size_t filled = 0; filled < 2; filled++) {
		for (int i = 0; i < 3 * MOST_KEPT; i++) {
			ssize_t put = write(sides->slave, bytes, sizeof bytes);
			if (put <= 0)
				break;
			written += (size_t)put;
		}
		if (wait_for_output(sides, LINE_ROOM - 1, content))
			return -1;
	}
	for (long end = pty_milliseconds() + PATIENCE_MS; written;) {
		ssize_t got = pty_is_ready(sides->master, POLLIN)
				      ? pty_insist_read(sides->master, back, sizeof back)
				      : 0;
		if (got < 0)
			return pty_failed(content, "read what was written");
		written -= (size_t)got < written ? (size_t)got : written;
		if (!got && pty_milliseconds() > end) {
			errno = EAGAIN;
			return pty_failed(content, "read what was written");
		}
		if (!got)
			pty_pause();
	}
	return 0;
}

/* Typed, until the kernel has taken it in: that shows by the output, which the last one stops. */
static int type_lines(const struct pty_sides *sides, const struct termios2 *quiet,
		      struct pty_content *content)
{
	uint8_t typed[2 * LINE_ROOM + MOST_LINES + 1];
	const uint8_t *from = content->input;
	size_t length = 0;

	for (uint32_t i = 0; i < content->n_lines; i++) {
		for (uint32_t k = 0; k < content->lines[i].length; k++, from++) {
			bool last = k + 1 == content->lines[i].length &&
				    content->lines[i].end == TTY_LINE__ENDED;
			if (!last && (*from == TAKES_NEXT || *from == ENDS_LINE || *from == STOPS ||
				      pty_ends_with(quiet, *from)))
				typed[length++] = TAKES_NEXT;
			typed[length++] = *from;
		}
		if (content->lines[i].end == TTY_LINE__CUT)
			typed[length++] = ENDS_LINE;
	}
	typed[length++] = STOPS;
	if (write_all(sides->master, typed, length, content))
		return -1;
	for (long end = pty_milliseconds() + PATIENCE_MS; pty_is_ready(sides->slave, POLLOUT);
	     pty_pause())
		if (pty_milliseconds() > end) {
			errno = EAGAIN;
			return pty_failed(content, "put back what was typed");
		}
	return 0;
}

static int type_bytes(const struct pty_sides *sides, const uint8_t *bytes, uint32_t length,
		      struct pty_content *content)
{
	int waiting = 0;

	if (write_all(sides->master, bytes, length, content))
		return -1;
	for (long end = pty_milliseconds() + PATIENCE_MS;; pty_pause()) {
		if (pty_insist(sides->slave, FIONREAD, &waiting))
			return pty_failed(content, "tell what was typed");
		if (waiting >= (int)length)
			return 0;
		if (pty_milliseconds() > end) {
			errno = EAGAIN;
			return pty_failed(content, "put back what was typed");
		}
	}
}

static int call_flow(const struct pty_sides *sides, long what, struct pty_content *content)
{
	return pty_insist(sides->slave, TCXONC, (void *)what)
		       ? pty_failed(content, "stop its output")
		       : 0;
}

/*
 * Echo that waits for output to go on is made by typing it while that is stopped, and reading it.
 * Without ECHO nothing brings it then, also when output goes on by a call (flush_echoes).
 */
static int put_echo(const struct pty_sides *sides, const struct termios2 *quiet,
		    struct pty_content *content)
{
	struct termios2 echoing = *quiet;
	uint8_t typed[LINE_ROOM];
	ssize_t got = 0;

	echoing.c_iflag = 0;
	echoing.c_lflag = ECHO;
	if (pty_set_modes(sides, &echoing, content) || call_flow(sides, TCOOFF, content) ||
	    type_bytes(sides, content->echo, content->n_echo, content))
		return -1;
	for (uint32_t left = content->n_echo; left; left -= (uint32_t)got) {
		got = pty_insist_read(sides->slave, typed, left);
		if (got <= 0)
			return pty_failed(content, "read what is to be echoed");
	}
	return pty_set_modes(sides, quiet, content) || call_flow(sides, TCOON, content) ? -1 : 0;
}

/* A character stopped the output: it is typed again, with what is there in its way. */
static int stop_output(const struct pty_sides *sides, struct pty_content *content)
{
	struct termios2 modes = quiet_modes(&sides->modes);
	static const uint8_t stop = STOPS;

	if (content->stop == STOP_BY_CALL && call_flow(sides, TCOOFF, content))
		return -1;
	if (content->stop != STOP_BY_CHARACTER)
		return 0;
	modes.c_iflag = IXON;
	modes.c_cc[VSTOP] = STOPS;
	/* With EXTPROC no character means anything. */
	if (!pty_is_canonical(&sides->modes))
		modes.c_lflag = 0;
	if (pty_set_modes(sides, &modes, content) ||
	    (content->n_echo && call_flow(sides, TCOON, content)) ||
	    write_all(sides->master, &stop, 1, content))
		return -1;
	for (long end = pty_milliseconds() + PATIENCE_MS; pty_is_ready(sides->slave, POLLOUT);
	     pty_pause())
		if (pty_milliseconds() > end) {
			errno = EAGAIN;
			return pty_failed(content, "stop its output");
		}
	return 0;
}

int pty_put_all(const struct pty_sides *sides, struct pty_content *content)
{
	struct termios2 quiet = quiet_modes(&sides->modes), silent = quiet;
	bool lines = pty_is_canonical(&sides->modes);

	silent.c_iflag = 0;
	if (pty_set_modes(sides, &quiet, content) ||
	    (sides->is_new && content->n_output >= LINE_ROOM && make_buffers(sides, content)) ||
	    write_output(sides, content))
		return -1;
	if (content->n_echo && put_echo(sides, &quiet, content))
		return -1;
	if (content->n_lines &&
	    (lines ? type_lines(sides, &quiet, content)
		   : type_bytes(sides, content->input, content->n_input, content)))
		return -1;
	/* Without IXON what the mark has stopped goes on, and would bring the echo. */
	if (content->n_echo && call_flow(sides, TCOOFF, content))
		return -1;
	if (pty_set_modes(sides, &silent, content) || stop_output(sides, content))
		return -1;
	if (pty_set_modes(sides, &sides->modes, content))
		return -1;
	/* Goes on, but nothing has brought the echo since. */
	return content->n_echo && content->stop == STOP_NONE ? call_flow(sides, TCOON, content) : 0;
}
