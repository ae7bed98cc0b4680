/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Part of snapshot_index. */
#ifndef NESTOR_MODEL_USER_NAMESPACES_H
#define NESTOR_MODEL_USER_NAMESPACES_H

#include "model/snapshot.h"

/* Fills snapshot->user_namespaces from the records, and checks owners and maps. */
int place_user_namespaces(struct snapshot *snapshot, struct error *err);

/* Once pid namespaces are placed and tasks have their parents: task->user_namespace, owners. */
int link_user_namespaces(struct snapshot *snapshot, struct error *err);

#endif
