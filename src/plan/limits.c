// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Limits that bind a restore as a whole, or a task before it has its own: those of who restores,
 * which the tree is born with. What has been dumped under them, and ended, has to fit again, so
 * this is looked at by dump and restore alike, before anything is made or ended. Soft limits are
 * raised for a restore (run_raise_limits), hard ones count.
 *
 *  - Processes and threads: RLIMIT_NPROC (copy_process: not for uid 0 of the initial user
 *    namespace, CAP_SYS_RESOURCE, CAP_SYS_ADMIN), kernel.threads-max, pids.max of the cgroup.
 *  - RLIMIT_AS and RLIMIT_DATA bind everybody (may_expand_vm); mappings that are private and
 *    writable, and do not grow down, are data. The programs are shared: no data, but addresses.
 *  - RLIMIT_MEMLOCK is looked at by mlock2 (do_mlock), unless one has CAP_IPC_LOCK.
 *  - vm.max_map_count: an area more than that is let through (do_mmap), and the programs are one.
 *
 * Descriptors are with the sources (holders.c), addresses with holes.c. The content of unlinked
 * files goes back to where it was taken from: the end of the tree makes room for it there.
 */
#include "plan/lower/build.h"

#include <inttypes.h>
#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/resource.h>

enum { OWN_PROCESSES = 4 }; /* the coordinator, its executor, keeper, and one that makes */

/* Of plans that are made for tests nothing is known; nobody lives without addresses. */
static uint64_t hard_limit(const struct plan *plan, int resource)
{
	const struct rlimit *limits = plan->facts->rlimits;

	return limits[RLIMIT_AS].rlim_max ? limits[resource].rlim_max : RLIM_INFINITY;
}

static bool has_initial_capability(const struct facts *facts, int capability)
{
	return facts->in_initial_user_namespace && facts_has_capability(facts, capability);
}

static int check_processes(const struct plan *plan, struct error *err)
{
	uint64_t needed = plan->n_helpers + OWN_PROCESSES;

	for (size_t i = 0; i < plan->snapshot->n_tasks; i++) {
		size_t threads = plan->snapshot->tasks[i].n_threads;
		needed += threads ? threads : 1;
	}
	if (!plan->facts->max_processes || needed <= plan->facts->max_processes)
		return 0;
	fail(err, ERR_LIMIT_TOO_LOW,
	     "making the tree takes %" PRIu64 " processes and threads, the limit is %" PRIu64,
	     needed, plan->facts->max_processes);
	return fail_hint(err, "raise the limit of processes (ulimit -Hu), kernel.threads-max or "
			      "pids.max of the cgroup");
}

struct amounts {
	uint64_t addresses, data, locked;
};

static struct amounts amounts_of(const MmEntry *mm)
{
	struct amounts amounts = { 0 };

	for (size_t i = 0; i < mm->n_vmas; i++) {
		const VmaEntry *area = mm->vmas[i];
		uint64_t size = area->end - area->start;
		if (area->status & VMA_VSYSCALL)
			continue;
		amounts.addresses += size;
		if (area->prot & PROT_WRITE && area->flags & MAP_PRIVATE &&
		    !(area->flags & MAP_GROWSDOWN))
			amounts.data += size;
		if (area->flags & MAP_LOCKED)
			amounts.locked += size;
	}
	return amounts;
}

static int fail_amount(const struct task *task, const char *what, const char *option,
		       uint64_t needed, uint64_t limit, struct error *err)
{
	fail(err, ERR_LIMIT_TOO_LOW,
	     "task %s has %" PRIu64 " bytes of %s, whoever restores it may have %" PRIu64,
	     task_name(task), needed, what, limit);
	return fail_hint(err, "raise the hard limit (ulimit -H%s) of nestor", option);
}

static int check_memory(const struct plan *plan, const struct task *task, struct error *err)
{
	struct amounts amounts = amounts_of(task->mm);
	uint64_t programs = plan->hole.end - plan->hole.start;
	uint64_t addresses = hard_limit(plan, RLIMIT_AS), data = hard_limit(plan, RLIMIT_DATA);
	uint64_t locked = has_initial_capability(plan->facts, CAP_IPC_LOCK)
				  ? RLIM_INFINITY
				  : hard_limit(plan, RLIMIT_MEMLOCK);

	if (addresses < programs || amounts.addresses > addresses - programs)
		return fail_amount(task, "addresses", "v", amounts.addresses + programs, addresses,
				   err);
	if (amounts.data > data)
		return fail_amount(task, "data", "d", amounts.data, data, err);
	if (amounts.locked > locked)
		return fail_amount(task, "locked memory", "l", amounts.locked, locked, err);
	if (plan->facts->max_map_count && task->mm->n_vmas > plan->facts->max_map_count)
		return fail(err, ERR_LIMIT_TOO_LOW,
			    "task %s has %zu areas, the limit is %" PRIu64 " (vm.max_map_count)",
			    task_name(task), task->mm->n_vmas, plan->facts->max_map_count);
	return 0;
}

int limits_check(const struct plan *plan, struct error *err)
{
	if (check_processes(plan, err))
		return -1;
	for (size_t i = 0; i < plan->snapshot->n_tasks; i++)
		if (plan->snapshot->tasks[i].mm &&
		    check_memory(plan, &plan->snapshot->tasks[i], err))
			return -1;
	return 0;
}
