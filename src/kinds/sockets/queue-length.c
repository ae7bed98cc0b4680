// SPDX-License-Identifier: LGPL-2.1-or-later
/* See queue-length.h. */
#include "kinds/sockets/queue-length.h"

#include "base/arena.h"
#include "base/error.h"
#include "collect/collect.h"
#include "kinds/kind.h"
#include "kinds/sockets/kernel-socket.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* Of a dump: what is the same for all sockets. */
struct counter {
	struct kernel_reader reader;
	struct btf_place places[N_SOCKET_PLACES];
	bool cannot; /* nobody may look, or things are elsewhere in this kernel */
};

static struct counter *counter_of(struct collect *collect)
{
	static const char owner;
	void **kept = collect_state(collect, &owner);

	if (!*kept) {
		struct counter *counter = arena_new(collect->arena, struct counter);
		const struct btf_place places[] = {
#define X(place, structure, member) { structure, member, 0, false },
			SOCKET_PLACES(X)
#undef X
		};
		memcpy(counter->places, places, sizeof places);
		*kept = counter;
	}
	return *kept;
}

/* 1: it cannot be told; -1 with errno. */
static int count_messages(struct collect *collect, int fd, uint32_t *ret_count)
{
	struct counter *counter = counter_of(collect);
	struct kernel_reader *by = &counter->reader;
	int result = counter->cannot ? 1
				     : kernel_reader_begin(by, collect->arena, counter->places,
							   N_SOCKET_PLACES, N_SOCKET_PLACES);

	counter->cannot = result > 0;
	if (result)
		return result;
	*ret_count =
		kernel_number(by, kernel_inside(by, kernel_socket(by, fd), SK_QUEUE), QUEUE_LENGTH);
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
