// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-io-uring-personality
 * promise: numbers of personalities of an io_uring instance that were taken back are not given out
 *	again, and requests that name them are refused
 * needs: initial-user-namespace kernel_memory
 * flavours: flat one three user user-three
 * arguments: any single
 * rounds: 2
 */
#include "ring.h"
#include "scenario.h"

#include <errno.h>

enum { COUNT = 3 };

static struct ring ring;

static int call(unsigned opcode, int number)
{
	return (int)syscall(SYS_io_uring_register, ring.fd, opcode, NULL, number);
}

static void check_gone(int number)
{
	struct io_uring_cqe cqe = { 0 };

	ring_put(&ring, &(struct io_uring_sqe){ .opcode = IORING_OP_NOP,
						.personality = (uint16_t)number });
	scenario_check(ring_submit(&ring, 1) == 1 && ring_take(&ring, &cqe) && cqe.res == -EINVAL,
		       "%d acts so: %d", number, cqe.res);
	scenario_check(call(IORING_UNREGISTER_PERSONALITY, number) < 0 && errno == EINVAL,
		       "%d is there", number);
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	unsigned flags = strcmp(argv[2], "single") == 0 ? IORING_SETUP_SINGLE_ISSUER : 0;
	scenario_need(ring_make(&ring, 4, flags), "no io_uring: %m");
	for (int i = 1; i <= COUNT; i++)
		scenario_need(call(IORING_REGISTER_PERSONALITY, 0) == i, "not number %d: %m", i);
	for (int i = 1; i <= COUNT; i++)
		scenario_need(call(IORING_UNREGISTER_PERSONALITY, i) == 0, "not back: %m");

	scenario_ready();

	for (int i = 1; i <= COUNT + 1; i++)
		check_gone(i);
	int next = call(IORING_REGISTER_PERSONALITY, 0);
	scenario_check(next == COUNT + 1, "the next number is %d", next);
	return scenario_end();
}
