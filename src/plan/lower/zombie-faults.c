// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Faults, for the inits of pid namespaces that died of one: of all that a process can do to itself
 * only a fault's signal gets past SIGNAL_UNKILLABLE. A page with an instruction is mapped where
 * nothing else is in a task that has no memory yet, and the program leaves for it.
 *
 * SIGSYS is that of a seccomp filter, which ends the process or one thread of it. Who died of one
 * has had what installing it takes, no_new_privs or CAP_SYS_ADMIN, and mostly has it still.
 */
#include "plan/lower/build.h"

#include "arch/faults.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

bool may_filter(const struct task *task)
{
	const ThreadCoreEntry *core = task->core->thread_core;
	const CredsEntry *creds = core ? core->creds : NULL;

	return creds && (creds->no_new_privs ||
			 (creds->n_cap_eff && creds->cap_eff[0] >> CAP_SYS_ADMIN & 1));
}

void build_filtered_death(struct program *program, uint32_t action)
{
	struct sock_filter instruction = BPF_STMT(BPF_RET | BPF_K, action);
	struct {
		uint64_t count, instructions;
	} filter = { 1, program_data(program->set, &instruction, sizeof instruction, 8) };

	op_expect(program_call(program, SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0,
			       program_data(program->set, &filter, sizeof filter, 8)),
		  0);
	program_call(program, SYS_getpid);
}

bool fault_gives(const struct task *task, uint32_t signal)
{
	return fault_of(signal) || (signal == SIGSYS && may_filter(task));
}

void build_fault(struct build *build, struct program *program, uint32_t signal)
{
	struct program_set *set = &build->plan->programs;
	const struct fault *fault = fault_of(signal);
	uint64_t address = build->plan->hole.end, page = build->plan->facts->page_size;
	uint64_t file = program_word(set, 0);

	if (!fault) {
		build_filtered_death(program, SECCOMP_RET_KILL_PROCESS);
		return;
	}
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
