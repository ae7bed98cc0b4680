// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-io-uring
 * promise: io_uring instances at rest go on counting where they were, with completions that
 *	nobody has taken, submissions that nobody has told of, registered files and buffers; also
 *	those that belong to one thread
 * flavours: flat one three user user-three
 */
#include "ring.h"
#include "scenario.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/uio.h>

enum { ENTRIES = 8, COUNT = 21, PAGE = 4096 };

static char *buffer;

static void reach(struct ring *ring, int file)
{
	struct io_uring_cqe cqe;
	struct iovec iov = { buffer, PAGE };
	int files[] = { -1, file };

	for (uint64_t i = 0; i < COUNT; i++)
		scenario_need(ring_nop(ring, i) && ring_take(ring, &cqe) && cqe.user_data == i,
			      "a request that does nothing");
	scenario_need(ring_nop(ring, 100) && ring_nop(ring, 101), "two that nobody takes");
	ring_put(ring, &(struct io_uring_sqe){ .opcode = IORING_OP_NOP, .user_data = 200 });
	scenario_need(syscall(SYS_io_uring_register, ring->fd, IORING_REGISTER_FILES, files, 2) ==
			      0,
		      "cannot register files");
	scenario_need(syscall(SYS_io_uring_register, ring->fd, IORING_REGISTER_BUFFERS, &iov, 1) ==
			      0,
		      "cannot register buffers");
}

static void check(struct ring *ring, const char *what)
{
	struct io_uring_cqe cqe = { 0 };

	for (uint64_t i = 100; i <= 101; i++)
		scenario_check(ring_take(ring, &cqe) && cqe.user_data == i,
			       "%s: a completion is gone", what);
	scenario_check(!ring_take(ring, &cqe), "%s: there is one more", what);
	scenario_check(ring_submit(ring, 1) == 1 && ring_take(ring, &cqe) && cqe.user_data == 200,
		       "%s: a submission is gone", what);
	memset(buffer, 0, PAGE);
	ring_put(ring, &(struct io_uring_sqe){ .opcode = IORING_OP_READ_FIXED,
					       .flags = IOSQE_FIXED_FILE,
					       .fd = 1,
					       .addr = (uint64_t)(uintptr_t)buffer,
					       .len = 7,
					       .user_data = 300 });
	scenario_check(ring_submit(ring, 1) == 1 && ring_take(ring, &cqe) && cqe.res == 7 &&
			       !memcmp(buffer, "content", 7),
		       "%s: reading what is registered: %d", what, cqe.res);
	for (uint64_t i = 0; i < 2 * ENTRIES + 3; i++)
		scenario_check(ring_nop(ring, i) && ring_take(ring, &cqe) && cqe.user_data == i,
			       "%s: it does not go on", what);
}

int main(int argc, char **argv)
{
	struct ring plain, single;

	scenario_begin(argc, argv);
	buffer = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int file = open("file", O_CREAT | O_RDWR, 0600);
	scenario_need(write(file, "content", 7) == 7, "cannot write");
	bool has_plain = ring_make(&plain, ENTRIES, 0);
	bool has_single = ring_make(&single, ENTRIES, IORING_SETUP_SINGLE_ISSUER | 1 << 13);
	if (!has_plain)
		scenario_note("there is no io_uring here");
	if (has_plain)
		reach(&plain, file);
	if (has_single)
		reach(&single, file);

	scenario_ready();

	if (has_plain)
		check(&plain, "a ring");
	if (has_single)
		check(&single, "a ring of one thread");
	return scenario_end();
}
