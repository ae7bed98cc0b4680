/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* File systems of no row, which are mounted again by their type and options. */
#ifndef NESTOR_KINDS_MOUNTS_PLAIN_H
#define NESTOR_KINDS_MOUNTS_PLAIN_H

#include "kinds/mounts/kind.h"

/* Can it be mounted? Some the kernel mounts for itself only (pidfs). "fuse.NAME" is a fuse. 1, 0. */
int mount_type_is_known(struct collect *collect, const char *type, struct error *err);

int mount_make_by_type(const struct mount_maker *maker, const MntEntry *entry, struct error *err);

#endif
