// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-aio-polls
 * promise: a request of an AIO context that waits for a file is refused by name, and comes to its
 *	end when the tree goes on
 * flavours: flat three user user-three
 * needs: kernel_memory
 * refused: state-lost
 */
#include "scenario.h"

#include <linux/aio_abi.h>
#include <poll.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { CONTEXTS = 3, WAITS = 1 };

int main(int argc, char **argv)
{
	aio_context_t contexts[CONTEXTS] = { 0 };
	struct iocb request = { .aio_lio_opcode = IOCB_CMD_POLL, .aio_buf = POLLIN, .aio_data = 7 };
	struct iocb *requests[] = { &request };
	struct timespec patience = { .tv_sec = 5 };
	struct io_event event = { 0 };
	int ends[2];

	scenario_begin(argc, argv);
	scenario_need(pipe(ends) == 0, "no pipe");
	for (int i = 0; i < CONTEXTS; i++)
		scenario_need(!syscall(SYS_io_setup, 4, &contexts[i]), "io_setup");
	request.aio_fildes = (uint32_t)ends[0];
	scenario_need(syscall(SYS_io_submit, contexts[WAITS], 1, requests) == 1, "io_submit");

	scenario_ready();

	scenario_check(!syscall(SYS_io_getevents, contexts[WAITS], 0, 1, &event, NULL),
		       "it has waited for nothing");
	scenario_check(write(ends[1], "x", 1) == 1, "cannot write");
	scenario_check(syscall(SYS_io_getevents, contexts[WAITS], 1, 1, &event, &patience) == 1 &&
			       event.data == 7 && (event.res & POLLIN),
		       "it waits for ever");
	return scenario_end();
}
