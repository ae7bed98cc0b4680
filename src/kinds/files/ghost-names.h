/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where and how an unlinked file gets the names that it has for the moment. */
#ifndef NESTOR_KINDS_FILES_GHOST_NAMES_H
#define NESTOR_KINDS_FILES_GHOST_NAMES_H

#include "kinds/kind.h"

struct passing_name;

/*
 * A directory on the mount of `reg`, where names can be made: the same, or, if its mount is
 * read-only, on a copy of that which is not. -1 with an error.
 */
int ghost_names_place(const struct file_opener *opener, const RegFileEntry *reg, int dir_fd,
		      struct error *err);
/* passing_link, in a directory of another mount than the one on which `fd` is open. */
struct passing_name *ghost_names_link(struct file_opener *opener, int dir_fd, const char *name,
				      int fd);

/* At dump: could it be linked so, in a directory of its file system? 1, 0, or -1 with errno. */
int ghost_names_can_link(const struct open_file *file, int dir_fd);

#endif
