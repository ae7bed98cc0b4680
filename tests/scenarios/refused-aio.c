// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-aio
 * promise: the ring of an AIO context that a child has from its parent, and that is none of its
 *	own, is refused by name, and the tree goes on
 * flavours: flat three user
 * unseen: only who asks it finds out
 * refused: unsupported-area
 */
#include "scenario.h"

#include <linux/aio_abi.h>
#include <sys/syscall.h>
#include <unistd.h>

static int child(void *context)
{
	scenario_mark("there");
	scenario_wait_restored();
	scenario_check(syscall(SYS_io_getevents, *(aio_context_t *)context, 0, 0, NULL, NULL) < 0,
		       "it is a context of the child");
	return 0;
}

int main(int argc, char **argv)
{
	aio_context_t context = 0;

	scenario_begin(argc, argv);
	scenario_need(!syscall(SYS_io_setup, 4, &context), "io_setup");
	pid_t pid = scenario_child(child, &context);
	scenario_wait_mark("there");

	scenario_ready();

	scenario_check(!syscall(SYS_io_getevents, context, 0, 0, NULL, NULL), "it is gone");
	scenario_reap(pid);
	return scenario_end();
}
