// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-io-uring-registered
 * promise: a thread that has registered the descriptor of an io_uring instance and has closed it is
 *	refused, and names it by its place; so is one whose queues are in memory of the program's,
 *	one with restrictions that allow all calls which would show them, and one that is not
 *	enabled
 * needs: initial-user-namespace kernel_memory
 * flavours: flat three user
 * arguments: closed elsewhere own-memory restricted disabled
 * unseen: threads are not asked
 * refused: unsupported-file
 */
#include "ring.h"
#include "scenario.h"

#include <errno.h>

enum { ENTRIES = 4, REGISTER_DESCRIPTORS = 20, ENTER_REGISTERED = 1 << 4, NO_MMAP = 1 << 14 };

/* Without a descriptor; its memory is mapped nowhere either, or there is another instance. */
static bool closed(bool has_another)
{
	struct io_uring_params params = { 0 };
	struct ring another;
	int fd = (int)syscall(SYS_io_uring_setup, ENTRIES, &params);
	struct io_uring_rsrc_update at = { .offset = 7, .data = (uint64_t)fd };

	if (fd < 0)
		return false;
	scenario_need(syscall(SYS_io_uring_register, fd, REGISTER_DESCRIPTORS, &at, 1) == 1,
		      "cannot register a descriptor");
	close(fd);
	scenario_need(!has_another || ring_make(&another, ENTRIES, 0), "no other ring");

	scenario_ready();

	scenario_check(syscall(SYS_io_uring_enter, 7, 0, 0, ENTER_REGISTERED, NULL, 0) == 0,
		       "its place is free");
	return true;
}

/* In resv2 newer headers have user_addr. */
static bool own_memory(void)
{
	uint8_t *pages =
		mmap(NULL, 2 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct ring ring = {
		.params = { .flags = NO_MMAP,
			    .cq_off.resv2 = (uint64_t)(uintptr_t)pages,
			    .sq_off.resv2 = (uint64_t)(uintptr_t)(pages + 4096) },
		.sqe_size = sizeof(struct io_uring_sqe),
		.cqe_size = sizeof(struct io_uring_cqe),
		.queues = pages,
		.sqes = pages + 4096,
	};
	struct io_uring_cqe cqe = { 0 };

	ring.fd = (int)syscall(SYS_io_uring_setup, ENTRIES, &ring.params);
	if (ring.fd < 0)
		return false;

	scenario_ready();

	scenario_check(ring_nop(&ring, 5) && ring_take(&ring, &cqe) && cqe.user_data == 5,
		       "it does not go on");
	return true;
}

static bool restricted(bool is_enabled)
{
	struct io_uring_restriction allowed[40] = { 0 };
	struct io_uring_cqe cqe = { 0 };
	struct ring ring;

	if (!ring_make(&ring, ENTRIES, IORING_SETUP_R_DISABLED))
		return false;
	/* All calls, and of requests the one that does nothing. */
	for (uint8_t i = 0; i < 24; i++)
		allowed[i] =
			(struct io_uring_restriction){ .opcode = IORING_RESTRICTION_REGISTER_OP,
						       .register_op = i };
	allowed[24] = (struct io_uring_restriction){ .opcode = IORING_RESTRICTION_SQE_OP,
						     .sqe_op = IORING_OP_NOP };
	if (is_enabled)
		scenario_need(syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_RESTRICTIONS,
				      allowed, 25) == 0 &&
				      syscall(SYS_io_uring_register, ring.fd,
					      IORING_REGISTER_ENABLE_RINGS, NULL, 0) == 0,
			      "cannot restrict it");

	scenario_ready();

	if (!is_enabled)
		scenario_check(syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_ENABLE_RINGS,
				       NULL, 0) == 0,
			       "it was enabled");
	scenario_check(ring_nop(&ring, 5) && ring_take(&ring, &cqe) && cqe.res == 0,
		       "it does not go on");
	ring_put(&ring, &(struct io_uring_sqe){ .opcode = IORING_OP_CLOSE, .fd = 100 });
	scenario_check(ring_submit(&ring, 1) == 1 && ring_take(&ring, &cqe) &&
			       (cqe.res == -EACCES) == is_enabled,
		       "a request that is not allowed gives %d", cqe.res);
	return true;
}

int main(int argc, char **argv)
{
	bool there = true;

	scenario_begin(argc, argv);
	if (!strcmp(argv[2], "closed") || !strcmp(argv[2], "elsewhere"))
		there = closed(!strcmp(argv[2], "elsewhere"));
	else if (!strcmp(argv[2], "own-memory"))
		there = own_memory();
	else
		there = restricted(!strcmp(argv[2], "restricted"));
	if (!there) {
		int outside = (int)syscall(SYS_userfaultfd, 1); /* refused as well */
		scenario_note("there is no such io_uring here");
		scenario_ready();
		scenario_check(outside >= 0, "there is neither io_uring nor userfaultfd");
	}
	return scenario_end();
}
