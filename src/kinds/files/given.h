/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files that the caller of a restore gives (--inherit-fd): those that the caller of the dump has
 * named as somebody else's (--external file[MOUNT:INODE], both in hexadecimal), whose records have
 * that instead of a path; and any other by its path. The description is the caller's own, with its
 * position and flags.
 */
#ifndef NESTOR_KINDS_FILES_GIVEN_H
#define NESTOR_KINDS_FILES_GIVEN_H

#include "kinds/kind.h"

/* "file[1f:2a3]" */
char *given_key(const struct open_file *file);
/* Is it named as being outside? */
bool given_is_named(const struct open_file *file);

/* ERR_NOT_GIVEN where it has to be, and is not. */
int given_verify(const struct file_opener *opener, const RegFileEntry *reg, struct error *err);
/* A descriptor; -2: none is given for it. -1 with err. */
int given_open(const struct file_opener *opener, const RegFileEntry *reg, struct error *err);

#endif
