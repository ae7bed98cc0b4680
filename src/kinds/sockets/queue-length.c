// SPDX-License-Identifier: LGPL-2.1-or-later
/* See queue-length.h. */
#include "kinds/sockets/queue-length.h"

#include "base/arena.h"
#include "base/error.h"
#include "collect/collect.h"
#include "kernel/kernel-reader.h"
#include "kinds/kind.h"

#include <errno.h>
#include <inttypes.h>

enum place { FILE_DATA, SOCKET_FILE, SOCKET_SK, SK_QUEUE, QUEUE_LENGTH, N_PLACES };

/* Of a dump: what is the same for all sockets. */
struct counter {
	struct kernel_reader reader;
	struct btf_place places[N_PLACES];
	bool cannot; /* nobody may look, or things are elsewhere in this kernel */
};

static struct counter *counter_of(struct collect *collect)
{
	static const char owner;
	void **kept = collect_state(collect, &owner);

	if (!*kept) {
		struct counter *counter = arena_new(collect->arena, struct counter);
		counter->places[FILE_DATA] = (struct btf_place){ "file", "private_data", 0, false };
		counter->places[SOCKET_FILE] = (struct btf_place){ "socket", "file", 0, false };
		counter->places[SOCKET_SK] = (struct btf_place){ "socket", "sk", 0, false };
		counter->places[SK_QUEUE] =
			(struct btf_place){ "sock", "sk_receive_queue", 0, false };
		counter->places[QUEUE_LENGTH] =
			(struct btf_place){ "sk_buff_head", "qlen", 0, false };
		*kept = counter;
	}
	return *kept;
}

static uint32_t read_length(struct kernel_reader *by, int fd)
{
	uint64_t file = kernel_file(by, fd), socket = kernel_pointer(by, file, FILE_DATA);

	if (kernel_pointer(by, socket, SOCKET_FILE) != file)
		kernel_has_changed(by);
	return kernel_number(by, kernel_inside(by, kernel_pointer(by, socket, SOCKET_SK), SK_QUEUE),
			     QUEUE_LENGTH);
}

/* 1: it cannot be told; -1 with errno. */
static int count_messages(struct collect *collect, int fd, uint32_t *ret_count)
{
	struct counter *counter = counter_of(collect);
	struct kernel_reader *by = &counter->reader;
	int result = counter->cannot ? 1
				     : kernel_reader_begin(by, collect->arena, counter->places,
							   N_PLACES, N_PLACES);

	counter->cannot = result > 0;
	if (result)
		return result;
	*ret_count = read_length(by, fd);
	kernel_reader_end(by);
	errno = by->failure;
	return by->failure ? -1 : 0;
}

int socket_queue_check(const struct open_file *file, int fd, size_t seen, struct error *err)
{
	uint32_t count = 0;
	int result = count_messages(file->target->collect, fd, &count);

	if (result < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot count what waits in it",
				  file->what);
	if (result > 0 || count == seen)
		return 0;
	fail(err, ERR_UNSUPPORTED_FILE,
	     "%s: %zu of the %" PRIu32 " messages that wait in it can be seen; empty ones are "
	     "hidden when somebody has looked at them",
	     file->what, seen, count);
	return fail_passing(err);
}
