/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Terminals: the descriptions of pseudo-terminals, and which session one controls. */
#ifndef NESTOR_KINDS_TTYS_TTYS_H
#define NESTOR_KINDS_TTYS_TTYS_H

#include "kinds/kind.h"

extern const struct file_kind pty_kind;			 /* pty.c */
extern const struct task_kind controlling_terminal_kind; /* controlling.c; STAGE_FILES */

/* pty-state.c: what a terminal is set to, by a descriptor of its master. */
int pty_state_read(int master, TtyInfoEntry *info, struct arena *arena, const char *what,
		   struct error *err);
int pty_state_check(const TtyInfoEntry *info, struct error *err);
int pty_state_write(int master, const TtyInfoEntry *info, struct error *err);
/* The last: what keeps others from changing it, and changes what the master reads. */
int pty_state_lock(int master, const TtyInfoEntry *info, struct error *err);

/* pty-queues.c: what waits in it; both sides are open, the slave does not wait (O_NONBLOCK). */
int pty_queues_read(int master, int slave, TtyInfoEntry *info, struct arena *arena,
		    const char *what, struct error *err);
int pty_queues_check(const TtyInfoEntry *info, struct error *err);
int pty_queues_write(int master, int slave, const TtyInfoEntry *info, struct error *err);

/* The terminal of a description; NULL where the images have none. */
const TtyInfoEntry *tty_info_of(const struct snapshot *snapshot, const FileEntry *entry);

#endif
