/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef NESTOR_MODEL_SHARED_MEMORY_H
#define NESTOR_MODEL_SHARED_MEMORY_H

#include "model/snapshot.h"

/* Fills in size, not_reserved and huge of all objects; checks that their runs are within reach. */
int snapshot_measure_shared_memory(struct snapshot *snapshot, struct error *err);

#endif
