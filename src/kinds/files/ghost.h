/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Open files without a name: carried in the images, made again and unlinked again. */
#ifndef NESTOR_KINDS_FILES_GHOST_H
#define NESTOR_KINDS_FILES_GHOST_H

#include "kinds/kind.h"

/* Carries the file (once, however many descriptions lead to it) and remaps `entry` to it. */
int ghost_collect(const struct open_file *file, const FileEntry *entry, struct error *err);

/* The unlinked file (IMAGE_GHOST_FILE) that an entry leads to; NULL where it has a name. */
const struct record *ghost_of(const struct snapshot *snapshot, const FileEntry *entry);

static inline const GhostFileEntry *ghost_entry(const struct record *ghost)
{
	return ghost->message;
}

int ghost_check(const struct snapshot *snapshot, const FileEntry *entry, struct error *err);

/* Is there room for it, and for all those that were looked at before, where it is to be made? */
int ghost_verify(struct file_opener *opener, const FileEntry *entry, struct error *err);

/* Opens the description of an entry with a ghost, with its flags, at position 0. */
int ghost_open(struct file_opener *opener, const FileEntry *entry, struct error *err);

#endif
