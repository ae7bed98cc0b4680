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

#include <stdlib.h>

static bool adopter_is_init(const struct node *helper)
{
	return helper->place->init == helper->adopter;
}

static int compare_adoptions(const void *a, const void *b)
{
	const struct adoption *one = a, *other = b;
	size_t first = one->helper->adopter->depth, second = other->helper->adopter->depth;

	if (first != second)
		return first > second ? -1 : 1;
	return one->helper->index < other->helper->index ? -1 : 1;
}

/* Would the adopter, with the mark, get the helper's children as things stand? */
static bool is_next_reaper(const struct node *helper)
{
	if (adopter_is_init(helper))
		return true;
	const struct node *at = helper->current_parent;
	while (at && at->place == helper->place && at != helper->adopter)
		at = at->current_parent;
	return at == helper->adopter;
}

static void take_over(const struct node *helper, struct node *node)
{
	if (node->current_parent == helper)
		node->current_parent = helper->adopter;
}

static void leave(struct node *helper)
{
	helper->reaper = helper->current_parent;
	for (size_t i = 0; i < helper->n_children; i++) {
		struct node *child = helper->children[i];
		take_over(helper, child);
		for (size_t j = 0; j < child->n_children; j++)
			if (child->children[j]->same_parent)
				take_over(helper, child->children[j]);
	}
}

static void start_parents(struct tree *tree)
{
	for (size_t i = 0; i < tree->n_order; i++) {
		struct node *node = tree->order[i];
		node->current_parent =
			node->same_parent ? node->creator->current_parent : node->creator;
		node->reaper = node->current_parent;
	}
}

static void order_adoptions(struct tree *tree, struct adoption *waiting, size_t n_waiting)
{
	qsort(waiting, n_waiting, sizeof *waiting, compare_adoptions);
	tree->adoptions = arena_array(tree->arena, struct adoption, n_waiting);
	while (n_waiting) {
		size_t kept = 0;
		for (size_t i = 0; i < n_waiting; i++) {
			if (!is_next_reaper(waiting[i].helper)) {
				waiting[kept++] = waiting[i];
				continue;
			}
			leave(waiting[i].helper);
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
				    "its parent %s cannot have adopted it", helper->adopter->name);
	}
}

void plan_adoptions(struct tree *tree)
{
	size_t n_helpers = tree->n_nodes - tree->snapshot->n_tasks, n_waiting = 0;
	struct adoption *waiting = arena_array(tree->arena, struct adoption, n_helpers + 1);
	bool marks_needed = false;

	start_parents(tree);
	for (size_t i = tree->snapshot->n_tasks; i < tree->n_nodes; i++) {
		struct node *helper = tree->nodes[i];
		if (!helper->adopter)
			continue;
		helper->left_word = tree_add_word(tree);
		waiting[n_waiting++] =
			(struct adoption){ .helper = helper, .marked = !adopter_is_init(helper) };
		marks_needed |= !adopter_is_init(helper);
	}
	if (!marks_needed)
		return;
	for (size_t i = 0; i < n_waiting; i++) {
		waiting[i].turn_word = tree_add_word(tree);
		waiting[i].helper->leave_word = tree_add_word(tree);
	}
	order_adoptions(tree, waiting, n_waiting);
}
