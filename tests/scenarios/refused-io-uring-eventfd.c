// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-io-uring-eventfd
 * promise: an io_uring instance that tells an eventfd is refused where the kernel's memory cannot
 *	be read, and goes on telling it
 * flavours: flat three user user-three
 * needs: no-kernel_memory
 * refused: unsupported-file
 */
#include "ring.h"
#include "scenario.h"

#include <sys/eventfd.h>

int main(int argc, char **argv)
{
	struct io_uring_cqe cqe;
	struct ring ring;
	eventfd_t count = 0;

	scenario_begin(argc, argv);
	int event = eventfd(0, EFD_NONBLOCK);
	bool there = ring_make(&ring, 4, 0);
	int outside = there ? -1 : (int)syscall(SYS_userfaultfd, 1); /* refused as well */
	scenario_need(!there || syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_EVENTFD,
					&event, 1) == 0,
		      "cannot register");

	scenario_ready();

	scenario_check(!there || (ring_nop(&ring, 1) && ring_take(&ring, &cqe) &&
				  eventfd_read(event, &count) == 0 && count == 1),
		       "the eventfd is not told");
	scenario_check(there || outside >= 0, "there is neither io_uring nor userfaultfd");
	return scenario_end();
}
