// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * How an io_uring instance was set up (IORING_SETUP_*): in the kernel's memory alone. Where that
 * may not be read, what calls and the memory of the ring tell of it has to do (io-uring-collect.c,
 * io-uring-queues.c). Whose memory the queues are in, and that their entries are of one size,
 * decides whether it can be made again.
 */
#include "kinds/memory/io-uring.h"

#include "collect/collect.h"
#include "collect/read-kernel.h"

#include <errno.h>

#define PLACES(X)                                               \
	X(FILE_DATA, "file", "private_data")                    \
	X(RING_FLAGS, "io_ring_ctx", "flags")                   \
	X(RESTRICTED, "io_ring_ctx", "restricted")              \
	X(OPS_ONLY, "io_ring_ctx", "op_restricted") /* newer */ \
	X(CALLS_ONLY, "io_ring_ctx", "reg_restricted")

KERNEL_PLACES(PLACES, RESTRICTED);

/* The kernel's thread and its processor are found otherwise (io-uring-thread.c). */
static const uint32_t how_made = IORING_SETUP_SQPOLL | IORING_SETUP_SQ_AFF | IORING_SETUP_CQSIZE |
				 IORING_SETUP_CLAMP | IORING_SETUP_ATTACH_WQ |
				 IORING_SETUP_R_DISABLED;

static int refuse(uint32_t flags, const char *what, struct error *err)
{
	if (flags & RING_SETUP_NO_MMAP)
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "%s: an io_uring instance whose queues are in memory of the program's "
			    "(NO_MMAP)",
			    what);
	if (flags & (RING_SETUP_CQE_MIXED | RING_SETUP_SQE_MIXED))
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "%s: an io_uring instance with entries of two sizes (CQE_MIXED, "
			    "SQE_MIXED)",
			    what);
	return fail(err, ERR_UNSUPPORTED_FILE,
		    "%s: an io_uring instance that was set up in a way that is not known (%#x)",
		    what, flags);
}

int ring_collect_setup(struct collect *collect, int fd, const char *what, IoUringEntry *ring,
		       struct error *err)
{
	struct kernel_reader *by;
	int result = collect_read_kernel(collect, &places, &by);

	if (result > 0)
		return 1;
	uint64_t address = result ? 0 : kernel_pointer(by, kernel_file(by, fd), FILE_DATA);
	uint32_t flags = result ? 0 : kernel_number(by, address, RING_FLAGS);
	/* Which may allow all calls that would show it. */
	bool restricted = !result && (kernel_bit(by, address, RESTRICTED) ||
				      kernel_bit(by, address, OPS_ONLY) ||
				      kernel_bit(by, address, CALLS_ONLY));
	if (result || kernel_reader_end(by))
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot see how it was set up",
				  what);
	if (restricted)
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "%s: an io_uring instance that has restrictions", what);
	ring->setup_flags = flags & ~how_made;
	return ring->setup_flags & ~RING_KEPT_FLAGS ? refuse(ring->setup_flags, what, err) : 0;
}

size_t ring_sqe_size(uint32_t setup_flags)
{
	return sizeof(struct io_uring_sqe) << !!(setup_flags & IORING_SETUP_SQE128);
}

size_t ring_cqe_size(uint32_t setup_flags)
{
	return sizeof(struct io_uring_cqe) << !!(setup_flags & IORING_SETUP_CQE32);
}
