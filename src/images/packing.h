/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writing image files from the snapshot. A save function of a row (format.h) writes whole files: it
 * begins one, adds records and raw bytes, and ends it; no file where there is nothing to say. Those
 * of tasks and tables run in several threads at a time, each with a packing of its own.
 */
#ifndef NESTOR_IMAGES_PACKING_H
#define NESTOR_IMAGES_PACKING_H

#include "images/directory.h"
#include "images/format.h"

/* Room in which the records of one file are packed, used again and again. */
struct packing {
	struct images_writer *writer;
	uint8_t *buffer;
	size_t length, room;
};

void packing_begin(struct packing *packing, enum image_kind kind);
void packing_add(struct packing *packing, const void *message);
void packing_add_bytes(struct packing *packing, const void *bytes, size_t size);
int packing_end(struct packing *packing, enum image_kind kind, uint64_t number, struct error *err);

/* A file of one record. */
int packing_write(struct packing *packing, enum image_kind kind, uint64_t number,
		  const void *message, struct error *err);

/* The records that the snapshot has as a list; what is done for rows without functions. */
int packing_write_list(struct packing *packing, enum image_kind kind,
		       const struct snapshot *snapshot, struct error *err);

/* ---- The save functions (save.c) ---- */

int save_inventory(struct packing *packing, const struct snapshot *snapshot, struct error *err);
int save_pstree(struct packing *packing, const struct snapshot *snapshot, struct error *err);
int save_namespaces(struct packing *packing, const struct snapshot *snapshot, struct error *err);
int save_files(struct packing *packing, const struct snapshot *snapshot, struct error *err);
int save_shared_pages(struct packing *packing, const struct snapshot *snapshot, struct error *err);

int save_ids(struct packing *packing, const struct task *task, struct error *err);
int save_cores(struct packing *packing, const struct task *task, struct error *err);
int save_mm(struct packing *packing, const struct task *task, struct error *err);
int save_fs(struct packing *packing, const struct task *task, struct error *err);
int save_task_pages(struct packing *packing, const struct task *task, struct error *err);

int save_descriptors(struct packing *packing, const struct descriptor_table *table,
		     struct error *err);

#endif
