// SPDX-License-Identifier: LGPL-2.1-or-later
/* The order of steps; see plan.h. */
#include "kinds/mounts/plan.h"

#include "base/compare.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void add_step(struct mount_plan *plan, enum mount_step_kind kind, size_t mount)
{
	plan->steps = arena_grow(plan->arena, plan->steps, plan->n_steps, sizeof *plan->steps);
	plan->steps[plan->n_steps++] = (struct mount_step){ kind, mount };
}

static bool is_nested(const struct mount_namespace *namespace)
{
	return namespace->owner->depth > 0;
}

/* Came with its parent when the namespace was copied. */
static bool is_member(const struct mount_namespace *namespace, size_t index)
{
	return is_nested(namespace) && index > 0 && namespace->mounts[index]->locked;
}

/* The tops of clusters that have to be copied for the owner. */
static bool *find_staged(const struct mount_namespace *namespace, struct arena *arena)
{
	bool *staged = arena_array(arena, bool, namespace->n_mounts);

	for (size_t i = 0; i < namespace->n_mounts && is_nested(namespace); i++) {
		staged[i] = is_member(namespace, i) || (namespace->mounts[i]->locked_flags &&
							!mount_is_late(namespace->mounts[i]));
		for (size_t at = i; is_member(namespace, at);) {
			at = namespace->parents[at];
			staged[at] = true;
		}
	}
	return staged;
}

/*
 * What others that came with it cover or hide is there, and nobody gets at it any more: not even
 * we, who look for it by its path. What is attached one by one is known by its descriptor.
 */
struct visibility {
	bool *covered; /* something that came along is on top of it */
	bool *aside;   /* a path does not lead to it, nor to what is on top of it */
};

static struct visibility find_visible(const struct mount_namespace *namespace, struct arena *arena)
{
	struct visibility visibility = {
		.covered = arena_array(arena, bool, namespace->n_mounts),
		.aside = arena_array(arena, bool, namespace->n_mounts),
	};
	bool *members = arena_array(arena, bool, namespace->n_mounts);

	for (size_t i = 1; i < namespace->n_mounts; i++)
		members[i] = is_member(namespace, i);
	for (size_t i = 1; i < namespace->n_mounts; i++)
		if (members[i] && mount_is_on_top(namespace, i, namespace->parents[i]))
			visibility.covered[namespace->parents[i]] = true;
	const struct mount_covers *covers = mount_covers_new(arena, namespace);
	for (size_t i = 1; i < namespace->n_mounts; i++)
		visibility.aside[i] = members[i] && mount_is_aside(covers, i, members);
	for (size_t i = 1; i < namespace->n_mounts; i++) {
		size_t parent = namespace->parents[i];
		if (is_member(namespace, i) &&
		    (visibility.aside[parent] ||
		     (visibility.covered[parent] && !mount_is_on_top(namespace, i, parent))))
			visibility.aside[i] = true;
	}
	return visibility;
}

static bool is_found(const struct mount_namespace *namespace, const struct visibility *visibility,
		     size_t index)
{
	return !is_member(namespace, index)
		       ? !visibility->covered[index]
		       : !visibility->aside[index] && !visibility->covered[index];
}

struct origin {
	size_t index;
	uint32_t depth;
};

static int compare_origins(const void *a, const void *b)
{
	const struct origin *one = a, *other = b;

	return compare_values(one->depth, other->depth) ?: compare_values(one->index, other->index);
}

/* What lies below others, where it is bound from, comes last: these are taken away. */
static void plan_origins(struct mount_plan *plan, const struct mount_namespace *namespace)
{
	struct origin *origins = arena_array(plan->arena, struct origin, namespace->n_mounts);

	for (size_t i = 0; i < namespace->n_mounts; i++)
		origins[i] = (struct origin){ i, namespace->mounts[i]->bound_depth };
	qsort(origins, namespace->n_mounts, sizeof *origins, compare_origins);
	for (size_t i = 0; i < namespace->n_mounts; i++)
		if (!mount_is_late(namespace->mounts[origins[i].index]))
			add_step(plan, MOUNT_ORIGIN, origins[i].index);
}

/* Whatever is attached to it would have to wait for it, too. */
static int check_late(const struct mount_namespace *namespace, size_t index, struct error *err)
{
	const MntEntry *mount = namespace->mounts[index];
	bool on_late = index > 0 && mount_is_late(namespace->mounts[namespace->parents[index]]);

	if (!on_late && !(mount_is_late(mount) && (index == 0 || mount->locked)))
		return 0;
	return fail(err, ERR_UNSUPPORTED_MOUNT,
		    "mount %" PRIu32 " (%.200s): the file of a mount namespace %s", mount->mnt_id,
		    mount->mountpoint, on_late ? "is below it" : "is locked there");
}

int mount_plan_make(struct mount_plan *plan, struct arena *arena,
		    const struct mount_namespace *namespace, struct error *err)
{
	*plan = (struct mount_plan){ .arena = arena };
	bool *staged = find_staged(namespace, arena);
	struct visibility visibility = find_visible(namespace, arena);

	plan_origins(plan, namespace);
	for (size_t i = 0; i < namespace->n_mounts; i++)
		if (staged[i])
			add_step(plan, is_member(namespace, i) ? MOUNT_STAGE_BELOW : MOUNT_STAGE,
				 i);
	add_step(plan, MOUNT_ENTER_OWNER, 0);
	for (size_t i = 0; i < namespace->n_mounts; i++) {
		const MntEntry *mount = namespace->mounts[i];
		if (check_late(namespace, i, err))
			return -1;
		if (mount_is_late(mount))
			continue;
		if (is_member(namespace, i)) {
			if (is_found(namespace, &visibility, i))
				add_step(plan, MOUNT_FIND, i);
			continue;
		}
		if (i > 0 && !is_found(namespace, &visibility, namespace->parents[i]))
			return fail(err, ERR_UNSUPPORTED_MOUNT,
				    "mount %" PRIu32 " (%.200s) is on one that is hidden",
				    mount->mnt_id, mount->mountpoint);
		if (staged[i])
			add_step(plan, MOUNT_TAKE, i);
		add_step(plan, MOUNT_ATTACH, i);
	}
	add_step(plan, MOUNT_PIVOT, 0);
	return 0;
}

void mount_plan_make_temporaries(struct mount_plan *plan, struct arena *arena,
				 const struct mount_namespace *namespace)
{
	*plan = (struct mount_plan){ .arena = arena };
	plan_origins(plan, namespace);
	for (size_t i = 0; i < namespace->n_mounts; i++)
		add_step(plan, MOUNT_STAGE, i);
	add_step(plan, MOUNT_ENTER_OWNER, 0);
}

const bool *mounts_reachable(struct arena *arena, const struct mount_namespace *namespace)
{
	struct visibility visibility = find_visible(namespace, arena);
	bool *reachable = arena_array(arena, bool, namespace->n_mounts);

	for (size_t i = 0; i < namespace->n_mounts; i++)
		reachable[i] = !is_member(namespace, i) || is_found(namespace, &visibility, i);
	return reachable;
}
