// SPDX-License-Identifier: LGPL-2.1-or-later
/* See kernel-pages.h. */
#include "kernel/kernel-pages.h"

#include "base/cleanup.h"
#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

enum {
	FILE_MAPPING,
	MAPPING_PAGES,
	ARRAY_HEAD,
	PAGE_SIZE_OF,
	N_PLACES,
	MARK = 64,
	MOST_STEPS = 1 << 14,
};

static const uint64_t step = 1UL << 30; /* it begins at a multiple of that */
static const uint64_t page_present = 1UL << 63, page_number = (1UL << 55) - 1;
static const uint64_t most_pages = 1UL << 40;

/* A page that nobody else has, with what nobody else has in it. */
struct own_page {
	uint8_t *content;
	size_t size;
	uint64_t number; /* physical */
	uint64_t structure;
};

/* 0: it is not to be seen; -1 with errno. */
static int64_t number_of(const struct own_page *own)
{
	autoclose int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t word = 0;
	off_t at = (off_t)((uintptr_t)own->content / own->size * sizeof word);

	if (fd < 0 || pread(fd, &word, sizeof word, at) != sizeof word)
		return errno_tells_nothing(errno) ? -1 : 0;
	return word & page_present ? (int64_t)(word & page_number) : 0;
}

/* A page cache with nothing but the first page has it for its head. */
static uint64_t structure_of(struct kernel_reader *by, const struct btf_place *places, int fd)
{
	uint64_t mapping, head;

	kernel_bytes(by, kernel_file(by, fd) + places[FILE_MAPPING].offset, &mapping,
		     sizeof mapping);
	kernel_bytes(by, mapping + places[MAPPING_PAGES].offset + places[ARRAY_HEAD].offset, &head,
		     sizeof head);
	return head & 3 ? 0 : head;
}

/* Where nothing is that is no failure of the reader. */
static bool is_there(struct kernel_reader *by, const struct own_page *own, uint64_t direct_map)
{
	uint8_t found[MARK];

	if (kernel_memory_read(by->memory, direct_map + own->number * own->size, found,
			       sizeof found) == 0)
		return memcmp(found, own->content, sizeof found) == 0;
	by->failure = errno == EFAULT ? 0 : errno;
	return false;
}

/* What was allocated for a thread of ours is in it, so it begins somewhere below. */
static uint64_t find_direct_map(struct kernel_reader *by, const struct own_page *own)
{
	uint64_t start = by->thread / step * step;

	for (int i = 0; i < MOST_STEPS && !by->failure; i++)
		if (is_there(by, own, start - (uint64_t)i * step))
			return start - (uint64_t)i * step;
	return 0;
}

static int find(struct kernel_reader *by, const struct btf_place *places, int fd,
		struct own_page *own, struct kernel_pages *ret)
{
	if (getrandom(own->content, MARK, 0) != MARK)
		return -1;
	int64_t number = number_of(own);
	if (number <= 0)
		return number < 0 ? -1 : 1;
	own->number = (uint64_t)number;
	own->structure = structure_of(by, places, fd);
	if (by->failure || !own->structure)
		return 1;
	*ret = (struct kernel_pages){
		.direct_map = find_direct_map(by, own),
		.vmemmap = own->structure - own->number * places[PAGE_SIZE_OF].offset,
		.structure_size = places[PAGE_SIZE_OF].offset,
	};
	/* It may have been moved meanwhile. */
	int64_t again = number_of(own);
	if (again < 0)
		return -1;
	return ret->direct_map && again == number &&
			       own->structure == structure_of(by, places, fd) && !by->failure
		       ? 0
		       : 1;
}

int kernel_pages_find(struct kernel_reader *reader, struct kernel_pages *ret)
{
	struct btf_place places[N_PLACES] = {
		[FILE_MAPPING] = { "file", "f_mapping", 0, false, 0 },
		[MAPPING_PAGES] = { "address_space", "i_pages", 0, false, 0 },
		[ARRAY_HEAD] = { "xarray", "xa_head", 0, false, 0 },
		[PAGE_SIZE_OF] = { "page", "", 0, false, 0 },
	};
	struct own_page own = { .size = (size_t)sysconf(_SC_PAGESIZE) };
	autoclose int fd = memfd_create("nestor", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, (off_t)own.size) < 0 || btf_find(places, N_PLACES) < 0)
		return -1;
	for (size_t i = 0; i < N_PLACES; i++)
		if (!places[i].found)
			return 1;
	own.content = mmap(NULL, own.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (own.content == MAP_FAILED)
		return -1;
	int result = find(reader, places, fd, &own, ret), failure = errno;
	munmap(own.content, own.size);
	errno = failure;
	return result;
}

uint64_t kernel_page_content(const struct kernel_pages *pages, uint64_t page)
{
	uint64_t distance = page - pages->vmemmap;

	if (page < pages->vmemmap || distance % pages->structure_size ||
	    distance / pages->structure_size >= most_pages)
		return 0;
	return pages->direct_map +
	       distance / pages->structure_size * (uint64_t)sysconf(_SC_PAGESIZE);
}
