// SPDX-License-Identifier: LGPL-2.1-or-later
/* See kernel-message.h; skb_copy_bits (net/core/skbuff.c) reads them likewise. */
#include "kinds/sockets/kernel-message.h"

#include <errno.h>

enum { MOST_PARTS = 64, MOST_BEHIND = 1 << 12, DEEPEST = 2 };

/* A part was a struct bio_vec before 6.9. Its page may be no memory at all (net_iov): bit 0. */
static int find_parts(struct kernel_messages *messages)
{
	struct btf_place places[] = {
		{ "skb_frag", "netmem", 0, false, 0 },	 { "skb_frag", "len", 0, false, 0 },
		{ "skb_frag", "offset", 0, false, 0 },	 { "skb_frag", "", 0, false, 0 },
		{ "bio_vec", "bv_page", 0, false, 0 },	 { "bio_vec", "bv_len", 0, false, 0 },
		{ "bio_vec", "bv_offset", 0, false, 0 }, { "bio_vec", "", 0, false, 0 },
	};

	if (btf_find(places, sizeof places / sizeof *places) < 0)
		return -1;
	const struct btf_place *at = places[3].found ? places : places + 4;
	if (!at[0].found || !at[1].found || !at[2].found)
		return 1;
	messages->part_page = at[0].offset;
	messages->part_length = at[1].offset;
	messages->part_offset = at[2].offset;
	messages->part_size = at[3].offset;
	return 0;
}

static bool has_pages(struct kernel_messages *messages)
{
	struct kernel_reader *by = messages->by;

	if (!messages->looked) {
		int result = kernel_pages_find(by, &messages->pages);
		if (!result)
			result = find_parts(messages);
		if (result < 0 && !by->failure)
			by->failure = errno;
		messages->looked = true;
		messages->cannot = result != 0;
	}
	return !messages->cannot;
}

struct room {
	uint8_t *bytes;
	uint32_t left;
};

static bool take(struct kernel_reader *by, uint64_t address, uint32_t length, struct room *room)
{
	if (length > room->left)
		kernel_has_changed(by);
	if (by->failure)
		return false;
	kernel_bytes(by, address, room->bytes, length);
	room->bytes += length;
	room->left -= length;
	return !by->failure;
}

static uint32_t number_at(struct kernel_reader *by, uint64_t address)
{
	uint32_t value;

	kernel_bytes(by, address, &value, sizeof value);
	return value;
}

static bool take_part(struct kernel_messages *messages, uint64_t part, struct room *room)
{
	struct kernel_reader *by = messages->by;
	uint64_t page;

	kernel_bytes(by, part + messages->part_page, &page, sizeof page);
	uint64_t content = page & 1 ? 0 : kernel_page_content(&messages->pages, page);
	if (!content && !by->failure)
		messages->cannot = true;
	return content && take(by, content + number_at(by, part + messages->part_offset),
			       number_at(by, part + messages->part_length), room);
}

static bool take_message(struct kernel_messages *messages, uint64_t message, unsigned depth,
			 struct room *room)
{
	struct kernel_reader *by = messages->by;
	uint32_t length = kernel_number(by, message, MESSAGE_LENGTH),
		 paged = kernel_number(by, message, MESSAGE_PAGED);

	if (paged > length || depth == DEEPEST)
		kernel_has_changed(by);
	if (!take(by, kernel_pointer(by, message, MESSAGE_DATA), length - paged, room))
		return false;
	if (!paged)
		return true;
	if (!has_pages(messages))
		return false;
	uint64_t shared =
		kernel_pointer(by, message, MESSAGE_HEAD) + kernel_number(by, message, MESSAGE_END);
	uint32_t count = kernel_number(by, shared, PARTS_COUNT) & 0xff;
	for (uint32_t i = 0; i < count && i < MOST_PARTS; i++)
		if (!take_part(messages,
			       kernel_inside(by, shared, PARTS) + (uint64_t)i * messages->part_size,
			       room))
			return false;
	uint64_t behind = kernel_pointer(by, shared, PARTS_BEHIND);
	for (uint32_t i = 0; behind && i < MOST_BEHIND; i++) {
		if (!take_message(messages, behind, depth + 1, room))
			return false;
		behind = kernel_pointer(by, behind, MESSAGE_NEXT);
	}
	return !by->failure;
}

bool kernel_message_read(struct kernel_messages *messages, uint64_t message, uint8_t *room,
			 uint32_t length)
{
	struct room into = { room, length };

	if (!take_message(messages, message, 0, &into))
		return false;
	if (into.left)
		kernel_has_changed(messages->by);
	return !messages->by->failure;
}
