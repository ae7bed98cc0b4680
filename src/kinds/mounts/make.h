/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Parts of making mount namespaces; private to kinds/mounts. */
#ifndef NESTOR_KINDS_MOUNTS_MAKE_H
#define NESTOR_KINDS_MOUNTS_MAKE_H

#include "kinds/kind.h"

/* make-groups.c: once all mounts are there. */
int mounts_make_groups(const struct file_opener *opener, struct error *err);

#endif
