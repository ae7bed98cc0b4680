/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is in a message that the kernel keeps for a socket (struct sk_buff), by reading its memory:
 * in one piece with it, in pages, and in further messages behind it (frag_list).
 */
#ifndef NESTOR_KINDS_SOCKETS_KERNEL_MESSAGE_H
#define NESTOR_KINDS_SOCKETS_KERNEL_MESSAGE_H

#include "kernel/kernel-pages.h"
#include "kernel/kernel-reader.h"
#include "kinds/sockets/kernel-socket.h"

/* Of a reader's places those after the socket's: */
#define MESSAGE_PLACES(X)                               \
	X(MESSAGE_NEXT, "sk_buff", "next")              \
	X(MESSAGE_LENGTH, "sk_buff", "len")             \
	X(MESSAGE_PAGED, "sk_buff", "data_len")         \
	X(MESSAGE_DATA, "sk_buff", "data")              \
	X(MESSAGE_HEAD, "sk_buff", "head")              \
	X(MESSAGE_END, "sk_buff", "end")                \
	X(MESSAGE_CONTROL, "sk_buff", "cb")             \
	X(PARTS_COUNT, "skb_shared_info", "nr_frags")   \
	X(PARTS_BEHIND, "skb_shared_info", "frag_list") \
	X(PARTS, "skb_shared_info", "frags")

#define SOCKET_AND_MESSAGE_PLACES(X) SOCKET_PLACES(X) MESSAGE_PLACES(X)

enum message_place {
	BEFORE_MESSAGE = N_SOCKET_PLACES - 1,
	MESSAGE_PLACES(BTF_NUMBER) N_MESSAGE_PLACES,
};

/* Zeroed at first. */
struct kernel_messages {
	struct kernel_reader *by;
	bool looked, cannot; /* for pages; it cannot be seen where they are */
	struct kernel_pages pages;
	uint32_t part_size, part_page, part_length, part_offset;
};

/*
 * `length` bytes, which is what the message has; false: it cannot be read here, or the reader's
 * failure says why.
 */
bool kernel_message_read(struct kernel_messages *messages, uint64_t message, uint8_t *room,
			 uint32_t length);

#endif
