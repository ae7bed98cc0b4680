// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-io-uring-polled
 * promise: an io_uring instance with a thread of the kernel's own is refused at the dump where a
 *	restore could not make it: below more than one pid namespace of the tree, or in a user
 *	namespace of the tree
 * needs: initial-user-namespace
 * flavours: three user user-three
 * ignore: Threads
 * refused: unsupported-file
 * unseen: it shows when the restore is planned
 */
#include "ring.h"
#include "scenario.h"

int main(int argc, char **argv)
{
	struct ring ring;

	scenario_begin(argc, argv);
	scenario_need(ring_make(&ring, 4, IORING_SETUP_SQPOLL), "an instance: %m");
	scenario_ready();
	scenario_check(ring_polled_nop(&ring, 7), "it takes no request any more");
	return scenario_end();
}
