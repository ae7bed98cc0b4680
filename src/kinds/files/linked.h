/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Open files whose name is gone while they have another one (a hard link). */
#ifndef NESTOR_KINDS_FILES_LINKED_H
#define NESTOR_KINDS_FILES_LINKED_H

#include "kinds/kind.h"

/* Finds the other name, gives it a file record and remaps `entry` to that. */
int linked_collect(const struct open_file *file, const FileEntry *entry, struct error *err);

/* The record of the other name; NULL where the entry is not remapped in this way. */
const RegFileEntry *linked_of(const struct snapshot *snapshot, const FileEntry *entry);

/* Opens it by the recorded name, which it has for a moment. */
int linked_open(struct file_opener *opener, const FileEntry *entry, struct error *err);

#endif
