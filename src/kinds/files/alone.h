/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files by mounts that show just them and are attached nowhere. */
#ifndef NESTOR_KINDS_FILES_ALONE_H
#define NESTOR_KINDS_FILES_ALONE_H

#include "kinds/kind.h"

/* 1 if it is such a file, whose path is recorded then; 0; -1. */
int alone_collect(const struct open_file *file, RegFileEntry *reg, struct error *err);
/* The same of one that is unlinked, and is carried then. */
int alone_collect_removed(const struct open_file *file, const FileEntry *entry, struct error *err);
int alone_check(const RegFileEntry *reg, bool unlinked, struct error *err);
/* The same file (O_PATH) by a mount of its own; -1: where it is in nestor's own namespace. */
int alone_open(const RegFileEntry *reg, int namespace_fd, int path_fd, struct error *err);

#endif
