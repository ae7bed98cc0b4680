// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The file behind shared anonymous memory, where more has come of it than shared areas: whoever has
 * CAP_CHECKPOINT_RESTORE opens it by /proc/PID/map_files, reads, writes and truncates it, and maps
 * it again, also privately or for reading only. Then it is one of the kernel's own tmpfs like those
 * of memfd_create(2), with the same state (memfd.c), but that it is called "/dev/zero" and can never
 * be sealed (shmem_zero_setup, mm/shmem.c). All areas of it are recorded as areas of that file, as
 * if somebody had opened it to map them.
 */
#include "kinds/memory/memory.h"

#include "base/table.h"
#include "collect/collect.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

bool anonymous_file_is_called(const char *link)
{
	static const char *const names[] = {
		"/dev/zero (deleted)",
		"/anon_hugepage (deleted)",
		"/memfd:" SHARED_MEMFD_NAME " (deleted)",
	};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strcmp(link, names[i]) == 0)
			return true;
	return false;
}

/* --- Dump --- */

/* What has an anonymous file mapped for reading and writing. */
struct mapped_file {
	MemfdInodeEntry *inode;
	FileEntry *file; /* NULL until an area asks for it */
};

static FileEntry *add_file(struct collect *collect, const MemfdInodeEntry *inode)
{
	FileEntry *file = snapshot_new(collect->snapshot, FILE_ENTRY, FileEntry);

	file->type = FD_TYPES__MEMFD;
	file->memfd = snapshot_new(collect->snapshot, MEMFD_FILE_ENTRY, MemfdFileEntry);
	file->memfd->fown = snapshot_new(collect->snapshot, FOWN_ENTRY, FownEntry);
	file->id = file->memfd->id = collect->next_file_id++;
	file->memfd->flags = O_RDWR | O_LARGEFILE;
	file->memfd->inode_id = (uint32_t)inode->inode_id;
	file->memfd->has_only_mapped = file->memfd->only_mapped = true;
	snapshot_add_file(collect->snapshot, file);
	return file;
}

static void map_by_file(struct collect *collect, const struct table *files, VmaEntry *area)
{
	struct mapped_file *mapped =
		area->status & VMA_ANON_SHARED ? table_find(files, area->shmid) : NULL;

	if (!mapped)
		return;
	if (!mapped->file)
		mapped->file = add_file(collect, mapped->inode);
	if (area->flags & MAP_NORESERVE)
		mapped->inode->has_not_reserved = mapped->inode->not_reserved = true;
	area->status = (area->status & ~(uint32_t)VMA_ANON_SHARED) | VMA_MEMFD | VMA_FILE_SHARED;
	area->flags &= ~(uint32_t)MAP_ANONYMOUS;
	area->shmid = mapped->file->id;
	area->has_fdflags = true;
	area->fdflags = O_RDWR;
}

int anonymous_files_complete(struct collect *collect, struct error *err)
{
	const struct snapshot *snapshot = collect->snapshot;
	const struct records *inodes = snapshot_records(snapshot, IMAGE_MEMFD);
	struct table files = { 0 };
	bool any = false;

	(void)err;
	for (size_t i = 0; i < inodes->count; i++) {
		MemfdInodeEntry *inode = inodes->records[i]->message;
		if (!inode->anonymous)
			continue;
		struct mapped_file *mapped = arena_new(collect->arena, struct mapped_file);
		mapped->inode = inode;
		any |= table_add(&files, collect->arena, inode->shmid, mapped);
	}
	for (size_t i = 0; any && i < snapshot->n_tasks; i++) {
		const MmEntry *mm = snapshot->tasks[i].mm;
		for (size_t k = 0; mm && k < mm->n_vmas; k++)
			map_by_file(collect, &files, mm->vmas[k]);
	}
	return 0;
}

/* --- Restore --- */

/* Its size, which may be none, is set with its content. */
int anonymous_file_make(const MemfdInodeEntry *inode)
{
	const uint32_t page = inode->hugetlb_flag >> MAP_HUGE_SHIFT & MAP_HUGE_MASK;
	const struct shared_memory empty = {
		.size = inode->hugetlb_flag ? UINT64_C(1) << page : AREA_PAGE,
		/* The bits are those of memfd_create(2) and mmap(2) alike. */
		.huge = inode->hugetlb_flag ? MAP_HUGETLB | page << MAP_HUGE_SHIFT : 0,
		.not_reserved = inode->not_reserved,
	};

	return shared_make(&empty);
}
