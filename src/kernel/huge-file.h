/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files of huge pages (hugetlbfs). They can be read, but no call writes them, nor sends them to
 * another file; a size is one of whole pages, unless fallocate(2) has given it.
 */
#ifndef NESTOR_KERNEL_HUGE_FILE_H
#define NESTOR_KERNEL_HUGE_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* 1: it is one, with pages of that size; 0: it is none; -1 with errno. */
int huge_file_page(int fd, uint64_t *ret_page);

/* A page of one that is mapped to be written. */
struct huge_writer {
	int fd;
	uint64_t page;
	uint64_t at; /* where in the file */
	char *bytes; /* NULL: none */
};

/* As send_whole of base/whole.h, out of such a file. */
int64_t huge_file_send(int to, int from, off_t *offset, uint64_t size);
/*
 * Into such a file, whose pages have this size, from `at` on: what comes next in `from`, but for
 * zeros, of which the caller says which have a page (fallocate(2)). Returns as these.
 */
int64_t huge_file_fill(int to, uint64_t page, uint64_t at, int from, uint64_t size);

/* Makes the pages that are not there. 0, or -1 with errno. */
int huge_writer_write(struct huge_writer *writer, const void *bytes, size_t size, uint64_t offset);
void huge_writer_close(struct huge_writer *writer);
#define autohugewriter __attribute__((cleanup(huge_writer_close)))

/* The logarithm of the size of pages of what is mapped for reading, and for nothing else. */
int mapped_page(void *bytes, uint32_t *ret_logarithm);

/* Gives it a size that it can have. */
int huge_file_resize(int fd, uint64_t page, uint64_t size);

#endif
