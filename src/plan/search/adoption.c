// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * When helpers exit. The children of a helper go to the nearest ancestor with a subreaper mark
 * in its pid namespace, or else to the init of that (find_new_reaper, kernel/exit.c). Where all
 * adopters are inits, no mark is needed, and each helper leaves as soon as it is done. Otherwise
 * one helper after another leaves, while its adopter, and nobody else, has the mark. The deepest
 * adopter comes first: an adoption shortens the way up from what is adopted, so it could take an
 * adopter further down out of that way.
 */
#include "plan/search/tree.h"

#include "base/compare.h"

#include <stdlib.h>

/* Whose child each node is while one helper after another goes, by its index. */
typedef struct node **parents_now;

static bool adopter_is_init(const struct node *helper)
{
	return helper->place->init == helper->as_helper.adopter;
}

static int compare_adoptions(const void *a, const void *b)
{
	const struct adoption *one = a, *other = b;
	size_t first = one->helper->as_helper.adopter->depth,
	       second = other->helper->as_helper.adopter->depth;

	return compare_values(second, first)
		       ?: compare_values(one->helper->index, other->helper->index);
}

/* Would the adopter, with the mark, get the helper's children as things stand? */
static bool is_next_reaper(const parents_now parents, const struct node *helper)
{
	if (adopter_is_init(helper))
		return true;
	const struct node *at = parents[helper->index];
	while (at && at->place == helper->place && at != helper->as_helper.adopter)
		at = parents[at->index];
	return at == helper->as_helper.adopter;
}

static void take_over(parents_now parents, const struct node *helper, const struct node *node)
{
	if (parents[node->index] == helper)
		parents[node->index] = helper->as_helper.adopter;
}

static void leave(parents_now parents, struct node *helper)
{
	helper->as_helper.reaper = parents[helper->index];
	for (size_t i = 0; i < helper->n_children; i++) {
		struct node *child = helper->children[i];
		take_over(parents, helper, child);
		for (size_t j = 0; j < child->n_children; j++)
			if (child->children[j]->birth.same_parent)
				take_over(parents, helper, child->children[j]);
	}
}

static parents_now start_parents(struct tree *tree)
{
	parents_now parents = arena_array(tree->arena, struct node *, tree->n_nodes);

	for (size_t i = 0; i < tree->n_order; i++) {
		struct node *node = tree->order[i];
		parents[node->index] =
			node->birth.same_parent ? parents[node->creator->index] : node->creator;
		node->as_helper.reaper = parents[node->index];
	}
	return parents;
}

static void order_adoptions(struct tree *tree, parents_now parents, struct adoption *waiting,
			    size_t n_waiting)
{
	qsort(waiting, n_waiting, sizeof *waiting, compare_adoptions);
	tree->adoptions = arena_array(tree->arena, struct adoption, n_waiting);
	while (n_waiting) {
		size_t kept = 0;
		for (size_t i = 0; i < n_waiting; i++) {
			if (!is_next_reaper(parents, waiting[i].helper)) {
				waiting[kept++] = waiting[i];
				continue;
			}
			leave(parents, waiting[i].helper);
			tree->adoptions[tree->n_adoptions++] = waiting[i];
		}
		if (kept == n_waiting)
			break;
		n_waiting = kept;
	}
	for (size_t i = 0; i < n_waiting; i++) {
		const struct node *helper = waiting[i].helper;
		if (helper->n_children)
			tree_refuse(tree, helper->children[0], ERR_UNREACHABLE_TREE,
				    "its parent %s cannot have adopted it",
				    helper->as_helper.adopter->name);
	}
}

void search_adoptions(struct tree *tree)
{
	size_t n_helpers = tree->n_nodes - tree->snapshot->n_tasks, n_waiting = 0;
	struct adoption *waiting = arena_array(tree->arena, struct adoption, n_helpers + 1);
	bool marks_needed = false;

	parents_now parents = start_parents(tree);
	for (size_t i = tree->snapshot->n_tasks; i < tree->n_nodes; i++) {
		struct node *helper = tree->nodes[i];
		if (!helper->as_helper.adopter)
			continue;
		helper->as_helper.left_word = tree_add_word(tree);
		waiting[n_waiting++] =
			(struct adoption){ .helper = helper, .marked = !adopter_is_init(helper) };
		marks_needed |= !adopter_is_init(helper);
	}
	if (!marks_needed)
		return;
	for (size_t i = 0; i < n_waiting; i++) {
		waiting[i].turn_word = tree_add_word(tree);
		waiting[i].helper->as_helper.leave_word = tree_add_word(tree);
	}
	order_adoptions(tree, parents, waiting, n_waiting);
}
