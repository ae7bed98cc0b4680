// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-io-uring-polled
 * promise: an io_uring instance with a thread of the kernel's own gets one again; that is no thread
 *	of the program
 * needs: initial-user-namespace
 * flavours: flat
 * ignore: Threads
 */
#include "ring.h"
#include "scenario.h"

#include <dirent.h>

static unsigned threads(void)
{
	unsigned count = 0;
	DIR *directory = opendir("/proc/self/task");
	const struct dirent *entry;

	while (directory && (entry = readdir(directory)))
		count += entry->d_name[0] != '.';
	return closedir(directory) ? 0 : count;
}

/* The kernel's thread may sleep. */
static bool nop(struct ring *ring, uint64_t data)
{
	struct io_uring_cqe cqe = { 0 };

	ring_put(ring, &(struct io_uring_sqe){ .opcode = IORING_OP_NOP, .user_data = data });
	syscall(SYS_io_uring_enter, ring->fd, 1, 0, IORING_ENTER_SQ_WAKEUP, NULL, 0);
	for (int i = 0; i < 5000 && !ring_take(ring, &cqe); i++)
		usleep(1000);
	return cqe.user_data == data;
}

int main(int argc, char **argv)
{
	struct ring ring;

	scenario_begin(argc, argv);
	bool there = ring_make(&ring, 4, IORING_SETUP_SQPOLL);
	for (uint64_t i = 1; there && i < 10; i++)
		scenario_need(nop(&ring, i), "a request that does nothing");

	scenario_ready();

	scenario_check(!there || threads() == 2, "there are %u threads", threads());
	for (uint64_t i = 1; there && i < 10; i++)
		scenario_check(nop(&ring, i), "it does not go on");
	return scenario_end();
}
