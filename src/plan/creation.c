// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * In which order each process makes its children, which process group a child finds itself in,
 * and how it comes from there into its own.
 *
 * The pid namespace of a child is that of its creator, a new one of which it is the init
 * (CLONE_NEWPID, possible only while the creator's children are born in its own namespace), or
 * one below that the creator enters for the purpose (setns), once that has an init.
 *
 * setpgid takes numbers of the caller's namespace. A group whose leader is not visible in the
 * namespace of its member was entered by birth, or by a call of the parent.
 */
#include "plan/tree.h"

#include <stdlib.h>

static bool group_visible_in(const struct node *node, const struct place *place)
{
	return task_groups(node->task).pid[place->namespace->level] != 0;
}

/* The group that children made in the main phase are born into. */
static struct group *group_at_fork(const struct node *node)
{
	if (node->first_group)
		return node->first_group;
	if (node->leads_group)
		return node->group;
	return node->birth_group;
}

static void choose_join(struct tree *tree, struct node *node)
{
	const struct node *creator = node->creator;

	node->join = JOIN_NONE;
	if (!node->task || node->leads_group ||
	    (!node->first_group && node->birth_group == node->group))
		return;
	if (node->group->outside) {
		tree_refuse(tree, node, ERR_SESSION_OUTSIDE,
			    "it is in a process group from outside of the tree that it is not "
			    "born into");
		return;
	}
	if (group_visible_in(node, node->place)) {
		node->join = JOIN_SELF;
	} else if (creator && !node->same_parent && group_visible_in(node, creator->place)) {
		node->join = JOIN_BY_CREATOR;
	} else {
		tree_refuse(tree, node, ERR_UNREACHABLE_TREE,
			    "its process group is visible neither to it nor to its parent");
		return;
	}
	node->group->n_joiners++;
}

static void choose_phase(struct node *child)
{
	const struct node *creator = child->creator;
	bool born_inside = child->task && !child->leads_group && !child->leads_session &&
			   !group_visible_in(child, child->place);

	child->phase = PHASE_MAIN;
	if (child->needs_birth && child->birth != creator->session)
		child->phase = PHASE_EARLY;
	else if (born_inside && creator->leads_group && !creator->leads_session &&
		 child->group == creator->birth_group)
		child->phase = PHASE_EARLY;
	else if (born_inside && creator->join == JOIN_BY_CREATOR && child->group == creator->group)
		child->phase = PHASE_MOVED;
}

static void choose_birth_group(struct node *child)
{
	const struct node *creator = child->creator;

	switch (child->phase) {
	case PHASE_EARLY:
		child->birth_group = creator->birth_group;
		break;
	case PHASE_MAIN:
		child->birth_group = group_at_fork(creator);
		break;
	case PHASE_MOVED:
		child->birth_group = creator->group;
		break;
	}
}

static void check_place(struct tree *tree, struct node *node)
{
	struct place *place = node->place;
	const struct node *creator = node->creator;

	if (!creator)
		return;
	if (place->init == node && place->parent != creator->place)
		tree_refuse(tree, node, ERR_UNREACHABLE_TREE,
			    "it is the init of a pid namespace that its creator cannot make");
	else if (!place_is_within(place, creator->place))
		tree_refuse(tree, node, ERR_UNREACHABLE_TREE,
			    "its parent %s is in another branch of pid namespaces", creator->name);
	else if (place->parent && !place->init)
		tree_refuse(tree, node, ERR_UNSUPPORTED_NAMESPACE,
			    "the init of its pid namespace is not in the tree");
	else if (place->init && place->init != node && task_is_zombie(place->init->task))
		tree_refuse(tree, node, ERR_UNREACHABLE_TREE,
			    "the init of its pid namespace is dead");
}

/* Inits first, since others may wait for them; then one namespace after another. */
static uint64_t birth_rank(const struct node *child)
{
	uint64_t phase = (uint64_t)child->phase << 62;

	if (child->place->init == child)
		return phase;
	if (child->place == child->creator->place)
		return phase | UINT64_C(1) << 60;
	return phase | UINT64_C(2) << 60 | (uint64_t)child->place->index;
}

static int compare_birth(const void *a, const void *b)
{
	const struct node *one = *(const struct node *const *)a;
	const struct node *other = *(const struct node *const *)b;

	if (one->birth_rank != other->birth_rank)
		return one->birth_rank < other->birth_rank ? -1 : 1;
	return one->index < other->index ? -1 : one->index > other->index;
}

static void arrange_children(struct tree *tree, struct node *node)
{
	for (size_t i = 0; i < node->n_children; i++) {
		struct node *child = node->children[i];
		check_place(tree, child);
		choose_phase(child);
		choose_birth_group(child);
		choose_join(tree, child);
		child->birth_rank = birth_rank(child);
		if (child->phase == PHASE_MOVED && !node->moved_word)
			node->moved_word = tree_add_word(tree);
	}
	qsort(node->children, node->n_children, sizeof *node->children, compare_birth);
	for (size_t i = 0; i < node->n_children; i++)
		tree->order[tree->n_order++] = node->children[i];
}

static void link_children(struct tree *tree)
{
	for (size_t i = 1; i < tree->n_nodes; i++) {
		struct node *node = tree->nodes[i], *creator = node->creator;
		creator->children = arena_grow(tree->arena, creator->children, creator->n_children,
					       sizeof node);
		creator->children[creator->n_children++] = node;
	}
}

static void start_at_root(struct tree *tree)
{
	struct node *root = tree->nodes[0];

	tree->order = arena_array(tree->arena, struct node *, tree->n_nodes);
	tree->order[tree->n_order++] = root;
	root->phase = PHASE_MAIN;
	root->birth_group = root->group->outside ? root->group : NULL;
	if (root->needs_birth && !root->birth->outside)
		tree_refuse(tree, root, ERR_UNREACHABLE_TREE,
			    "it would have to be born in a session of its own descendants");
	choose_join(tree, root);
}

void plan_creation(struct tree *tree)
{
	link_children(tree);
	start_at_root(tree);
	for (size_t i = 0; i < tree->n_order; i++)
		arrange_children(tree, tree->order[i]);
	/* What is not reached from the root has been made to create itself. */
	for (size_t i = 0; i < tree->n_order; i++)
		tree->order[i]->visited = true;
	for (size_t i = 0; i < tree->snapshot->n_tasks; i++)
		if (!tree->nodes[i]->visited)
			tree_refuse(tree, tree->nodes[i], ERR_UNREACHABLE_TREE,
				    "it would have to be made by one of its own descendants");
}
