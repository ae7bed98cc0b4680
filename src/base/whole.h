/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reading and writing all of something, however many calls it takes. */
#ifndef NESTOR_BASE_WHOLE_H
#define NESTOR_BASE_WHOLE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* 0, or -1 with errno. */
int write_whole(int fd, const void *bytes, size_t size);
int pwrite_whole(int fd, const void *bytes, size_t size, uint64_t offset);
/* The same; ENODATA where the file ends before. */
int pread_whole(int fd, void *bytes, size_t size, uint64_t offset);
/*
 * From one page cache to the other (sendfile(2)), from *offset on, to where `to` is. Returns how
 * much of it was there: less than `size` only where `from` ends before; -1 with errno.
 */
int64_t send_whole(int to, int from, off_t *offset, uint64_t size);

#endif
