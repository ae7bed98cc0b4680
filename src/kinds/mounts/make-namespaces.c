// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The mount namespaces of a tree, one by one, once their superblocks are there. Where none shows
 * another, or what has to be made in another before, and there is room for the descriptors, a
 * second thread makes some of them: with memory of its own, and without the shelf, which is one
 * for all.
 */
#include "kinds/mounts/mounts.h"

#include "base/both-ends.h"
#include "base/cleanup.h"
#include "kernel/deputy.h"
#include "kinds/mounts/groups.h"
#include "kinds/mounts/kind.h"
#include "kinds/mounts/make.h"
#include "kinds/mounts/plan.h"

#include <sys/resource.h>

/* A thread for less than that costs more than it saves; and what else a restore has open. */
enum { FEWEST = 4, DESCRIPTORS_BESIDES = 4096, DESCRIPTORS_PER_MOUNT = 4 };

/* What a thread makes them with. */
struct means {
	struct file_opener *opener;
	const struct mount_maker *maker;
	const struct made_superblocks *superblocks;
	const struct group_plan *groups;
	const size_t *order;
};

static bool shows_others(const struct mount_namespace *namespace)
{
	for (size_t i = 0; i < namespace->n_mounts; i++)
		if (mount_is_late(namespace->mounts[i]))
			return true;
	return false;
}

/*
 * A mount of the next one may show just a file that is made with a description. 1: some are to be
 * made in one that is not there yet.
 */
static int give_names(struct file_opener *opener, struct error *err)
{
	int result = 0;

	for (const struct file_kind *const *kind = kinds.files; *kind && result >= 0; kind++) {
		int waits = (*kind)->before_mounts ? (*kind)->before_mounts(opener, err) : 0;
		result = waits ? waits : result;
	}
	return result;
}

static int make_one(const struct means *means, size_t at, struct error *err)
{
	size_t i = means->order[at];
	struct file_opener *opener = means->opener;
	const struct mount_namespace *namespace = opener->snapshot->mount_namespaces[i];
	struct made_mount_namespace *made = &opener->mounts->namespaces[i];
	struct mount_plan plan;

	if (mount_plan_make(&plan, opener->arena, namespace, err) ||
	    mount_make_one(opener, means->maker, means->superblocks, namespace, &plan,
			   means->groups->keeps_master[i], made, err) < 0)
		return -1;
	mounts_close_reached(made, namespace, opener->arena);
	return 0;
}

/* In the other thread. Nobody who takes a copy of our memory may find it changing things. */
static bool make_aside(void *data, size_t at)
{
	const struct means *means = data;
	size_t i = means->order[at];
	struct made_mount_namespace *made = &means->opener->mounts->namespaces[i];
	struct error ignored = { 0 };

	deputies_wait();
	int result = make_one(means, at, &ignored);
	deputies_go_on();
	if (result < 0) {
		mount_namespace_close(made, means->opener->snapshot->mount_namespaces[i]->n_mounts);
		*made = (struct made_mount_namespace){ .fd = -1 };
	}
	return result == 0;
}

static bool is_for_one_thread(const struct file_opener *opener)
{
	const struct snapshot *snapshot = opener->snapshot;
	size_t n_mounts = 0;
	struct rlimit limit;

	for (size_t i = 0; i < snapshot->n_mount_namespaces; i++) {
		const struct mount_namespace *namespace = snapshot->mount_namespaces[i];
		n_mounts += namespace->n_mounts;
		for (size_t k = 0; k < namespace->n_mounts; k++)
			if (namespace->mounts[k]->held)
				return true;
	}
	return snapshot->n_mount_namespaces < FEWEST || getrlimit(RLIMIT_NOFILE, &limit) < 0 ||
	       limit.rlim_cur < DESCRIPTORS_BESIDES + DESCRIPTORS_PER_MOUNT * n_mounts;
}

static int make_all(const struct means *means, struct both_ends *ends, int names_wait,
		    struct error *err)
{
	for (size_t at = 0; at < means->opener->snapshot->n_mount_namespaces; at++) {
		if (at && names_wait)
			names_wait = give_names(means->opener, err);
		if (names_wait < 0 || (both_ends_turn(ends, at) && make_one(means, at, err)))
			return -1;
	}
	return 0;
}

int mounts_make_namespaces(struct file_opener *opener, const struct mount_maker *maker,
			   const struct made_superblocks *superblocks,
			   const struct group_plan *groups, struct error *err)
{
	const struct snapshot *snapshot = opener->snapshot;
	const size_t *order = mount_namespaces_in_order(snapshot, opener->arena);
	struct arena arena;
	struct file_opener own_opener;
	struct mount_workplace workplace = { .bare_fd = -1 };
	struct mount_maker own_maker = *maker;
	struct made_superblocks without_shelf = *superblocks;
	const struct means means = { opener, maker, superblocks, groups, order };
	struct means own = { &own_opener, &own_maker, &without_shelf, groups, order };
	struct both_ends ends;

	for (size_t i = 0; i < snapshot->n_mount_namespaces; i++)
		opener->mounts->show_each_other |= shows_others(snapshot->mount_namespaces[i]);
	int names_wait = give_names(opener, err);
	if (names_wait < 0)
		return -1;
	arena_init(&arena);
	own_opener = *opener;
	own_opener.arena = &arena;
	own_maker.opener = &own_opener;
	own_maker.workplace = &workplace;
	without_shelf.shelf = NULL;
	both_ends_begin(&ends, opener->arena, snapshot->n_mount_namespaces,
			names_wait || is_for_one_thread(opener), make_aside, &own);
	int result = make_all(&means, &ends, names_wait, err);
	both_ends_end(&ends);
	deputy_end(&workplace.ending);
	cleanup_close(&workplace.bare_fd);
	arena_take_over(opener->arena, &arena);
	return result;
}

int mounts_attach_late(struct file_opener *opener, const struct group_plan *groups,
		       struct error *err)
{
	const struct snapshot *snapshot = opener->snapshot;

	for (size_t i = 0; i < snapshot->n_mount_namespaces; i++)
		if (shows_others(snapshot->mount_namespaces[i]) &&
		    mount_attach_late(opener, snapshot->mount_namespaces[i],
				      groups->keeps_master[i], &opener->mounts->namespaces[i], err))
			return -1;
	return 0;
}
