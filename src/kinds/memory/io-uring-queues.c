// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The memory of an io_uring instance: where in it the queues are (the kernel tells only who makes
 * one, so we make one of the same size), and what is in them.
 */
#include "kinds/memory/io-uring.h"
#include "kinds/memory/memory.h"

#include "base/cleanup.h"
#include "collect/collect.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

int ring_layout(const IoUringEntry *ring, struct ring_layout *ret_layout, struct error *err)
{
	struct io_uring_params params = { .flags = IORING_SETUP_CQSIZE |
						   (ring->setup_flags &
						    (IORING_SETUP_SQE128 | IORING_SETUP_CQE32)),
					  .cq_entries = ring->cq_entries };
	autoclose int fd = (int)syscall(SYS_io_uring_setup, ring->sq_entries, &params);

	if (fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot make an io_uring instance");
	*ret_layout = (struct ring_layout){
		.sq = params.sq_off,
		.cq = params.cq_off,
		.ring_bytes = params.sq_off.array + ring->sq_entries * sizeof(uint32_t),
		.sqe_bytes = ring->sq_entries * ring_sqe_size(ring->setup_flags),
	};
	return 0;
}

static uint64_t whole_pages(uint64_t bytes)
{
	return (bytes + AREA_PAGE - 1) / AREA_PAGE * AREA_PAGE;
}

/* What the kernel lays out before the array of indexes is less than a line and the completions. */
uint64_t ring_area_size(const IoUringEntry *ring, uint64_t offset)
{
	enum { HEAD = 512 };

	if (offset == IORING_OFF_SQES)
		return whole_pages((uint64_t)ring->sq_entries * ring_sqe_size(ring->setup_flags));
	if (offset == IORING_OFF_SQ_RING || offset == IORING_OFF_CQ_RING)
		return whole_pages(HEAD +
				   (uint64_t)ring->cq_entries * ring_cqe_size(ring->setup_flags) +
				   (uint64_t)ring->sq_entries * sizeof(uint32_t));
	return 0;
}

/* Memory of a ring, mapped by us. What is behind its end would be a SIGBUS, hence the call. */
static int read_mapped(int fd, uint64_t offset, size_t from, size_t size, void *ret_bytes)
{
	size_t whole = whole_pages(from + size);
	uint8_t *bytes = mmap(NULL, whole, PROT_READ, MAP_SHARED, fd, (off_t)offset);

	if (bytes == MAP_FAILED)
		return -1;
	struct iovec local = { ret_bytes, size }, remote = { bytes + from, size };
	ssize_t got = process_vm_readv(getpid(), &local, 1, &remote, 1, 0);
	munmap(bytes, whole);
	return got == (ssize_t)size ? 0 : -1;
}

static int read_word(int fd, uint32_t offset, uint32_t *ret)
{
	return read_mapped(fd, IORING_OFF_SQ_RING, offset, sizeof *ret, ret);
}

static bool is_zero(const uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (bytes[i])
			return false;
	return true;
}

static int read_bytes(struct arena *arena, int fd, uint64_t offset, size_t from, size_t size,
		      ProtobufCBinaryData *ret)
{
	ret->data = arena_alloc(arena, size);
	ret->len = size;
	return read_mapped(fd, offset, from, size, ret->data);
}

/*
 * Libraries fill the array once, each entry with its own index; without one nobody writes there.
 * -1: it has to be there, and is not.
 */
static int collect_array(struct arena *arena, int fd, const struct ring_layout *layout,
			 bool is_known, IoUringEntry *ring)
{
	size_t size = ring->sq_entries * sizeof(uint32_t);
	const size_t second = sizeof(struct io_uring_sqe);

	if (is_known && ring->setup_flags & RING_SETUP_NO_SQARRAY)
		return 0;
	bool there = read_bytes(arena, fd, IORING_OFF_SQ_RING, layout->sq.array, size,
				&ring->sq_array) == 0;
	if (is_known) {
		ring->has_sq_array = true;
		return there ? 0 : -1;
	}
	bool always_first = ring->sq_count > 1 && ring->sq_entries > 1 &&
			    is_zero(ring->sqes.data + second, second);

	ring->has_sq_array = there && (!is_zero(ring->sq_array.data, size) || always_first ||
				       ring->sq_entries == 1);
	if (!ring->has_sq_array)
		ring->setup_flags |= RING_SETUP_NO_SQARRAY;
	return 0;
}

/* From there to the end of its page, which nobody writes to. What cannot be read tells nothing. */
static bool is_written_after(struct arena *arena, int fd, uint64_t offset, size_t from)
{
	ProtobufCBinaryData rest;

	return whole_pages(from) > from &&
	       read_bytes(arena, fd, offset, from, whole_pages(from) - from, &rest) == 0 &&
	       !is_zero(rest.data, rest.len);
}

/*
 * The kernel does not tell that entries are twice as large, and where all fits into a page that is
 * not seen by sizes either. But then things are where there can be nothing: behind the end, and
 * in places of completions that have not been given yet.
 */
static bool has_larger_entries(struct arena *arena, int fd, const struct ring_layout *layout,
			       const IoUringEntry *ring)
{
	size_t given = ring->cq_count * sizeof(struct io_uring_cqe);

	return (ring->cq_count < ring->cq_entries &&
		!is_zero(ring->cqes.data + given, ring->cqes.len - given)) ||
	       is_written_after(arena, fd, IORING_OFF_SQ_RING, layout->ring_bytes) ||
	       is_written_after(arena, fd, IORING_OFF_SQES, layout->sqe_bytes);
}

int ring_collect_queues(struct arena *arena, int fd, bool is_known, IoUringEntry *ring,
			const char *what, struct error *err)
{
	struct ring_layout layout;
	uint32_t sq_mask = 0, sq_head = 0, cq_tail = 0;

	if (ring_layout(ring, &layout, err))
		return -1;
	if (read_word(fd, layout.sq.ring_mask, &sq_mask) || sq_mask != ring->sq_entries - 1 ||
	    read_word(fd, layout.sq.head, &sq_head) ||
	    read_word(fd, layout.sq.tail, &ring->sq_tail) ||
	    read_word(fd, layout.sq.dropped, &ring->sq_dropped) ||
	    read_word(fd, layout.cq.head, &ring->cq_head) ||
	    read_word(fd, layout.cq.tail, &cq_tail) ||
	    read_word(fd, layout.cq.overflow, &ring->cq_overflow) ||
	    read_word(fd, layout.cq.flags, &ring->cq_flags) ||
	    read_bytes(arena, fd, IORING_OFF_SQES, 0, layout.sqe_bytes, &ring->sqes) ||
	    read_bytes(arena, fd, IORING_OFF_SQ_RING, layout.cq.cqes,
		       ring->cq_entries * ring_cqe_size(ring->setup_flags), &ring->cqes))
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "%s: its queues cannot be mapped as those of others", what);
	ring->sq_tail_at = layout.sq.tail;
	ring->cq_head_at = layout.cq.head;
	ring->cq_tail_at = layout.cq.tail;
	if (sq_head != ring->sq_count || cq_tail != ring->cq_count)
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "%s: its queues do not agree with its counters", what);
	if (!is_known && has_larger_entries(arena, fd, &layout, ring))
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "%s: an io_uring instance with entries of another size", what);
	if (collect_array(arena, fd, &layout, is_known, ring))
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "%s: the indexes of its submissions cannot be read", what);
	return 0;
}

void ring_assume_queues(struct arena *arena, bool is_known, IoUringEntry *ring)
{
	if (!is_known)
		ring->setup_flags |= RING_SETUP_NO_SQARRAY;
	ring->has_sq_array = !(ring->setup_flags & RING_SETUP_NO_SQARRAY);
	ring->sq_array.len = ring->has_sq_array ? ring->sq_entries * sizeof(uint32_t) : 0;
	ring->sq_array.data = arena_alloc(arena, ring->sq_array.len);
	ring->cq_count = ring->cq_head = ring->sq_tail = ring->sq_count;
	ring->sqes.len = ring->sq_entries * ring_sqe_size(ring->setup_flags);
	ring->sqes.data = arena_alloc(arena, ring->sqes.len);
	ring->cqes.len = ring->cq_entries * ring_cqe_size(ring->setup_flags);
	ring->cqes.data = arena_alloc(arena, ring->cqes.len);
	ring->has_submitter = true; /* a thread says, when it is asked */
}
