/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The kinds of open file descriptions; kinds/table.c lists them. */
#ifndef NESTOR_KINDS_FILES_FILES_H
#define NESTOR_KINDS_FILES_FILES_H

#include "kinds/kind.h"

extern const struct file_kind regular_kind; /* whatever has a path, and unlinked files */
extern const struct file_kind pipe_kind;
extern const struct file_kind eventfd_kind;
extern const struct file_kind timerfd_kind;
extern const struct file_kind signalfd_kind;

extern const struct file_aspect owner_aspect; /* who gets SIGIO */

#endif
