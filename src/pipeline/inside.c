// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Restoring from inside of the tree's user namespace; see inside.h.
 *
 * The kernel asks who may trace a task of the user namespace in which its program was executed
 * (mm->user_ns), and what tasks inherit is ours: so nestor is executed once more inside.
 */
#include "pipeline/inside.h"

#include "base/log.h"
#include "kernel/syscalls.h"
#include "pipeline/load.h"
#include "run/run.h"

#include <inttypes.h>
#include <linux/capability.h>

/* What making a tree takes; a person without it has it in a user namespace of their own. */
static int lacks_privileges(struct error *err)
{
	static const int needed[] = { CAP_SYS_ADMIN, CAP_SYS_PTRACE, CAP_SETUID, CAP_SETGID };
	struct capability_sets sets = { 0 };

	if (kernel_capget(0, &sets))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot ask for our capabilities");
	for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
		if (!(sets.effective >> needed[i] & 1))
			return 1;
	return 0;
}

/*
 * A tree in a pid namespace of its own (or a fresh one), all of it in a user namespace below that
 * of the dump.
 */
static struct user_namespace *find_base(const struct load *load)
{
	const struct snapshot *snapshot = &load->snapshot;
	bool own = snapshot->own_pid_namespace || load->unsharing.pid;
	struct user_namespace *base = snapshot->tasks[0].user_namespace;

	while (base->depth > 1)
		base = base->parent;
	return base->depth == 1 && own && user_namespace_holds_tree(snapshot, base) ? base : NULL;
}

/* Once inside: the images are to be seen from there. */
static int work_inside(struct load *load, uint32_t id, struct error *err)
{
	struct user_namespace *base = snapshot_user_namespace(&load->snapshot, id);

	if (!base)
		return fail(err, ERR_USAGE, "%" PRIu32 " is no user namespace of the images", id);
	log_info("restore", "nestor", "without privileges outside: inside user namespace %" PRIu32,
		 id);
	return snapshot_rebase(&load->snapshot, base, err);
}

int inside_enter(struct load *load, struct error *err)
{
	const struct pipeline_options *options = load->session->options;

	if (options->inside)
		return work_inside(load, options->inside, err);
	struct user_namespace *base = find_base(load);
	int lacks = base && options->hooks.execute_inside ? lacks_privileges(err) : 0;
	if (lacks <= 0)
		return lacks;
	if (run_enter_new_user_namespace(base, err) < 0)
		return -1;
	return options->hooks.execute_inside(options->hooks.data, base->base.id, err);
}
