/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files that tell of pressure: what they wait for, and by which right. */
#ifndef NESTOR_KINDS_FILES_PRESSURE_H
#define NESTOR_KINDS_FILES_PRESSURE_H

#include "kernel/made-as.h"
#include "kinds/kind.h"

/* By its path within its file system, or NULL (kernel_file_path). */
int pressure_collect(const struct open_file *file, const char *kernel_path, RegFileEntry *reg,
		     struct error *err);
int pressure_check(const RegFileEntry *reg, struct error *err);
/* What is opened from now on has no more rights than it had, until made_as_end. */
int pressure_begin(const RegFileEntry *reg, struct made_as *ret_before, struct error *err);
int pressure_give(const RegFileEntry *reg, int fd, struct error *err);

#endif
