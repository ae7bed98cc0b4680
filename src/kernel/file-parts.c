// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * SEEK_DATA passes over what is only reserved (mapping_seek_hole_data, mm/filemap.c), and st_blocks
 * is but a sum. cachestat(2), of Linux 6.5, counts all pages of a range: so what is in doubt is
 * halved until it is none or all. Where that is not there, what the sum has more than there is data
 * is taken to be in the first holes: so it is where all holes are reserved.
 *
 * Of huge pages none of these tells. But UFFDIO_CONTINUE maps a page if the file has it, and
 * nothing otherwise, and makes none.
 */
#include "kernel/file-parts.h"

#include "base/cleanup.h"
#include "base/compare.h"
#include "kernel/huge-file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/userfaultfd.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#ifndef SYS_cachestat
#define SYS_cachestat 451
#endif
#ifndef UFFD_FEATURE_MINOR_HUGETLBFS /* 5.13 */
#define UFFD_FEATURE_MINOR_HUGETLBFS (1 << 9)
#endif
#ifndef UFFDIO_REGISTER_MODE_MINOR
#define UFFDIO_REGISTER_MODE_MINOR (UINT64_C(1) << 2)
#endif

/* <linux/userfaultfd.h> and <linux/mman.h> of older kernels have none of these. */
struct continue_argument {
	struct uffdio_range range;
	uint64_t mode;
	int64_t mapped;
};
#define IOCTL_CONTINUE _IOWR(UFFDIO, 0x07, struct continue_argument)
struct cache_range {
	uint64_t start, length; /* 0: to the end, wherever that is */
};
struct cache_count {
	uint64_t cached, dirty, written, evicted, recently_evicted;
};

enum { BLOCK = 512, FIRST_ROOM = 16 };
static const uint64_t PAGE = 4096;
/* Behind the end of a file there may be pages anywhere; so far it is looked for huge ones. */
enum { HUGE_PAGES_BEHIND = 4096 };

bool file_parts_told(long file_system)
{
	return file_system == TMPFS_MAGIC || file_system == HUGETLBFS_MAGIC;
}

void file_parts_free(struct file_parts *parts)
{
	free(parts->parts);
	*parts = (struct file_parts){ 0 };
}

static int add(struct file_parts *parts, uint64_t start, uint64_t end)
{
	struct file_part *last = parts->n ? &parts->parts[parts->n - 1] : NULL;

	if (last && last->end == start) {
		last->end = end;
		return 0;
	}
	if (parts->n == parts->room) {
		size_t room = parts->room * 2 + FIRST_ROOM;
		struct file_part *grown = realloc(parts->parts, room * sizeof *grown);
		if (!grown)
			return -1;
		parts->parts = grown;
		parts->room = room;
	}
	parts->parts[parts->n++] = (struct file_part){ start, end };
	return 0;
}

/* ---- pages ---- */

/* 0 and more: so many pages are there; -1 with errno. */
static int64_t count_pages(int fd, uint64_t start, uint64_t end)
{
	const struct cache_range range = { start, end - start };
	struct cache_count count;

	return syscall(SYS_cachestat, fd, &range, &count, 0)
		       ? -1
		       : (int64_t)(count.cached + count.evicted);
}

static int add_counted(int fd, struct file_parts *parts, uint64_t start, uint64_t end, int64_t n)
{
	uint64_t middle = start + (end - start) / PAGE / 2 * PAGE;

	if (n == 0)
		return 0;
	if ((uint64_t)n >= (end - start) / PAGE)
		return add(parts, start, end);
	int64_t before = min(count_pages(fd, start, middle), n);
	return before < 0 || add_counted(fd, parts, start, middle, before) ||
			       add_counted(fd, parts, middle, end, n - before)
		       ? -1
		       : 0;
}

/* All pages, wherever they are. */
static int read_counted(int fd, uint64_t end, struct file_parts *ret_parts)
{
	int64_t all = count_pages(fd, 0, 0), n = 0;

	for (end = end ? end : PAGE; all > 0; end *= 2) {
		n = count_pages(fd, 0, end);
		if (n < 0 || n >= all || end > INT64_MAX / 2)
			break;
	}
	/* Where there are none, they are counted for another file (of an overlay). */
	return all <= 0 || n < 0 ? -1 : add_counted(fd, ret_parts, 0, end, n);
}

/* Data from there on: 1, 0 if there is none, or -1. */
static int find_data(int fd, off_t at, off_t *ret_data, off_t *ret_hole)
{
	*ret_data = lseek(fd, at, SEEK_DATA);
	if (*ret_data < 0)
		return errno == ENXIO ? 0 : -1;
	*ret_hole = lseek(fd, *ret_data, SEEK_HOLE);
	return *ret_hole < 0 ? -1 : 1;
}

/* Data, and as much of the holes before as is still missing. */
static int read_guessed(int fd, uint64_t size, uint64_t pages, struct file_parts *ret_parts)
{
	uint64_t data_pages = 0, at = 0;
	off_t data, hole = 0;
	int found;

	while ((found = find_data(fd, hole, &data, &hole)) > 0)
		data_pages += ((uint64_t)(hole - data) + PAGE - 1) / PAGE;
	uint64_t missing = pages > data_pages ? (pages - data_pages) * PAGE : 0;
	while (found >= 0 && at < size && (found = find_data(fd, (off_t)at, &data, &hole)) > 0) {
		uint64_t part = (uint64_t)data - at < missing ? (uint64_t)data - at : missing;
		uint64_t end = ((uint64_t)hole + PAGE - 1) / PAGE * PAGE;
		if ((part && add(ret_parts, at, at + part)) || add(ret_parts, (uint64_t)data, end))
			return -1;
		missing -= part;
		at = end;
	}
	if (found < 0)
		return -1;
	return missing ? add(ret_parts, at, at + missing) : 0;
}

static int read_pages(int fd, const struct stat *stat, struct file_parts *ret_parts)
{
	uint64_t pages = (uint64_t)stat->st_blocks * BLOCK / PAGE, size = (uint64_t)stat->st_size;
	uint64_t end = (size + PAGE - 1) / PAGE * PAGE;

	if (!pages)
		return 0;
	/* Most files are dense. */
	if (pages == end / PAGE && lseek(fd, 0, SEEK_HOLE) == stat->st_size)
		return add(ret_parts, 0, end);
	errno = 0;
	if (read_counted(fd, end, ret_parts) == 0)
		return 0;
	if (errno == ENOMEM)
		return -1;
	file_parts_free(ret_parts);
	errno = 0;
	return read_guessed(fd, size, pages, ret_parts);
}

/* ---- huge pages ---- */

struct huge_look {
	int fd, faults_fd;
	uint64_t page, missing; /* pages that are to be found */
	struct file_parts *parts;
};

static int open_faults(void)
{
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_MINOR_HUGETLBFS };
	autoclose int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);

	return fd < 0 || ioctl(fd, UFFDIO_API, &api) ? -1 : take_fd(&fd);
}

/*
 * 1: it is there; 0; -1 with errno. Who may only read the file may watch just what is mapped
 * privately (UFFDIO_REGISTER: VM_MAYWRITE).
 */
static int has_huge_page(const struct huge_look *look, uint64_t at)
{
	void *bytes =
		mmap(NULL, look->page, PROT_READ, MAP_PRIVATE | MAP_NORESERVE, look->fd, (off_t)at);
	struct uffdio_register range = {
		.range = { (uintptr_t)bytes, look->page },
		.mode = UFFDIO_REGISTER_MODE_MINOR,
	};
	struct continue_argument argument = { .range = range.range };

	if (bytes == MAP_FAILED)
		return -1;
	bool registered = ioctl(look->faults_fd, UFFDIO_REGISTER, &range) == 0;
	bool there = registered && ioctl(look->faults_fd, IOCTL_CONTINUE, &argument) == 0;
	int error = there || (registered && errno == EFAULT) ? 0 : errno;
	munmap(bytes, look->page);
	errno = error;
	return error ? -1 : there;
}

static int look_for_huge(struct huge_look *look, uint64_t end)
{
	for (uint64_t at = 0; look->missing && at < end; at += look->page) {
		int there = has_huge_page(look, at);
		if (there < 0 || (there && add(look->parts, at, at + look->page)))
			return -1;
		look->missing -= (uint64_t)there;
	}
	return 0;
}

static int read_huge(int fd, const struct stat *stat, uint64_t page, struct file_parts *ret_parts)
{
	uint64_t end = ((uint64_t)stat->st_size + page - 1) / page * page;
	struct huge_look look = {
		.fd = fd,
		.page = page,
		.missing = (uint64_t)stat->st_blocks * BLOCK / page,
		.parts = ret_parts,
	};

	if (!look.missing)
		return 0;
	autoclose int faults_fd = open_faults();
	look.faults_fd = faults_fd;
	return faults_fd < 0 ? -1 : look_for_huge(&look, end + HUGE_PAGES_BEHIND * page);
}

int file_parts_read(int fd, struct file_parts *ret_parts)
{
	struct stat stat;
	uint64_t page;

	*ret_parts = (struct file_parts){ 0 };
	if (fstat(fd, &stat))
		return -1;
	int huge = huge_file_page(fd, &page);
	int result = huge < 0 ? -1
		     : huge   ? read_huge(fd, &stat, page, ret_parts)
			      : read_pages(fd, &stat, ret_parts);
	if (result)
		file_parts_free(ret_parts);
	return result;
}
