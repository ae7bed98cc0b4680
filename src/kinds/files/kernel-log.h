/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Readers and writers of the kernel's log (/dev/kmsg). */
#ifndef NESTOR_KINDS_FILES_KERNEL_LOG_H
#define NESTOR_KINDS_FILES_KERNEL_LOG_H

#include "kinds/kind.h"

bool kernel_log_is(dev_t device);
int kernel_log_collect(const struct open_file *file, RegFileEntry *reg, struct error *err);
/* fd is new, and at the first record. */
int kernel_log_go_on(const RegFileEntry *reg, int fd, struct error *err);

#endif
