// SPDX-License-Identifier: LGPL-2.1-or-later
/* The order of steps; see plan.h. */
#include "kinds/mounts/plan.h"

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
		staged[i] = is_member(namespace, i) || namespace->mounts[i]->locked_flags;
		for (size_t at = i; is_member(namespace, at);) {
			at = namespace->parents[at];
			staged[at] = true;
		}
	}
	return staged;
}

/* Does `above`, a later mount, hide the root of `below`? */
static bool hides(const struct mount_namespace *namespace, size_t above, size_t below)
{
	const char *path = namespace->mounts[below]->mountpoint;
	const char *other = namespace->mounts[above]->mountpoint;

	if (namespace->parents[above] == below)
		return strcmp(path, other) == 0;
	return namespace->parents[above] == namespace->parents[below] && strcmp(path, other) != 0 &&
	       path_below(path, other);
}

/* What others of its cluster hide is there, and nobody gets at it any more. */
static bool *find_hidden(const struct mount_namespace *namespace, struct arena *arena)
{
	bool *hidden = arena_array(arena, bool, namespace->n_mounts);

	for (size_t i = 1; i < namespace->n_mounts; i++) {
		if (!is_member(namespace, i))
			continue;
		size_t parent = namespace->parents[i];
		if (hides(namespace, i, parent))
			hidden[parent] = true;
		/* Siblings with a longer path come before it. */
		for (size_t k = i; k-- > parent + 1;)
			if (hides(namespace, i, k))
				hidden[k] = true;
	}
	for (size_t i = 1; i < namespace->n_mounts; i++)
		if (is_member(namespace, i) && hidden[namespace->parents[i]] &&
		    !hides(namespace, i, namespace->parents[i]))
			hidden[i] = true;
	return hidden;
}

struct origin {
	size_t index;
	uint32_t depth;
};

static int compare_origins(const void *a, const void *b)
{
	const struct origin *one = a, *other = b;

	if (one->depth != other->depth)
		return one->depth < other->depth ? -1 : 1;
	return one->index < other->index ? -1 : 1;
}

/* What lies below others, where it is bound from, comes last: these are taken away. */
static void plan_origins(struct mount_plan *plan, const struct mount_namespace *namespace)
{
	struct origin *origins = arena_array(plan->arena, struct origin, namespace->n_mounts);

	for (size_t i = 0; i < namespace->n_mounts; i++)
		origins[i] = (struct origin){ i, namespace->mounts[i]->bound_depth };
	qsort(origins, namespace->n_mounts, sizeof *origins, compare_origins);
	for (size_t i = 0; i < namespace->n_mounts; i++)
		add_step(plan, MOUNT_ORIGIN, origins[i].index);
}

int mount_plan_make(struct mount_plan *plan, struct arena *arena,
		    const struct mount_namespace *namespace, struct error *err)
{
	*plan = (struct mount_plan){ .arena = arena };
	bool *staged = find_staged(namespace, arena);
	bool *hidden = find_hidden(namespace, arena);

	plan_origins(plan, namespace);
	for (size_t i = 0; i < namespace->n_mounts; i++)
		if (staged[i])
			add_step(plan, is_member(namespace, i) ? MOUNT_STAGE_BELOW : MOUNT_STAGE,
				 i);
	add_step(plan, MOUNT_ENTER_OWNER, 0);
	for (size_t i = 0; i < namespace->n_mounts; i++) {
		const MntEntry *mount = namespace->mounts[i];
		if (is_member(namespace, i)) {
			if (!hidden[i])
				add_step(plan, MOUNT_FIND, i);
			continue;
		}
		if (i > 0 && hidden[namespace->parents[i]])
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
