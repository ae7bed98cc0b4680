/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ring buffers of bpf(2) (BPF_MAP_TYPE_RINGBUF, Documentation/bpf/ringbuf.rst): programs put
 * records into one, and whoever has it mapped reads them, and writes how far. All with errno.
 */
#ifndef NESTOR_KERNEL_RING_BUFFER_H
#define NESTOR_KERNEL_RING_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RING_BUFFER_PAGE = 4096 };

/* As it is mapped: a page of who reads, one of who writes, and the data twice. */
struct ring_buffer {
	int fd;
	size_t size; /* a power of two */
	uint8_t *reader;
	const uint8_t *writer, *data;
};

/* Who may write says up to where was read. -1: nothing is left open. */
int ring_buffer_open(int fd, size_t size, bool writes, struct ring_buffer *ret);
void ring_buffer_close(struct ring_buffer *ring);

struct ring_buffer_positions {
	uint64_t read, written; /* up to where, from the beginning on */
};

/* false: these are none that the kernel would write at. */
bool ring_buffer_positions(const struct ring_buffer *ring, struct ring_buffer_positions *ret);
/* What has not been read: consists of whole records, none of which is under way. */
bool ring_buffer_is_at_rest(const struct ring_buffer *ring,
			    const struct ring_buffer_positions *positions);
/* How many records it takes to get there, if nothing waits to be read. */
uint64_t ring_buffer_distance(const struct ring_buffer *ring, uint64_t position);
/*
 * Of a new one: to where a recorded one was, with what had not been read there, and what was in the
 * page of the reader.
 */
int ring_buffer_fill(struct ring_buffer *ring, const struct ring_buffer_positions *positions,
		     const uint8_t *reader, const uint8_t *unread);

#endif
