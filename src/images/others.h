/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Images of other tools. */
#ifndef NESTOR_IMAGES_OTHERS_H
#define NESTOR_IMAGES_OTHERS_H

struct snapshot;

/* Adds what other tools leave out and nestor records; before the snapshot is indexed. */
void others_adopt(struct snapshot *snapshot);

#endif
