// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Shared anonymous memory: an unnamed file on the kernel's own tmpfs that areas of several tasks
 * may map at several offsets. Its identity is the inode number there; the first area seen gives
 * it an id, every other one refers to that. Content is read through map_files, holes left out,
 * so that nothing is allocated in the tree's memory by looking at it (shared-content.c);
 * shared-mapped.c has the other way, where map_files may not be opened.
 *
 * At restore the coordinator makes the object again, before the first fork.
 */
#include "kinds/memory/memory.h"

#include "base/cleanup.h"
#include "base/table.h"
#include "collect/collect.h"
#include "kinds/memory/shared.h"
#include "plan/plan.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Kept over a dump. */
struct shared_state {
	uint64_t device;
	struct table by_inode;
	struct shared_object *objects, **last_object;
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
	state->last_object = &state->objects;
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

static struct shared_object *new_object(struct collect *collect, struct shared_state *state)
{
	struct shared_object *object = arena_new(collect->arena, struct shared_object);

	object->memory = snapshot_add_shared_memory(collect->snapshot, collect->next_shared_id++);
	object->last_part = &object->parts;
	*state->last_object = object;
	state->last_object = &object->next;
	return object;
}

static struct shared_object *object_of_inode(struct collect *collect, struct shared_state *state,
					     uint64_t inode)
{
	struct shared_object *object = table_find(&state->by_inode, inode);

	if (!object) {
		object = new_object(collect, state);
		table_add(&state->by_inode, collect->arena, inode, object);
	}
	return object;
}

static int add_part(struct target *target, uint64_t inode, const VmaEntry *area,
		    uint32_t *ret_shmid, struct error *err)
{
	struct collect *collect = target->collect;
	struct shared_state *state = shared_state(collect, err);

	if (!state)
		return -1;
	struct shared_object *object = object_of_inode(collect, state, inode);
	struct shared_part *part = arena_new(collect->arena, struct shared_part);
	*part = (struct shared_part){ .target = target,
				      .address = area->start,
				      .offset = area->pgoff,
				      .size = area->end - area->start };
	*object->last_part = part;
	object->last_part = &part->next;
	object->huge = area->flags & MAP_HUGETLB;
	*ret_shmid = (uint32_t)object->memory->shmid;
	return 0;
}

/* Each size of pages has a file system with inode numbers of its own. */
static uint64_t object_key(uint32_t flags, uint64_t inode)
{
	return inode ^ (uint64_t)(flags >> MAP_HUGE_SHIFT & MAP_HUGE_MASK) << 56;
}

int shared_collect_area(struct target *target, uint64_t inode, VmaEntry *area, struct error *err)
{
	uint32_t shmid;

	if (add_part(target, object_key(area->flags, inode), area, &shmid, err))
		return -1;
	area->shmid = shmid;
	return 0;
}

/* Inodes of segments have their ids for numbers, which others may have, too. */
int shared_collect_segment(struct target *target, const VmaEntry *area, uint32_t *ret_shmid,
			   struct error *err)
{
	return add_part(target, UINT64_C(1) << 63 | area->shmid, area, ret_shmid, err);
}

int shared_collect_file(struct target *target, const char *proc_name, uint32_t *ret_shmid,
			struct error *err)
{
	struct shared_state *state = shared_state(target->collect, err);

	if (!state)
		return -1;
	struct shared_object *object = new_object(target->collect, state);
	object->file_target = target;
	object->file = arena_string(target->collect->arena, proc_name);
	*ret_shmid = (uint32_t)object->memory->shmid;
	return 0;
}

int shared_collect_opened(struct target *target, const char *proc_name, uint64_t inode,
			  uint32_t huge, uint32_t *ret_shmid, struct error *err)
{
	struct shared_state *state = shared_state(target->collect, err);

	if (!state)
		return -1;
	struct shared_object *object =
		object_of_inode(target->collect, state, object_key(huge, inode));
	object->file_target = target;
	object->file = arena_string(target->collect->arena, proc_name);
	*ret_shmid = (uint32_t)object->memory->shmid;
	return 0;
}

static int note_size(int fd, struct shared_memory *memory, struct error *err)
{
	struct stat stat;

	if (fstat(fd, &stat))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot find the size of shared memory");
	/* That of a segment need not be one of pages. */
	memory->size_seen = ((uint64_t)stat.st_size + AREA_PAGE - 1) / AREA_PAGE * AREA_PAGE;
	return 0;
}

/* `fd` is -1 where we may not open the object. */
static int write_object(struct collect *collect, int fd, const struct shared_object *object,
			struct error *err)
{
	struct pagemap *pagemap = &object->memory->pages;
	uint64_t pages;

	pagemap->present = true;
	pagemap->pages_id = collect->next_pages_id++;
	autoclose int image_fd = pages_create(collect, pagemap->pages_id, err);
	if (image_fd < 0)
		return -1;
	if (!object->file && fd >= 0 && note_size(fd, object->memory, err))
		return -1;
	if (fd < 0 ? shared_write_mapped(collect, object, image_fd, &pages, err)
		   : shared_write_file(collect, fd, pagemap, image_fd, &pages, err))
		return -1;
	collect->shared_pages_scanned += pages;
	collect->shared_pages_written += pages;
	return 0;
}

/* Its time of access stays, where we may have that. -1 with errno. */
static int open_unread(const struct target *target, const char *name)
{
	int fd = target_open(target, name, O_RDONLY | O_NOATIME);

	return fd < 0 && errno == EPERM ? target_open(target, name, O_RDONLY) : fd;
}

/* What we may not open is left for later. */
static int collect_object(struct collect *collect, struct shared_object *object, struct error *err)
{
	const struct shared_part *part = object->parts;
	char link[64];

	if (object->file) {
		autoclose int file_fd = open_unread(object->file_target, object->file);
		return file_fd < 0 ? fail_errno(err, ERR_KERNEL_REFUSED,
						"cannot open the memory file at %s of pid %d",
						object->file, object->file_target->pid)
				   : write_object(collect, file_fd, object, err);
	}
	snprintf(link, sizeof link, "map_files/%" PRIx64 "-%" PRIx64, part->address,
		 part->address + part->size);
	autoclose int fd = open_unread(part->target, link);
	if (fd < 0 && ((errno != EPERM && errno != EACCES) || object->huge))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot open shared memory %s", link);
	object->by_areas = fd < 0;
	return fd < 0 ? 0 : write_object(collect, fd, object, err);
}

int shared_collect_pages(struct collect *collect, struct error *err)
{
	const struct shared_state *state = *collect_state(collect, &memory_kind);

	for (struct shared_object *object = state ? state->objects : NULL; object;
	     object = object->next)
		if (collect_object(collect, object, err))
			return -1;
	return 0;
}

int shared_collect_by_areas(struct collect *collect, struct error *err)
{
	const struct shared_state *state = *collect_state(collect, &memory_kind);

	for (const struct shared_object *object = state ? state->objects : NULL; object;
	     object = object->next)
		if (object->by_areas && write_object(collect, -1, object, err))
			return -1;
	return 0;
}

/* --- Restore --- */

/* As a program makes it, by mmap(2); -1 with errno. */
static int open_as_mapped(const struct shared_memory *shared)
{
	int flags = MAP_SHARED | MAP_ANONYMOUS | (shared->not_reserved ? MAP_NORESERVE : 0) |
		    (int)shared->huge;
	void *bytes = mmap(NULL, shared->size, PROT_READ | PROT_WRITE, flags, -1, 0);
	char link[96];

	if (bytes == MAP_FAILED)
		return -1;
	snprintf(link, sizeof link, "/proc/self/map_files/%" PRIx64 "-%" PRIx64,
		 (uint64_t)(uintptr_t)bytes, (uint64_t)(uintptr_t)bytes + shared->size);
	int fd = open(link, O_RDWR | O_CLOEXEC), failure = errno;
	munmap(bytes, shared->size);
	errno = failure;
	return fd;
}

/* The size of pages is where mmap(2) has it. */
static unsigned memfd_flags(uint32_t huge)
{
	return huge ? MFD_HUGETLB | (huge & (uint32_t)MAP_HUGE_MASK << MAP_HUGE_SHIFT) : 0;
}

/* Without the right to open map_files the object is a memfd, and is shown as one. */
int shared_make(const struct shared_memory *shared)
{
	autoclose int fd = open_as_mapped(shared);

	if (fd < 0 && !errno_tells_nothing(errno)) {
		fd = memfd_create(SHARED_MEMFD_NAME, MFD_CLOEXEC | memfd_flags(shared->huge));
		if (fd >= 0 && ftruncate(fd, (off_t)shared->size))
			cleanup_close(&fd);
	}
	return take_fd(&fd);
}

int shared_memory_open(const struct snapshot *snapshot, const struct images *images, uint64_t shmid,
		       struct error *err)
{
	const struct shared_memory *shared = snapshot_shared_memory(snapshot, shmid);

	if (!shared)
		return fail(err, ERR_IMAGE_INVALID, "shared memory %" PRIu64 " is not recorded",
			    shmid);
	autoclose int fd = shared_make(shared);
	if (fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "cannot make shared memory of %" PRIu64 " bytes", shared->size);
	if (shared_fill(images, &shared->pages, fd, err))
		return fail_while(err, "filling shared memory %" PRIu64, shmid);
	return take_fd(&fd);
}

static int open_shared_memory(struct file_opener *opener, const struct plan *plan, uint64_t id,
			      struct error *err)
{
	(void)plan;
	return shared_memory_open(opener->snapshot, opener->images, id, err);
}

const struct source_opener shared_memory_source = { SOURCE_SHARED_MEMORY, open_shared_memory };
