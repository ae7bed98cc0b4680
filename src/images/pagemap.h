/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs of pages as images give them: what is accepted, and what their pages file must hold. */
#ifndef NESTOR_IMAGES_PAGEMAP_H
#define NESTOR_IMAGES_PAGEMAP_H

#include "model/snapshot.h"

/*
 * Appends a run that was read from the image called `name`. Afterwards its flags and nr_pages are
 * there, whichever of the older fields it came with; runs ascend and do not overlap.
 */
int pagemap_add_record(struct snapshot *snapshot, struct pagemap *pagemap, PagemapEntry *run,
		       const char *name, struct error *err);

/* Bytes of the pages file that the runs describe. */
uint64_t pagemap_size(const struct pagemap *pagemap);

#endif
