/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Ids of users and groups in images that another tool wrote. */
#ifndef NESTOR_IMAGES_USERS_H
#define NESTOR_IMAGES_USERS_H

#include "base/error.h"
#include "model/snapshot.h"

/*
 * CRIU writes ids as they are inside of the user namespace of the tree, if that has one of its
 * own. Turns them into those of depth 0; of an indexed snapshot.
 */
int users_adopt(struct snapshot *snapshot, struct error *err);

#endif
