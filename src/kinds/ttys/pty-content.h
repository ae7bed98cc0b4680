/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What waits in a pseudo-terminal, while it is taken out and put back. Private to the files of its
 * queues (pty-queues.c), which name in `content` what could not be done.
 */
#ifndef NESTOR_KINDS_TTYS_PTY_CONTENT_H
#define NESTOR_KINDS_TTYS_PTY_CONTENT_H

#include <asm/termbits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* LINE_ROOM is what the line discipline holds (N_TTY_BUF_SIZE). */
enum { LINE_ROOM = 4096, OUTPUT_ROOM = 40960, MOST_LINES = LINE_ROOM, PATIENCE_MS = 2000 };
/* What characters mean while it is typed again. */
enum { TAKES_NEXT = 1, ENDS_LINE = 2, STOPS = 3 };
enum pty_stop { STOP_NONE, STOP_BY_CALL, STOP_BY_CHARACTER };

/* In memory that the process which takes and puts shares with us. */
struct pty_content {
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

struct pty_sides {
	int master, slave; /* the slave does not wait (O_NONBLOCK) */
	struct termios2 modes;
	struct termios locked;
	bool is_locked, packet;
	bool is_new; /* nobody has written there yet */
};

/* -1, with errno and what failed in the content. */
int pty_failed(struct pty_content *content, const char *doing);
bool pty_is_canonical(const struct termios2 *modes);
/* Does this byte end a line? */
bool pty_ends_with(const struct termios2 *modes, uint8_t byte);
/* The terminal is somebody's and has to be as it was: what fails once is tried again. */
int pty_insist(int fd, unsigned long request, const void *argument);
/* The same: what a failing read leaves behind would go before what was taken and is put back. */
ssize_t pty_insist_read(int fd, uint8_t *to, size_t room);
int pty_insist_write_nothing(int fd);
/* A poll that fails has not found that nothing is there. */
bool pty_is_ready(int fd, short events);
void pty_pause(void);
long pty_milliseconds(void);
int pty_set_modes(const struct pty_sides *sides, const struct termios2 *modes,
		  struct pty_content *content);

/* pty-take.c: all that waits in either direction, and whether it is stopped. */
int pty_take_all(const struct pty_sides *sides, struct pty_content *content);
/* pty-put.c: the same back, in the modes that it had. */
int pty_put_all(const struct pty_sides *sides, struct pty_content *content);

#endif
