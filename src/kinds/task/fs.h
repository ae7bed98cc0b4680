/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Working directory, root directory and umask of a task. */
#ifndef NESTOR_KINDS_TASK_FS_H
#define NESTOR_KINDS_TASK_FS_H

#include "kinds/kind.h"

extern const struct task_kind fs_kind; /* STAGE_FILES */

/* thread-fs.c: those of threads that do not share them with their process. */
extern const struct task_kind thread_fs_kind;	       /* STAGE_FILES, after it */
extern const struct task_kind thread_parting_kind;     /* STAGE_PARTING, before its mounts */
extern const struct task_kind thread_directories_kind; /* the same, after them */

int fs_check_directory(const struct snapshot *snapshot, const struct task *task, uint32_t id,
		       const char *which, struct error *err);

#endif
