// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Pages are asked for by fallocate(2) before they are touched: where there is none left that fails,
 * while touching it would end the process (SIGBUS).
 */
#include "kernel/huge-file.h"

#include "base/whole.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

/* Logarithms of sizes of pages. */
enum { SMALL = 12, TOO_LARGE = 40 };
enum { COPY_SIZE = 64 * 1024 };

int huge_file_page(int fd, uint64_t *ret_page)
{
	struct statfs fs;

	if (fstatfs(fd, &fs))
		return -1;
	*ret_page = (uint64_t)fs.f_bsize;
	return fs.f_type == HUGETLBFS_MAGIC;
}

void huge_writer_close(struct huge_writer *writer)
{
	if (writer->bytes)
		munmap(writer->bytes, writer->page);
	writer->bytes = NULL;
}

/* What lies behind the last whole page cannot be mapped. */
static int map_page(struct huge_writer *writer, uint64_t at)
{
	struct stat stat;

	if (writer->bytes && writer->at == at)
		return 0;
	huge_writer_close(writer);
	if (fstat(writer->fd, &stat))
		return -1;
	if (at + writer->page > (uint64_t)stat.st_size) {
		errno = EFBIG;
		return -1;
	}
	if (fallocate(writer->fd, FALLOC_FL_KEEP_SIZE, (off_t)at, (off_t)writer->page))
		return -1;
	void *bytes = mmap(NULL, writer->page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
			   writer->fd, (off_t)at);
	if (bytes == MAP_FAILED)
		return -1;
	writer->bytes = bytes;
	writer->at = at;
	return 0;
}

int huge_writer_write(struct huge_writer *writer, const void *bytes, size_t size, uint64_t offset)
{
	for (const char *from = bytes; size;) {
		uint64_t within = offset % writer->page;
		size_t part = size < writer->page - within ? size : writer->page - within;
		if (map_page(writer, offset - within))
			return -1;
		memcpy(writer->bytes + within, from, part);
		from += part;
		offset += part;
		size -= part;
	}
	return 0;
}

/* No area ends within a page (hugetlb_vm_op_split): so what can be protected by itself is one. */
int mapped_page(void *bytes, uint32_t *ret_logarithm)
{
	for (uint32_t logarithm = SMALL; logarithm < TOO_LARGE; logarithm++)
		if (mprotect(bytes, (size_t)1 << logarithm, PROT_NONE) == 0) {
			*ret_logarithm = logarithm;
			return mprotect(bytes, (size_t)1 << logarithm, PROT_READ);
		} else if (errno != EINVAL) {
			return -1;
		}
	return -1;
}

int64_t huge_file_send(int to, int from, off_t *offset, uint64_t size)
{
	char buffer[COPY_SIZE];
	uint64_t done = 0;

	while (done < size) {
		uint64_t left = size - done;
		ssize_t got =
			pread(from, buffer, left < sizeof buffer ? left : sizeof buffer, *offset);
		if (got < 0 || write_whole(to, buffer, (size_t)got))
			return -1;
		if (got == 0)
			break;
		*offset += got;
		done += (uint64_t)got;
	}
	return (int64_t)done;
}

int64_t huge_file_fill(int to, uint64_t page, uint64_t at, int from, uint64_t size)
{
	autohugewriter struct huge_writer writer = { .fd = to, .page = page };
	static const char zeros[COPY_SIZE];
	char buffer[COPY_SIZE];
	uint64_t done = 0;

	while (done < size) {
		uint64_t left = size - done;
		ssize_t got = read(from, buffer, left < sizeof buffer ? left : sizeof buffer);
		if (got < 0 || (memcmp(buffer, zeros, (size_t)got) != 0 &&
				huge_writer_write(&writer, buffer, (size_t)got, at + done)))
			return -1;
		if (got == 0)
			break;
		done += (uint64_t)got;
	}
	return (int64_t)done;
}

int huge_file_resize(int fd, uint64_t page, uint64_t size)
{
	if (ftruncate(fd, (off_t)(size / page * page)))
		return -1;
	return size % page ? fallocate(fd, 0, (off_t)size - 1, 1) : 0;
}
