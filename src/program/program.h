/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Building programs. A set holds all programs of one run with their data, for one address at
 * which every task (and the coordinator) sees it. Data has its address at once; operations get
 * theirs when the set is linked. Layout: interpreter page, run_header page, data, operations.
 * Pure: no system call.
 */
#ifndef NESTOR_PROGRAM_PROGRAM_H
#define NESTOR_PROGRAM_PROGRAM_H

#include "base/arena.h"
#include "base/text.h"
#include "program/op.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct program;

struct program_set {
	struct arena *arena;
	uint64_t base;
	struct program **programs;
	size_t n_programs;
	struct data_chunk **chunks; /* pieces of the data area, by address */
	size_t n_chunks;
	uint64_t data_end; /* next free data address */
	bool linked;
	size_t size; /* once linked: of all that is to stand at base, whole pages */
};

struct program {
	struct program_set *set;
	const char *name; /* "task 1:37:4711" or "task 1:37:4711 thread 40:4720", for people */
	struct op *ops;
	size_t n_ops;
	uint64_t address; /* of the first operation, after linking */
};

/* base must be page-aligned. */
void program_set_init(struct program_set *set, struct arena *arena, uint64_t base);
struct program *program_new(struct program_set *set, const char *name);

uint64_t program_set_header(const struct program_set *set); /* address of struct run_header */

/*
 * Room in the data area; returns its address. program_data copies bytes (NULL: zeroes).
 * program_data_at gives our own memory behind an address, for patching before linking (NULL if
 * the address is not in the data area); *ret_room (may be NULL) gets the bytes behind it.
 */
uint64_t program_data(struct program_set *set, const void *bytes, size_t size, size_t alignment);
uint64_t program_word(struct program_set *set, uint64_t value); /* an 8-byte slot */
void *program_data_at(const struct program_set *set, uint64_t address, size_t *ret_room);

/*
 * Appends a system call, checked for CHECK_NO_ERROR. The returned pointer is good until the next
 * operation is appended to the same program; adjust it with the op_* functions at once.
 */
struct op *program_call_args(struct program *program, uint32_t nr, const uint64_t *args,
			     size_t n_args);
#define program_call(program, nr, ...)                                                 \
	program_call_args((program), (nr), (const uint64_t[]){ 0, ##__VA_ARGS__ } + 1, \
			  sizeof((const uint64_t[]){ 0, ##__VA_ARGS__ }) / sizeof(uint64_t) - 1)

struct op *op_expect(struct op *op, int64_t result); /* exactly this result */
struct op *op_any(struct op *op);		     /* do not check */
struct op *op_store(struct op *op, uint64_t slot);   /* keep the result in a slot */
struct op *op_argument_from(struct op *op, unsigned argument, uint64_t slot);

/* clone3 with the struct clone_args at clone_args_address; the child runs `child`. */
struct op *program_clone(struct program *program, uint64_t clone_args_address, size_t size,
			 struct program *child);
void program_wait(struct program *program, uint64_t word_address, uint32_t at_least);
/* Until it is at least what the other word is by then. */
void program_wait_for(struct program *program, uint64_t word_address, uint64_t other_word);
void program_wake(struct program *program, uint64_t word_address, uint32_t wake_at);
void program_jump(struct program *program, struct program *to);
/* Only if the word is at least `at_least` when the operation is come to. */
void program_jump_if(struct program *program, uint64_t word_address, uint32_t at_least,
		     struct program *to);
/* The same to an operation of the program itself, by its index (program->n_ops before it). */
void program_repeat_if(struct program *program, uint64_t word_address, uint32_t at_least,
		       size_t from);
void program_park(struct program *program);
void program_leave(struct program *program, uint64_t address); /* jumps there */

/*
 * Moves the descriptor whose number is in a slot, the lowest that was free, to `number`. On the way
 * it is at some number from `above` on: dup3 refuses equal numbers (EINVAL).
 */
void program_move_descriptor(struct program *program, uint64_t slot, uint32_t above,
			     uint32_t number, uint64_t flags);

/* capset(2) of the caller. */
void program_set_capabilities(struct program *program, uint64_t effective, uint64_t permitted,
			      uint64_t inheritable);

/* Writes a number, as text, into a file that is there. */
void program_write_number(struct program *program, const char *path, uint32_t number);

/* Resolves targets and lays the set out; programs can no longer grow. */
void program_set_link(struct program_set *set);
/* What is to stand at base, to where set->size zeroes are; the interpreter's page stays zero. */
void program_set_write(const struct program_set *set, void *place);

/* Which operation stands at an address after linking; NULL if none. */
const struct op *program_set_find(const struct program_set *set, uint64_t address,
				  const struct program **ret_program, size_t *ret_index);

/*
 * Printing, as strace prints system calls; ret_result non-NULL appends " = ENOMEM (...)" or the
 * value. The same printer serves `nestor plan`, logs and errors.
 */
void op_print(const struct program_set *set, const struct op *op, const int64_t *result,
	      struct text *text);
void program_print(const struct program *program, struct text *text);
void program_print_json(const struct program *program, struct text *text);

#endif
