// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What waits in a pseudo-terminal: what its programs have written and the master has not read, and
 * what was typed and no program has read. Neither can be looked at without taking it away, so a
 * dump takes all of it (pty-take.c) and puts it back at once (pty-put.c). That is done by a process
 * of its own that nobody's end interrupts; it is what a restore does, too.
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
 * meanwhile is echoed when it does, or not before something is written; where the kernel knows in
 * which column that is, it begins anew.
 * A master may be stopped by a call, too: then nothing can be typed.
 *
 * Refused: more input than the line discipline holds, since what is behind it was not looked at
 * yet, and packets of changes (TIOCPKT) that the master has not read.
 */
#include "kinds/ttys/pty-content.h"
#include "kinds/ttys/ttys.h"

#include "base/arena.h"

#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef TIOCGPKT
#define TIOCGPKT _IOR('T', 0x38, int)
#endif

/* ---- Both, while nothing else is in the way ---- */

/* The master takes nothing, as was said there (TCOOFF): nothing could be put back either. */
static int start_typing(const struct pty_sides *sides, struct pty_content *content)
{
	if (pty_is_ready(sides->master, POLLOUT))
		return 0;
	if (pty_insist(sides->master, TCXONC, (void *)TCOON))
		return pty_failed(content, "start what is typed");
	content->master_stopped = pty_is_ready(sides->master, POLLOUT);
	return 0;
}

static int stop_typing(const struct pty_sides *sides, struct pty_content *content)
{
	return content->master_stopped && pty_insist(sides->master, TCXONC, (void *)TCOOFF)
		       ? pty_failed(content, "stop what is typed again")
		       : 0;
}

static int end(const struct pty_sides *sides, struct pty_content *content)
{
	int on = 1, result = 0;

	if (sides->is_locked && pty_insist(sides->master, TIOCSLCKTRMIOS, &sides->locked))
		result = pty_failed(content, "lock its modes again");
	if (sides->packet && pty_insist(sides->master, TIOCPKT, &on))
		result = pty_failed(content, "enter packet mode again");
	return stop_typing(sides, content) ? -1 : result;
}

static int begin(struct pty_sides *sides, struct pty_content *content)
{
	static const struct termios none;
	int packet = 0, off = 0;

	if (ioctl(sides->master, TCGETS2, &sides->modes) < 0 ||
	    ioctl(sides->master, TIOCGLCKTRMIOS, &sides->locked) < 0 ||
	    ioctl(sides->master, TIOCGPKT, &packet) < 0)
		return pty_failed(content, "read how it is set");
	sides->packet = packet;
	sides->is_locked = memcmp(&sides->locked, &none, sizeof none) != 0;
	if (sides->is_locked && ioctl(sides->master, TIOCSLCKTRMIOS, &none) < 0)
		return pty_failed(content, "unlock its modes for a moment");
	if (packet && ioctl(sides->master, TIOCPKT, &off) < 0) {
		pty_failed(content, "leave packet mode for a moment");
		if (sides->is_locked)
			pty_insist(sides->master, TIOCSLCKTRMIOS, &sides->locked);
		return -1;
	}
	if (start_typing(sides, content)) {
		end(sides, content);
		return -1;
	}
	return 0;
}

/* Whatever fails, what was taken is put back as far as that goes. */
static void take_and_put(int master, int slave, struct pty_content *content)
{
	struct pty_sides sides = { .master = master, .slave = slave };

	/* What was typed where nobody has ever read is not looked at. */
	if (slave < 0) {
		content->done = !start_typing(&sides, content) && !stop_typing(&sides, content);
		return;
	}
	if (begin(&sides, content))
		return;
	int taken = pty_take_all(&sides, content);
	int failure = content->failure;
	const char *doing = content->doing;
	int put = pty_put_all(&sides, content);
	if (put)
		pty_set_modes(&sides, &sides.modes, content);
	if (end(&sides, content))
		put = -1;
	if (taken) {
		content->failure = failure;
		content->doing = doing;
	}
	content->done = !taken && !put;
}

static void child_main(int master, int slave, struct pty_content *content)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	setsid();
	take_and_put(master, slave, content);
	_exit(0);
}

static void keep_content(const struct pty_content *content, TtyInfoEntry *info, struct arena *arena)
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
	struct pty_content *content = mmap(NULL, sizeof *content, PROT_READ | PROT_WRITE,
					   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status;

	if (pty_is_ready(master, POLLPRI)) {
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
	    (info->has_stopped && info->stopped > STOP_BY_CHARACTER) || info->echo.len > LINE_ROOM)
		return fail(err, ERR_IMAGE_INVALID, "terminal %u: more waits in it than it holds",
			    info->id);
	return 0;
}

int pty_queues_write(int master, int slave, const TtyInfoEntry *info, struct error *err)
{
	struct pty_content *content = mmap(NULL, sizeof *content, PROT_READ | PROT_WRITE,
					   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct pty_sides sides = { .master = master, .slave = slave, .is_new = true };

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
	int result = begin(&sides, content) || pty_put_all(&sides, content) || end(&sides, content);
	errno = content->failure;
	if (result)
		fail_errno(err, ERR_KERNEL_REFUSED, "terminal %u: cannot %s", info->id,
			   content->doing);
	munmap(content, sizeof *content);
	return result ? -1 : 0;
}
