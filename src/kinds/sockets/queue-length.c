// SPDX-License-Identifier: LGPL-2.1-or-later
/* See queue-length.h. */
#include "kinds/sockets/queue-length.h"

#include "base/error.h"
#include "collect/collect.h"
#include "collect/read-kernel.h"
#include "kinds/kind.h"
#include "kinds/sockets/kernel-socket.h"

#include <inttypes.h>

static const struct btf_place all_places[] = { SOCKET_PLACES(BTF_PLACE) };
static const struct kernel_places places = { all_places, N_SOCKET_PLACES, N_SOCKET_PLACES };

/* 1: it cannot be told; -1 with errno. */
static int count_messages(struct collect *collect, int fd, uint32_t *ret_count)
{
	struct kernel_reader *by;
	int result = collect_read_kernel(collect, &places, &by);

	if (result)
		return result;
	*ret_count =
		kernel_number(by, kernel_inside(by, kernel_socket(by, fd), SK_QUEUE), QUEUE_LENGTH);
	return kernel_reader_end(by);
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
