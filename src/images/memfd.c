// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Shared anonymous memory that was written as a memfd; see image_resolve_memfds. The kernel shows
 * a MAP_SHARED|MAP_ANONYMOUS area as the deleted file "/dev/zero" of its shared memory file
 * system, where memfds live too (shmem_zero_setup, mm/shmem.c), and CRIU 4.1 takes it for one.
 */
#include "images/load.h"

#include <string.h>
#include <sys/mman.h>

/* The inode of a file that is shared anonymous memory in truth, else NULL. */
static const MemfdInodeEntry *anonymous_inode(const struct snapshot *snapshot,
					      const FileEntry *file)
{
	if (!file || file->type != FD_TYPES__MEMFD || !file->memfd)
		return NULL;
	const struct record *record = snapshot_record(snapshot, IMAGE_MEMFD, file->memfd->inode_id);
	const MemfdInodeEntry *inode = record ? record->message : NULL;
	return inode && strcmp(inode->name, "/dev/zero") == 0 ? inode : NULL;
}

static void resolve_area(const struct snapshot *snapshot, VmaEntry *vma)
{
	const uint32_t written = VMA_MEMFD | VMA_FILE_SHARED;

	if ((vma->status & written) != written || vma->shmid > UINT32_MAX)
		return;
	const MemfdInodeEntry *inode =
		anonymous_inode(snapshot, snapshot_file(snapshot, (uint32_t)vma->shmid));
	if (!inode)
		return;
	vma->status = (vma->status & ~written) | VMA_ANON_SHARED;
	vma->shmid = inode->shmid;
	vma->flags |= MAP_ANONYMOUS;
	vma->has_fdflags = false;
}

static bool has_descriptor(const struct snapshot *snapshot, uint32_t file_id)
{
	for (size_t i = 0; i < snapshot->n_tables; i++)
		for (size_t k = 0; k < snapshot->tables[i]->n_descriptors; k++)
			if (snapshot->tables[i]->descriptors[k]->id == file_id)
				return true;
	return false;
}

/* Nothing refers to these files once their areas are resolved, unless somebody opened one. */
static void drop_files(struct snapshot *snapshot)
{
	FileEntry **files = snapshot->files;
	size_t n_files = snapshot->n_files;

	snapshot->files = NULL;
	snapshot->n_files = 0;
	snapshot->files_by_id = (struct table){ 0 };
	for (size_t i = 0; i < n_files; i++)
		if (!anonymous_inode(snapshot, files[i]) || has_descriptor(snapshot, files[i]->id))
			snapshot_add_file(snapshot, files[i]);
}

void image_resolve_memfds(struct snapshot *snapshot)
{
	if (!snapshot_records(snapshot, IMAGE_MEMFD)->count)
		return;
	for (size_t i = 0; i < snapshot->n_tasks; i++) {
		MmEntry *mm = snapshot->tasks[i].mm;
		for (size_t k = 0; mm && k < mm->n_vmas; k++)
			resolve_area(snapshot, mm->vmas[k]);
	}
	drop_files(snapshot);
}
