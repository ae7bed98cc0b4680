/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Names that a restore takes for the moment, in directories that others use too: each is on the
 * undo list from before it is there until it is gone. Only what is certainly ours is ever removed,
 * by its inode, or by a name that nobody else gives. The directories keep their times.
 */
#ifndef NESTOR_KINDS_PASSING_NAME_H
#define NESTOR_KINDS_PASSING_NAME_H

#include "kinds/kind.h"

struct passing_name;

/* Links what `fd` refers to; NULL with errno (EEXIST: the name is taken). dir_fd is borrowed. */
struct passing_name *passing_link(struct file_opener *opener, int dir_fd, const char *name, int fd);
/* What is new: *ret_fd gets a directory open read-only, a file or named pipe read-write. */
struct passing_name *passing_directory(struct file_opener *opener, int dir_fd, const char *name,
				       int *ret_fd);
struct passing_name *passing_file(struct file_opener *opener, int dir_fd, const char *name,
				  int *ret_fd);
struct passing_name *passing_fifo(struct file_opener *opener, int dir_fd, const char *name,
				  int *ret_fd);
/* A device of characters, open read-write: nothing that opening does something to. */
struct passing_name *passing_device(struct file_opener *opener, int dir_fd, const char *name,
				    dev_t device, int *ret_fd);
/* What has no more than a name, open by that alone (O_PATH). */
struct passing_name *passing_symlink(struct file_opener *opener, int dir_fd, const char *name,
				     const char *target, int *ret_fd);
struct passing_name *passing_socket(struct file_opener *opener, int dir_fd, const char *name,
				    int *ret_fd);
/* Whatever is about to get the name (no directory), where nobody else gives one. */
struct passing_name *passing_awaited(struct file_opener *opener, int dir_fd, const char *name);
/* 0, also where it is gone, or -1 with errno: then it is tried again when all is undone. */
int passing_remove(struct passing_name *name);

#endif
