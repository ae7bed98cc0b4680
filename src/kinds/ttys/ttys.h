/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Terminals: the descriptions of pseudo-terminals, and which session one controls. */
#ifndef NESTOR_KINDS_TTYS_TTYS_H
#define NESTOR_KINDS_TTYS_TTYS_H

#include "kinds/kind.h"

extern const struct file_kind pty_kind;			 /* pty.c */
extern const struct tree_kind terminals_tree_kind;	 /* adopt.c */
extern const struct task_kind controlling_terminal_kind; /* controlling.c; STAGE_FILES */

/* pty-state.c: what a terminal is set to, by a descriptor of its master. */
int pty_state_read(int master, TtyInfoEntry *info, struct arena *arena, const char *what,
		   struct error *err);
int pty_state_check(const TtyInfoEntry *info, struct error *err);
/* As long as it controls nobody: a change is told to the group in the foreground (SIGWINCH). */
int pty_size_write(int master, const TtyInfoEntry *info, struct error *err);
int pty_state_write(int master, const TtyInfoEntry *info, struct error *err);
/* The last: what keeps others from changing it, and changes what the master reads. */
int pty_state_lock(int master, const TtyInfoEntry *info, struct error *err);

/*
 * pty-queues.c: what waits in it; both sides are open, the slave does not wait (O_NONBLOCK). To
 * read, `slave` -1: it was never open.
 */
int pty_queues_read(int master, int slave, TtyInfoEntry *info, struct arena *arena,
		    const char *what, struct error *err);
int pty_queues_check(const TtyInfoEntry *info, struct error *err);
int pty_queues_write(int master, int slave, const TtyInfoEntry *info, struct error *err);

/* pty-instance.c: the other side of a master of a live tree. */
struct pty_side {
	int master;
	uint32_t index;
};
int pty_open_other(struct collect *collect, const struct pty_side *side, int flags,
		   const char *what, struct error *err);

/* pty-make.c */
int pty_open_peer(int master, int flags);
/* Is it made before the tree is? */
bool pty_is_early(const struct snapshot *snapshot, const TtyInfoEntry *info);
int pty_take_master(struct file_opener *opener, const TtyInfoEntry *info, struct error *err);
int pty_open_slave(struct file_opener *opener, const TtyFileEntry *tty, const TtyInfoEntry *info,
		   struct error *err);
/* One more slave of it, given or made. */
int pty_open_any_slave(struct file_opener *opener, const TtyInfoEntry *info, struct error *err);
/* A side of it, before the tree is there. */
extern const struct source_opener terminal_source;

/* outside.c: one whose master is outside of the tree. */
struct outside_terminal {
	struct collect *collect;
	const struct target *target; /* who has it open */
	dev_t device, slave;	     /* of its file system; its own number */
	TtyInfoEntry *info;
	bool is_gone; /* nobody has the master */
	const char *what;
};
/* May it be taken along? If not it is refused. */
bool outside_allow(struct outside_terminal *outside);
/* Does its master go to the caller of the restore? */
bool outside_is_orphan(const TtyInfoEntry *info, const struct externals *externals);
void outside_find_session(struct outside_terminal *outside);
/* The number at level 0 of a session or group, told by somebody who is in it; 0: nobody is. */
uint32_t tty_number_of(const struct collect *collect, pid_t seen, bool of_session);
/* The session of a task as we see it; whether the terminal with this number controls that; and the
 * devpts that has it where the task is, or 0. */
pid_t tty_session_of(const struct target *target);
bool tty_is_own(const struct target *target, dev_t terminal);
dev_t tty_devpts_of(const struct target *target, dev_t terminal);
bool outside_is_given(const struct file_opener *opener, const TtyInfoEntry *info);
int outside_verify(const struct file_opener *opener, const TtyInfoEntry *info, struct error *err);
int outside_open(const struct file_opener *opener, const TtyInfoEntry *info, int flags,
		 struct error *err);
int outside_before_release(struct file_opener *opener, struct error *err);

/* pty-collect.c */
bool pty_recognise(const struct open_file *file);
int pty_collect(const struct open_file *file, FileEntry *entry, struct error *err);
int pty_complete(struct collect *collect, struct error *err);
/* Whether a description of /dev/tty is of the terminal that controls its holder. */
void *tty_ask_own(const struct asking *asking);
int tty_answer_own(const struct asking *asking, void *asked, struct error *err);

/* alias.c: descriptions of /dev/tty. */
bool alias_is(const struct stat *stat);
/* The number of the terminal as a device; -1 with errno, EIO where it was hung up. */
int tty_number(int fd, dev_t *ret_number);
/* `ret_terminal` 0: hung up. */
int alias_collect(const struct open_file *file, int fd, TtyInfoEntry *info, TtyFileEntry *tty,
		  dev_t *ret_terminal, struct error *err);
/* What a description of it was opened for, or NULL; of all others itself. */
const TtyInfoEntry *alias_terminal(const struct snapshot *snapshot, const TtyInfoEntry *info);
int alias_check(const struct snapshot *snapshot, const TtyFileEntry *tty, const TtyInfoEntry *info,
		struct error *err);
int alias_verify(const struct file_opener *opener, const TtyFileEntry *tty, struct error *err);
int alias_open(struct file_opener *opener, const TtyFileEntry *tty, const TtyInfoEntry *info,
	       struct error *err);
struct call_room alias_calls(struct plan *plan, const struct task *task);

/* Was its slave ever open, or is its master not the tree's? */
bool pty_was_open(const struct snapshot *snapshot, const TtyInfoEntry *info);

/* The terminal of a description; NULL where the images have none. */
const TtyInfoEntry *tty_info_of(const struct snapshot *snapshot, const FileEntry *entry);

#endif
