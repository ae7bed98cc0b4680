// SPDX-License-Identifier: LGPL-2.1-or-later
/* See unpack.h. */
#include "model/unpack.h"

#include "base/whole.h"

#include <sys/stat.h>

static void *allocate(void *arena, size_t size)
{
	return arena_alloc(arena, size);
}

/* It goes with its arena. */
static void let_be(void *arena, void *pointer)
{
	(void)arena;
	(void)pointer;
}

void *unpack_message(struct arena *arena, const ProtobufCMessageDescriptor *descriptor,
		     const void *packed, size_t size)
{
	ProtobufCAllocator allocator = { allocate, let_be, arena };

	return protobuf_c_message_unpack(descriptor, &allocator, size, packed);
}

void *unpack_handed_over(struct arena *arena, const ProtobufCMessageDescriptor *descriptor, int fd,
			 struct error *err)
{
	struct stat stat;

	if (fstat(fd, &stat)) {
		fail_errno(err, ERR_IO, "cannot read what was handed over");
		return NULL;
	}
	uint8_t *packed = arena_alloc(arena, (size_t)stat.st_size + 1);
	if (pread_whole(fd, packed, (size_t)stat.st_size, 0)) {
		fail_errno(err, ERR_IO, "cannot read what was handed over");
		return NULL;
	}
	void *message = unpack_message(arena, descriptor, packed, (size_t)stat.st_size);
	if (!message)
		fail(err, ERR_IO, "what was handed over is no message");
	return message;
}
