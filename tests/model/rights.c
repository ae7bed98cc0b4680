// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * User namespaces, and what they allow. Everybody is uid 0 of the host, so the owner of each user
 * namespace; what differs is where a process is, and whether it has dropped its capabilities.
 */
#include "kernel.h"

#include <errno.h>

bool model_users_are_within(const struct model *model, int users, int outer)
{
	while (users >= 0 && users != outer)
		users = model->users[users].parent;
	return users == outer;
}

/* cap_capable, security/commoncap.c: the owner has them all from the parent on upwards. */
bool model_may(const struct model *model, int process, int users)
{
	const struct model_process *at = &model->processes[process];

	if (users == at->users)
		return !at->powerless;
	return model_users_are_within(model, users, at->users);
}

/* cap_ptrace_access_check; the ids are equal. */
bool model_may_look(const struct model *model, int process, int target)
{
	const struct model_process *at = &model->processes[process];
	const struct model_process *seen = &model->processes[target];

	if (process == target)
		return true;
	if (at->users == seen->users && (seen->powerless || !at->powerless))
		return true;
	return model_may(model, process, seen->users);
}

int model_add_users(struct model *model, int parent, bool mapped)
{
	int depth = parent < 0 ? 0 : model->users[parent].depth + 1;

	if (model->n_users == MODEL_USERS || depth > MODEL_USER_DEPTH)
		return -ENOSPC;
	model->users[model->n_users] = (struct model_users){
		.parent = parent, .depth = depth, .mapped = mapped, .id = (uint32_t)model->n_users
	};
	return model->n_users++;
}

/*
 * create_user_ns, kernel/user_namespace.c: whoever is nobody makes none. A map of the parent's uid
 * 0 takes CAP_SETFCAP of who made the namespace (verify_root_map).
 */
int model_make_users(struct model *model, int process)
{
	const struct model_process *at = &model->processes[process];

	if (model->users[at->users].depth >= MODEL_USER_DEPTH)
		return -ENOSPC;
	if (!model->users[at->users].mapped)
		return -EPERM;
	return model_add_users(model, at->users, !at->powerless);
}

/* set_cred_user_ns: all capabilities, in there. */
static void put_into(struct model *model, int process, int users)
{
	model->processes[process].users = users;
	model->processes[process].powerless = false;
}

int model_unshare_users(struct model *model, int process)
{
	int users = model_make_users(model, process);

	if (users < 0)
		return users;
	put_into(model, process, users);
	return 0;
}

/* userns_install */
int model_join_users(struct model *model, int process, int users)
{
	if (users == model->processes[process].users)
		return -EINVAL;
	if (!model_may(model, process, users))
		return -EPERM;
	put_into(model, process, users);
	return 0;
}

int model_enter_users(struct model *model, int process, int32_t number)
{
	int target = model_look_up(model, process, number);
	if (target < 0)
		return target;
	return model_join_users(model, process, model->processes[target].users);
}

int model_drop(struct model *model, int process)
{
	model->processes[process].powerless = true;
	return 0;
}
