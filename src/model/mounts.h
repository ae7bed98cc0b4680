/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Mount namespaces of a snapshot, private to model/; for others see snapshot.h. */
#ifndef NESTOR_MODEL_MOUNTS_H
#define NESTOR_MODEL_MOUNTS_H

#include "model/snapshot.h"

/* Once plain namespaces are indexed; refuses what no kernel has made. */
int place_mount_namespaces(struct snapshot *snapshot, struct error *err);

#endif
