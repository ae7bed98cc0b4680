// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-io-uring
 * promise: an io_uring instance with a request that waits for another file is refused, and the
 *	request is completed in time; and one with an eventfd that nobody has open
 * needs: initial-user-namespace
 * flavours: flat three
 * arguments: waiting eventfd
 * unseen: a request under way is seen in the memory of the ring
 * refused: unsupported-file
 */
#include "ring.h"
#include "scenario.h"

#include <poll.h>
#include <sys/eventfd.h>

static bool nop(struct ring *ring, uint64_t data)
{
	struct io_uring_cqe cqe = { 0 };

	return ring_nop(ring, data) && ring_take(ring, &cqe) && cqe.user_data == data;
}

static void waiting(void)
{
	struct ring ring;
	struct io_uring_cqe cqe = { 0 };
	int event = eventfd(0, 0);
	bool there = ring_make(&ring, 4, 0);
	int outside = there ? -1 : (int)syscall(SYS_userfaultfd, 1); /* refused as well */

	if (there) {
		ring_put(&ring, &(struct io_uring_sqe){ .opcode = IORING_OP_POLL_ADD,
							.fd = event,
							.poll32_events = POLLIN,
							.user_data = 7 });
		scenario_need(syscall(SYS_io_uring_enter, ring.fd, 1, 0, 0, NULL, 0) == 1,
			      "cannot submit");
	}

	scenario_ready();

	scenario_check(eventfd_write(event, 1) == 0, "cannot write");
	for (int i = 0; there && i < 5000 && !ring_take(&ring, &cqe); i++)
		syscall(SYS_io_uring_enter, ring.fd, 0, 0, IORING_ENTER_GETEVENTS, NULL, 0);
	scenario_check(!there || (cqe.user_data == 7 && cqe.res & POLLIN),
		       "the request is not completed");
	scenario_check(there || outside >= 0, "there is neither io_uring nor userfaultfd");
}

static void eventfd_closed(void)
{
	struct ring ring;
	int event = eventfd(0, 0);
	bool there = ring_make(&ring, 4, 0);
	int outside = there ? -1 : (int)syscall(SYS_userfaultfd, 1); /* refused as well */

	scenario_need(!there || syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_EVENTFD,
					&event, 1) == 0,
		      "cannot register");
	close(event);

	scenario_ready();

	scenario_check(!there || nop(&ring, 1), "it does not go on");
	scenario_check(there || outside >= 0, "there is neither io_uring nor userfaultfd");
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	if (!strcmp(argv[2], "waiting"))
		waiting();
	if (!strcmp(argv[2], "eventfd"))
		eventfd_closed();
	return scenario_end();
}
