// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Faults, for the inits of pid namespaces that died of one: of all that a process can do to itself
 * only a fault's signal gets past SIGNAL_UNKILLABLE. A page with an instruction is mapped where
 * nothing else is in a task that has no memory yet, and the program leaves for it.
 */
#include "plan/build.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

static const struct fault {
	uint32_t signal;
	const char *code; /* NULL: there is no page at all */
	size_t size;
} faults[] = {
	{ SIGSEGV, NULL, 0 },
	{ SIGBUS, "", 0 },		   /* a page beyond the end of its file */
	{ SIGILL, "\x0f\x0b", 2 },	   /* ud2 */
	{ SIGTRAP, "\xcc", 1 },		   /* int3 */
	{ SIGFPE, "\x31\xc9\xf7\xf1", 4 }, /* xor %ecx, %ecx; div %ecx */
};

static const struct fault *fault_of(uint32_t signal)
{
	for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
		if (faults[i].signal == signal)
			return &faults[i];
	return NULL;
}

bool fault_gives(uint32_t signal)
{
	return fault_of(signal) != NULL;
}

void build_fault(struct build *build, struct program *program, uint32_t signal)
{
	struct program_set *set = &build->plan->programs;
	const struct fault *fault = fault_of(signal);
	uint64_t address = build->plan->hole.end, page = build->plan->facts->page_size;
	uint64_t file = program_word(set, 0);

	if (!fault->code) {
		program_leave(program, 0);
		return;
	}
	op_store(program_call(program, SYS_memfd_create, program_data(set, "fault", 6, 1),
			      MFD_CLOEXEC),
		 file);
	if (fault->size)
		op_expect(op_argument_from(
				  program_call(program, SYS_write, 0,
					       program_data(set, fault->code, fault->size, 1),
					       fault->size),
				  0, file),
			  (int64_t)fault->size);
	op_expect(op_argument_from(program_call(program, SYS_mmap, address, page,
						PROT_READ | PROT_EXEC,
						MAP_PRIVATE | MAP_FIXED_NOREPLACE, 0, 0),
				   4, file),
		  (int64_t)address);
	program_leave(program, address);
}
