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
	if (node->first_group)
		return node->first_group;
	if (node->leads_group)
		return node->group;
	return node->birth_group;
}

/* Nothing that the task does itself can bring it into its group. */
static bool has_to_be_born_inside(const struct node *node)
{
	return node->task && !node->leads_group && !node->first_group &&
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
	return child->creator && !child->same_parent &&
	       group_seen_from(group, child->creator->place);
}

/*
 * The creator has to have been in the group itself: finally, or at its own birth. Where it sees
 * the group it can move the child instead.
 */
static void want_of_creator(const struct node *child)
{
	struct node *creator = child->creator;
	struct group *group = child->wanted_group;

	if (!creator || creator->wanted_group || group_at_fork(creator) == group ||
	    can_be_moved_into(child, group))
		return;
	/* It comes to that later, and can make the child then. */
	if (creator->group == group && can_be_moved_into(creator, group))
		return;
	creator->wanted_group = group;
}

static void choose_wanted_groups(struct tree *tree)
{
	/* What it needs for itself comes first, unless it can get it later. */
	for (size_t i = tree->n_order; i-- > 0;) {
		struct node *node = tree->order[i];
		if (has_to_be_born_inside(node) && !can_be_moved_into(node, node->group))
			node->wanted_group = node->group;
	}
	for (size_t i = tree->n_order; i-- > 0;) {
		struct node *node = tree->order[i];
		if (!node->wanted_group && has_to_be_born_inside(node))
			node->wanted_group = node->group;
		if (node->wanted_group)
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
	     at->creator && at->creator == at->parent && !at->same_parent; at = at->creator) {
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
	node->join = JOIN_NONE;
	if (!node->task || node->leads_group)
		return;
	if (!node->first_group && node->birth_group == node->group) {
		node->group->n_born += node->born_to_maker;
		return;
	}
	if (group_visible_in(node, node->place)) {
		node->join = JOIN_SELF;
	} else if (node->creator && !node->same_parent &&
		   group_seen_from(node->group, node->creator->place)) {
		node->join = JOIN_BY_CREATOR;
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
	const struct group *wanted = child->wanted_group;

	child->phase = PHASE_MAIN;
	if (child->needs_birth && child->birth != creator->session)
		child->phase = PHASE_EARLY;
	else if (!wanted || wanted == group_at_fork(creator))
		return;
	else if (wanted == creator->birth_group && !creator->leads_session)
		child->phase = PHASE_EARLY;
	else if (creator->join == JOIN_BY_CREATOR && wanted == creator->group)
		child->phase = PHASE_MOVED;
}

static void choose_birth_group(struct tree *tree, struct node *child)
{
	const struct node *creator = child->creator;
	struct group *wanted = child->wanted_group;

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
	child->born_to_maker =
		child->birth_group && child->phase != PHASE_MOVED &&
		(child->birth_group->leader == creator ||
		 (creator->born_to_maker && child->birth_group == creator->birth_group));
	if (!wanted || wanted == child->birth_group || wanted == child->group ||
	    child->same_parent || !group_seen_from(wanted, creator->place))
		return;
	child->moved_first = true;
	child->born_to_maker = false;
	child->birth_group = wanted;
	child->put_word = tree_add_word(tree);
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

/* Its birth may come at any time: it joins its group itself, and its session is the same. */
static bool may_be_early(const struct node *child, const struct node *creator)
{
	return !child->wanted_group &&
	       (!creator->leads_session || (child->leads_session && !child->needs_birth));
}

/* It is early for its group, and the creator can put it there later as well. */
static bool may_be_moved(const struct node *child, const struct node *creator)
{
	return !(child->needs_birth && child->birth != creator->session) && !child->same_parent &&
	       group_seen_from(child->wanted_group, creator->place);
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
		if (!source || source->phase == PHASE_EARLY)
			continue;
		if (may_be_early(source, creator))
			source->phase = PHASE_EARLY;
		else if (may_be_moved(child, creator))
			child->phase = PHASE_MAIN;
	}
}

static void arrange_children(struct tree *tree, struct node *node)
{
	for (size_t i = 0; i < node->n_children; i++)
		choose_phase(node->children[i]);
	for (size_t i = 0; i < node->n_children; i++)
		if (node->children[i]->phase == PHASE_EARLY)
			make_inits_early(node, node->children[i]);
	if ((node->first_group || node->moved_first) && node->join == JOIN_BY_CREATOR)
		node->movable_word = tree_add_word(tree);
	for (size_t i = 0; i < node->n_children; i++) {
		struct node *child = node->children[i];
		check_place(tree, child);
		choose_birth_group(tree, child);
		choose_join(tree, child);
		child->birth_rank = birth_rank(child);
		if (child->phase == PHASE_MOVED && !node->moved_word)
			node->moved_word = tree_add_word(tree);
		if (child->phase != PHASE_MOVED && node->join == JOIN_BY_CREATOR &&
		    !node->movable_word)
			node->movable_word = tree_add_word(tree);
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
	root->phase = PHASE_MAIN;
	root->birth_group = outside_group(tree);
	if (root->needs_birth && !root->birth->outside)
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

void plan_creation(struct tree *tree)
{
	link_children(tree);
	walk_creators(tree);
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
