// SPDX-License-Identifier: LGPL-2.1-or-later
/* Who is whose parent, and an order in which parents come before children; see order.h. */
#include "model/order.h"

#include "base/compare.h"

#include <inttypes.h>
#include <stdlib.h>

enum { NOBODY = SIZE_MAX };

struct numbered {
	uint32_t pid;
	size_t index;
};

struct ordering {
	struct snapshot *snapshot;
	size_t *parents; /* by index; NOBODY: not in the tree */
	/* Children in the order in which they were listed. */
	size_t *first_child, *next_sibling;
	size_t *order; /* indexes, parents first */
	size_t n_order;
};

static int compare_numbered(const void *a, const void *b)
{
	const struct numbered *one = a, *other = b;

	return compare_values(one->pid, other->pid);
}

static void find_parents(struct ordering *ordering)
{
	const struct snapshot *snapshot = ordering->snapshot;
	size_t n = snapshot->n_tasks;
	struct numbered *by_pid = arena_array(snapshot->arena, struct numbered, n);

	for (size_t i = 0; i < n; i++)
		by_pid[i] = (struct numbered){ snapshot->tasks[i].pstree->pid, i };
	qsort(by_pid, n, sizeof *by_pid, compare_numbered);
	for (size_t i = 0; i < n; i++) {
		struct numbered wanted = { .pid = snapshot->tasks[i].pstree->ppid };
		const struct numbered *parent =
			bsearch(&wanted, by_pid, n, sizeof *by_pid, compare_numbered);
		ordering->parents[i] = parent ? parent->index : NOBODY;
	}
}

/* The one whose parent is not in the tree. Where all parents are, the first is taken for it. */
static int find_root(struct ordering *ordering, size_t *ret_root, struct error *err)
{
	const struct snapshot *snapshot = ordering->snapshot;
	size_t root = NOBODY;

	for (size_t i = 0; i < snapshot->n_tasks; i++) {
		if (ordering->parents[i] != NOBODY)
			continue;
		if (root != NOBODY)
			return fail(err, ERR_IMAGE_INVALID,
				    "task %s: its parent %" PRIu32 " is not in the tree",
				    task_name(&snapshot->tasks[i]),
				    snapshot->tasks[i].pstree->ppid);
		root = i;
	}
	*ret_root = root == NOBODY ? 0 : root;
	ordering->parents[*ret_root] = NOBODY;
	return 0;
}

static bool is_ordered(const struct ordering *ordering)
{
	for (size_t i = 1; i < ordering->snapshot->n_tasks; i++)
		if (ordering->parents[i] >= i)
			return false;
	return true;
}

static int put_parents_first(struct ordering *ordering, size_t root, struct error *err)
{
	const struct snapshot *snapshot = ordering->snapshot;
	size_t n = snapshot->n_tasks;

	for (size_t i = 0; i < n; i++)
		ordering->first_child[i] = NOBODY;
	for (size_t i = n; i-- > 0;) {
		size_t parent = ordering->parents[i];
		if (parent == NOBODY)
			continue;
		ordering->next_sibling[i] = ordering->first_child[parent];
		ordering->first_child[parent] = i;
	}
	ordering->order[ordering->n_order++] = root;
	for (size_t i = 0; i < ordering->n_order; i++)
		for (size_t child = ordering->first_child[ordering->order[i]]; child != NOBODY;
		     child = ordering->next_sibling[child])
			ordering->order[ordering->n_order++] = child;
	if (ordering->n_order < n)
		return fail(err, ERR_IMAGE_INVALID,
			    "%zu of %zu tasks do not descend from the root, task %s",
			    n - ordering->n_order, n, task_name(&snapshot->tasks[root]));
	return 0;
}

static void move_tasks(struct ordering *ordering)
{
	struct snapshot *snapshot = ordering->snapshot;
	size_t n = snapshot->n_tasks;
	struct task *tasks = arena_array(snapshot->arena, struct task, n);
	size_t *parents = arena_array(snapshot->arena, size_t, n);
	size_t *places = arena_array(snapshot->arena, size_t, n);

	for (size_t i = 0; i < n; i++)
		places[ordering->order[i]] = i;
	for (size_t i = 0; i < n; i++) {
		size_t parent = ordering->parents[ordering->order[i]];
		tasks[i] = snapshot->tasks[ordering->order[i]];
		parents[i] = parent == NOBODY ? NOBODY : places[parent];
	}
	snapshot->tasks = tasks;
	ordering->parents = parents;
}

int snapshot_order_tasks(struct snapshot *snapshot, struct error *err)
{
	size_t n = snapshot->n_tasks, root = 0;
	struct ordering ordering = {
		.snapshot = snapshot,
		.parents = arena_array(snapshot->arena, size_t, n),
		.first_child = arena_array(snapshot->arena, size_t, n),
		.next_sibling = arena_array(snapshot->arena, size_t, n),
		.order = arena_array(snapshot->arena, size_t, n),
	};

	find_parents(&ordering);
	if (find_root(&ordering, &root, err))
		return -1;
	/* That is how collecting lists them; then nobody's pointer to a task is changed. */
	if (root != 0 || !is_ordered(&ordering)) {
		if (put_parents_first(&ordering, root, err))
			return -1;
		move_tasks(&ordering);
	}
	for (size_t i = 0; i < n; i++) {
		struct task *task = &snapshot->tasks[i];
		task->index = i;
		task->parent = i ? &snapshot->tasks[ordering.parents[i]] : NULL;
		if (task->parent && task_is_zombie(task->parent))
			return fail(err, ERR_IMAGE_INVALID, "task %s is the child of a zombie",
				    task_name(task));
	}
	return 0;
}
