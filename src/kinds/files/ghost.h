/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Open files without a name: carried in the images, made again and unlinked again. */
#ifndef NESTOR_KINDS_FILES_GHOST_H
#define NESTOR_KINDS_FILES_GHOST_H

#include "kinds/kind.h"

#include <sys/stat.h>

/*
 * Carries the file (once, however many descriptions lead to it) and remaps `entry` to it. Its
 * content is written when all descriptors are known. `made_on`: -1, or as mount_of_removed_file has
 * it.
 */
int ghost_collect(const struct open_file *file, const FileEntry *entry, int64_t made_on,
		  struct error *err);
int ghosts_complete(struct collect *collect, struct error *err);

/* The unlinked file (IMAGE_GHOST_FILE) that an entry leads to; NULL where it has a name. */
const struct record *ghost_of(const struct snapshot *snapshot, const FileEntry *entry);

/* Is it made when all mount namespaces are there, wherever this one of its descriptions is? */
bool ghost_is_late(const struct snapshot *snapshot, const FileEntry *entry);

static inline const GhostFileEntry *ghost_entry(const struct record *ghost)
{
	return ghost->message;
}

int ghost_check(const struct snapshot *snapshot, const FileEntry *entry, struct error *err);

/* Is there room for it, and for all those that were looked at before, where it is to be made? */
int ghost_verify(struct file_opener *opener, const FileEntry *entry, struct error *err);

/* Opens the description of an entry with a ghost, with its flags, at position 0. */
int ghost_open(struct file_opener *opener, const FileEntry *entry, struct error *err);

/* Its content, from the image; `path` is for messages (ghost-fill.c). */
int ghost_fill(const struct file_opener *opener, const struct record *ghost, int fd,
	       const char *path, struct error *err);

/* ---- its content (ghost-content.c); 0, or -1 with errno ---- */

/* Says in the entry how it is written: plainly, or in chunks. */
int ghost_content_look(struct snapshot *snapshot, int fd, const struct stat *stat,
		       GhostFileEntry *entry);
/* To an image. */
int ghost_content_copy(int to, int from, const GhostFileEntry *entry);
/* So many bytes of an image, from where that is; 1: it ends before. */
int ghost_content_fill(int to, int from, uint64_t offset, uint64_t size);
int ghost_content_resize(int fd, uint64_t size);
/* What had memory, data or not, has it again. */
int ghost_content_reserve(int fd, const GhostFileEntry *entry);

#endif
