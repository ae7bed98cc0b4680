/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Numbers of users and groups in what the tree holds, wherever records have them. */
#ifndef NESTOR_MODEL_IDS_H
#define NESTOR_MODEL_IDS_H

#include "model/snapshot.h"

/* `what` names the record, for messages. Other than 0 ends the walk, and is what it returns. */
typedef int id_visit(void *data, bool group, uint32_t *id, const char *what);

/*
 * All members called uid, euid, cuid, gid, egid or cgid in records of files and of images without
 * a place of their own; credentials of tasks, and who owns a namespace, are not among them. They
 * are numbers of depth 0, as everywhere in a snapshot.
 */
int snapshot_each_id(struct snapshot *snapshot, id_visit *visit, void *data);

#endif
