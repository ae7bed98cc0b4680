/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Private to model/. */
#ifndef NESTOR_MODEL_ORDER_H
#define NESTOR_MODEL_ORDER_H

#include "model/snapshot.h"

/*
 * Images may list tasks in any order. Finds every task's parent, and moves the tasks, if need be,
 * so that the root comes first and parents before children; sets index and parent.
 */
int snapshot_order_tasks(struct snapshot *snapshot, struct error *err);

#endif
