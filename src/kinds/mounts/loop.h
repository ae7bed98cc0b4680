/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Loop devices that go with the file system that is on them. */
#ifndef NESTOR_KINDS_MOUNTS_LOOP_H
#define NESTOR_KINDS_MOUNTS_LOOP_H

#include "kinds/mounts/kind.h"

enum { LOOP_PATH_SIZE = 64 };

/* Records of which file it is, where the device of the superblock is such a one. */
int mount_loop_collect(const struct live_superblock *superblock, const char *device,
		       MntEntry *entry, struct error *err);
int mount_loop_check(const MntEntry *entry, struct error *err);
/* Makes it again, unless it is there: open, which it has to stay until that is mounted. */
int mount_loop_attach(const MntEntry *entry, char path[LOOP_PATH_SIZE], struct error *err);

#endif
