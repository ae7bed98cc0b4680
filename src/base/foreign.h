/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Names in directories that others may write to: those of images, of the log, the pid file and
 * the statistics. Whoever can put a link, a fifo or a device there must not be able to have
 * another file overwritten, a device opened, or nestor held up; so every such name is opened
 * here. No link is followed at the end of a name (directories on the way are the caller's
 * choice), and nothing but a regular file is ever opened: it is looked at by O_PATH first, and
 * the same file is opened then. Where nobody else may write, a look at the name is enough.
 */
#ifndef NESTOR_BASE_FOREIGN_H
#define NESTOR_BASE_FOREIGN_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

struct arena;

/* "a named pipe": what a person calls this type of file. */
const char *file_type_name(mode_t mode);

/* Which file it was, and what it held: equal stamps are of the same file, unchanged since. */
struct file_stamp {
	dev_t device;
	ino_t inode;
	uint64_t size;
	struct timespec changed; /* st_ctim, which nobody can set */
};
struct file_stamp file_stamp_of(const struct stat *status);
bool file_stamp_equal(const struct file_stamp *one, const struct file_stamp *other);

/*
 * Opens a regular file for reading. -1 with errno ENOENT and err untouched where nothing is
 * there; ERR_NOT_A_REGULAR_FILE, ERR_FOREIGN_OWNER (others may write to the directory, and it
 * belongs neither to the directory's owner nor to root nor to the caller) or ERR_IO otherwise.
 * ret_status may be NULL.
 */
int foreign_open(int dir_fd, const char *name, struct stat *ret_status, struct error *err);

/* The same without opening it. */
int foreign_look(int dir_fd, const char *name, struct stat *ret_status, struct error *err);

/*
 * A whole file of at most `limit` bytes, terminated, in the arena; its length. As foreign_open,
 * or ERR_IMAGE_INVALID where it is longer.
 */
ssize_t foreign_read(int dir_fd, const char *name, size_t limit, struct arena *arena,
		     char **ret_text, struct error *err);

/*
 * What the caller names himself, whatever it is: a link, the pipe of a shell. -1 with errno: EFBIG
 * where it has more than `limit` bytes, as a device may, EINVAL where it is no text.
 */
ssize_t given_read(const char *path, size_t limit, struct arena *arena, char **ret_text);

/* Whether a file may be put in place of what is there: nothing, or a regular file. */
int foreign_can_replace(int dir_fd, const char *name, const char *what, struct error *err);
/*
 * Whether foreign_create would have to refuse: something is there that is no regular file, or
 * nothing can be made in the directory. `what` is for messages: "the log file".
 */
int foreign_can_create(int dir_fd, const char *name, const char *what, struct error *err);
/*
 * A new empty file of that name, open for writing. A regular file that is there is replaced, never
 * written to: others may have it open, or by another name. Anything else is refused.
 */
int foreign_create(int dir_fd, const char *name, mode_t mode, const char *what, struct error *err);

#endif
