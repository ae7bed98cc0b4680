// SPDX-License-Identifier: LGPL-2.1-or-later
/* See unix-urgent.h. */
#include "kinds/sockets/unix-urgent.h"

#include "base/arena.h"
#include "collect/read-kernel.h"
#include "kinds/sockets/kernel-socket.h"

enum { MOST_MESSAGES = 1 << 20, LARGEST_MESSAGE = 1 << 30 };

#define OWN_PLACES(X)                                  \
	X(MESSAGE_NEXT, "sk_buff", "next")             \
	X(MESSAGE_LENGTH, "sk_buff", "len")            \
	X(MESSAGE_CONTROL, "sk_buff", "cb")            \
	X(CONTROL_TAKEN, "unix_skb_parms", "consumed") \
	X(CONTROL_RIGHTS, "unix_skb_parms", "fp")      \
	X(UNIX_URGENT, "unix_sock", "oob_skb")

KERNEL_PLACES_AFTER(SOCKET_PLACES, N_SOCKET_PLACES, OWN_PLACES, N_PLACES);

static void note_message(struct kernel_reader *by, uint64_t message, uint64_t last, uint32_t *place,
			 struct unix_urgent *ret)
{
	uint64_t control = kernel_inside(by, message, MESSAGE_CONTROL);
	uint32_t length = kernel_number(by, message, MESSAGE_LENGTH),
		 taken = kernel_number(by, control, CONTROL_TAKEN);

	if (length > LARGEST_MESSAGE || taken > length || *place > LARGEST_MESSAGE ||
	    (message == last && length - taken != 1))
		kernel_has_changed(by);
	if (by->failure)
		return;
	if (message == last) {
		ret->waits = true;
		ret->at = *place;
	} else if (taken == length) {
		ret->keeps_files |= kernel_pointer(by, control, CONTROL_RIGHTS) != 0;
		ret->marks = arena_grow(by->arena, ret->marks, ret->n_marks, sizeof *ret->marks);
		ret->marks[ret->n_marks++] = *place;
		/* It would have been the last one. */
		if (ret->waits)
			kernel_has_changed(by);
	}
	*place += length - taken;
}

static void read_queue(struct kernel_reader *by, int fd, struct unix_urgent *ret)
{
	uint64_t sk = kernel_socket(by, fd), queue = kernel_inside(by, sk, SK_QUEUE),
		 at = kernel_pointer(by, queue, QUEUE_NEXT),
		 last = kernel_pointer(by, sk, UNIX_URGENT);
	uint32_t count = kernel_number(by, queue, QUEUE_LENGTH), place = 0;

	if (count > MOST_MESSAGES)
		kernel_has_changed(by);
	for (uint32_t i = 0; i < count && !by->failure; i++) {
		note_message(by, at, last, &place, ret);
		at = kernel_pointer(by, at, MESSAGE_NEXT);
	}
	if (at != queue || kernel_number(by, queue, QUEUE_LENGTH) != count ||
	    ret->waits != (last != 0))
		kernel_has_changed(by);
	ret->length = place;
}

int unix_urgent_read(struct collect *collect, int fd, struct unix_urgent *ret)
{
	struct kernel_reader *by;
	int result = collect_read_kernel(collect, &places, &by);

	*ret = (struct unix_urgent){ 0 };
	if (result)
		return result;
	read_queue(by, fd, ret);
	return kernel_reader_end(by);
}

bool unix_urgent_mark(struct unix_urgent *urgent, uint32_t place)
{
	if (urgent->n_seen == urgent->n_marks || urgent->marks[urgent->n_seen] != place)
		return false;
	urgent->n_seen++;
	return true;
}

size_t unix_urgent_distance(const struct unix_urgent *urgent, uint32_t place)
{
	if (urgent->n_seen < urgent->n_marks)
		return urgent->marks[urgent->n_seen] - place;
	if (!urgent->waits || urgent->at < place)
		return SIZE_MAX;
	return urgent->at == place ? 1 : urgent->at - place;
}
