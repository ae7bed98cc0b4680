// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-io-uring-entries
 * promise: io_uring instances with larger entries, or that were set up to complete or submit in
 *	other ways, go on so, with completions that nobody has taken and submissions that nobody
 *	has told of
 * needs: initial-user-namespace kernel_memory
 * flavours: flat one three user user-three
 * arguments: completions submissions both single untouched all polled
 */
#include "ring.h"
#include "scenario.h"

#include <errno.h>

enum { ENTRIES = 8, SINGLE = IORING_SETUP_SINGLE_ISSUER | 1 << 13, COUNT = 21 };

static const struct kind {
	const char *name;
	unsigned flags, requests;
} kinds[] = {
	{ "completions", IORING_SETUP_CQE32, COUNT },
	{ "submissions", IORING_SETUP_SQE128 | RING_NO_SQARRAY, COUNT },
	{ "both", IORING_SETUP_SQE128 | IORING_SETUP_CQE32, COUNT },
	{ "single", IORING_SETUP_SQE128 | IORING_SETUP_CQE32 | SINGLE, COUNT },
	{ "untouched", IORING_SETUP_SQE128 | IORING_SETUP_CQE32 | RING_NO_SQARRAY, 0 },
	{ "all", IORING_SETUP_SUBMIT_ALL | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
	  3 },
	{ "polled", IORING_SETUP_IOPOLL | IORING_SETUP_SQE128, 3 },
};

static void put_nop(struct ring *ring, uint64_t data)
{
	ring_put(ring, &(struct io_uring_sqe){ .opcode = IORING_OP_NOP, .user_data = data });
}

static void reach(struct ring *ring, unsigned requests)
{
	struct io_uring_cqe cqe;

	for (uint64_t i = 0; i < requests; i++)
		scenario_need(ring_nop(ring, i) && ring_take(ring, &cqe) && cqe.user_data == i,
			      "a request that does nothing");
	if (!requests)
		return;
	scenario_need(ring_nop(ring, 100) && ring_nop(ring, 101), "two that nobody takes");
	put_nop(ring, 200);
}

static void check_left(struct ring *ring)
{
	struct io_uring_cqe cqe = { 0 };

	for (uint64_t i = 100; i <= 101; i++)
		scenario_check(ring_take(ring, &cqe) && cqe.user_data == i, "a completion is gone");
	scenario_check(ring_submit(ring, 1) == 1 && ring_take(ring, &cqe) && cqe.user_data == 200,
		       "a submission is gone");
}

/* The first of two is none: whether the second is taken is a flag of the ring. */
static void check_errors(struct ring *ring, bool takes_all)
{
	struct io_uring_cqe cqe = { 0 };
	const int wanted = takes_all ? 2 : 1;

	ring_put(ring, &(struct io_uring_sqe){ .opcode = 255, .user_data = 300 });
	put_nop(ring, 301);
	int taken = (int)syscall(SYS_io_uring_enter, ring->fd, 2, 0, 0, NULL, 0);
	scenario_check(taken == wanted, "%d are taken, not %d", taken, wanted);
	if (taken == 1)
		ring_submit(ring, 1);
	scenario_check(ring_take(ring, &cqe) && cqe.user_data == 300 && cqe.res < 0,
		       "what is no request is done");
	scenario_check(ring_take(ring, &cqe) && cqe.user_data == 301 && cqe.res == 0,
		       "a request after it is not done");
}

/* What waits for files is nothing for who looks for completions of disks. */
static void check_polled(struct ring *ring, bool is_polled)
{
	struct io_uring_cqe cqe = { 0 };

	ring_put(ring, &(struct io_uring_sqe){
			       .opcode = IORING_OP_EPOLL_CTL, .fd = -1, .user_data = 400 });
	syscall(SYS_io_uring_enter, ring->fd, 1, 0, 0, NULL, 0);
	scenario_check(ring_take(ring, &cqe) && cqe.user_data == 400 &&
			       (cqe.res == -EINVAL) == is_polled,
		       "an operation of others gives %d", cqe.res);
}

int main(int argc, char **argv)
{
	const struct kind *kind = kinds;
	struct io_uring_cqe cqe = { 0 };
	struct ring ring;

	scenario_begin(argc, argv);
	while (strcmp(kind->name, argv[2]) != 0)
		kind++;
	bool there = ring_make(&ring, ENTRIES, kind->flags);
	if (!there)
		scenario_note("there is no such io_uring here");
	else
		reach(&ring, kind->requests);

	scenario_ready();

	if (!there)
		return scenario_end();
	if (kind->requests)
		check_left(&ring);
	for (uint64_t i = 0; i < 2 * ENTRIES + 3; i++)
		scenario_check(ring_nop(&ring, i) && ring_take(&ring, &cqe) && cqe.user_data == i,
			       "it does not go on");
	check_errors(&ring, kind->flags & IORING_SETUP_SUBMIT_ALL);
	check_polled(&ring, kind->flags & IORING_SETUP_IOPOLL);
	return scenario_end();
}
