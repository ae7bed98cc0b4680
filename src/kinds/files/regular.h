/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What regular.c and ghost.c both need to know about recorded names and flags. */
#ifndef NESTOR_KINDS_FILES_REGULAR_H
#define NESTOR_KINDS_FILES_REGULAR_H

#include "model/schema.h"

/* O_TMPFILE without the O_DIRECTORY that is part of it. */
enum { TMPFILE_FLAG = 020000000 };

/* Recorded open flags, without those that would make or change a file. */
int regular_open_flags(const RegFileEntry *reg);

/* Is its name in a mount namespace of the tree? That is made late. And its path, wherever it is. */
bool regular_is_inside(const struct snapshot *snapshot, const RegFileEntry *reg);
int regular_open_path(const struct file_opener *opener, const RegFileEntry *reg, int flags);

/*
 * The path of a description of another kind, as a record of its own with these flags and this id:
 * at dump, and as images refer to it; NULL where there is none.
 */
int regular_collect_name(const struct open_file *file, uint32_t flags, uint32_t id,
			 struct error *err);
const FileEntry *regular_named(const struct snapshot *snapshot, uint32_t id);

#endif
