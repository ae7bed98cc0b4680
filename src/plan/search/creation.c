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
#include "plan/search/tree.h"

#include "base/compare.h"

#include <stdlib.h>

static bool group_visible_in(const struct node *node, const struct place *place)
{
	if (node->group->outside)
		return node->group->outside_number && place->namespace->level == 0;
	return task_groups(node->task).pid[place->namespace->level] != 0;
}

/* The group that children made in the main phase are born into. */
static struct group *group_at_fork(const struct node *node)
{
	if (node->grouping.first)
		return node->grouping.first;
	if (node->leads_group)
		return node->group;
	return node->grouping.born_in;
}

/* Nothing that the task does itself can bring it into its group. */
static bool has_to_be_born_inside(const struct node *node)
{
	return node->task && !node->leads_group && !node->grouping.first &&
	       !group_visible_in(node, node->place);
}

static bool group_seen_from(const struct group *group, const struct place *place)
{
	if (group->outside)
		return group->outside_number && place->namespace->level == 0;
	return place_is_within(group->leader->place, place);
}

static bool can_be_moved_into(const struct node *child, const struct group *group)
{
	return child->creator && !child->birth.same_parent &&
	       group_seen_from(group, child->creator->place);
}

/*
 * The creator has to have been in the group itself: finally, or at its own birth. Where it sees
 * the group it can move the child instead.
 */
static void want_of_creator(const struct node *child)
{
	struct node *creator = child->creator;
	struct group *group = child->grouping.wanted;

	if (!creator || creator->grouping.wanted || group_at_fork(creator) == group ||
	    can_be_moved_into(child, group))
		return;
	/* It comes to that later, and can make the child then. */
	if (creator->group == group && can_be_moved_into(creator, group))
		return;
	creator->grouping.wanted = group;
}

static void choose_wanted_groups(struct tree *tree)
{
	/* What it needs for itself comes first, unless it can get it later. */
	for (size_t i = tree->n_order; i-- > 0;) {
		struct node *node = tree->order[i];
		if (has_to_be_born_inside(node) && !can_be_moved_into(node, node->group))
			node->grouping.wanted = node->group;
	}
	for (size_t i = tree->n_order; i-- > 0;) {
		struct node *node = tree->order[i];
		if (!node->grouping.wanted && has_to_be_born_inside(node))
			node->grouping.wanted = node->group;
		if (node->grouping.wanted)
			want_of_creator(node);
	}
}

/*
 * The init of its namespace may have it from somebody who came in from outside; or its parent, or
 * whoever else is between them. That one is noted, and the attempt begins again with it.
 */
static bool note_group_orphan(struct tree *tree, const struct node *node)
{
	for (const struct node *at = node;
	     at->creator && at->creator == at->parent && !at->birth.same_parent; at = at->creator) {
		if (at->creator->place->init != at->creator)
			continue;
		uint64_t *noted = &tree->orphan_groups[at->index];
		if (*noted)
			return false;
		*noted = (uint64_t)node->group->key + 1;
		return true;
	}
	return false;
}

static void choose_join(struct tree *tree, struct node *node)
{
	node->grouping.join = JOIN_NONE;
	if (!node->task || node->leads_group)
		return;
	if (!node->grouping.first && node->grouping.born_in == node->group) {
		node->group->n_born += node->grouping.born_to_maker;
		return;
	}
	if (group_visible_in(node, node->place)) {
		node->grouping.join = JOIN_SELF;
	} else if (node->creator && !node->birth.same_parent &&
		   group_seen_from(node->group, node->creator->place)) {
		node->grouping.join = JOIN_BY_CREATOR;
	} else if (note_group_orphan(tree, node)) {
		tree->begins_again = true;
	} else if (node->group->outside) {
		tree_refuse(tree, node, ERR_SESSION_OUTSIDE,
			    "it is in a process group from outside of the tree that it cannot be "
			    "born into");
	} else {
		tree_refuse(tree, node, ERR_UNREACHABLE_TREE,
			    "its process group is visible neither to it nor to its parent");
	}
}

static void choose_phase(struct node *child)
{
	const struct node *creator = child->creator;
	const struct group *wanted = child->grouping.wanted;

	child->birth.phase = PHASE_MAIN;
	if (child->birth.needs_session && child->birth.session != creator->session)
		child->birth.phase = PHASE_EARLY;
	else if (!wanted || wanted == group_at_fork(creator))
		return;
	else if (wanted == creator->grouping.born_in && !creator->leads_session)
		child->birth.phase = PHASE_EARLY;
	else if (creator->grouping.join == JOIN_BY_CREATOR && wanted == creator->group)
		child->birth.phase = PHASE_MOVED;
}

static void choose_birth_group(struct tree *tree, struct node *child)
{
	const struct node *creator = child->creator;
	struct group *wanted = child->grouping.wanted;

	switch (child->birth.phase) {
	case PHASE_EARLY:
		child->grouping.born_in = creator->grouping.born_in;
		break;
	case PHASE_MAIN:
		child->grouping.born_in = group_at_fork(creator);
		break;
	case PHASE_MOVED:
		child->grouping.born_in = creator->group;
		break;
	}
	child->grouping.born_to_maker = child->grouping.born_in &&
					child->birth.phase != PHASE_MOVED &&
					(child->grouping.born_in->leader == creator ||
					 (creator->grouping.born_to_maker &&
					  child->grouping.born_in == creator->grouping.born_in));
	if (!wanted || wanted == child->grouping.born_in || wanted == child->group ||
	    child->birth.same_parent || !group_seen_from(wanted, creator->place))
		return;
	child->grouping.moved_first = true;
	child->grouping.born_to_maker = false;
	child->grouping.born_in = wanted;
	child->grouping.put_word = tree_add_word(tree);
}

static void check_place(struct tree *tree, struct node *node)
{
	struct place *place = node->place;
	const struct node *creator = node->creator;

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
	uint64_t phase = (uint64_t)child->birth.phase << 62;

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

	uint64_t rank = birth_rank(one), other_rank = birth_rank(other);

	return compare_values(rank, other_rank) ?: compare_values(one->index, other->index);
}

/* Its birth may come at any time: it joins its group itself, and its session is the same. */
static bool may_be_early(const struct node *child, const struct node *creator)
{
	return !child->grouping.wanted &&
	       (!creator->leads_session || (child->leads_session && !child->birth.needs_session));
}

/* It is early for its group alone, and the creator can put it there later as well. */
static bool may_be_moved(const struct node *child, const struct node *creator)
{
	return child->grouping.wanted &&
	       !(child->birth.needs_session && child->birth.session != creator->session) &&
	       !child->birth.same_parent && group_seen_from(child->grouping.wanted, creator->place);
}

/*
 * Who is made early, in a namespace below, needs the inits of that as early, or the children from
 * whom they come.
 */
static void make_inits_early(struct node *creator, struct node *child)
{
	for (const struct place *at = child->place; at && at != creator->place; at = at->parent) {
		struct node *source = at->init;
		while (source && source->creator != creator)
			source = source->creator;
		if (!source || source->birth.phase == PHASE_EARLY)
			continue;
		if (may_be_early(source, creator))
			source->birth.phase = PHASE_EARLY;
		else if (may_be_moved(child, creator))
			child->birth.phase = PHASE_MAIN;
	}
}

static void arrange_children(struct tree *tree, struct node *node)
{
	for (size_t i = 0; i < node->n_children; i++)
		choose_phase(node->children[i]);
	for (size_t i = 0; i < node->n_children; i++)
		if (node->children[i]->birth.phase == PHASE_EARLY)
			make_inits_early(node, node->children[i]);
	if ((node->grouping.first || node->grouping.moved_first) &&
	    node->grouping.join == JOIN_BY_CREATOR)
		node->grouping.movable_word = tree_add_word(tree);
	for (size_t i = 0; i < node->n_children; i++) {
		struct node *child = node->children[i];
		check_place(tree, child);
		choose_birth_group(tree, child);
		choose_join(tree, child);
		if (child->birth.phase == PHASE_MOVED && !node->grouping.moved_word)
			node->grouping.moved_word = tree_add_word(tree);
		if (child->birth.phase != PHASE_MOVED && node->grouping.join == JOIN_BY_CREATOR &&
		    !node->grouping.movable_word)
			node->grouping.movable_word = tree_add_word(tree);
	}
	if (node->n_children > 1)
		qsort(node->children, node->n_children, sizeof *node->children, compare_birth);
	for (size_t i = 0; i < node->n_children; i++)
		tree->order[tree->n_order++] = node->children[i];
}

static void link_children(struct tree *tree)
{
	for (size_t i = 0; i < tree->n_nodes; i++) {
		/* helpers after the tasks */
		struct node *node =
			tree->nodes[i < tree->snapshot->n_tasks ? tree->looked_at[i] : i];
		struct node *creator = node->creator;
		if (node == tree->nodes[0])
			continue;
		creator->children = arena_grow(tree->arena, creator->children, creator->n_children,
					       sizeof node);
		creator->children[creator->n_children++] = node;
	}
}

static struct group *outside_group(const struct tree *tree)
{
	for (size_t i = 0; i < tree->n_groups; i++)
		if (tree->groups[i].outside)
			return &tree->groups[i];
	return NULL;
}

static void start_at_root(struct tree *tree)
{
	struct node *root = tree->nodes[0];

	tree->order[tree->n_order++] = root;
	root->birth.phase = PHASE_MAIN;
	root->grouping.born_in = outside_group(tree);
	if (root->birth.needs_session && !root->birth.session->outside)
		tree_refuse(tree, root, ERR_UNREACHABLE_TREE,
			    "it would have to be born in a session of its own descendants");
	choose_join(tree, root);
}

/* Any order with creators first will do for what children want of them. */
static void walk_creators(struct tree *tree)
{
	tree->order = arena_array(tree->arena, struct node *, tree->n_nodes);
	tree->order[tree->n_order++] = tree->nodes[0];
	for (size_t i = 0; i < tree->n_order; i++)
		for (size_t j = 0; j < tree->order[i]->n_children; j++)
			tree->order[tree->n_order++] = tree->order[i]->children[j];
	choose_wanted_groups(tree);
	tree->n_order = 0;
}

void search_creation(struct tree *tree)
{
	bool *reached = arena_array(tree->arena, bool, tree->n_nodes);

	link_children(tree);
	walk_creators(tree);
	start_at_root(tree);
	for (size_t i = 0; i < tree->n_order; i++)
		arrange_children(tree, tree->order[i]);
	/* What is not reached from the root has been made to create itself. */
	for (size_t i = 0; i < tree->n_order; i++)
		reached[tree->order[i]->index] = true;
	for (size_t i = 0; i < tree->snapshot->n_tasks; i++)
		if (!reached[i])
			tree_refuse(tree, tree->nodes[i], ERR_UNREACHABLE_TREE,
				    "it would have to be made by one of its own descendants");
}
