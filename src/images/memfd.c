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
static MemfdInodeEntry *anonymous_inode(const struct snapshot *snapshot, const FileEntry *file)
{
	if (!file || file->type != FD_TYPES__MEMFD || !file->memfd)
		return NULL;
	const struct record *record = snapshot_record(snapshot, IMAGE_MEMFD, file->memfd->inode_id);
	MemfdInodeEntry *inode = record ? record->message : NULL;
	return inode && strcmp(inode->name, "/dev/zero") == 0 ? inode : NULL;
}

static MemfdInodeEntry *mapped_inode(const struct snapshot *snapshot, const VmaEntry *vma)
{
	if (!(vma->status & VMA_MEMFD) || vma->shmid > UINT32_MAX)
		return NULL;
	return anonymous_inode(snapshot, snapshot_file(snapshot, (uint32_t)vma->shmid));
}

typedef void area_visited(struct snapshot *snapshot, VmaEntry *vma);

static void visit_areas(struct snapshot *snapshot, area_visited *visited)
{
	for (size_t i = 0; i < snapshot->n_tasks; i++) {
		MmEntry *mm = snapshot->tasks[i].mm;
		for (size_t k = 0; mm && k < mm->n_vmas; k++)
			visited(snapshot, mm->vmas[k]);
	}
}

/* Of what has somebody more than the mapping that made it? Then it is a file to us, too. */
static void find_opened_by_area(struct snapshot *snapshot, VmaEntry *vma)
{
	MemfdInodeEntry *inode =
		vma->status & VMA_FILE_PRIVATE ? mapped_inode(snapshot, vma) : NULL;

	if (inode)
		inode->has_anonymous = inode->anonymous = true;
}

static void find_opened_by_descriptor(struct snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->n_tables; i++)
		for (size_t k = 0; k < snapshot->tables[i]->n_descriptors; k++) {
			uint32_t id = snapshot->tables[i]->descriptors[k]->id;
			MemfdInodeEntry *inode =
				anonymous_inode(snapshot, snapshot_file(snapshot, id));
			if (inode)
				inode->has_anonymous = inode->anonymous = true;
		}
}

static void resolve_area(struct snapshot *snapshot, VmaEntry *vma)
{
	const MemfdInodeEntry *inode =
		vma->status & VMA_FILE_SHARED ? mapped_inode(snapshot, vma) : NULL;

	if (!inode || inode->anonymous)
		return;
	vma->status &= ~(uint32_t)(VMA_MEMFD | VMA_FILE_SHARED);
	vma->status |= VMA_ANON_SHARED;
	vma->shmid = inode->shmid;
	vma->flags |= MAP_ANONYMOUS;
	vma->has_fdflags = false;
}

/* Nothing refers to these files once their areas are resolved. */
static void drop_files(struct snapshot *snapshot)
{
	FileEntry **files = snapshot->files;
	size_t n_files = snapshot->n_files;

	snapshot->files = NULL;
	snapshot->n_files = 0;
	snapshot->files_by_id = (struct table){ 0 };
	for (size_t i = 0; i < n_files; i++) {
		const MemfdInodeEntry *inode = anonymous_inode(snapshot, files[i]);
		if (!inode || inode->anonymous)
			snapshot_add_file(snapshot, files[i]);
	}
}

void image_resolve_memfds(struct snapshot *snapshot)
{
	if (!snapshot_records(snapshot, IMAGE_MEMFD)->count)
		return;
	visit_areas(snapshot, find_opened_by_area);
	find_opened_by_descriptor(snapshot);
	visit_areas(snapshot, resolve_area);
	drop_files(snapshot);
}
