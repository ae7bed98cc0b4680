// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-io-uring-message
 * promise: a message to an io_uring instance whose thread has not taken it is not lost: the dump is
 *	refused, and the thread has it when it waits
 * flavours: flat three user user-three
 * needs: kernel_memory
 * unseen: in a tree that runs it may come and go
 * refused: requests-in-flight
 */
#include "ring.h"
#include "scenario.h"

enum { DEFER_TASKRUN = 1 << 13, DATA = 11, LENGTH = 3 };

int main(int argc, char **argv)
{
	struct ring from, to;
	struct io_uring_cqe cqe = { .res = -1 };

	scenario_begin(argc, argv);
	scenario_need(ring_make(&from, 4, 0) &&
			      ring_make(&to, 4, IORING_SETUP_SINGLE_ISSUER | DEFER_TASKRUN),
		      "no rings");
	ring_put(&from,
		 &(struct io_uring_sqe){
			 .opcode = IORING_OP_MSG_RING, .fd = to.fd, .len = LENGTH, .off = DATA });
	scenario_need(ring_submit(&from, 1) == 1 && ring_take(&from, &cqe) && cqe.res == 0,
		      "cannot send: %d", cqe.res);
	scenario_need(!ring_take(&to, &cqe), "it is there at once");

	scenario_ready();

	syscall(SYS_io_uring_enter, to.fd, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0);
	scenario_check(ring_take(&to, &cqe) && cqe.user_data == DATA && cqe.res == LENGTH,
		       "the message is lost");
	return scenario_end();
}
