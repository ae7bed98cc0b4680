// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Only programs write into a ring (kernel/bpf/ringbuf.c): each record has a head of 8 bytes, with
 * its length and whether it is under way, or was thrown away. A new ring begins at 0; it gets to
 * where another was by records that are thrown away, each as large as the ring takes.
 */
#include "kernel/ring-buffer.h"

#include "base/cleanup.h"
#include "kernel/bpf.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { HEAD = BPF_RINGBUF_HDR_SZ };

#define INSTRUCTION(operation, to, from, number)                                         \
	(struct bpf_insn)                                                                \
	{                                                                                \
		.code = (operation), .dst_reg = (to), .src_reg = (from), .imm = (number) \
	}
#define MAP_IN(to, how, fd) \
	INSTRUCTION(BPF_LD | BPF_IMM | BPF_DW, to, how, fd), INSTRUCTION(0, 0, 0, 0)
#define NUMBER_IN(to, number) INSTRUCTION(BPF_ALU64 | BPF_MOV | BPF_K, to, 0, number)
#define CALL(helper)	      INSTRUCTION(BPF_JMP | BPF_CALL, 0, 0, helper)
#define LEAVE		      INSTRUCTION(BPF_JMP | BPF_EXIT, 0, 0, 0)

int ring_buffer_open(int fd, size_t size, bool writes, struct ring_buffer *ret)
{
	void *reader = mmap(NULL, RING_BUFFER_PAGE, PROT_READ | (writes ? PROT_WRITE : 0),
			    MAP_SHARED, fd, 0);

	if (reader == MAP_FAILED)
		return -1;
	uint8_t *writer = mmap(NULL, RING_BUFFER_PAGE + 2 * size, PROT_READ, MAP_SHARED, fd,
			       RING_BUFFER_PAGE);
	if (writer == MAP_FAILED) {
		munmap(reader, RING_BUFFER_PAGE);
		return -1;
	}
	*ret = (struct ring_buffer){ fd, size, reader, writer, writer + RING_BUFFER_PAGE };
	return 0;
}

void ring_buffer_close(struct ring_buffer *ring)
{
	munmap(ring->reader, RING_BUFFER_PAGE);
	munmap((void *)(uintptr_t)ring->writer, RING_BUFFER_PAGE + 2 * ring->size);
}

bool ring_buffer_positions(const struct ring_buffer *ring, struct ring_buffer_positions *ret)
{
	ret->read = __atomic_load_n((const uint64_t *)(const void *)ring->reader, __ATOMIC_ACQUIRE);
	ret->written =
		__atomic_load_n((const uint64_t *)(const void *)ring->writer, __ATOMIC_ACQUIRE);
	return ret->read <= ret->written && ret->written - ret->read < ring->size &&
	       ret->read % HEAD == 0 && ret->written % HEAD == 0;
}

static uint32_t head_at(const uint8_t *at)
{
	uint32_t head;

	memcpy(&head, at, sizeof head);
	return head;
}

static uint32_t length_of(uint32_t head)
{
	return head & ~(uint32_t)(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);
}

/* With its head, as much as it takes in the ring. */
static uint64_t room_of(uint32_t head)
{
	return ((uint64_t)length_of(head) + HEAD + HEAD - 1) / HEAD * HEAD;
}

bool ring_buffer_is_at_rest(const struct ring_buffer *ring,
			    const struct ring_buffer_positions *positions)
{
	uint64_t at = positions->read;

	while (at < positions->written) {
		uint32_t head = head_at(ring->data + (at & (ring->size - 1)));
		if (head & BPF_RINGBUF_BUSY_BIT)
			return false;
		at += room_of(head);
	}
	return at == positions->written;
}

uint64_t ring_buffer_distance(const struct ring_buffer *ring, uint64_t position)
{
	return position / (ring->size - HEAD);
}

/* ---- Writing ---- */

static int load(const struct bpf_insn *instructions, size_t count)
{
	const struct bpf_source source = {
		.type = BPF_PROG_TYPE_SYSCALL,
		.name = "nestor_ring",
		.gpl = true,
		.instructions = instructions,
		.count = count,
		.flags = BPF_F_SLEEPABLE,
	};

	return bpf_program_load(&source);
}

static int run(int program)
{
	int result;

	if (bpf_program_run(program, &result) < 0)
		return -1;
	errno = ENOSPC;
	return result ? -1 : 0;
}

/* A record of so many bytes that nobody is told of and nobody gets. */
static int load_skipping(const struct ring_buffer *ring, uint32_t length)
{
	const struct bpf_insn instructions[] = {
		MAP_IN(BPF_REG_1, BPF_PSEUDO_MAP_FD, ring->fd),
		NUMBER_IN(BPF_REG_2, (int32_t)length),
		NUMBER_IN(BPF_REG_3, 0),
		CALL(BPF_FUNC_ringbuf_reserve),
		{ .code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = BPF_REG_0, .off = 2 },
		NUMBER_IN(BPF_REG_0, 1),
		LEAVE,
		INSTRUCTION(BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_1, BPF_REG_0, 0),
		NUMBER_IN(BPF_REG_2, BPF_RB_NO_WAKEUP),
		CALL(BPF_FUNC_ringbuf_discard),
		NUMBER_IN(BPF_REG_0, 0),
		LEAVE,
	};

	return load(instructions, sizeof instructions / sizeof *instructions);
}

/* A record of what is in an array. */
static int load_writing(const struct ring_buffer *ring, int array, uint32_t length)
{
	const struct bpf_insn instructions[] = {
		MAP_IN(BPF_REG_1, BPF_PSEUDO_MAP_FD, ring->fd),
		MAP_IN(BPF_REG_2, BPF_PSEUDO_MAP_VALUE, array),
		NUMBER_IN(BPF_REG_3, (int32_t)length),
		NUMBER_IN(BPF_REG_4, BPF_RB_NO_WAKEUP),
		CALL(BPF_FUNC_ringbuf_output),
		LEAVE,
	};

	return load(instructions, sizeof instructions / sizeof *instructions);
}

static void say_read(const struct ring_buffer *ring, uint64_t position)
{
	__atomic_store_n((uint64_t *)(void *)ring->reader, position, __ATOMIC_RELEASE);
}

static int skip_to(const struct ring_buffer *ring, uint64_t position)
{
	uint64_t most = ring->size - HEAD;
	autoclose int whole = load_skipping(ring, (uint32_t)(most - HEAD));

	if (whole < 0)
		return -1;
	for (uint64_t at = most; at <= position; at += most) {
		if (run(whole))
			return -1;
		say_read(ring, at);
	}
	if (position % most == 0)
		return 0;
	autoclose int rest = load_skipping(ring, (uint32_t)(position % most - HEAD));
	if (rest < 0 || run(rest))
		return -1;
	say_read(ring, position);
	return 0;
}

static int write_record(const struct ring_buffer *ring, uint32_t head, const uint8_t *content)
{
	uint32_t key = 0, length = length_of(head);
	const struct bpf_map_source source = {
		.type = BPF_MAP_TYPE_ARRAY,
		.key_size = sizeof key,
		.value_size = length ? length : 1,
		.max_entries = 1,
		.name = "nestor_record",
	};

	if (head & BPF_RINGBUF_DISCARD_BIT) {
		autoclose int skipping = load_skipping(ring, length);
		return skipping < 0 ? -1 : run(skipping);
	}
	autoclose int array = bpf_map_make(&source);
	if (array < 0 || (length && bpf_map_update(array, &key, content) < 0))
		return -1;
	autoclose int writing = load_writing(ring, array, length);
	return writing < 0 ? -1 : run(writing);
}

int ring_buffer_fill(struct ring_buffer *ring, const struct ring_buffer_positions *positions,
		     const uint8_t *reader, const uint8_t *unread)
{
	uint64_t count = positions->written - positions->read;

	if (skip_to(ring, positions->read))
		return -1;
	for (uint64_t at = 0; at < count;) {
		uint32_t head = count - at < HEAD ? 0 : head_at(unread + at);
		if (room_of(head) > count - at) {
			errno = EINVAL;
			return -1;
		}
		if (write_record(ring, head, unread + at + HEAD))
			return -1;
		at += room_of(head);
	}
	memcpy(ring->reader + sizeof(uint64_t), reader + sizeof(uint64_t),
	       RING_BUFFER_PAGE - sizeof(uint64_t));
	return 0;
}
