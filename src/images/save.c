// SPDX-License-Identifier: LGPL-2.1-or-later
/* How what has a place of its own in the snapshot is written; see packing.h. */
#include "images/packing.h"
#include "images/pagemap.h"

/* The fields that say what the format is are ours to know. */
int save_inventory(struct packing *packing, const struct snapshot *snapshot, struct error *err)
{
	InventoryEntry inventory = INVENTORY_ENTRY__INIT;
	char version[] = NESTOR_VERSION;

	if (snapshot->inventory)
		inventory = *snapshot->inventory;
	inventory.img_version = IMAGE_VERSION;
	inventory.has_fdinfo_per_id = true;
	inventory.fdinfo_per_id = true;
	inventory.has_ns_per_id = true;
	inventory.ns_per_id = true;
	inventory.nestor_version = version;
	return packing_write(packing, IMAGE_INVENTORY, 0, &inventory, err);
}

int save_pstree(struct packing *packing, const struct snapshot *snapshot, struct error *err)
{
	packing_begin(packing, IMAGE_PSTREE);
	for (size_t i = 0; i < snapshot->n_tasks; i++)
		packing_add(packing, snapshot->tasks[i].pstree);
	return packing_end(packing, IMAGE_PSTREE, 0, err);
}

int save_namespaces(struct packing *packing, const struct snapshot *snapshot, struct error *err)
{
	if (!snapshot->n_namespaces)
		return 0;
	packing_begin(packing, IMAGE_NS);
	for (size_t i = 0; i < snapshot->n_namespaces; i++)
		packing_add(packing, snapshot->namespaces[i]);
	return packing_end(packing, IMAGE_NS, 0, err);
}

int save_files(struct packing *packing, const struct snapshot *snapshot, struct error *err)
{
	packing_begin(packing, IMAGE_FILES);
	for (size_t i = 0; i < snapshot->n_files; i++)
		packing_add(packing, snapshot->files[i]);
	return packing_end(packing, IMAGE_FILES, 0, err);
}

static int save_pagemap(struct packing *packing, enum image_kind kind, uint64_t number,
			const struct pagemap *pagemap, uint64_t object_size, struct error *err)
{
	PagemapHead head = PAGEMAP_HEAD__INIT;

	if (!pagemap->present)
		return 0;
	head.pages_id = pagemap->pages_id;
	head.has_object_size = object_size != 0;
	head.object_size = object_size;
	packing_begin(packing, kind);
	packing_add(packing, &head);
	for (size_t i = 0; i < pagemap->n_runs; i++) {
		PagemapEntry run = pagemap_record(pagemap, &pagemap->runs[i]);
		packing_add(packing, &run);
	}
	return packing_end(packing, kind, number, err);
}

int save_shared_pages(struct packing *packing, const struct snapshot *snapshot, struct error *err)
{
	for (size_t i = 0; i < snapshot->n_shared_memory; i++) {
		const struct shared_memory *memory = snapshot->shared_memory[i];
		if (save_pagemap(packing, IMAGE_PAGEMAP_SHMEM, memory->shmid, &memory->pages,
				 memory->size_seen, err))
			return -1;
	}
	return 0;
}

/* ---- Of one task ---- */

int save_cores(struct packing *packing, const struct task *task, struct error *err)
{
	if (packing_write(packing, IMAGE_CORE, task->pstree->pid, task->core, err))
		return -1;
	if (task_is_zombie(task))
		return 0;
	for (size_t i = 1; i < task->n_threads; i++)
		if (packing_write(packing, IMAGE_CORE, task->pstree->threads[i], task->threads[i],
				  err))
			return -1;
	return 0;
}

/* One record, of what lives. */
static int save_of_living(struct packing *packing, enum image_kind kind, const struct task *task,
			  const void *message, struct error *err)
{
	if (task_is_zombie(task) || !message)
		return 0;
	return packing_write(packing, kind, task->pstree->pid, message, err);
}

int save_ids(struct packing *packing, const struct task *task, struct error *err)
{
	return save_of_living(packing, IMAGE_IDS, task, task->ids, err);
}

int save_mm(struct packing *packing, const struct task *task, struct error *err)
{
	return save_of_living(packing, IMAGE_MM, task, task->mm, err);
}

int save_fs(struct packing *packing, const struct task *task, struct error *err)
{
	return save_of_living(packing, IMAGE_FS, task, task->fs, err);
}

int save_task_pages(struct packing *packing, const struct task *task, struct error *err)
{
	if (task_is_zombie(task))
		return 0;
	return save_pagemap(packing, IMAGE_PAGEMAP, task->pstree->pid, &task->pages, 0, err);
}

int save_descriptors(struct packing *packing, const struct descriptor_table *table,
		     struct error *err)
{
	packing_begin(packing, IMAGE_FDINFO);
	for (size_t i = 0; i < table->n_descriptors; i++)
		packing_add(packing, table->descriptors[i]);
	return packing_end(packing, IMAGE_FDINFO, table->files_id, err);
}
