// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-io-uring-registered
 * promise: threads name io_uring instances by the places in which they have registered their
 *	descriptors, each its own, and no other place is one
 * needs: initial-user-namespace kernel_memory
 * flavours: flat one three user user-three
 */
#include "ring.h"
#include "scenario.h"

#include <errno.h>
#include <pthread.h>

enum {
	ENTRIES = 4,
	SINGLE = IORING_SETUP_SINGLE_ISSUER | 1 << 13,
	REGISTER_DESCRIPTORS = 20,
	ENTER_REGISTERED = 1 << 4,
	PLACES = 16,
};

static struct ring plain, other, single;
static pthread_barrier_t reached;

static void place(const struct ring *ring, uint32_t index)
{
	struct io_uring_rsrc_update at = { .offset = index, .data = (uint64_t)ring->fd };

	scenario_need(syscall(SYS_io_uring_register, ring->fd, REGISTER_DESCRIPTORS, &at, 1) == 1,
		      "cannot register a descriptor");
}

static void check_place(struct ring *ring, uint32_t index, uint64_t data)
{
	struct io_uring_cqe cqe = { 0 };

	ring_put(ring, &(struct io_uring_sqe){ .opcode = IORING_OP_NOP, .user_data = data });
	long result = syscall(SYS_io_uring_enter, index, 1, 1,
			      IORING_ENTER_GETEVENTS | ENTER_REGISTERED, NULL, 0);
	scenario_check(result == 1 && ring_take(ring, &cqe) && cqe.user_data == data,
		       "place %u: %ld, %lu", index, result, (unsigned long)cqe.user_data);
}

static void check_free(uint32_t but, uint32_t or)
{
	for (uint32_t i = 0; i < PLACES; i++)
		if (i != but && i != or)
			scenario_check(syscall(SYS_io_uring_enter, i, 0, 0, ENTER_REGISTERED, NULL,
					       0) == -1 &&
					       errno == EBADF,
				       "place %u is taken", i);
}

static void *second(void *data)
{
	(void)data;
	scenario_need(ring_make(&single, ENTRIES, SINGLE), "no ring");
	scenario_need(ring_nop(&single, 1), "a request");
	ring_take(&single, &(struct io_uring_cqe){ 0 });
	place(&single, 3);
	place(&other, 0);
	pthread_barrier_wait(&reached);
	scenario_wait_restored();
	check_place(&single, 3, 30);
	check_place(&other, 0, 31);
	check_free(3, 0);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t thread;

	scenario_begin(argc, argv);
	bool there = ring_make(&plain, ENTRIES, 0) && ring_make(&other, ENTRIES, 0);
	if (there) {
		place(&plain, 5);
		place(&other, 15);
		pthread_barrier_init(&reached, NULL, 2);
		scenario_need(pthread_create(&thread, NULL, second, NULL) == 0, "no thread");
		pthread_barrier_wait(&reached);
	} else {
		scenario_note("there is no io_uring here");
	}

	scenario_ready();

	if (!there)
		return scenario_end();
	pthread_join(thread, NULL);
	check_place(&plain, 5, 10);
	check_place(&other, 15, 11);
	check_free(5, 15);
	return scenario_end();
}
