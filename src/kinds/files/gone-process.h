/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is in /proc of processes that are gone: directories, and files. */
#ifndef NESTOR_KINDS_FILES_GONE_PROCESS_H
#define NESTOR_KINDS_FILES_GONE_PROCESS_H

#include "kinds/kind.h"

/* 1, 0, or -1 with errno: whether it is one could not be found out. */
int gone_process_look(const struct open_file *file);
/* The same where nothing can fail: what is not known is taken, so that collecting it tells. */
bool gone_process_recognise(const struct open_file *file);
/* Remaps the record, whose name is complete. */
int gone_process_collect(const struct open_file *file, const FileEntry *entry, struct error *err);

bool gone_process_is(const struct snapshot *snapshot, const FileEntry *entry);
int gone_process_check(const struct snapshot *snapshot, const FileEntry *entry, struct error *err);
enum file_way gone_process_way(const FileEntry *entry);
/* That of a process that lives until gone_process_aspect is connected. */
int gone_process_open(struct file_opener *opener, const FileEntry *entry, struct error *err);

#endif
