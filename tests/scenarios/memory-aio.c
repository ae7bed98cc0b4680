// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: memory-aio
 * promise: AIO contexts are where they were, with the events that nobody has taken, also where
 *	these begin at the end of the ring and end at its start, and go on; who waits for one waits
 *	on
 * flavours: flat one three user user-three unprivileged ordinary
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { CONTEXTS = 4, UNREAD = 3, SIZE = 16 };

/* The head of struct aio_ring (fs/aio.c): index, events, head, tail. */
enum { EVENTS_AT = 1, HEAD_AT = 2, TAIL_AT = 3 };

static aio_context_t contexts[CONTEXTS];
static int file;
static char content[SIZE];
static uint32_t waits;

static int submit(aio_context_t context, int fd, uint16_t opcode, uint64_t data)
{
	struct iocb request = {
		.aio_data = data,
		.aio_lio_opcode = opcode,
		.aio_fildes = (uint32_t)fd,
		.aio_buf = (uint64_t)(uintptr_t)content,
		.aio_nbytes = SIZE,
	};
	struct iocb *requests[] = { &request };

	return (int)syscall(SYS_io_submit, context, 1, requests);
}

static int take(aio_context_t context, struct io_event *event, bool wait)
{
	*event = (struct io_event){ 0 };
	return (int)syscall(SYS_io_getevents, context, wait ? 1 : 0, 1, event, NULL);
}

static void pass(aio_context_t context, uint32_t count)
{
	struct io_event event;

	for (uint32_t i = 0; i < count; i++)
		scenario_need(submit(context, file, IOCB_CMD_PREAD, i) == 1 &&
				      take(context, &event, true) == 1,
			      "a request that nobody needs");
}

static const uint32_t *ring_of(aio_context_t context)
{
	return (const uint32_t *)(uintptr_t)context;
}

static void check(aio_context_t context, const char *what, uint32_t head)
{
	const uint32_t *ring = ring_of(context);
	struct io_event event;

	scenario_check(ring[HEAD_AT] == head && ring[TAIL_AT] == (head + UNREAD) % ring[EVENTS_AT],
		       "%s: head %u, tail %u", what, ring[HEAD_AT], ring[TAIL_AT]);
	for (uint64_t i = 0; i < UNREAD; i++)
		scenario_check(take(context, &event, false) == 1 && event.data == 100 + i &&
				       event.res == SIZE,
			       "%s: event %lu is gone: %llu, %lld", what, (unsigned long)i,
			       event.data, event.res);
	scenario_check(take(context, &event, false) == 0, "%s: there is one more", what);
	memset(content, 0, SIZE);
	/* As many as there can be unread, more than once. */
	for (uint32_t round = 0; round < 2; round++) {
		uint32_t room = ring[EVENTS_AT] / 2 - 1;
		for (uint32_t i = 0; i < room; i++)
			scenario_check(submit(context, file, IOCB_CMD_PREAD, i) == 1,
				       "%s: request %u", what, i);
		for (uint32_t i = 0; i < room; i++)
			scenario_check(take(context, &event, true) == 1 && event.data == i &&
					       event.res == SIZE,
				       "%s: answer %u", what, i);
	}
	scenario_check(!memcmp(content, "0123456789abcdef", SIZE), "%s: another content", what);
}

static void *in_getevents(void *data)
{
	struct io_event event;

	__atomic_store_n(&waits, (uint32_t)syscall(SYS_gettid), __ATOMIC_SEQ_CST);
	int got = take(*(aio_context_t *)data, &event, true);
	scenario_check(got == 1 && event.data == 7, "it waited: %d, errno %d", got, errno);
	return NULL;
}

int main(int argc, char **argv)
{
	static const unsigned sizes[CONTEXTS] = { 1, 62, 700, 16 };
	uint32_t heads[CONTEXTS] = { 0, 0, 0, 0 };
	aio_context_t none = 0;
	struct io_event event;
	pthread_t thread;

	scenario_begin(argc, argv);
	file = open("content", O_RDWR | O_CREAT | O_EXCL, 0600);
	scenario_need(file >= 0 && write(file, "0123456789abcdef", SIZE) == SIZE, "a file");
	for (size_t i = 0; i < CONTEXTS; i++)
		scenario_need(!syscall(SYS_io_setup, sizes[i], &contexts[i]), "io_setup");
	/* One was destroyed: indexes of the others are not those of new ones. */
	scenario_need(!syscall(SYS_io_setup, 4, &none) && !syscall(SYS_io_destroy, contexts[0]),
		      "io_destroy");
	contexts[0] = none;
	heads[1] = ring_of(contexts[1])[EVENTS_AT] - 2;
	heads[2] = 1100;
	for (size_t i = 0; i < 3; i++) {
		pass(contexts[i], heads[i]);
		for (uint64_t k = 0; k < UNREAD; k++)
			scenario_need(submit(contexts[i], file, IOCB_CMD_PREAD, 100 + k) == 1,
				      "a request that nobody takes");
	}
	scenario_need(!pthread_create(&thread, NULL, in_getevents, &contexts[3]), "a thread");
	while (!__atomic_load_n(&waits, __ATOMIC_SEQ_CST))
		scenario_sleep_ms(1);
	scenario_sleep_ms(10);

	scenario_ready();

	check(contexts[0], "new", heads[0]);
	check(contexts[1], "turned over", heads[1]);
	check(contexts[2], "large", heads[2]);
	scenario_check(submit(contexts[3], file, IOCB_CMD_PREAD, 7) == 1, "for who waits");
	pthread_join(thread, NULL);
	for (size_t i = 0; i < CONTEXTS; i++)
		scenario_check(!syscall(SYS_io_destroy, contexts[i]), "it cannot be destroyed");
	scenario_check(take(contexts[1], &event, false) < 0 && errno == EINVAL,
		       "it is still there");
	return scenario_end();
}
