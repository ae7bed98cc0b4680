// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-io-uring-apart
 * promise: an io_uring instance with a thread of the kernel's own is refused at the dump where the
 *	task is in a namespace of the tree: that thread would be in nestor's, and what it opens
 * needs: initial-user-namespace
 * flavours: flat one
 * arguments: net mnt uts
 * ignore: Threads
 * refused: unsupported-file
 * unseen: it shows when the restore is planned
 */
#include "ring.h"
#include "scenario.h"

#include <linux/sockios.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static ino_t net_of(int fd)
{
	struct stat stat = { 0 };
	int namespace = ioctl(fd, SIOCGSKNS);

	scenario_check(namespace >= 0 && fstat(namespace, &stat) == 0, "of no network namespace");
	close(namespace);
	return stat.st_ino;
}

static int socket_by_ring(struct ring *ring)
{
	struct io_uring_cqe cqe = { .res = -1 };

	ring_put(ring, &(struct io_uring_sqe){
			       .opcode = IORING_OP_SOCKET, .fd = AF_UNIX, .off = SOCK_STREAM });
	syscall(SYS_io_uring_enter, ring->fd, 1, 0, IORING_ENTER_SQ_WAKEUP, NULL, 0);
	for (int i = 0; i < 1000 && !ring_take(ring, &cqe); i++)
		scenario_sleep_ms(2);
	return cqe.res;
}

int main(int argc, char **argv)
{
	struct ring ring;

	scenario_begin(argc, argv);
	int which = strcmp(argv[2], "net") == 0	  ? CLONE_NEWNET
		    : strcmp(argv[2], "mnt") == 0 ? CLONE_NEWNS
						  : CLONE_NEWUTS;
	scenario_need(unshare(which) == 0, "no namespace");
	scenario_need(ring_make(&ring, 4, IORING_SETUP_SQPOLL), "an instance: %m");

	scenario_ready();

	int by_ring = socket_by_ring(&ring), own = socket(AF_UNIX, SOCK_STREAM, 0);
	scenario_check(by_ring >= 0, "no socket: %d", by_ring);
	scenario_check(net_of(by_ring) == net_of(own), "a socket of another network namespace");
	return scenario_end();
}
