// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Making user namespaces, before the tree. Each is made by a short-lived process of ours that has
 * the recorded owner's uid and is in the parent namespace, and stays alive, without a process of
 * its own, by a descriptor that tasks inherit.
 *
 * Rules (user_namespaces(7), kernel/user_namespace.c): the owner is the effective uid of the maker,
 * which has to be mapped in the parent, and its effective gid too. For the maps see maps.c.
 *
 *   founder   visits the parent namespace, with the owner's uid, and writes the maps
 *   member    its child: the first and only process inside, until there is a descriptor
 *
 * In nestor's own user namespace the founder is a deputy, whose child is born in the new one. In
 * those below, files in /proc of who shares nestor's memory are those of somebody else, and who
 * may not write the maps asks other programs: there founder and member have memory of their own.
 */
#include "base/cleanup.h"
#include "kernel/deputy.h"
#include "kernel/pidfd.h"
#include "kernel/syscalls.h"
#include "kernel/visit.h"
#include "run/maps.h"
#include "run/state.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

struct founding {
	const struct user_namespace *namespace_;
	struct visitor *visitor; /* the founder, if it is a deputy */
};

static int fail_founding(const char *what, struct error *err)
{
	fail_errno(err, errno == ENOSPC ? ERR_LIMIT_TOO_LOW : ERR_KERNEL_REFUSED, "%s", what);
	if (err->os_errno == ENOSPC)
		return fail_hint(err, "raise user.max_user_namespaces (sysctl)");
	return -1;
}

static int be_member(struct visitor *visitor, void *data, struct error *err)
{
	(void)data;
	if (unshare(CLONE_NEWUSER))
		return fail_founding("unshare(CLONE_NEWUSER)", err);
	autoclose int fd = open("/proc/self/ns/user", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot open what was made");
	return visitor_hand_over(visitor, fd, err);
}

static int write_maps(pid_t member, void *data, struct error *err)
{
	const struct founding *founding = data;
	const char *what = NULL;

	return maps_write(member, founding->namespace_, &what) < 0 ? fail_founding(what, err) : 0;
}

static int be_founder(struct visitor *visitor, void *data, struct error *err)
{
	struct visit member = {
		.what = "is in a new user namespace",
		.function = be_member,
		.meanwhile = write_maps,
		.data = data,
		.size = sizeof(struct founding),
	};
	int fd;

	if (visit(&member, &fd, 1, err))
		return -1;
	autoclose int made = fd;
	return visitor_hand_over(visitor, made, err);
}

static int take_from(pid_t member, void *data, struct error *err)
{
	const struct founding *founding = data;
	const char *what = NULL;
	char path[64];

	if (maps_write_alone(member, founding->namespace_, &what))
		return fail_founding(what, err);
	snprintf(path, sizeof path, "/proc/%d/ns/user", (int)member);
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot open what was made");
	return visitor_hand_over(founding->visitor, fd, err);
}

static int be_brief_founder(struct visitor *visitor, void *data, struct error *err)
{
	struct founding *founding = data;

	founding->visitor = visitor;
	return deputy_beside_child(CLONE_NEWUSER, take_from, founding, err);
}

/* Its own children would be born there. */
static int be_pid_founder(struct visitor *visitor, void *data, struct error *err)
{
	(void)data;
	if (unshare(CLONE_NEWPID))
		return fail_founding("unshare(CLONE_NEWPID)", err);
	autoclose int pidfd = kernel_pidfd_open(getpid(), 0);
	autoclose int fd = pidfd < 0 ? -1 : ioctl(pidfd, PIDFD_PID_NAMESPACE_FOR_CHILDREN, 0);
	if (fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot get hold of what was made");
	return visitor_hand_over(visitor, fd, err);
}

/* A gid that the parent maps, as seen from here. Which one it was is recorded nowhere. */
static uint32_t mapped_group(const struct user_namespace *parent)
{
	if (parent->depth == 0 || !parent->base.entry->user_ext ||
	    !parent->base.entry->user_ext->n_gid_map)
		return getegid();
	uint32_t id = getegid();
	user_namespace_id_outside(parent, true, parent->base.entry->user_ext->gid_map[0]->first,
				  &id);
	return id;
}

/* What a deputy is refused others may have the right to, or tell why not. */
static int found(struct visit *there, bool briefly, int *ret_fd, struct error *err)
{
	struct error refused = { 0 };

	there->brief = briefly;
	there->function = briefly ? be_brief_founder : be_founder;
	if (visit(there, ret_fd, 1, &refused) == 0)
		return 0;
	if (briefly && refused.os_errno)
		return found(there, false, ret_fd, err);
	*err = refused;
	return -1;
}

int run_make_user_namespace(struct run *run, const struct user_namespace *namespace,
			    struct error *err)
{
	struct founding founding = { .namespace_ = namespace };
	int parent =
		namespace->parent->depth ? run_user_namespace(run, namespace->parent->base.id) : -1;
	uint32_t owner = namespace->base.entry->owner_uid, group = mapped_group(namespace->parent);
	struct visit there = {
		.what = "makes a user namespace",
		.takes_ids = owner != geteuid() || group != getegid(),
		.uid = owner,
		.gid = group,
		.namespaces = &parent,
		.n_namespaces = parent >= 0,
		.data = &founding,
		.size = sizeof founding,
		.timeout_seconds = run->options->timeout_seconds,
		.check = run_check_interrupted,
	};
	int fd;

	if (found(&there, parent < 0, &fd, err))
		return fail_while(err, "making user namespace %" PRIu32, namespace->base.id);
	run->user_namespaces = arena_grow(run->arena, run->user_namespaces, run->n_user_namespaces,
					  sizeof *run->user_namespaces);
	run->user_namespaces[run->n_user_namespaces++] =
		(struct run_user_namespace){ .namespace = namespace, .fd = fd };
	return 0;
}

int run_user_namespace(const struct run *run, uint32_t id)
{
	for (size_t i = 0; i < run->n_user_namespaces; i++)
		if (run->user_namespaces[i].namespace->base.id == id)
			return run->user_namespaces[i].fd;
	return -1;
}

int run_make_root_pid_namespace(struct run *run, const struct user_namespace *owner,
				struct error *err)
{
	int fd = run_user_namespace(run, owner->base.id);
	struct visit there = {
		.what = "makes a pid namespace",
		.namespaces = &fd,
		.n_namespaces = fd >= 0,
		.function = be_pid_founder,
		.timeout_seconds = run->options->timeout_seconds,
		.check = run_check_interrupted,
	};

	if (visit(&there, &run->root_namespace_fd, 1, err))
		return fail_while(err, "making the pid namespace of user namespace %" PRIu32,
				  owner->base.id);
	return 0;
}

void run_close_namespaces(struct run *run)
{
	for (size_t i = 0; i < run->n_user_namespaces; i++)
		close(run->user_namespaces[i].fd);
	run->n_user_namespaces = 0;
	if (run->root_namespace_fd >= 0)
		close(run->root_namespace_fd);
	run->root_namespace_fd = -1;
	run_close_plain_namespaces(run);
}
