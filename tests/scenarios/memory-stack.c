// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: memory-stack
 * promise: stacks keep growing: the main one, and an area with MAP_GROWSDOWN
 * flavours: flat one three user user-three unprivileged ordinary
 */
#include "scenario.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

enum { PAGE = 4096, FRAME = 16384, DEPTH = 100 };

/* Touches every frame down to the depth, then looks at them on the way back. */
static __attribute__((noinline)) unsigned descend(unsigned depth)
{
	volatile uint8_t frame[FRAME];

	for (size_t i = 0; i < FRAME; i += PAGE / 2)
		frame[i] = (uint8_t)depth;
	unsigned found = depth ? descend(depth - 1) : 0;

	for (size_t i = 0; i < FRAME; i += PAGE / 2)
		found += frame[i] == (uint8_t)depth;
	return found;
}

int main(int argc, char **argv)
{
	const size_t size = 16 * PAGE, room = 512 * PAGE;
	uint8_t *hole, *stack;

	scenario_begin(argc, argv);
	/* A hole large enough that growing meets nothing; its upper end becomes the stack. */
	hole = mmap(NULL, room + size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	scenario_need(hole != MAP_FAILED, "cannot find a hole");
	munmap(hole, room + size);
	stack = mmap(hole + room, size, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED_NOREPLACE, -1, 0);
	scenario_need(stack == hole + room, "cannot map a stack");
	memset(stack + size - 2 * PAGE, 's', 2 * PAGE);

	scenario_ready();

	scenario_check(stack[size - 1] == 's', "the stack has another content");
	for (size_t i = 1; i <= 8; i++)
		stack[-(ptrdiff_t)(i * PAGE)] = (uint8_t)i; /* a SIGSEGV if it does not grow */
	scenario_check(stack[-8 * PAGE] == 8, "the stack has grown into nothing");
	scenario_check(descend(DEPTH) == (DEPTH + 1) * (FRAME / (PAGE / 2)),
		       "the main stack does not keep what is written to it");
	return scenario_end();
}
