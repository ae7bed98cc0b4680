/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the kinds of files share when they open: paths below the root, and descriptors kept. */
#ifndef NESTOR_KINDS_OPENER_H
#define NESTOR_KINDS_OPENER_H

#include "kinds/kind.h"

/*
 * Opens a recorded path ("/etc/passwd"; the leading slash may be missing) below opener->root_fd,
 * which symbolic links do not leave. Returns the descriptor (O_CLOEXEC), or -1 with errno set.
 */
int opener_open_path(const struct file_opener *opener, const char *path, int flags);

/* What is at a path that was opened with these flags; -1 with errno. */
int opener_look_at(const struct file_opener *opener, const char *path, int flags,
		   struct stat *ret_found);

/* The status flags that F_SETFL changes, to those of `flags`; -1 with errno. Leaves O_ASYNC. */
int opener_set_flags(int fd, uint32_t flags);

/*
 * Opens what an O_PATH descriptor leads to, once it was looked at: a fifo that took the place of a
 * file would stop us, a device would be told. Without O_NOFOLLOW, which is about names.
 */
int opener_reopen(int path_fd, int flags);
/*
 * For what has to be opened by its name all the same, without waiting for anybody (O_NONBLOCK):
 * whether it is that file; gives the descriptor its flags then. -1 with errno, ESTALE if not.
 */
int opener_settle(int fd, int flags, const struct stat *expected);

/* Holds a descriptor until the restore has come to its end, good or bad. */
void opener_hold(struct file_opener *opener, int fd);
/* The same, and the caller of the restore is given it. */
void opener_give_master(struct file_opener *opener, int fd);
/*
 * Keeps one until all files are open, or until it is taken; returns its place. What was not taken
 * is closed by whoever made the opener. It may be at another number whenever a file is opened, and
 * after opener_make_room: where there are more than one process may have, others hold them.
 */
size_t opener_keep(struct file_opener *opener, int fd);
/* The same for one that stays at its number. */
size_t opener_pin(struct file_opener *opener, int fd);
int opener_kept(struct file_opener *opener, size_t place); /* -1 once taken */
int opener_take(struct file_opener *opener, size_t place);
/* Who makes many at once asks before each for some of them to go to others, if need be. */
int opener_make_room(struct file_opener *opener, struct error *err);

/* The cost of kinds that keep one descriptor for each object. */
static inline struct file_cost opener_keeps_one(const struct snapshot *snapshot,
						const FileEntry *entry)
{
	(void)snapshot;
	(void)entry;
	return (struct file_cost){ .kept = 1 };
}

#endif
