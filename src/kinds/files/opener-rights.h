/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files of the kernel that ask what rights their opener had, whoever reads or writes. */
#ifndef NESTOR_KINDS_FILES_OPENER_RIGHTS_H
#define NESTOR_KINDS_FILES_OPENER_RIGHTS_H

#include "kinds/kind.h"

/*
 * The path of a regular file of the kernel (proc, sysfs, cgroups), which tells what it is: one that
 * is mounted by itself has a name that somebody chose, and then it is that within its file system,
 * or NULL where nothing tells that. NULL for all other files. -1 with err.
 */
int kernel_file_path(const struct open_file *file, const char **ret_path, struct error *err);

/* Is it refused, as nestor would be who opens it at a restore? 0; -1 with err. */
int opener_rights_check(const struct open_file *file, const char *kernel_path, struct error *err);
/* Is it, since it keeps what was written to it by whoever has opened it? The same. */
int written_state_check(const struct open_file *file, const char *kernel_path, struct error *err);

#endif
