/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * For which parts of a file in memory (tmpfs, hugetlbfs) there is memory, be it data or only
 * reserved (fallocate(2)), also behind the end of the file.
 */
#ifndef NESTOR_KERNEL_FILE_PARTS_H
#define NESTOR_KERNEL_FILE_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct file_part {
	uint64_t start, end;
};

struct file_parts {
	struct file_part *parts; /* in order, none next to another */
	size_t n, room;
};

/* Can it be told of files there? The number of its type, as statfs(2) has it. */
bool file_parts_told(long file_system);
/* `fd` is open for reading; 0, or -1 with errno. */
int file_parts_read(int fd, struct file_parts *ret_parts);
void file_parts_free(struct file_parts *parts);

#define autoparts __attribute__((cleanup(file_parts_free)))

#endif
