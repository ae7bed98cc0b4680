// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-io-uring-eventfd
 * promise: an io_uring instance tells the same eventfd of its completions afterwards: of all, or
 *	of those that come later than the call; one that belongs to a thread, too, and one whose
 *	eventfd only another process has
 * needs: initial-user-namespace kernel_memory
 * flavours: flat one three user user-three
 * arguments: any single
 */
#include "ring.h"
#include "scenario.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

enum { COUNT = 5 };

static const struct kind {
	const char *name;
	unsigned setup, call;
	bool silent, elsewhere;
} kinds[] = {
	{ "all", 0, IORING_REGISTER_EVENTFD, false, false },
	{ "later", 0, IORING_REGISTER_EVENTFD_ASYNC, false, false },
	{ "silent", 0, IORING_REGISTER_EVENTFD, true, false },
	{ "elsewhere", 0, IORING_REGISTER_EVENTFD, false, true },
	{ "single", IORING_SETUP_SINGLE_ISSUER, IORING_REGISTER_EVENTFD, false, false },
	{ "single later", IORING_SETUP_SINGLE_ISSUER, IORING_REGISTER_EVENTFD_ASYNC, false, false },
};

enum { N_KINDS = sizeof kinds / sizeof *kinds };

static struct ring rings[N_KINDS];
static bool has[N_KINDS];
static size_t first, end = N_KINDS;
static int events[N_KINDS], child_says[2];

/* Of those that are there; 0: none comes. */
static uint64_t count_of(int fd, int milliseconds)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };
	eventfd_t count = 0;

	return poll(&ready, 1, milliseconds) == 1 && eventfd_read(fd, &count) == 0 ? count : 0;
}

static _Atomic uint32_t *flags_of(const struct ring *ring)
{
	return ring_word(ring, ring->params.cq_off.flags);
}

static void reach(const struct kind *kind, struct ring *ring, int event)
{
	struct io_uring_cqe cqe;

	for (uint64_t i = 0; i < COUNT; i++)
		scenario_need(ring_nop(ring, i) && ring_take(ring, &cqe), "a request");
	scenario_need(syscall(SYS_io_uring_register, ring->fd, kind->call, &event, 1) == 0,
		      "%s: cannot register the eventfd", kind->name);
	scenario_need(kind->call == IORING_REGISTER_EVENTFD_ASYNC ||
			      (ring_nop(ring, COUNT) && ring_take(ring, &cqe)),
		      "one more");
	*flags_of(ring) = kind->silent ? IORING_CQ_EVENTFD_DISABLED : 0;
}

static void do_later(struct ring *ring)
{
	struct io_uring_cqe cqe;

	ring_put(ring, &(struct io_uring_sqe){ .opcode = IORING_OP_NOP, .flags = IOSQE_ASYNC });
	scenario_check(ring_submit(ring, 1) == 1 && ring_take(ring, &cqe), "a later request");
}

static void check(const struct kind *kind, struct ring *ring, int event)
{
	bool is_late = kind->call == IORING_REGISTER_EVENTFD_ASYNC;
	struct io_uring_cqe cqe;

	scenario_check(count_of(event, 0) == (is_late ? 0 : 1), "%s: told of what was not",
		       kind->name);
	scenario_check(ring_nop(ring, 7) && ring_take(ring, &cqe), "%s: it goes on", kind->name);
	scenario_check(count_of(event, 0) == (is_late || kind->silent ? 0 : 1),
		       "%s: the eventfd is told otherwise", kind->name);
	scenario_check(*flags_of(ring) == (kind->silent ? IORING_CQ_EVENTFD_DISABLED : 0),
		       "%s: flags", kind->name);
	if (kind->silent || is_late) {
		*flags_of(ring) = 0;
		do_later(ring);
		scenario_check(count_of(event, 5000) == 1, "%s: not told later", kind->name);
	}
	scenario_check(syscall(SYS_io_uring_register, ring->fd, kind->call, &event, 1) < 0 &&
			       errno == EBUSY,
		       "%s: another can be registered", kind->name);
	scenario_check(
		syscall(SYS_io_uring_register, ring->fd, IORING_UNREGISTER_EVENTFD, NULL, 0) == 0 &&
			ring_nop(ring, 8) && ring_take(ring, &cqe) && count_of(event, 0) == 0,
		"%s: it cannot be taken away", kind->name);
}

/*
 * Waits until it may look at what only it has, and says what it has seen. It closes nothing, since
 * its descriptors may be looked at from its first moment on.
 */
static int holder(void *data)
{
	const int *event = data;
	uint64_t count;
	char byte;

	if (read(child_says[0], &byte, 1) != 1)
		return 1;
	count = count_of(*event, 0);
	return count == 2 ? 0 : 2;
}

int main(int argc, char **argv)
{
	pid_t child = 0;

	scenario_begin(argc, argv);
	int other = eventfd(3, 0);
	while (kinds[end - 1].setup && strcmp(argv[2], "any") == 0)
		end--;
	while (!kinds[first].setup && strcmp(argv[2], "single") == 0)
		first++;
	scenario_need(pipe(child_says) == 0, "pipe");
	for (size_t i = first; i < end; i++) {
		has[i] = ring_make(&rings[i], 8, kinds[i].setup);
		events[i] = eventfd(0, EFD_NONBLOCK);
		if (has[i])
			reach(&kinds[i], &rings[i], events[i]);
		else
			scenario_note("there is no io_uring here");
		if (has[i] && kinds[i].elsewhere) {
			child = scenario_child(holder, &events[i]);
			close(events[i]);
		}
	}

	scenario_ready();

	for (size_t i = first; i < end; i++) {
		struct io_uring_cqe cqe;
		if (has[i] && kinds[i].elsewhere)
			scenario_check(ring_nop(&rings[i], 9) && ring_take(&rings[i], &cqe),
				       "it does not go on");
		else if (has[i])
			check(&kinds[i], &rings[i], events[i]);
	}
	if (child) {
		scenario_check(write(child_says[1], "x", 1) == 1, "cannot tell the child");
		scenario_reap(child);
	}
	scenario_check(count_of(other, 0) == 3, "another eventfd counts otherwise");
	return scenario_end();
}
