// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Telling the caller of the tree's namespaces before anything is put into them but what they have
 * of their own: no socket is bound, no task exists. What a caller gets is a process, as it may want
 * to enter them, or to move an interface there: one that stands in for the root until it answers.
 */
#include "kernel/visit.h"
#include "model/namespaces.h"
#include "run/state.h"

#include <sched.h>
#include <sys/mount.h>

/* What is mounted there, by mistake or not, is seen by nobody. */
static int be_there(struct visitor *visitor, void *data, struct error *err)
{
	(void)visitor;
	(void)data;
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot make a mount namespace");
	return 0;
}

static int tell(pid_t pid, void *data, struct error *err)
{
	const struct run *const *run = data;

	return (*run)->options->namespaces_made((*run)->options->before_release_data, pid, err);
}

/* Plain ones first: in its user namespace it has no rights over those of others. */
static size_t namespaces_of_root(const struct run *run, int fds[NAMESPACE_TYPES])
{
	const struct snapshot *snapshot = run->plan->snapshot;
	const struct task *root = &snapshot->tasks[0];
	size_t count = 0;

	for (enum namespace_type type = 0; type < NAMESPACE_TYPES; type++) {
		const struct namespace *own =
			namespace_types[type].plain && !namespace_types[type].late
				? thread_namespace(snapshot, root, 0, type)
				: NULL;
		int fd = own && run->plain_namespaces ? run->plain_namespaces[own->index] : -1;
		if (fd >= 0)
			fds[count++] = fd;
	}
	int user = root->user_namespace && root->user_namespace->depth
			   ? run_user_namespace(run, root->user_namespace->base.id)
			   : -1;
	if (user >= 0)
		fds[count++] = user;
	return count;
}

int run_tell_namespaces(struct run *run, struct error *err)
{
	int fds[NAMESPACE_TYPES];
	struct visit there = {
		.what = "stands in for the root",
		.namespaces = fds,
		.n_namespaces = namespaces_of_root(run, fds),
		.function = be_there,
		.meanwhile = tell,
		.data = &run,
		.size = sizeof run,
		.timeout_seconds = run->options->timeout_seconds,
		.check = run_check_interrupted,
	};

	return run->options->namespaces_made ? visit(&there, NULL, 0, err) : 0;
}
