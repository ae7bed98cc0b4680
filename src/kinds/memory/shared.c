// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Shared anonymous memory: an unnamed file on the kernel's own tmpfs that areas of several tasks
 * may map at several offsets. Its identity is the inode number there; the first area seen gives
 * it an id, every other one refers to that. Content is read through map_files, holes left out,
 * so that nothing is allocated in the tree's memory by looking at it; shared-mapped.c has the other
 * way, where map_files may not be opened.
 *
 * At restore the coordinator makes the object again, before the first fork.
 */
#include "kinds/memory/memory.h"

#include "base/cleanup.h"
#include "collect/collect.h"
#include "images/images.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

struct shared_object {
	uint64_t inode, shmid;
	bool written;
};

/* Kept over a dump. */
struct shared_state {
	uint64_t device;
	struct shared_object *objects;
	size_t n_objects;
};

/* A memfd lives where shared anonymous memory does; its device number is that of both. */
static int find_device(uint64_t *ret_device, struct error *err)
{
	autoclose int fd = memfd_create("nestor", MFD_CLOEXEC);
	struct stat stat;

	if (fd < 0 || fstat(fd, &stat))
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "cannot find out how shared memory is shown");
	*ret_device = stat.st_dev;
	return 0;
}

static struct shared_state *shared_state(struct collect *collect, struct error *err)
{
	struct shared_state *state = *collect_state(collect, &memory_kind);

	if (state)
		return state;
	state = arena_new(collect->arena, struct shared_state);
	if (find_device(&state->device, err))
		return NULL;
	*collect_state(collect, &memory_kind) = state;
	return state;
}

int shared_device(struct target *target, uint64_t *ret_device, struct error *err)
{
	const struct shared_state *state = shared_state(target->collect, err);

	if (!state)
		return -1;
	*ret_device = state->device;
	return 0;
}

static struct shared_object *find_object(struct shared_state *state, uint64_t inode)
{
	for (size_t i = 0; i < state->n_objects; i++)
		if (state->objects[i].inode == inode)
			return &state->objects[i];
	return NULL;
}

int shared_collect_area(struct target *target, uint64_t inode, VmaEntry *area, struct error *err)
{
	struct collect *collect = target->collect;
	struct shared_state *state = shared_state(collect, err);
	struct shared_object *object;

	if (!state)
		return -1;
	object = find_object(state, inode);
	if (!object) {
		state->objects = arena_grow(collect->arena, state->objects, state->n_objects,
					    sizeof state->objects[0]);
		object = &state->objects[state->n_objects++];
		object->inode = inode;
		object->shmid = collect->next_shared_id++;
		snapshot_add_shared_memory(collect->snapshot, object->shmid);
	}
	area->shmid = object->shmid;
	return 0;
}

/* Adds the runs of data of a tmpfs file; their addresses are offsets in it. */
static int find_data(struct snapshot *snapshot, int fd, struct pagemap *pagemap,
		     uint64_t *ret_pages, struct error *err)
{
	off_t at = 0;

	*ret_pages = 0;
	for (;;) {
		off_t start = lseek(fd, at, SEEK_DATA), end;
		uint64_t pages;

		if (start < 0 && errno == ENXIO) /* only a hole is left */
			return 0;
		end = start < 0 ? -1 : lseek(fd, start, SEEK_HOLE);
		if (end < 0)
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "cannot find the content of shared memory");
		pages = ((uint64_t)end - (uint64_t)start + AREA_PAGE - 1) / AREA_PAGE;
		pagemap_add_run(snapshot, pagemap, (uint64_t)start, pages);
		*ret_pages += pages;
		at = end;
	}
}

/* From one page cache to the other, without page faults of ours; *offset is that in `from`. */
static int send_bytes(int from, int to, off_t *offset, uint64_t size, struct error *err)
{
	while (size) {
		ssize_t sent = sendfile(to, from, offset, size);

		if (sent < 0)
			return fail_errno(err, ERR_IO, "cannot copy shared memory");
		if (!sent)
			return fail(err, ERR_IO, "shared memory ends before its content");
		size -= (uint64_t)sent;
	}
	return 0;
}

/* The content of the object that is open as `fd`. */
static int send_object(struct collect *collect, int fd, struct pagemap *pagemap, int image_fd,
		       uint64_t *ret_pages, struct error *err)
{
	if (find_data(collect->snapshot, fd, pagemap, ret_pages, err))
		return -1;
	for (size_t i = 0; i < pagemap->n_runs; i++) {
		const PagemapEntry *run = pagemap->runs[i];
		off_t offset = (off_t)run->vaddr;
		if (send_bytes(fd, image_fd, &offset, pagemap_run_bytes(run), err))
			return -1;
	}
	return 0;
}

/* `fd` is -1 where we may not open the object. */
static int write_object(struct collect *collect, int fd, struct shared_memory *shared,
			struct error *err)
{
	uint64_t pages;

	shared->pages.present = true;
	shared->pages.pages_id = collect->next_pages_id++;
	autoclose int image_fd = pages_create(collect, shared->pages.pages_id, err);
	if (image_fd < 0)
		return -1;
	if (fd < 0 ? shared_write_mapped(collect, shared->shmid, &shared->pages, image_fd, &pages,
					 err)
		   : send_object(collect, fd, &shared->pages, image_fd, &pages, err))
		return -1;
	collect->pages_scanned += pages;
	collect->pages_written += pages;
	return 0;
}

static struct shared_object *object_of_area(struct shared_state *state, const VmaEntry *area)
{
	for (size_t i = 0; i < state->n_objects; i++)
		if (state->objects[i].shmid == area->shmid)
			return &state->objects[i];
	return NULL;
}

int shared_collect_pages(struct target *target, const VmaEntry *area, struct error *err)
{
	struct collect *collect = target->collect;
	struct shared_object *object = object_of_area(*collect_state(collect, &memory_kind), area);
	char link[64];
	autoclose int fd = -1;

	if (object->written)
		return 0;
	snprintf(link, sizeof link, "map_files/%" PRIx64 "-%" PRIx64, area->start, area->end);
	fd = target_open(target, link, O_RDONLY);
	if (fd < 0 && errno != EPERM && errno != EACCES)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot open shared memory %s", link);
	object->written = true;
	return write_object(collect, fd, snapshot_shared_memory(collect->snapshot, area->shmid),
			    err);
}

/* --- Restore --- */

/*
 * The object has no recorded size: it reaches as far as anybody maps it or has content.
 * *ret_flags gets MAP_NORESERVE where an area has it: the object as a whole is accounted or not.
 */
static uint64_t object_size(const struct snapshot *snapshot, const struct shared_memory *shared,
			    int *ret_flags)
{
	uint64_t size = AREA_PAGE;

	*ret_flags = 0;

	for (size_t i = 0; i < snapshot->n_tasks; i++) {
		const MmEntry *mm = snapshot->tasks[i].mm;

		for (size_t k = 0; mm && k < mm->n_vmas; k++) {
			const VmaEntry *area = mm->vmas[k];
			uint64_t end = area->pgoff + (area->end - area->start);

			if (!(area->status & VMA_ANON_SHARED) || area->shmid != shared->shmid)
				continue;
			*ret_flags |= (int)area->flags & MAP_NORESERVE;
			size = end > size ? end : size;
		}
	}
	for (size_t i = 0; i < shared->pages.n_runs; i++) {
		const PagemapEntry *run = shared->pages.runs[i];

		if (run->vaddr + pagemap_run_bytes(run) > size)
			size = run->vaddr + pagemap_run_bytes(run);
	}
	return size;
}

static int open_as_mapped(void *bytes, uint64_t size)
{
	char link[96];

	snprintf(link, sizeof link, "/proc/self/map_files/%" PRIx64 "-%" PRIx64,
		 (uint64_t)(uintptr_t)bytes, (uint64_t)(uintptr_t)bytes + size);
	return open(link, O_RDWR | O_CLOEXEC);
}

/* Fills no holes: what was never touched costs nothing. */
static int fill_object(const struct images *images, const struct pagemap *pages, int fd,
		       struct error *err)
{
	autoclose int pages_fd = -1;
	off_t offset = 0;

	for (size_t i = 0; i < pages->n_runs; i++) {
		const PagemapEntry *run = pages->runs[i];

		if (!pagemap_run_is_stored(run))
			continue;
		if (pages_fd < 0)
			pages_fd = images_open_pages(images, pages->pages_id, err);
		if (pages_fd < 0)
			return -1;
		if (lseek(fd, (off_t)run->vaddr, SEEK_SET) < 0)
			return fail_errno(err, ERR_IO, "cannot seek in shared memory");
		if (send_bytes(pages_fd, fd, &offset, pagemap_run_bytes(run), err))
			return -1;
	}
	return 0;
}

/* Without the right to open map_files the object is a memfd, and is shown as one. */
static int make_object(uint64_t size, int flags, struct error *err)
{
	void *bytes =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | flags, -1, 0);
	autoclose int fd = -1;

	if (bytes != MAP_FAILED) {
		fd = open_as_mapped(bytes, size);
		munmap(bytes, size);
	}
	if (fd < 0) {
		fd = memfd_create(SHARED_MEMFD_NAME, MFD_CLOEXEC);
		if (fd < 0 || ftruncate(fd, (off_t)size))
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "cannot make shared memory of %" PRIu64 " bytes", size);
	}
	return take_fd(&fd);
}

int shared_memory_open(const struct snapshot *snapshot, const struct images *images, uint64_t shmid,
		       struct error *err)
{
	const struct shared_memory *shared = snapshot_shared_memory(snapshot, shmid);
	int flags;

	if (!shared)
		return fail(err, ERR_IMAGE_INVALID, "shared memory %" PRIu64 " is not recorded",
			    shmid);
	uint64_t size = object_size(snapshot, shared, &flags);
	autoclose int fd = make_object(size, flags, err);
	if (fd < 0)
		return -1;
	if (fill_object(images, &shared->pages, fd, err))
		return fail_while(err, "filling shared memory %" PRIu64, shmid);
	return take_fd(&fd);
}
