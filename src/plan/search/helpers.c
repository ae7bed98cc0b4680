// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Helpers: temporary processes that stand in for somebody who was there once, a dead session or
 * group leader or the dead parent of an orphan. They have the recorded number where the tree
 * still uses it, and otherwise one that no recorded process, thread, session or group has at any
 * level: a number that a later clone3 wants would make it fail with EEXIST.
 */
#include "plan/search/tree.h"

#include "base/compare.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct node *tree_add_helper(struct tree *tree, struct place *place, const char *purpose)
{
	struct node *node = arena_new(tree->arena, struct node);

	node->index = tree->n_nodes;
	tree->nodes = arena_grow(tree->arena, tree->nodes, tree->n_nodes, sizeof node);
	tree->nodes[tree->n_nodes++] = node;
	node->place = place;
	node->pids.levels = place->namespace->level + 1;
	node->name = purpose;
	return node;
}

static int compare_numbers(const void *a, const void *b)
{
	const uint64_t *one = a, *other = b;

	return compare_values(*one, *other);
}

static void note_numbers(struct tree *tree, const struct place *place, struct pid_vector vector)
{
	for (; place; place = place->parent) {
		size_t level = place->namespace->level;
		if (level >= vector.levels || vector.pid[level] == 0)
			continue;
		tree->used_numbers = arena_grow(tree->arena, tree->used_numbers,
						tree->n_used_numbers, sizeof(uint64_t));
		tree->used_numbers[tree->n_used_numbers++] =
			(uint64_t)place->index << 32 | vector.pid[level];
	}
}

static void collect_used_numbers(struct tree *tree)
{
	for (size_t i = 0; i < tree->snapshot->n_tasks; i++) {
		const struct node *node = tree->nodes[i];
		note_numbers(tree, node->place, node->pids);
		note_numbers(tree, node->place, task_groups(node->task));
		note_numbers(tree, node->place, task_sessions(node->task));
		for (size_t thread = 1; thread < node->task->pstree->n_threads; thread++)
			note_numbers(tree, node->place, thread_pids(node->task, thread));
	}
	qsort(tree->used_numbers, tree->n_used_numbers, sizeof(uint64_t), compare_numbers);
}

static uint32_t free_number(struct tree *tree, struct place *place)
{
	for (;;) {
		uint32_t number = place->next_free++;
		uint64_t key = (uint64_t)place->index << 32 | number;
		if (!bsearch(&key, tree->used_numbers, tree->n_used_numbers, sizeof key,
			     compare_numbers))
			return number;
	}
}

struct node *tree_add_free_helper(struct tree *tree, struct place *place, const char *purpose)
{
	struct node *node = tree_add_helper(tree, place, purpose);

	if (!tree->used_numbers)
		collect_used_numbers(tree);
	for (struct place *at = place; at; at = at->parent) {
		size_t level = at->namespace->level;
		/* What else is taken in a namespace shared with the host is not known here. */
		if (level == 0 && !tree->snapshot->own_pid_namespace &&
		    !tree->options->fresh_pid_namespace)
			node->n_unnamed = 1;
		else
			node->pids.pid[level] = free_number(tree, at);
	}
	node->name = arena_printf(tree->arena, "%s %s", purpose, pid_vector_text(&node->pids));
	return node;
}

struct node *tree_add_former(struct tree *tree, const struct node *member,
			     const struct pid_vector *seen, const char *purpose)
{
	size_t level = 0;
	struct place *place = member->place;

	/* Below the namespace of the leader its number reads 0. */
	while (level + 1 < seen->levels && seen->pid[level + 1])
		level++;
	while (place->namespace->level > level)
		place = place->parent;
	struct node *node = tree_add_helper(tree, place, purpose);
	memcpy(node->pids.pid, seen->pid, (level + 1) * sizeof seen->pid[0]);
	node->name = arena_printf(tree->arena, "%s %s", purpose, pid_vector_text(&node->pids));
	return node;
}
