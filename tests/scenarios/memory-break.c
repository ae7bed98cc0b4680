// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: memory-break
 * promise: the end of the heap is where it was, to the byte
 * flavours: flat three user
 */
#include "scenario.h"

#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Not sbrk(0), which tells what the library remembers. */
static uint64_t end_of_heap(void)
{
	return (uint64_t)syscall(SYS_brk, 0);
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	uint64_t end = end_of_heap() + 5 * 4096 + 17;
	scenario_need((uint64_t)syscall(SYS_brk, end) == end, "cannot move the end of the heap");
	*(uint8_t *)(uintptr_t)(end - 1) = 0x5a;
	scenario_ready();
	scenario_check(end_of_heap() == end, "the heap ends at %lx instead of %lx",
		       (unsigned long)end_of_heap(), (unsigned long)end);
	scenario_check(*(uint8_t *)(uintptr_t)(end - 1) == 0x5a, "its last byte is another one");
	return scenario_end();
}
