// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Arguments of clone3. set_tid lists the number in the new process's own pid namespace first and
 * then outwards; a level that is not listed gets whatever number is next there. The caller needs
 * CAP_CHECKPOINT_RESTORE in the user namespace of every level listed.
 */
#include "plan/lower/build.h"

#include <linux/sched.h>
#include <signal.h>
#include <string.h>
#include <sched.h>

uint64_t clone_flags_of(const struct node *node)
{
	uint64_t flags = 0;

	if (node->place->init == node && !node->place->founder)
		flags |= CLONE_NEWPID;
	if (node->birth.share_files)
		flags |= CLONE_FILES;
	if (node->birth.share_fs)
		flags |= CLONE_FS;
	if (node->birth.same_parent)
		flags |= CLONE_PARENT;
	return flags;
}

/* With CLONE_PARENT it is the creator's, and must not be given (EINVAL). */
uint32_t clone_exit_signal(const struct node *node)
{
	if (node->birth.same_parent || node->as_helper.silent)
		return 0;
	if (node->task && node->task->core->tc->has_exit_signal)
		return node->task->core->tc->exit_signal;
	return SIGCHLD;
}

size_t clone_set_tid(const struct pid_vector *pids, size_t n_unnamed, uint32_t *ret_tids)
{
	size_t count = 0;

	for (size_t level = pids->levels; level-- > n_unnamed;)
		ret_tids[count++] = pids->pid[level];
	return count;
}

static uint64_t clone_arguments(struct program_set *set, uint64_t flags, uint32_t exit_signal,
				const struct pid_vector *pids, size_t n_unnamed)
{
	uint32_t tids[MAX_PID_LEVELS];
	struct clone_args args = { .flags = flags, .exit_signal = exit_signal };

	args.set_tid_size = clone_set_tid(pids, n_unnamed, tids);
	if (args.set_tid_size)
		args.set_tid =
			program_data(set, tids, args.set_tid_size * sizeof *tids, sizeof *tids);
	return program_data(set, &args, sizeof args, sizeof(uint64_t));
}

void build_clone(struct build *build, struct node *creator, struct node *child)
{
	uint64_t arguments =
		clone_arguments(&build->plan->programs, clone_flags_of(child),
				clone_exit_signal(child), &child->pids, child->n_unnamed);
	struct op *op = program_clone(creator->lowered->program, arguments,
				      sizeof(struct clone_args), child->lowered->program);

	/* clone3 returns the number that the creator's own namespace has for the child. */
	if (creator->place->namespace->level >= child->n_unnamed) {
		op_expect(op, node_number(child, creator->place));
	} else {
		op_store(op, child->lowered->number_slot);
	}
}

struct op *build_thread_clone(struct build *build, struct node *node, size_t thread,
			      size_t n_unnamed, struct program *maker, struct program *program)
{
	static const uint64_t flags =
		CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;
	struct pid_vector tids = thread_pids(node->task, thread);
	uint64_t arguments = clone_arguments(&build->plan->programs, flags, 0, &tids, n_unnamed);
	struct op *op = program_clone(maker, arguments, sizeof(struct clone_args), program);

	return n_unnamed < tids.levels ? op_expect(op, tids.pid[tids.levels - 1]) : op;
}
