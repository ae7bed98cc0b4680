/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* io_uring with the calls alone, for scenarios. */
#ifndef NESTOR_TESTS_RING_H
#define NESTOR_TESTS_RING_H

#include <linux/io_uring.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { RING_NO_SQARRAY = 1 << 16 }; /* 6.6 */

struct ring {
	int fd;
	struct io_uring_params params;
	uint8_t *queues;
	uint8_t *sqes;
	size_t sqe_size, cqe_size;
	uint32_t tail; /* as a program counts along */
};

static inline _Atomic uint32_t *ring_word(const struct ring *ring, uint32_t offset)
{
	return (_Atomic uint32_t *)(void *)(ring->queues + offset);
}

/* False where there is no io_uring, or not this one. */
static inline bool ring_make_with(struct ring *ring, unsigned entries,
				  const struct io_uring_params *params)
{
	*ring = (struct ring){ .params = *params };
	ring->fd = (int)syscall(SYS_io_uring_setup, entries, &ring->params);
	if (ring->fd < 0)
		return false;
	ring->sqe_size = sizeof(struct io_uring_sqe) << !!(params->flags & IORING_SETUP_SQE128);
	ring->cqe_size = sizeof(struct io_uring_cqe) << !!(params->flags & IORING_SETUP_CQE32);
	size_t size = ring->params.cq_off.cqes + ring->params.cq_entries * ring->cqe_size +
		      entries * sizeof(uint32_t);
	ring->queues =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, IORING_OFF_SQ_RING);
	ring->sqes = mmap(NULL, entries * ring->sqe_size, PROT_READ | PROT_WRITE, MAP_SHARED,
			  ring->fd, IORING_OFF_SQES);
	for (uint32_t i = 0; i < entries && !(params->flags & RING_NO_SQARRAY); i++)
		*ring_word(ring, ring->params.sq_off.array + 4 * i) = i;
	return ring->queues != MAP_FAILED && ring->sqes != MAP_FAILED;
}

static inline bool ring_make(struct ring *ring, unsigned entries, unsigned flags)
{
	return ring_make_with(ring, entries, &(struct io_uring_params){ .flags = flags });
}

/* Puts one in, and does not tell the kernel. */
static inline void ring_put(struct ring *ring, const struct io_uring_sqe *sqe)
{
	memcpy(ring->sqes + (ring->tail & (ring->params.sq_entries - 1)) * ring->sqe_size, sqe,
	       sizeof *sqe);
	*ring_word(ring, ring->params.sq_off.tail) = ++ring->tail;
}

static inline int ring_submit(const struct ring *ring, unsigned count)
{
	return (int)syscall(SYS_io_uring_enter, ring->fd, count, count, IORING_ENTER_GETEVENTS,
			    NULL, 0);
}

/* Takes one out; false if there is none. */
static inline bool ring_take(const struct ring *ring, struct io_uring_cqe *ret)
{
	uint32_t head = *ring_word(ring, ring->params.cq_off.head);

	if (head == *ring_word(ring, ring->params.cq_off.tail))
		return false;
	memcpy(ret,
	       ring->queues + ring->params.cq_off.cqes +
		       (head & (ring->params.cq_entries - 1)) * ring->cqe_size,
	       sizeof *ret);
	*ring_word(ring, ring->params.cq_off.head) = head + 1;
	return true;
}

static inline bool ring_nop(struct ring *ring, uint64_t data)
{
	ring_put(ring, &(struct io_uring_sqe){ .opcode = IORING_OP_NOP, .user_data = data });
	return ring_submit(ring, 1) == 1;
}

/* Of one with a thread of the kernel's own, which may sleep. */
static inline bool ring_polled_nop(struct ring *ring, uint64_t data)
{
	struct io_uring_cqe cqe = { 0 };

	ring_put(ring, &(struct io_uring_sqe){ .opcode = IORING_OP_NOP, .user_data = data });
	syscall(SYS_io_uring_enter, ring->fd, 1, 0, IORING_ENTER_SQ_WAKEUP, NULL, 0);
	for (int i = 0; i < 5000 && !ring_take(ring, &cqe); i++)
		usleep(1000);
	return cqe.user_data == data;
}

#endif
