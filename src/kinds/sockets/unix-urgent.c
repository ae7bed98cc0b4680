// SPDX-License-Identifier: LGPL-2.1-or-later
/* See unix-urgent.h. */
#include "kinds/sockets/unix-urgent.h"

#include "base/arena.h"
#include "collect/collect.h"
#include "kernel/kernel-reader.h"
#include "kinds/sockets/kernel-socket.h"

#include <errno.h>
#include <string.h>

enum { MOST_MESSAGES = 1 << 20, LARGEST_MESSAGE = 1 << 30 };

#define OWN_PLACES(X)                                  \
	X(MESSAGE_NEXT, "sk_buff", "next")             \
	X(MESSAGE_LENGTH, "sk_buff", "len")            \
	X(MESSAGE_CONTROL, "sk_buff", "cb")            \
	X(CONTROL_TAKEN, "unix_skb_parms", "consumed") \
	X(CONTROL_RIGHTS, "unix_skb_parms", "fp")      \
	X(UNIX_URGENT, "unix_sock", "oob_skb")

enum place {
	BEFORE_OWN = N_SOCKET_PLACES - 1,
#define X(place, structure, member) place,
	OWN_PLACES(X)
#undef X
		N_PLACES,
};

/* Of a dump. */
struct looker {
	struct kernel_reader reader;
	struct btf_place places[N_PLACES];
	bool cannot;
};

static struct looker *looker_of(struct collect *collect)
{
	static const char owner;
	void **kept = collect_state(collect, &owner);

	if (!*kept) {
		struct looker *looker = arena_new(collect->arena, struct looker);
		const struct btf_place places[] = {
#define X(place, structure, member) { structure, member, 0, false },
			SOCKET_PLACES(X) OWN_PLACES(X)
#undef X
		};
		memcpy(looker->places, places, sizeof places);
		*kept = looker;
	}
	return *kept;
}

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
}

int unix_urgent_read(struct collect *collect, int fd, struct unix_urgent *ret)
{
	struct looker *looker = looker_of(collect);
	struct kernel_reader *by = &looker->reader;
	int result = looker->cannot ? 1
				    : kernel_reader_begin(by, collect->arena, looker->places,
							  N_PLACES, N_PLACES);

	*ret = (struct unix_urgent){ 0 };
	looker->cannot = result > 0;
	if (result)
		return result;
	read_queue(by, fd, ret);
	kernel_reader_end(by);
	errno = by->failure;
	return by->failure ? -1 : 0;
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
