// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Threads that a nestor which was killed has left in its stub, and that do not come back by
 * themselves since they are stopped. What they need for it stands in the stub: their registers, and
 * where the arena is. The leader is the last to go, and unmaps that.
 */
#include "collect/inject-thread.h"
#include "arch/registers.h"
#include "arch/stub.h"
#include "collect/collect.h"
#include "collect/seccomp.h"

#include <string.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <unistd.h>

/* Is it our stub, apart from the data in it? */
static bool is_our_stub(const uint8_t *code)
{
	const struct {
		const uint8_t *start, *end;
	} parts[] = {
		{ stub_start, stub_run_mask },
		{ stub_leader_enter, stub_leader_context },
		{ stub_thread_start, stub_thread_context },
	};

	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
		if (memcmp(code + stub_offset(parts[i].start), parts[i].start,
			   (size_t)(parts[i].end - parts[i].start)))
			return false;
	return true;
}

/* What a leader inside of the stub had mapped; 0 if nothing is there, or any more. */
static uint64_t arena_left(const struct injection *injection, const struct user_regs_struct *regs)
{
	const uint64_t stub_ends = injection_address(injection, stub_end);

	if (regs->rip == injection_address(injection, stub_leader_has_mapped))
		return (int64_t)regs->rax > 0 ? regs->rax : 0;
	/* From there on it is at work, in the interpreter behind the stub too. */
	if (regs->rip < stub_ends &&
	    (regs->rip < injection_address(injection, stub_leader_has_mapped) ||
	     regs->rip > injection_address(injection, stub_leader_unmaps)))
		return 0;
	return (int64_t)regs->r12 > 0 ? regs->r12 : 0;
}

/* The filters have let the earlier nestor do the same; but that may have chosen another signal. */
static bool may_unmap(const struct injection *injection)
{
	const struct target *target = injection->target;
	struct seccomp_filters filters;

	return injection_filters(injection, &filters) == 0 &&
	       injection_permitted(injection, target->living, &filters);
}

/* Lets the leader unmap the arena, and takes it home; its registers are its own already. */
static bool unmap_left(struct injection *injection)
{
	struct error unused = { 0 };

	injection->mem_fd = target_open_mem(injection->target, &unused);
	if (injection->mem_fd < 0)
		return false;
	if (injection_finish(injection, &unused) < 0) {
		close(injection->mem_fd);
		return false;
	}
	return injection_finished(injection, &unused) == 0;
}

bool injection_recover(struct target *target, size_t thread, uint64_t deadline)
{
	struct injection injection = { .target = target,
				       .code = injection_code_address(target),
				       .deadline = deadline };
	struct target_thread *where = &target->threads[thread];
	bool leader = injection_leads(&injection, thread);
	const uint8_t *place = leader ? stub_leader_context : stub_thread_context;
	struct iovec remote = { (void *)injection.code, stub_offset(stub_end) };
	struct stub_context context;
	struct rlimit limits[2];
	struct error unused = { 0 };
	uint8_t code[CODE_ROOM];
	struct iovec local = { code, remote.iov_len };

	if (process_vm_readv(target->tid, &local, 1, &remote, 1, 0) != (ssize_t)local.iov_len ||
	    !is_our_stub(code))
		return false;
	injection.arena = leader ? arena_left(&injection, &where->regs) : 0;
	memcpy(limits, code + stub_offset(stub_limits), sizeof limits);
	/* Only between these two it has more room than its own. */
	if (leader && limits[0].rlim_cur &&
	    where->regs.rip < injection_address(&injection, stub_leader_leave) &&
	    prlimit(target->pid, RLIMIT_AS, &limits[1], NULL) < 0)
		return false;
	memcpy(&injection.arena_size, code + stub_offset(stub_arena_size),
	       sizeof injection.arena_size);
	memcpy(&context, code + stub_offset(place), sizeof context);
	stub_context_load(&context, &where->regs);
	where->signal_mask = context.signal_mask;
	if (injection.arena == 0)
		return injection_leave(&injection, thread, &unused) == 0;
	injection.trap_signal = injection_choose_signal(target);
	return may_unmap(&injection) ? unmap_left(&injection)
				     : injection_leave(&injection, thread, &unused) == 0;
}
