/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Messages of the schema from packed bytes, in an arena. */
#ifndef NESTOR_MODEL_UNPACK_H
#define NESTOR_MODEL_UNPACK_H

#include "base/arena.h"
#include "base/error.h"

#include <protobuf-c/protobuf-c.h>

/* NULL: the bytes are no such message. It keeps none of them. */
void *unpack_message(struct arena *arena, const ProtobufCMessageDescriptor *descriptor,
		     const void *packed, size_t size);
/* What a process of nestor has written into a file for another; NULL with err. */
void *unpack_handed_over(struct arena *arena, const ProtobufCMessageDescriptor *descriptor, int fd,
			 struct error *err);

#endif
