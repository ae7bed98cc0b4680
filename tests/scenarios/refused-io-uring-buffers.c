// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-io-uring-buffers
 * promise: an io_uring instance with buffers provided for any group is refused, be they given one
 *	by one or in a ring, also where one thread only may ask for them; one with a clock of its
 *	own is refused as well
 * flavours: flat three user user-three
 * needs: kernel_memory
 * arguments: buffers ring alone alone-ring clock
 * refused: unsupported-file
 */
#include "ring.h"
#include "scenario.h"

#include <stdlib.h>
#include <time.h>

enum { GROUP = 37, SIZE = 64, REGISTER_CLOCK = 29 };

static char memory[SIZE];

static void provide(struct ring *ring)
{
	struct io_uring_cqe cqe = { .res = -1 };

	ring_put(ring, &(struct io_uring_sqe){ .opcode = IORING_OP_PROVIDE_BUFFERS,
					       .fd = 1,
					       .addr = (uintptr_t)memory,
					       .len = SIZE,
					       .off = 5,
					       .buf_group = GROUP });
	scenario_need(ring_submit(ring, 1) == 1 && ring_take(ring, &cqe) && cqe.res >= 0,
		      "cannot provide: %d", cqe.res);
}

static void provide_ring(const struct ring *ring)
{
	struct io_uring_buf_reg buffers = { .ring_addr = (uintptr_t)aligned_alloc(4096, 4096),
					    .ring_entries = 8,
					    .bgid = GROUP };

	memset((void *)(uintptr_t)buffers.ring_addr, 0, 4096);
	scenario_need(
		!syscall(SYS_io_uring_register, ring->fd, IORING_REGISTER_PBUF_RING, &buffers, 1),
		"cannot provide a ring: %m");
}

static void set_clock(const struct ring *ring)
{
	uint32_t clock[4] = { CLOCK_BOOTTIME };

	scenario_need(!syscall(SYS_io_uring_register, ring->fd, REGISTER_CLOCK, clock, 0),
		      "cannot set the clock: %m");
}

int main(int argc, char **argv)
{
	struct ring ring;
	struct io_uring_cqe cqe = { .res = -1 };

	scenario_begin(argc, argv);
	const char *how = argv[2];
	scenario_need(
		ring_make(&ring, 4, strncmp(how, "alone", 5) ? 0 : IORING_SETUP_SINGLE_ISSUER),
		"no ring");
	if (!strcmp(how, "clock"))
		set_clock(&ring);
	else if (strstr(how, "ring"))
		provide_ring(&ring);
	else
		provide(&ring);

	scenario_ready();

	scenario_check(ring_nop(&ring, 1) && ring_take(&ring, &cqe) && cqe.res == 0,
		       "it does not go on");
	return scenario_end();
}
