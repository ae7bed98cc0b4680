/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs of pages as images give them: what is accepted, and what their pages file must hold. */
#ifndef NESTOR_IMAGES_PAGEMAP_H
#define NESTOR_IMAGES_PAGEMAP_H

#include "model/snapshot.h"

/*
 * Appends a run that was read from the image called `name`, whichever of the older fields it has;
 * runs ascend and do not overlap.
 */
int pagemap_add_record(struct snapshot *snapshot, struct pagemap *pagemap,
		       const PagemapEntry *entry, const char *name, struct error *err);

/* The record of a run; runs of its own file have to be written in the order of that. */
PagemapEntry pagemap_record(const struct pagemap *pagemap, const struct memory_run *run);

#endif
