// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What waits in a pseudo-terminal: what its programs have written and the master has not read, and
 * what was typed and no program has read. Neither can be looked at without taking it away, so a
 * dump takes all of it and puts it back at once. That is done by a process of its own that nobody's
 * end interrupts; it is what a restore does, too.
 *
 * In canonical mode (termios(3)) a read gives a line at most, and what was typed of the next one is
 * seen only without that mode, whose change forgets where lines end (n_tty_set_termios,
 * drivers/tty/n_tty.c). So whole lines are read first, each with the way in which it ended, then
 * the rest. They are typed again while no character means anything, but a few that are chosen
 * here: one that takes the next for what it is, one that ends a line without a trace, and one that
 * stops the output, by which it is seen that all before it has been taken in.
 *
 * Output that was stopped shows as one that takes nothing though all was read. Stopped by a call
 * (TCOOFF) it goes on by a call, stopped by a character it goes on without IXON. What is typed
 * meanwhile is echoed when it does; where the kernel knows in which column that is, it begins anew.
 * A master may be stopped by a call, too: then nothing can be typed.
 *
 * Refused: more input than the line discipline holds, since what is behind it was not looked at
 * yet, and packets of changes (TIOCPKT) that the master has not read.
 */
#include "kinds/ttys/ttys.h"

#include "base/arena.h"

#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef TIOCGPKT
#define TIOCGPKT _IOR('T', 0x38, int)
#endif

/* LINE_ROOM is what the line discipline holds (N_TTY_BUF_SIZE). */
enum { LINE_ROOM = 4096, OUTPUT_ROOM = 32768, MOST_LINES = LINE_ROOM, PATIENCE_MS = 2000 };
enum { TRIES = 3 };
enum { TAKES_NEXT = 1, ENDS_LINE = 2, STOPS = 3 };
enum stop { STOP_NONE, STOP_BY_CALL, STOP_BY_CHARACTER };

/* In memory that the process which takes and puts shares with us. */
struct content {
	uint32_t n_output, n_input, n_lines, n_echo;
	uint32_t stop;
	bool master_stopped;
	uint8_t output[OUTPUT_ROOM], input[LINE_ROOM], echo[LINE_ROOM];
	struct {
		uint32_t length, end;
	} lines[MOST_LINES];
	int failure;	   /* errno, with: */
	const char *doing; /* what could not be done; a literal */
	bool done;
};

struct sides {
	int master, slave; /* the slave does not wait (O_NONBLOCK) */
	struct termios2 modes;
	struct termios locked;
	bool is_locked, packet;
};

static int failed(struct content *content, const char *doing)
{
	content->failure = errno;
	content->doing = doing;
	return -1;
}

static bool is_canonical(const struct termios2 *modes)
{
	return (modes->c_lflag & ICANON) && !(modes->c_lflag & EXTPROC);
}

/* The terminal is somebody's and has to be as it was: what fails once is tried again. */
static int insist(int fd, unsigned long request, const void *argument)
{
	for (int i = 0; i < TRIES; i++)
		if (ioctl(fd, request, argument) >= 0)
			return 0;
	return -1;
}

/* The same: what a failing read leaves behind would go before what was taken and is put back. */
static ssize_t insist_read(int fd, uint8_t *to, size_t room)
{
	ssize_t got = -1;

	for (int i = 0; i < TRIES && got < 0; i++) {
		got = read(fd, to, room);
		if (got < 0 && errno == EAGAIN)
			break;
	}
	return got;
}

/* A poll that fails has not found that nothing is there. */
static bool is_ready(int fd, short events)
{
	struct pollfd ready = { .fd = fd, .events = events };
	int found = -1;

	for (int i = 0; i < TRIES && found < 0; i++)
		found = poll(&ready, 1, 0);
	return found > 0 && (ready.revents & events);
}

static void pause_briefly(void)
{
	const struct timespec pause = { .tv_nsec = 200 * 1000 };

	nanosleep(&pause, NULL);
}

static long milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- Taking ---- */

static bool ends_with(const struct termios2 *modes, uint8_t byte)
{
	return byte == '\n' ||
	       (byte && (byte == modes->c_cc[VEOL] ||
			 ((modes->c_lflag & IEXTEN) && byte == modes->c_cc[VEOL2])));
}

/* One read is a line, where there are lines; 0 bytes are an end of file that was typed. */
static int take_input(const struct sides *sides, struct content *content, bool lines)
{
	for (;;) {
		uint8_t *to = content->input + content->n_input;
		size_t room = sizeof content->input - content->n_input;
		if (!room || content->n_lines == MOST_LINES) {
			errno = E2BIG;
			return failed(content, "hold what was typed");
		}
		ssize_t got = insist_read(sides->slave, to, room);
		if (got < 0)
			return errno == EAGAIN ? 0 : failed(content, "read what was typed");
		if (got == 0 && !lines)
			return 0;
		uint32_t end = TTY_LINE__OPEN;
		if (lines)
			end = got && ends_with(&sides->modes, to[got - 1]) ? TTY_LINE__ENDED
									   : TTY_LINE__CUT;
		content->lines[content->n_lines].length = (uint32_t)got;
		content->lines[content->n_lines++].end = end;
		content->n_input += (uint32_t)got;
	}
}

/* Asking whether there is something lets the kernel bring what is under way (n_tty_poll). */
static int take_output(const struct sides *sides, struct content *content)
{
	while (is_ready(sides->master, POLLIN)) {
		size_t room = sizeof content->output - content->n_output;
		int waiting = 0;
		if (insist(sides->master, FIONREAD, &waiting))
			return failed(content, "tell how much was written");
		if (waiting <= 0)
			return 0; /* an end of the other side, no byte */
		if ((size_t)waiting > room) {
			errno = E2BIG;
			return failed(content, "hold what was written");
		}
		ssize_t got = insist_read(sides->master, content->output + content->n_output,
					  (size_t)waiting);
		if (got <= 0)
			return failed(content, "read what was written");
		content->n_output += (uint32_t)got;
	}
	return 0;
}

static int set_modes(const struct sides *sides, const struct termios2 *modes,
		     struct content *content)
{
	return insist(sides->master, TCSETS2, modes) ? failed(content, "change its modes") : 0;
}

/* What comes as output goes on; as it is in the kernel, not as it would be written (OPOST). */
static int take_echo(const struct sides *sides, struct content *content)
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
		return failed(content, "hold what was not echoed yet");
	}
	return 0;
}

/* Finds out whether and how output is stopped, and lets it go on. */
static int start_output(const struct sides *sides, struct content *content)
{
	struct termios2 modes = sides->modes;

	if (is_ready(sides->slave, POLLOUT))
		return 0;
	modes.c_oflag &= ~(tcflag_t)OPOST;
	modes.c_iflag |= IXON;
	if (set_modes(sides, &modes, content))
		return -1;
	if (insist(sides->slave, TCXONC, (void *)TCOON))
		return failed(content, "start its output");
	content->stop = is_ready(sides->slave, POLLOUT) ? STOP_BY_CALL : STOP_BY_CHARACTER;
	modes.c_iflag &= ~(tcflag_t)IXON;
	return set_modes(sides, &modes, content) || take_echo(sides, content) ? -1 : 0;
}

static int take_all(const struct sides *sides, struct content *content)
{
	struct termios2 modes = sides->modes;
	bool lines = is_canonical(&modes);

	if (take_input(sides, content, lines))
		return -1;
	if (lines) {
		modes.c_lflag &= ~(tcflag_t)ICANON;
		if (set_modes(sides, &modes, content) || take_input(sides, content, false) ||
		    set_modes(sides, &sides->modes, content))
			return -1;
	}
	return take_output(sides, content) || start_output(sides, content) ? -1 : 0;
}

/* ---- Putting ---- */

/* Modes in which typed characters are taken for what they are. */
static struct termios2 quiet_modes(const struct termios2 *modes)
{
	struct termios2 quiet = *modes;

	quiet.c_iflag = 0;
	quiet.c_oflag &= ~(tcflag_t)OPOST;
	quiet.c_lflag &= ICANON | EXTPROC;
	if (!is_canonical(modes))
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

static int write_all(int fd, const uint8_t *bytes, size_t left, struct content *content)
{
	long end = milliseconds() + PATIENCE_MS;

	while (left) {
		ssize_t put = write(fd, bytes, left);
		if (put > 0)
			bytes += put, left -= (size_t)put;
		else if (milliseconds() > end)
			return failed(content, "put back what waited in it");
		else
			pause_briefly();
	}
	return 0;
}

/* Typed, until the kernel has taken it in: that shows by the output, which the last one stops. */
static int type_lines(const struct sides *sides, const struct termios2 *quiet,
		      struct content *content)
{
	uint8_t typed[2 * LINE_ROOM + MOST_LINES + 1];
	const uint8_t *from = content->input;
	size_t length = 0;

	for (uint32_t i = 0; i < content->n_lines; i++) {
		for (uint32_t k = 0; k < content->lines[i].length; k++, from++) {
			bool last = k + 1 == content->lines[i].length &&
				    content->lines[i].end == TTY_LINE__ENDED;
			if (!last && (*from == TAKES_NEXT || *from == ENDS_LINE || *from == STOPS ||
				      ends_with(quiet, *from)))
				typed[length++] = TAKES_NEXT;
			typed[length++] = *from;
		}
		if (content->lines[i].end == TTY_LINE__CUT)
			typed[length++] = ENDS_LINE;
	}
	typed[length++] = STOPS;
	if (write_all(sides->master, typed, length, content))
		return -1;
	for (long end = milliseconds() + PATIENCE_MS; is_ready(sides->slave, POLLOUT);
	     pause_briefly())
		if (milliseconds() > end) {
			errno = EAGAIN;
			return failed(content, "put back what was typed");
		}
	return 0;
}

static int type_bytes(const struct sides *sides, const uint8_t *bytes, uint32_t length,
		      struct content *content)
{
	int waiting = 0;

	if (write_all(sides->master, bytes, length, content))
		return -1;
	for (long end = milliseconds() + PATIENCE_MS;; pause_briefly()) {
		if (insist(sides->slave, FIONREAD, &waiting))
			return failed(content, "tell what was typed");
		if (waiting >= (int)length)
			return 0;
		if (milliseconds() > end) {
			errno = EAGAIN;
			return failed(content, "put back what was typed");
		}
	}
}

static int call_flow(const struct sides *sides, long what, struct content *content)
{
	return insist(sides->slave, TCXONC, (void *)what) ? failed(content, "stop its output") : 0;
}

/*
 * Echo that waits for output to go on is made by typing it while that is stopped, and reading it.
 * Without ECHO nothing brings it then, also when output goes on by a call (flush_echoes).
 */
static int put_echo(const struct sides *sides, const struct termios2 *quiet,
		    struct content *content)
{
	struct termios2 echoing = *quiet;
	uint8_t typed[LINE_ROOM];
	ssize_t got = 0;

	echoing.c_iflag = 0;
	echoing.c_lflag = ECHO;
	if (set_modes(sides, &echoing, content) || call_flow(sides, TCOOFF, content) ||
	    type_bytes(sides, content->echo, content->n_echo, content))
		return -1;
	for (uint32_t left = content->n_echo; left; left -= (uint32_t)got) {
		got = insist_read(sides->slave, typed, left);
		if (got <= 0)
			return failed(content, "read what is to be echoed");
	}
	return set_modes(sides, quiet, content) || call_flow(sides, TCOON, content) ? -1 : 0;
}

/* A character stopped the output: it is typed again, with what is there in its way. */
static int stop_output(const struct sides *sides, struct content *content)
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
	if (!is_canonical(&sides->modes))
		modes.c_lflag = 0;
	if (set_modes(sides, &modes, content) ||
	    (content->n_echo && call_flow(sides, TCOON, content)) ||
	    write_all(sides->master, &stop, 1, content))
		return -1;
	for (long end = milliseconds() + PATIENCE_MS; is_ready(sides->slave, POLLOUT);
	     pause_briefly())
		if (milliseconds() > end) {
			errno = EAGAIN;
			return failed(content, "stop its output");
		}
	return 0;
}

static int put_all(const struct sides *sides, struct content *content)
{
	struct termios2 quiet = quiet_modes(&sides->modes), silent = quiet;
	bool lines = is_canonical(&sides->modes);

	silent.c_iflag = 0;
	if (set_modes(sides, &quiet, content) ||
	    write_all(sides->slave, content->output, content->n_output, content))
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
	if (set_modes(sides, &silent, content) || stop_output(sides, content))
		return -1;
	return set_modes(sides, &sides->modes, content);
}

/* ---- Both, while nothing else is in the way ---- */

/* The master takes nothing, as was said there (TCOOFF): nothing could be put back either. */
static int start_typing(const struct sides *sides, struct content *content)
{
	if (is_ready(sides->master, POLLOUT))
		return 0;
	if (insist(sides->master, TCXONC, (void *)TCOON))
		return failed(content, "start what is typed");
	content->master_stopped = is_ready(sides->master, POLLOUT);
	return 0;
}

static int stop_typing(const struct sides *sides, struct content *content)
{
	return content->master_stopped && insist(sides->master, TCXONC, (void *)TCOOFF)
		       ? failed(content, "stop what is typed again")
		       : 0;
}

static int end(const struct sides *sides, struct content *content)
{
	int on = 1, result = 0;

	if (sides->is_locked && insist(sides->master, TIOCSLCKTRMIOS, &sides->locked))
		result = failed(content, "lock its modes again");
	if (sides->packet && insist(sides->master, TIOCPKT, &on))
		result = failed(content, "enter packet mode again");
	return stop_typing(sides, content) ? -1 : result;
}

static int begin(struct sides *sides, struct content *content)
{
	static const struct termios none;
	int packet = 0, off = 0;

	if (ioctl(sides->master, TCGETS2, &sides->modes) < 0 ||
	    ioctl(sides->master, TIOCGLCKTRMIOS, &sides->locked) < 0 ||
	    ioctl(sides->master, TIOCGPKT, &packet) < 0)
		return failed(content, "read how it is set");
	sides->packet = packet;
	sides->is_locked = memcmp(&sides->locked, &none, sizeof none) != 0;
	if (sides->is_locked && ioctl(sides->master, TIOCSLCKTRMIOS, &none) < 0)
		return failed(content, "unlock its modes for a moment");
	if (packet && ioctl(sides->master, TIOCPKT, &off) < 0) {
		failed(content, "leave packet mode for a moment");
		if (sides->is_locked)
			insist(sides->master, TIOCSLCKTRMIOS, &sides->locked);
		return -1;
	}
	if (start_typing(sides, content)) {
		end(sides, content);
		return -1;
	}
	return 0;
}

/* Whatever fails, what was taken is put back as far as that goes. */
static void take_and_put(int master, int slave, struct content *content)
{
	struct sides sides = { .master = master, .slave = slave };

	/* What was typed where nobody has ever read is not looked at. */
	if (slave < 0) {
		content->done = !start_typing(&sides, content) && !stop_typing(&sides, content);
		return;
	}
	if (begin(&sides, content))
		return;
	int taken = take_all(&sides, content);
	int failure = content->failure;
	const char *doing = content->doing;
	int put = put_all(&sides, content);
	if (put)
		set_modes(&sides, &sides.modes, content);
	if (end(&sides, content))
		put = -1;
	if (taken) {
		content->failure = failure;
		content->doing = doing;
	}
	content->done = !taken && !put;
}

static void child_main(int master, int slave, struct content *content)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	setsid();
	take_and_put(master, slave, content);
	_exit(0);
}

static void keep_content(const struct content *content, TtyInfoEntry *info, struct arena *arena)
{
	const uint8_t *from = content->input;

	info->has_output = content->n_output != 0;
	info->output.data = arena_copy(arena, content->output, content->n_output);
	info->output.len = content->n_output;
	info->has_echo = content->n_echo != 0;
	info->echo.data = arena_copy(arena, content->echo, content->n_echo);
	info->echo.len = content->n_echo;
	info->has_master_stopped = info->master_stopped = content->master_stopped;
	info->has_stopped = content->stop != STOP_NONE;
	info->stopped = content->stop;
	if (!content->n_lines)
		return;
	info->lines = arena_alloc(arena, content->n_lines * sizeof *info->lines);
	for (uint32_t i = 0; i < content->n_lines; i++) {
		TtyLineEntry *line = arena_new(arena, TtyLineEntry);
		tty_line_entry__init(line);
		line->end = content->lines[i].end;
		line->bytes.len = content->lines[i].length;
		line->bytes.data = arena_copy(arena, from, line->bytes.len);
		from += line->bytes.len;
		info->lines[info->n_lines++] = line;
	}
}

int pty_queues_read(int master, int slave, TtyInfoEntry *info, struct arena *arena,
		    const char *what, struct error *err)
{
	struct content *content = mmap(NULL, sizeof *content, PROT_READ | PROT_WRITE,
				       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status;

	if (is_ready(master, POLLPRI)) {
		fail(err, ERR_UNSUPPORTED_FILE,
		     "%s: its master has not read of a change yet (TIOCPKT)", what);
		return fail_passing(err);
	}
	if (content == MAP_FAILED)
		return fail_errno(err, ERR_IO, "out of memory");
	pid_t pid = fork();
	if (pid == 0)
		child_main(master, slave, content);
	/* Nothing goes on before it is done, whatever keeps us from waiting. */
	if (pid > 0)
		while (waitpid(pid, &status, 0) < 0 && errno != ECHILD)
			;
	int result = 0;
	errno = content->failure;
	if (pid < 0)
		result = fail(err, ERR_KERNEL_REFUSED, "cannot make a process");
	else if (!content->done && content->failure == E2BIG)
		result = fail(err, ERR_UNSUPPORTED_FILE,
			      "%s: more waits in it than can be put back (%s)", what,
			      content->doing);
	else if (!content->done)
		result = fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot %s", what,
				    content->doing ? content->doing : "look into it");
	else
		keep_content(content, info, arena);
	munmap(content, sizeof *content);
	return result;
}

/* ---- Restore ---- */

int pty_queues_check(const TtyInfoEntry *info, struct error *err)
{
	size_t total = 0;
	bool lines = info->termios && (info->termios->c_lflag & ICANON) &&
		     !(info->termios->c_lflag & EXTPROC);

	for (size_t i = 0; i < info->n_lines; i++) {
		const TtyLineEntry *line = info->lines[i];
		total += line->bytes.len;
		if (line->bytes.len > LINE_ROOM || line->end > TTY_LINE__CUT ||
		    (!line->bytes.len && line->end != TTY_LINE__CUT) ||
		    (line->end != TTY_LINE__OPEN && !lines))
			return fail(err, ERR_IMAGE_INVALID, "terminal %u: no line of input",
				    info->id);
	}
	if (total > LINE_ROOM || info->n_lines > MOST_LINES || info->output.len > OUTPUT_ROOM ||
	    (info->has_stopped && info->stopped > STOP_BY_CHARACTER) ||
	    info->echo.len > LINE_ROOM || (info->echo.len && !info->stopped))
		return fail(err, ERR_IMAGE_INVALID, "terminal %u: more waits in it than it holds",
			    info->id);
	return 0;
}

int pty_queues_write(int master, int slave, const TtyInfoEntry *info, struct error *err)
{
	struct content *content = mmap(NULL, sizeof *content, PROT_READ | PROT_WRITE,
				       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct sides sides = { .master = master, .slave = slave };

	if (content == MAP_FAILED)
		return fail_errno(err, ERR_IO, "out of memory");
	content->n_output = (uint32_t)info->output.len;
	if (info->output.len)
		memcpy(content->output, info->output.data, info->output.len);
	content->n_echo = (uint32_t)info->echo.len;
	if (info->echo.len)
		memcpy(content->echo, info->echo.data, info->echo.len);
	content->stop = info->has_stopped ? info->stopped : STOP_NONE;
	for (size_t i = 0; i < info->n_lines; i++) {
		const TtyLineEntry *line = info->lines[i];
		content->lines[i].length = (uint32_t)line->bytes.len;
		content->lines[i].end = line->end;
		if (line->bytes.len)
			memcpy(content->input + content->n_input, line->bytes.data,
			       line->bytes.len);
		content->n_input += (uint32_t)line->bytes.len;
		content->n_lines++;
	}
	int result = begin(&sides, content) || put_all(&sides, content) || end(&sides, content);
	errno = content->failure;
	if (result)
		fail_errno(err, ERR_KERNEL_REFUSED, "terminal %u: cannot %s", info->id,
			   content->doing);
	munmap(content, sizeof *content);
	return result ? -1 : 0;
}
