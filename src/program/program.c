// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Building programs and their data. Data is kept in chunks, each a run of addresses with our own
 * memory behind it, so that an address is final the moment it is given out; operations are kept
 * per program and get their addresses in link.c.
 */
#include "program/program.h"

#include "base/compare.h"
#include "kernel/syscalls.h"
#include "program/layout.h"

#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

enum { CHUNK_SIZE = 64 * 1024, CHUNK_ALIGNMENT = 64 };

static uint64_t align_up(uint64_t value, uint64_t alignment)
{
	return (value + alignment - 1) & ~(alignment - 1);
}

void program_set_init(struct program_set *set, struct arena *arena, uint64_t base)
{
	assert(base % PROGRAM_PAGE == 0);
	*set = (struct program_set){
		.arena = arena,
		.base = base,
		.data_end = base + PROGRAM_DATA_OFFSET,
	};
}

struct program *program_new(struct program_set *set, const char *name)
{
	struct program *program = arena_new(set->arena, struct program);

	assert(!set->linked);
	program->set = set;
	program->name = arena_string(set->arena, name);
	set->programs =
		arena_grow(set->arena, set->programs, set->n_programs, sizeof *set->programs);
	set->programs[set->n_programs++] = program;
	return program;
}

uint64_t program_set_header(const struct program_set *set)
{
	return set->base + PROGRAM_HEADER_OFFSET;
}

/* A chunk that starts at the next address with this alignment and has room for size bytes. */
static struct data_chunk *add_chunk(struct program_set *set, size_t size, size_t alignment)
{
	struct data_chunk *chunk = arena_new(set->arena, struct data_chunk);

	alignment = max(alignment, CHUNK_ALIGNMENT);
	chunk->room = size < CHUNK_SIZE ? CHUNK_SIZE : size;
	chunk->address = align_up(set->data_end, alignment);
	chunk->bytes = arena_alloc(set->arena, chunk->room);
	set->chunks = arena_grow(set->arena, set->chunks, set->n_chunks, sizeof *set->chunks);
	set->chunks[set->n_chunks++] = chunk;
	return chunk;
}

uint64_t program_data(struct program_set *set, const void *bytes, size_t size, size_t alignment)
{
	struct data_chunk *chunk = set->n_chunks ? set->chunks[set->n_chunks - 1] : NULL;
	uint64_t address = align_up(set->data_end, alignment);

	assert(!set->linked);
	assert(alignment && !(alignment & (alignment - 1)));
	if (!chunk || address - chunk->address > chunk->room ||
	    chunk->room - (address - chunk->address) < size) {
		chunk = add_chunk(set, size, alignment);
		address = chunk->address;
	}
	if (bytes)
		memcpy(chunk->bytes + (address - chunk->address), bytes, size);
	set->data_end = address + size;
	chunk->used = set->data_end - chunk->address;
	return address;
}

uint64_t program_word(struct program_set *set, uint64_t value)
{
	return program_data(set, &value, sizeof value, sizeof value);
}

void *program_data_at(const struct program_set *set, uint64_t address, size_t *ret_room)
{
	size_t low = 0, high = set->n_chunks;

	/* The last chunk that starts at or below the address. */
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (set->chunks[middle]->address <= address)
			low = middle + 1;
		else
			high = middle;
	}
	if (!low || address - set->chunks[low - 1]->address >= set->chunks[low - 1]->used)
		return NULL;
	if (ret_room)
		*ret_room = set->chunks[low - 1]->used - (address - set->chunks[low - 1]->address);
	return set->chunks[low - 1]->bytes + (address - set->chunks[low - 1]->address);
}

static struct op *append(struct program *program, uint8_t kind)
{
	struct op *op;

	assert(!program->set->linked);
	program->ops =
		arena_grow(program->set->arena, program->ops, program->n_ops, sizeof *program->ops);
	op = &program->ops[program->n_ops++];
	*op = (struct op){ .kind = kind };
	return op;
}

struct op *program_call_args(struct program *program, uint32_t nr, const uint64_t *args,
			     size_t n_args)
{
	struct op *op = append(program, OP_CALL);

	assert(n_args <= 6);
	op->nr = nr;
	op->check = CHECK_NO_ERROR;
	for (size_t i = 0; i < n_args; i++)
		op->args[i] = args[i];
	return op;
}

struct op *op_expect(struct op *op, int64_t result)
{
	op->check = CHECK_EQUALS;
	op->expected = result;
	return op;
}

struct op *op_any(struct op *op)
{
	op->check = CHECK_NONE;
	return op;
}

struct op *op_store(struct op *op, uint64_t slot)
{
	op->result = slot;
	return op;
}

struct op *op_argument_from(struct op *op, unsigned argument, uint64_t slot)
{
	assert(argument < 6);
	op->args[argument] = slot;
	op->indirect |= 1U << argument;
	return op;
}

struct op *program_clone(struct program *program, uint64_t clone_args_address, size_t size,
			 struct program *child)
{
	struct op *op = append(program, OP_CLONE);

	op->nr = SYS_clone3;
	op->check = CHECK_NO_ERROR;
	op->args[0] = clone_args_address;
	op->args[1] = size;
	op->target = (uintptr_t)child;
	return op;
}

void program_wait(struct program *program, uint64_t word_address, uint32_t at_least)
{
	struct op *op = append(program, OP_WAIT);

	op->args[0] = word_address;
	op->args[1] = at_least;
}

void program_wait_for(struct program *program, uint64_t word_address, uint64_t other_word)
{
	op_argument_from(append(program, OP_WAIT), 1, other_word);
	program->ops[program->n_ops - 1].args[0] = word_address;
}

void program_wake(struct program *program, uint64_t word_address, uint32_t wake_at)
{
	struct op *op = append(program, OP_WAKE);

	op->args[0] = word_address;
	op->args[1] = wake_at;
}

void program_set_capabilities(struct program *program, uint64_t effective, uint64_t permitted,
			      uint64_t inheritable)
{
	const struct capability_header header = { CAPABILITY_VERSION, 0 };
	const struct capability_data data[2] = {
		{ (uint32_t)effective, (uint32_t)permitted, (uint32_t)inheritable },
		{ (uint32_t)(effective >> 32), (uint32_t)(permitted >> 32),
		  (uint32_t)(inheritable >> 32) },
	};

	program_call(program, SYS_capset, program_data(program->set, &header, sizeof header, 8),
		     program_data(program->set, data, sizeof data, 8));
}

void program_write_number(struct program *program, const char *path, uint32_t number)
{
	char text[16];
	int length = snprintf(text, sizeof text, "%" PRIu32, number);
	uint64_t slot = program_word(program->set, 0);

	op_store(program_call(program, SYS_openat, (uint64_t)AT_FDCWD,
			      program_data(program->set, path, strlen(path) + 1, 1),
			      O_WRONLY | O_CLOEXEC, 0),
		 slot);
	op_expect(op_argument_from(program_call(program, SYS_write, 0,
						program_data(program->set, text, (size_t)length, 1),
						(uint64_t)length),
				   0, slot),
		  length);
	op_argument_from(program_call(program, SYS_close, 0), 0, slot);
}

void program_move_descriptor(struct program *program, uint64_t slot, uint32_t above,
			     uint32_t number, uint64_t flags)
{
	uint64_t high = program_word(program->set, 0);

	op_store(op_argument_from(program_call(program, SYS_fcntl, 0, F_DUPFD_CLOEXEC, above), 0,
				  slot),
		 high);
	op_argument_from(program_call(program, SYS_close, 0), 0, slot);
	op_expect(op_argument_from(program_call(program, SYS_dup3, 0, number, flags), 0, high),
		  number);
	op_argument_from(program_call(program, SYS_close, 0), 0, high);
}

void program_jump(struct program *program, struct program *to)
{
	append(program, OP_JUMP)->target = (uintptr_t)to;
}

void program_jump_if(struct program *program, uint64_t word_address, uint32_t at_least,
		     struct program *to)
{
	struct op *op = append(program, OP_JUMP);

	op->target = (uintptr_t)to;
	op->args[0] = word_address;
	op->args[1] = at_least;
}

void program_repeat_if(struct program *program, uint64_t word_address, uint32_t at_least,
		       size_t from)
{
	program_jump_if(program, word_address, at_least, program);
	program->ops[program->n_ops - 1].args[2] = from;
}

void program_park(struct program *program)
{
	append(program, OP_PARK);
}

void program_leave(struct program *program, uint64_t address)
{
	append(program, OP_LEAVE)->args[0] = address;
}
