// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * All mount namespaces of a tree: superblocks first, then each namespace with its mounts, then what
 * they share. And what is opened in them afterwards.
 */
#include "kinds/mounts/mounts.h"

#include "base/cleanup.h"
#include "base/compare.h"
#include "kernel/deputy.h"
#include "kinds/mounts/autofs.h"
#include "kinds/mounts/groups.h"
#include "kinds/mounts/kind.h"
#include "kinds/mounts/make.h"
#include "kinds/mounts/plan.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void mount_namespace_close(struct made_mount_namespace *made, size_t n_mounts)
{
	cleanup_close(&made->fd);
	for (size_t i = 0; made->roots && i < n_mounts; i++) {
		cleanup_close(&made->roots[i]);
		cleanup_close(&made->covered[i]);
	}
}

static int make_groups(struct file_opener *opener, const struct mount_maker *maker,
		       const struct made_superblocks *superblocks, const struct group_plan *groups,
		       struct error *err)
{
	struct made_mount_namespace temporary = { .fd = -1 };
	struct mount_plan plan;
	int result = 0;

	if (groups->temporaries.n_mounts) {
		mount_plan_make_temporaries(&plan, opener->arena, &groups->temporaries);
		result = mount_make_one(opener, maker, superblocks, &groups->temporaries, &plan,
					groups->temporaries_keep_master, &temporary, err);
	}
	if (result == 0)
		result = mounts_make_groups(opener, groups, &temporary, err);
	mount_namespace_close(&temporary, groups->temporaries.n_mounts);
	return result;
}

static bool is_shown(const struct snapshot *snapshot, const struct pid_namespace *namespace)
{
	for (size_t i = 0; i < snapshot->n_mount_namespaces; i++) {
		const struct task *below =
			mount_revealed_to(snapshot, snapshot->mount_namespaces[i]);
		if (below && below->pid_namespace == namespace)
			return true;
		for (size_t k = 0; k < snapshot->mount_namespaces[i]->n_mounts; k++) {
			const MntEntry *mount = snapshot->mount_namespaces[i]->mounts[k];
			if (mount->nses && mount->nses->has_pidns_id &&
			    mount->nses->pidns_id == namespace->base.id)
				return true;
		}
	}
	return false;
}

/* Those of which a proc is mounted. */
static int open_pid_namespaces(const struct file_opener *opener, int *fds, struct error *err)
{
	const struct snapshot *snapshot = opener->snapshot;

	for (size_t i = 0; i < snapshot->n_pid_namespaces; i++) {
		const struct pid_namespace *namespace = snapshot->pid_namespaces[i];
		char path[64];
		if (!is_shown(snapshot, namespace))
			continue;
		pid_t pid = i == 0	      ? opener->level_0
			    : namespace->init ? opener->pids[namespace->init->index]
					      : 0;
		snprintf(path, sizeof path, "/proc/%d/ns/pid", (int)pid);
		fds[i] = open(path, O_RDONLY | O_CLOEXEC);
		if (fds[i] < 0)
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "cannot open pid namespace %" PRIu32
					  ", whose proc is mounted",
					  namespace->base.id);
	}
	return 0;
}

static int make_all(struct file_opener *opener, const struct mount_maker *before, struct error *err)
{
	struct mount_shelf shelf = { .fd = -1 };
	struct made_superblocks superblocks = { .shelf = &shelf };
	struct mount_maker with_made = *before;
	const struct mount_maker *maker = &with_made;
	struct group_plan groups;
	int result = mounts_hold_outside(opener, &superblocks, err);

	if (!result)
		result = group_plan_make(&groups, opener->arena, opener->snapshot, err);

	if (!result)
		result = mounts_check_outside(opener, err);
	with_made.made = &superblocks;
	groups.temporaries.owner = opener->snapshot->user_namespaces[0];
	if (!result)
		result = mounts_make_idmaps(opener, &superblocks, err);
	if (!result)
		result = mounts_play_drivers(opener, err);
	if (!result)
		result = mounts_make_superblocks(opener, maker, &superblocks, err);
	if (!result)
		result = mounts_make_terminals(opener, &superblocks, err);
	if (!result)
		result = mounts_make_origins(opener, &superblocks, err);
	if (!result)
		result = mounts_make_namespaces(opener, maker, &superblocks, &groups, err);
	if (!result)
		result = mounts_attach_late(opener, &groups, err);
	if (!result)
		result = mounts_settle_superblocks(maker, &superblocks, err);
	if (!result)
		result = make_groups(opener, maker, &superblocks, &groups, err);
	if (!result)
		result = mounts_detach(opener, err);
	mounts_hang_up_terminals(&superblocks);
	mounts_let_go_outside(&superblocks);
	mounts_close_idmaps(&superblocks);
	for (size_t i = 0; i < superblocks.n; i++)
		close(superblocks.all[i].fd);
	cleanup_close(&shelf.fd);
	deputy_end(&maker->workplace->ending);
	cleanup_close(&maker->workplace->bare_fd);
	return mounts_settle_origins(opener, &superblocks, result < 0, err) || result ? -1 : 0;
}

int mounts_make(struct file_opener *opener, struct error *err)
{
	const struct snapshot *snapshot = opener->snapshot;
	size_t n = snapshot->n_mount_namespaces, n_pids = snapshot->n_pid_namespaces;
	int *pid_namespaces = arena_array(opener->arena, int, n_pids + 1);
	struct mount_workplace workplace = { .bare_fd = -1 };
	struct mount_maker maker = {
		.snapshot = snapshot,
		.opener = opener,
		.pid_namespaces = pid_namespaces,
		.user_namespaces = opener->user_namespaces,
		.plain_namespaces = opener->plain_namespaces,
		.images = opener->images,
		.externals = opener->externals,
		.workplace = &workplace,
	};

	if (!n)
		return 0;
	opener->mounts = arena_new(opener->arena, struct made_mounts);
	opener->mounts->namespaces = arena_array(opener->arena, struct made_mount_namespace, n + 1);
	for (size_t i = 0; i < n; i++)
		opener->mounts->namespaces[i].fd = -1;
	for (size_t i = 0; i < n_pids; i++)
		pid_namespaces[i] = -1;
	int result =
		open_pid_namespaces(opener, pid_namespaces, err) || make_all(opener, &maker, err)
			? -1
			: 0;
	for (size_t i = 0; i < n_pids; i++)
		cleanup_close(&pid_namespaces[i]);
	return result;
}

void mounts_close(struct file_opener *opener)
{
	const struct snapshot *snapshot = opener->snapshot;

	if (opener->arena) {
		mounts_end_drivers(opener);
		mounts_close_early(opener);
		mounts_close_numbers(opener);
	}
	for (size_t i = 0; opener->mounts && i < snapshot->n_mount_namespaces; i++)
		mount_namespace_close(&opener->mounts->namespaces[i],
				      snapshot->mount_namespaces[i]->n_mounts);
	opener->mounts = NULL;
}

/*
 * What is open of one mount besides itself: what it is on, where it is from, or what is held of
 * that until it is made, and its ids.
 */
static size_t beside(const MntEntry *mount)
{
	bool origin = mount->origin || mount->deleted;

	return (mount->covers_open != 0) + (origin ? 2 : 0) + (mount->idmap != NULL) +
	       mount_is_terminal(mount) + mount_may_go_outside(mount);
}

/*
 * All mounts stay open until tasks have taken what is on them, but for those of which the path is
 * enough once their namespace is made, and so do superblocks meanwhile.
 */
static size_t descriptors(const struct snapshot *snapshot)
{
	size_t n_mounts = 0, n_superblocks = 0, n = 0, at = 0, most_reached = 0;

	for (size_t i = 0; i < snapshot->n_mount_namespaces; i++)
		n_mounts += snapshot->mount_namespaces[i]->n_mounts;
	autofree uint32_t *devices = calloc(n_mounts + 1, sizeof *devices);
	for (size_t i = 0; i < snapshot->n_mount_namespaces; i++) {
		const struct mount_namespace *namespace = snapshot->mount_namespaces[i];
		size_t reached = mounts_count_reached(namespace);
		most_reached = reached > most_reached ? reached : most_reached;
		n += namespace->n_mounts - reached;
		for (size_t k = 0; k < namespace->n_mounts; k++) {
			const MntEntry *mount = namespace->mounts[k];
			n += beside(mount);
			if (devices && !mount->bound_path && !mount->ext_mount && !mount->held)
				devices[at++] = mount->root_dev;
		}
	}
	if (at)
		qsort(devices, at, sizeof *devices, compare_uint32);
	for (size_t i = 0; i < at; i++)
		n_superblocks += i == 0 || devices[i] != devices[i - 1];
	/* Each namespace is kept twice; a proc of a pid namespace is made by that. */
	return n + most_reached + n_superblocks + 2 * snapshot->n_mount_namespaces +
	       (n_mounts ? snapshot->n_pid_namespaces : 0);
}

/* On this mount, also below what is mounted on it. */
static int open_on(const struct made_mount_namespace *made, const struct mount_namespace *namespace,
		   size_t index, const char *path, int flags)
{
	size_t covering = mount_covering(namespace, index, path);
	size_t above = covering == SIZE_MAX ? index : covering;
	autoclose int root_fd = covering == SIZE_MAX ? mount_made_root(made, namespace, index) : -1;
	int fd = covering == SIZE_MAX ? root_fd : made->covered[covering];
	const char *below = path_below(path, namespace->mounts[above]->mountpoint);

	if (fd < 0 && covering == SIZE_MAX)
		return -1;
	errno = ENOENT;
	if (!below || fd < 0)
		return -1;
	return mount_is_autofs(namespace->mounts[above]) ? autofs_open(fd, below, flags)
							 : mount_open_on(fd, below, flags);
}

static const struct made_mount_namespace *find_made(const struct file_opener *opener,
						    uint32_t mount_id)
{
	struct mount_namespace *namespace;
	const MntEntry *mount = snapshot_mount(opener->snapshot, mount_id, &namespace, NULL);

	for (size_t i = 0; mount && opener->mounts && i < opener->snapshot->n_mount_namespaces; i++)
		if (opener->snapshot->mount_namespaces[i] == namespace)
			return &opener->mounts->namespaces[i];
	return NULL;
}

int mounts_namespace(const struct file_opener *opener, uint32_t mount_id)
{
	const struct made_mount_namespace *made = find_made(opener, mount_id);

	return made ? made->fd : -1;
}

int mounts_root(const struct file_opener *opener, uint32_t mount_id)
{
	const struct made_mount_namespace *made = find_made(opener, mount_id);

	return made && made->roots ? made->roots[0] : -1;
}

int mounts_open_root(const struct file_opener *opener, uint32_t mount_id, const char *path,
		     const char **ret_below)
{
	struct mount_namespace *namespace;
	size_t index;
	const MntEntry *mount = snapshot_mount(opener->snapshot, mount_id, &namespace, &index);
	const struct made_mount_namespace *made = find_made(opener, mount_id);

	*ret_below = mount ? path_below(path, mount->mountpoint) : NULL;
	errno = ENOENT;
	return made && *ret_below ? mount_made_root(made, namespace, index) : -1;
}

int mounts_open(const struct file_opener *opener, uint32_t mount_id, const char *path, int flags)
{
	struct mount_namespace *namespace;
	size_t index;
	const MntEntry *mount = snapshot_mount(opener->snapshot, mount_id, &namespace, &index);

	errno = ENOENT;
	for (size_t i = 0; mount && opener->mounts && i < opener->snapshot->n_mount_namespaces; i++)
		if (opener->snapshot->mount_namespaces[i] == namespace)
			return open_on(&opener->mounts->namespaces[i], namespace, index, path,
				       flags);
	return -1;
}

const struct tree_kind mounts_tree_kind = {
	.name = "mounts",
	.read = mount_namespaces_collect,
	.read_end = mount_namespaces_release,
	.end = mounts_flush_written,
	.adopt = mounts_adopt,
	.find = mounts_find_gone,
	.make = mounts_make,
	.close = mounts_close,
	.descriptors = descriptors,
	.calls = autofs_calls,
};
