// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The content of files in memory that are shared: the objects behind shared anonymous memory, and
 * memory files. Holes are left out and stay holes. Of small pages it goes from one page cache to
 * the other; huge ones can only be read, and written where they are mapped (kernel/huge-file.h).
 */
#include "kinds/memory/memory.h"

#include "base/cleanup.h"
#include "base/whole.h"
#include "collect/collect.h"
#include "images/images.h"
#include "kernel/file-parts.h"
#include "kernel/huge-file.h"
#include "kinds/memory/shared.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- Dump --- */

static void add_data(struct snapshot *snapshot, struct pagemap *pagemap, uint64_t start,
		     uint64_t end, uint64_t *pages)
{
	uint64_t n = (end - start + AREA_PAGE - 1) / AREA_PAGE;

	pagemap_add_own(snapshot, pagemap, start, n);
	*pages += n;
}

/* What lies behind its end nobody can map. */
static int find_huge_data(struct snapshot *snapshot, int fd, struct pagemap *pagemap,
			  uint64_t *ret_pages, struct error *err)
{
	autoparts struct file_parts parts = { 0 };
	struct stat stat;

	if (fstat(fd, &stat) || file_parts_read(fd, &parts))
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "cannot find the content of shared huge pages");
	for (size_t i = 0; i < parts.n; i++) {
		uint64_t start = parts.parts[i].start, end = parts.parts[i].end;
		if (end > (uint64_t)stat.st_size)
			end = (uint64_t)stat.st_size;
		if (start < end)
			add_data(snapshot, pagemap, start, end, ret_pages);
	}
	return 0;
}

/* Adds the runs of data of a file in memory; their addresses are offsets in it. */
static int find_data(struct snapshot *snapshot, int fd, struct pagemap *pagemap,
		     uint64_t *ret_pages, struct error *err)
{
	off_t at = 0;

	for (;;) {
		off_t start = lseek(fd, at, SEEK_DATA), end;

		if (start < 0 && errno == ENXIO) /* only a hole is left */
			return 0;
		end = start < 0 ? -1 : lseek(fd, start, SEEK_HOLE);
		if (end < 0)
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "cannot find the content of shared memory");
		add_data(snapshot, pagemap, (uint64_t)start, (uint64_t)end, ret_pages);
		at = end;
	}
}

typedef int64_t send_function(int to, int from, off_t *offset, uint64_t size);

/*
 * From one page cache to the other, without page faults of ours; *offset is that in `from`.
 * Returns how much is missing at the end, less than a page: a file ends where it likes.
 */
static int send_bytes(send_function *send, int from, int to, off_t *offset, uint64_t size,
		      struct error *err)
{
	int64_t sent = send(to, from, offset, size);

	if (sent < 0)
		return fail_errno(err, ERR_IO, "cannot copy shared memory");
	if (size - (uint64_t)sent >= AREA_PAGE)
		return fail(err, ERR_IO, "shared memory ends before its content");
	return (int)(size - (uint64_t)sent);
}

/* The rest of the last page of a file, which reads as zeroes. */
static int pad_image(int image_fd, int missing, struct error *err)
{
	static const char zeroes[AREA_PAGE];

	if (missing > 0 && write_whole(image_fd, zeroes, (size_t)missing))
		return fail_errno(err, ERR_IO, "cannot write shared memory");
	return missing < 0 ? -1 : 0;
}

int shared_write_file(struct collect *collect, int fd, struct pagemap *pagemap, int image_fd,
		      uint64_t *ret_pages, struct error *err)
{
	uint64_t page;
	int huge = huge_file_page(fd, &page);

	*ret_pages = 0;
	if (huge < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot look at shared memory");
	if ((huge ? find_huge_data : find_data)(collect->snapshot, fd, pagemap, ret_pages, err))
		return -1;
	for (size_t i = 0; i < pagemap->n_runs; i++) {
		const struct memory_run *run = &pagemap->runs[i];
		off_t offset = (off_t)run->address;
		int missing = send_bytes(huge ? huge_file_send : send_whole, fd, image_fd, &offset,
					 memory_run_bytes(run), err);
		if (pad_image(image_fd, missing, err))
			return -1;
	}
	return 0;
}

/* --- Restore --- */

static int fill_run(int pages_fd, const struct memory_run *run, int fd, struct error *err)
{
	off_t offset = (off_t)run->offset;

	if (lseek(fd, (off_t)run->address, SEEK_SET) < 0)
		return fail_errno(err, ERR_IO, "cannot seek in shared memory");
	int missing = send_bytes(send_whole, pages_fd, fd, &offset, memory_run_bytes(run), err);
	if (missing > 0)
		return fail(err, ERR_IMAGE_INVALID, "pages of shared memory are missing");
	return missing;
}

/* A last part of a page can have nothing but zeros. */
static int fill_huge_run(int pages_fd, const struct memory_run *run, uint64_t page, int fd,
			 struct error *err)
{
	uint64_t size = memory_run_bytes(run);

	if (fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)run->address, (off_t)size))
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "cannot take %" PRIu64 " bytes of huge pages", size);
	if (lseek(pages_fd, (off_t)run->offset, SEEK_SET) < 0)
		return fail_errno(err, ERR_IO, "cannot seek in pages");
	int64_t filled = huge_file_fill(fd, page, run->address, pages_fd, size);
	if (filled < 0)
		return fail_errno(err, ERR_IO, "cannot fill shared huge pages");
	return (uint64_t)filled == size
		       ? 0
		       : fail(err, ERR_IMAGE_INVALID, "pages of shared memory are missing");
}

int shared_fill(const struct images *images, const struct pagemap *pages, int fd, struct error *err)
{
	autoclose int pages_fd = -1;
	uint64_t source = 0, page;
	int huge = huge_file_page(fd, &page);

	if (huge < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot look at shared memory");
	for (size_t i = 0; i < pages->n_runs; i++) {
		const struct memory_run *run = &pages->runs[i];

		if (pages_fd < 0 || run->source != source) {
			cleanup_close(&pages_fd);
			source = run->source;
			pages_fd = images_open_pages(images, source, err);
		}
		if (pages_fd < 0 || (huge ? fill_huge_run(pages_fd, run, page, fd, err)
					  : fill_run(pages_fd, run, fd, err)))
			return -1;
	}
	return 0;
}
