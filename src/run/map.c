// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The programs in memory: a shared mapping at the address that the planner chose, made before the
 * first fork, so that every task has it at the same place and results are seen by all.
 */
#include "base/cleanup.h"
#include "program/interpreter/interpreter.h"
#include "program/layout.h"
#include "run/state.h"

#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

#ifndef MFD_EXEC
#define MFD_EXEC 0x10U /* from 6.3 */
#endif

_Static_assert(sizeof(struct run_header) <= BIRTH_OFFSET, "the header page is too small");

/* Without MFD_EXEC a kernel with vm.memfd_noexec=1 makes one that can never be executed. */
static int make_memory(size_t size)
{
	autoclose int fd = memfd_create("nestor-programs", MFD_CLOEXEC | MFD_EXEC);

	if (fd < 0)
		fd = memfd_create("nestor-programs", MFD_CLOEXEC); /* before 6.3 */
	if (fd < 0 || ftruncate(fd, (off_t)size) < 0)
		return -1;
	return take_fd(&fd);
}

int run_map_programs(struct run *run, struct error *err)
{
	const struct program_set *set = &run->plan->programs;
	void *address = (void *)(uintptr_t)set->base, *mapped;
	/* All of the room up to the vdso, so that nothing else is ever mapped there. */
	uint64_t end = run->plan->vdso_parking.start;
	size_t room = end > set->base + set->size ? end - set->base : set->size;
	autoclose int fd = make_memory(room);

	if (fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot make memory for the programs");
	mapped = mmap(address, set->size, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_FIXED_NOREPLACE | MAP_POPULATE, fd, 0);
	if (mapped == MAP_FAILED)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "cannot map the programs (%zu bytes) at 0x%" PRIx64, set->size,
				  set->base);
	run->mapped = mapped;
	run->mapped_size = set->size;
	if (room > set->size) {
		mapped = mmap((uint8_t *)address + set->size, room - set->size,
			      PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE, fd,
			      (off_t)set->size);
		if (mapped == MAP_FAILED)
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "cannot map the room behind the programs");
		run->mapped_size = room;
	}
	run->header = (struct run_header *)(run->mapped + PROGRAM_HEADER_OFFSET);
	run->birth = (struct birth *)(run->mapped + PROGRAM_HEADER_OFFSET + BIRTH_OFFSET);
	program_set_write(set, run->mapped);
	memcpy(run->mapped + PROGRAM_INTERPRETER_OFFSET, interpreter_start, INTERPRETER_SIZE);
	if (mprotect(run->mapped, PROGRAM_PAGE, PROT_READ | PROT_EXEC) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "cannot make the interpreter executable");
	return 0;
}

void run_unmap_programs(struct run *run)
{
	if (run->mapped)
		munmap(run->mapped, run->mapped_size);
	run->mapped = NULL;
}
