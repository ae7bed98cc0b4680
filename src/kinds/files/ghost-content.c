// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The content of unlinked files in images: all of it, or, where there are holes, its parts as
 * chunks. Of files in memory there is also which parts have memory, as that may have been reserved
 * without data. Those of huge pages are read and written in a way of their own, page by page
 * (kernel/huge-file.h).
 */
#include "kinds/files/ghost.h"

#include "base/cleanup.h"
#include "base/compare.h"
#include "base/whole.h"
#include "kernel/file-parts.h"
#include "kernel/huge-file.h"
#include "model/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { BLOCK = 512, PAGE = 4096 };

/* ---- Dump ---- */

static int record_parts(struct snapshot *snapshot, int fd, GhostFileEntry *entry)
{
	autoparts struct file_parts parts = { 0 };
	uint64_t at = 0;

	if (file_parts_read(fd, &parts))
		return -1;
	entry->n_memory = 2 * parts.n;
	entry->memory = arena_array(snapshot->arena, uint64_t, entry->n_memory + 1);
	for (size_t i = 0; i < parts.n; i++) {
		entry->memory[2 * i] = parts.parts[i].start - at;
		entry->memory[2 * i + 1] = parts.parts[i].end - parts.parts[i].start;
		at = parts.parts[i].end;
	}
	return 0;
}

int ghost_content_look(struct snapshot *snapshot, int fd, const struct stat *stat,
		       GhostFileEntry *entry)
{
	int64_t taken = (int64_t)stat->st_blocks * BLOCK;
	bool sparse = taken < stat->st_size, in_memory = false;
	struct statfs fs;

	if (fstatfs(fd, &fs))
		return -1;
	/* Most are dense, and then there is nothing to be told. */
	if (file_parts_told((long)fs.f_type))
		in_memory = sparse || fs.f_type == HUGETLBFS_MAGIC ||
			    taken >= stat->st_size + PAGE ||
			    (taken && lseek(fd, 0, SEEK_HOLE) < stat->st_size);
	if (in_memory && record_parts(snapshot, fd, entry))
		return -1;
	if (!sparse && !in_memory)
		return 0;
	entry->has_chunks = true;
	entry->chunks = true;
	entry->has_size = true;
	entry->size = (uint64_t)stat->st_size;
	return 0;
}

/* How much was there, or -1 with errno. */
static int64_t copy_bytes(int to, int from, off_t offset, uint64_t size)
{
	uint64_t page;

	return huge_file_page(from, &page) > 0 ? huge_file_send(to, from, &offset, size)
					       : send_whole(to, from, &offset, size);
}

/* One ghost_chunk_entry, framed as every record is, and its bytes. */
static int copy_chunk(int to, int from, off_t offset, uint64_t length)
{
	GhostChunkEntry chunk = GHOST_CHUNK_ENTRY__INIT;
	uint8_t packed[64];

	chunk.off = (uint64_t)offset;
	chunk.len = length;
	uint32_t size = (uint32_t)ghost_chunk_entry__get_packed_size(&chunk);
	memcpy(packed, &size, sizeof size);
	ghost_chunk_entry__pack(&chunk, packed + sizeof size);
	if (write_whole(to, packed, sizeof size + size))
		return -1;
	int64_t copied = copy_bytes(to, from, offset, length);
	if (copied >= 0 && (uint64_t)copied < length) {
		errno = ENODATA; /* somebody has made it shorter meanwhile */
		return -1;
	}
	return copied < 0 ? -1 : 0;
}

/* Of huge pages the kernel says of all that it is data, and sends none. */
static int copy_huge(int to, int from, const GhostFileEntry *entry)
{
	uint64_t at = 0;

	for (size_t i = 0; i + 1 < entry->n_memory; i += 2) {
		uint64_t start = at + entry->memory[i], end = start + entry->memory[i + 1];
		at = end;
		end = min(end, entry->size);
		if (start < end && copy_chunk(to, from, (off_t)start, end - start))
			return -1;
	}
	return 0;
}

static int copy_chunks(int to, int from)
{
	for (off_t hole = 0;;) {
		off_t data = lseek(from, hole, SEEK_DATA);
		if (data < 0)
			return errno == ENXIO ? 0 : -1; /* ENXIO: no data up to the end */
		hole = lseek(from, data, SEEK_HOLE);
		if (hole < 0 || copy_chunk(to, from, data, (uint64_t)(hole - data)))
			return -1;
	}
}

int ghost_content_copy(int to, int from, const GhostFileEntry *entry)
{
	uint64_t page;

	if (!entry->has_chunks)
		return copy_bytes(to, from, 0, INT64_MAX) < 0 ? -1 : 0;
	return huge_file_page(from, &page) > 0 ? copy_huge(to, from, entry) : copy_chunks(to, from);
}

/* ---- Restore ---- */

int ghost_content_fill(int to, int from, uint64_t offset, uint64_t size)
{
	uint64_t page;
	int huge = huge_file_page(to, &page);

	if (huge < 0 || (!huge && lseek(to, (off_t)offset, SEEK_SET) < 0))
		return -1;
	int64_t sent = huge ? huge_file_fill(to, page, offset, from, size)
			    : send_whole(to, from, NULL, size);
	return sent < 0 ? -1 : (uint64_t)sent < size;
}

int ghost_content_resize(int fd, uint64_t size)
{
	uint64_t page;
	int huge = huge_file_page(fd, &page);

	if (huge)
		return huge < 0 ? -1 : huge_file_resize(fd, page, size);
	return ftruncate(fd, (off_t)size);
}

int ghost_content_reserve(int fd, const GhostFileEntry *entry)
{
	uint64_t at = 0;

	for (size_t i = 0; i + 1 < entry->n_memory; i += 2) {
		/* Numbers of images; what makes no sense the kernel refuses. */
		at += entry->memory[i];
		if (fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)at, (off_t)entry->memory[i + 1]))
			return -1;
		at += entry->memory[i + 1];
	}
	return 0;
}
