/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the path of a record leads to on restore (regular.c). */
#ifndef NESTOR_KINDS_FILES_NAMED_FILE_H
#define NESTOR_KINDS_FILES_NAMED_FILE_H

#include "kinds/kind.h"

#include <sys/stat.h>

/* Whether opening the device again gives the same thing: the ones without state of their own. */
bool named_file_is_plain_device(dev_t device);

/* The time of modification, in nanoseconds since 1970. */
int64_t named_file_time(const struct stat *stat);

/* Before anything is made: whether it is there, and is what was recorded. -1 with `err`. */
int named_file_verify(struct file_opener *opener, const RegFileEntry *reg, struct error *err);

/*
 * Returns the descriptor, O_CLOEXEC, and what it is of; -1 with `err`. It is not a file that took
 * the place of the recorded one, nor was such a one opened.
 */
int named_file_open(struct file_opener *opener, const RegFileEntry *reg, struct stat *ret_found,
		    struct error *err);

#endif
