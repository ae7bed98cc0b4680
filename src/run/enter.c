// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Entering a new user namespace, in which the caller has all capabilities. Its maps are given by a
 * child that stays outside: a process in the namespace itself could give just one line, and could
 * not ask newuidmap.
 */
#include "kernel/visit.h"
#include "run/maps.h"
#include "run/run.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <unistd.h>

struct mapping {
	const struct user_namespace *namespace_;
	pid_t caller;
};

static int unshare_user(const struct user_namespace *namespace, struct error *err)
{
	if (unshare(CLONE_NEWUSER) == 0)
		return 0;
	fail_errno(err, errno == ENOSPC ? ERR_LIMIT_TOO_LOW : ERR_NO_PRIVILEGE,
		   "cannot make user namespace %" PRIu32, namespace->base.id);
	return fail_hint(err, "user.max_user_namespaces and other settings of the host decide who "
			      "may make user namespaces");
}

static int enter(void *data, struct error *err)
{
	const struct mapping *mapping = data;

	return unshare_user(mapping->namespace_, err);
}

static int map(struct visitor *visitor, void *data, struct error *err)
{
	const struct mapping *mapping = data;
	const char *what = "";

	(void)visitor;
	if (maps_write(mapping->caller, mapping->namespace_, &what) == 0)
		return 0;
	fail_errno(err, errno == EPERM ? ERR_NO_PRIVILEGE : ERR_KERNEL_REFUSED,
		   "cannot write the %s of user namespace %" PRIu32, what,
		   mapping->namespace_->base.id);
	if (err->name == ERR_NO_PRIVILEGE)
		return fail_hint(err,
				 "map only your own ids, have /etc/subuid and /etc/subgid give "
				 "you the others (newuidmap), or run nestor as root");
	return -1;
}

int run_enter_new_user_namespace(const struct user_namespace *namespace, struct error *err)
{
	struct mapping mapping = { namespace, getpid() };
	struct visit outside = {
		.what = "writes the maps",
		.first = enter,
		.function = map,
		.data = &mapping,
		.size = sizeof mapping,
	};

	return visit(&outside, NULL, 0, err);
}
