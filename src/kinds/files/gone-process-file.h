/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files, not directories, in /proc of processes that are gone. */
#ifndef NESTOR_KINDS_GONE_PROCESS_FILE_H
#define NESTOR_KINDS_GONE_PROCESS_FILE_H

#include "kinds/kind.h"

/* 1, 0, or -1 with errno: whether it is one could not be found out. */
int gone_process_file_look(const struct open_file *file);
/* What it still knows of a process that is gone; `name` is what comes behind the number. */
int gone_process_file_collect(const struct open_file *file, RegFileEntry *reg, const char *name,
			      struct error *err);
/* Once numbers are known. */
void gone_process_files_complete(struct collect *collect);

bool gone_process_file_can_be(const char *name);
/* A task in the mount namespace that it tells of, with the same root; NULL: it tells of none. */
const struct task *gone_process_file_beside(const struct snapshot *snapshot,
					    const RegFileEntry *reg);

#endif
