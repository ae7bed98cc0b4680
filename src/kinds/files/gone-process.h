/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Directories in /proc of processes that are gone. */
#ifndef NESTOR_KINDS_FILES_GONE_PROCESS_H
#define NESTOR_KINDS_FILES_GONE_PROCESS_H

#include "kinds/kind.h"

bool gone_process_recognise(const struct open_file *file);
/* Remaps the record, whose name is complete. */
void gone_process_collect(const struct open_file *file, const FileEntry *entry);

bool gone_process_is(const struct snapshot *snapshot, const FileEntry *entry);
int gone_process_check(const FileEntry *entry, struct error *err);
/* The directory of a process that lives until gone_process_aspect is connected. */
int gone_process_open(struct file_opener *opener, const FileEntry *entry, struct error *err);

#endif
