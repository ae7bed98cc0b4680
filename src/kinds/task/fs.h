/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Working directory, root directory and umask of a task. */
#ifndef NESTOR_KINDS_TASK_FS_H
#define NESTOR_KINDS_TASK_FS_H

#include "kinds/kind.h"

extern const struct task_kind fs_kind; /* STAGE_FILES */

#endif
