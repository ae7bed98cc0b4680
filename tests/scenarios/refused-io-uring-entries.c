// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-io-uring-entries
 * promise: where the kernel's memory cannot be read, an io_uring instance that shows larger entries
 *	is refused, and goes on
 * needs: no-kernel_memory
 * flavours: flat three user
 * arguments: array twice full requests both
 * unseen: sizes are seen in the memory of the ring
 * refused: unsupported-file
 */
#include "ring.h"
#include "scenario.h"

static bool nop(struct ring *ring, uint64_t data)
{
	struct io_uring_cqe cqe = { 0 };

	return ring_nop(ring, data) && ring_take(ring, &cqe) && cqe.user_data == data;
}

/* Without an array of indexes (IORING_SETUP_NO_SQARRAY) there is less to tell them by. */
static const struct larger {
	const char *name;
	unsigned flags, requests;
} kinds[] = {
	{ "array", IORING_SETUP_CQE32, 0 },
	{ "twice", IORING_SETUP_CQE32 | RING_NO_SQARRAY, 2 },
	{ "full", IORING_SETUP_CQE32 | RING_NO_SQARRAY, 50 },
	{ "requests", IORING_SETUP_SQE128 | RING_NO_SQARRAY, 7 },
	{ "both", IORING_SETUP_SQE128 | IORING_SETUP_CQE32, 7 },
};

static void larger(const struct larger *kind)
{
	struct ring ring;
	bool there = ring_make(&ring, 8, kind->flags);
	int outside = there ? -1 : (int)syscall(SYS_userfaultfd, 1); /* refused as well */

	for (uint64_t i = 1; there && i <= kind->requests; i++)
		scenario_need(nop(&ring, i), "a request that does nothing");

	scenario_ready();

	for (uint64_t i = 1; there && i <= 20; i++)
		scenario_check(nop(&ring, 100 + i), "it does not go on");
	scenario_check(there || outside >= 0, "there is neither io_uring nor userfaultfd");
}

int main(int argc, char **argv)
{
	const struct larger *kind = kinds;

	scenario_begin(argc, argv);
	while (strcmp(kind->name, argv[2]) != 0)
		kind++;
	larger(kind);
	return scenario_end();
}
