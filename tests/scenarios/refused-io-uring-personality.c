// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-io-uring-personality
 * promise: an io_uring instance that has personalities is refused, also where only one thread may
 *	submit to it, and where they are many; and one that has given out too many numbers; requests
 *	go on acting so
 * needs: initial-user-namespace kernel_memory
 * flavours: flat three user
 * arguments: one single many numbers
 * refused: unsupported-file
 */
#include "ring.h"
#include "scenario.h"

enum { MANY = 100, NUMBERS = 1100 };

static struct ring ring;

static int call(unsigned opcode, int number)
{
	return (int)syscall(SYS_io_uring_register, ring.fd, opcode, NULL, number);
}

static int register_some(const char *how)
{
	int number = call(IORING_REGISTER_PERSONALITY, 0);

	for (int i = 0; i < MANY && strcmp(how, "many") == 0; i++)
		number = call(IORING_REGISTER_PERSONALITY, 0);
	for (int i = 0; i < NUMBERS && strcmp(how, "numbers") == 0; i++)
		scenario_need(call(IORING_UNREGISTER_PERSONALITY, number) == 0 &&
				      (number = call(IORING_REGISTER_PERSONALITY, 0)) > 0,
			      "not many: %m");
	if (strcmp(how, "numbers") == 0)
		scenario_need(call(IORING_UNREGISTER_PERSONALITY, number) == 0, "not back: %m");
	return number;
}

int main(int argc, char **argv)
{
	struct io_uring_cqe cqe = { 0 };

	scenario_begin(argc, argv);
	unsigned flags = strcmp(argv[2], "single") == 0 ? IORING_SETUP_SINGLE_ISSUER : 0;
	scenario_need(ring_make(&ring, 4, flags), "no io_uring: %m");
	int number = register_some(argv[2]);
	scenario_need(number > 0, "no personality: %m");

	scenario_ready();

	if (strcmp(argv[2], "numbers") == 0)
		number = call(IORING_REGISTER_PERSONALITY, 0);
	ring_put(&ring, &(struct io_uring_sqe){ .opcode = IORING_OP_NOP,
						.personality = (uint16_t)number });
	scenario_check(ring_submit(&ring, 1) == 1 && ring_take(&ring, &cqe) && cqe.res == 0,
		       "it does not act so: %d", cqe.res);
	return scenario_end();
}
