// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-io-uring-rights
 * promise: a dump is refused where the kernel's thread of an io_uring instance has other rights
 *	than its task, which has given up some since
 * needs: initial-user-namespace
 * flavours: flat one
 * ignore: Threads
 * refused: unsupported-file
 */
#include "ring.h"
#include "scenario.h"

#include <linux/capability.h>

int main(int argc, char **argv)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct sets[2];
	struct ring ring;

	scenario_begin(argc, argv);
	scenario_need(ring_make(&ring, 4, IORING_SETUP_SQPOLL), "an instance: %m");
	scenario_need(syscall(SYS_capget, &header, sets) == 0, "capget");
	sets[0].effective &= ~(1U << CAP_KILL);
	scenario_need(syscall(SYS_capset, &header, sets) == 0, "capset");
	scenario_ready();
	scenario_check(ring_polled_nop(&ring, 7), "it takes no request any more");
	return scenario_end();
}
