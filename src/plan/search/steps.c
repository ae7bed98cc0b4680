// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What each process does until it has its place in the tree, as bundles of steps that schedule.c
 * puts in order. Rigid ones divide its life: before it leads a session or group and after,
 * before it leaves a group that its children are to be born in, and after; then joining a group
 * and the exits of helpers.
 */
#include "plan/search/tree.h"

static void add_wait(struct tree *tree, struct node *node, uint32_t word, uint32_t value)
{
	struct step *step = node_add_step(tree, node, STEP_WAIT);

	step->word = word;
	step->value = value;
}

static void add_wake(struct tree *tree, struct node *node, uint32_t word, uint32_t value)
{
	struct step *step = node_add_step(tree, node, STEP_WAKE);

	step->word = word;
	step->value = value;
}

/*
 * Its maker leaves the group again. Who is in it from birth on was born to somebody in it, so
 * then it does not become empty; otherwise the maker stays until the first has joined for good.
 */
static bool needs_its_maker(const struct group *group)
{
	return group->n_born == 0 &&
	       (!group->leader->task || group->leader->grouping.first == group);
}

static void choose_group_words(struct tree *tree, struct group *group)
{
	if (group->outside)
		return;
	if (!group->ready_word)
		group->ready_word = tree_add_word(tree);
	if (needs_its_maker(group) && !group->joined_word)
		group->joined_word = tree_add_word(tree);
}

static void choose_words(struct tree *tree)
{
	for (size_t i = 0; i < tree->n_order; i++) {
		struct node *node = tree->order[i];
		if (node->grouping.join != JOIN_NONE)
			choose_group_words(tree, node->group);
		if (node->grouping.moved_first)
			choose_group_words(tree, node->grouping.wanted);
		struct place *place = node->place;
		if (node->birth.same_parent && node->task && task_is_zombie(node->task))
			node->grouping.born_word = tree_add_word(tree);
		if (node->creator && place != node->creator->place && place->init != node &&
		    !place->ready_word)
			place->ready_word = tree_add_word(tree);
	}
}

/* The founder is there just for the init to be born in what it has made. */
static void add_founded(struct tree *tree, struct node *node, struct node *child)
{
	struct place *place = child->place;
	struct node *founder = place->founder;

	node_begin(tree, node, BUNDLE_FREE);
	node_add_step(tree, node, STEP_ENTER)->place = node->place;
	node_add_step(tree, node, STEP_CREATE)->node = founder;
	node_begin(tree, node, BUNDLE_FREE);
	add_wait(tree, node, place->founded_word, 1);
	node_add_step(tree, node, STEP_ENTER_FOUNDED)->place = place;
	node_add_step(tree, node, STEP_CREATE)->node = child;
	add_wake(tree, node, founder->as_helper.leave_word, 1);
	if (child->grouping.born_word)
		add_wake(tree, node, child->grouping.born_word, 1);
	node_begin(tree, node, BUNDLE_DEFERRED);
	node_add_step(tree, node, STEP_REAP)->node = founder;
}

static void add_creation(struct tree *tree, struct node *node, struct node *child)
{
	struct place *wanted = child->place->init == child ? node->place : child->place;

	if (child->place->init == child && child->place->founder) {
		add_founded(tree, node, child);
		return;
	}
	node_begin(tree, node, BUNDLE_FREE);
	if (wanted != node->place)
		add_wait(tree, node, wanted->ready_word, 1);
	node_add_step(tree, node, STEP_ENTER)->place = wanted;
	node_add_step(tree, node, STEP_CREATE)->node = child;
	if (child->grouping.born_word)
		add_wake(tree, node, child->grouping.born_word, 1);
}

static void add_move(struct tree *tree, struct node *node, struct node *child, struct group *group,
		     enum bundle_kind kind)
{
	node_begin(tree, node, kind);
	if (group->ready_word)
		add_wait(tree, node, group->ready_word, 1);
	/* It leaves its birth group once it has made what is to be born there. */
	if (child->grouping.movable_word && group == child->group)
		add_wait(tree, node, child->grouping.movable_word, 1);
	struct step *step = node_add_step(tree, node, STEP_MOVE);
	step->node = child;
	step->group = group;
	/* Who is moved for the sake of its children stays until they are there. */
	if (group->joined_word)
		add_wake(tree, node, group->joined_word, 1);
}

static void add_moves(struct tree *tree, struct node *node, struct node *child,
		      enum bundle_kind kind)
{
	if (child->grouping.moved_first) {
		add_move(tree, node, child, child->grouping.wanted, kind);
		add_wake(tree, node, child->grouping.put_word, 1);
	}
	if (child->grouping.join != JOIN_BY_CREATOR)
		return;
	add_move(tree, node, child, child->group, kind);
	if (child->grouping.moved_word)
		add_wake(tree, node, child->grouping.moved_word, 1);
}

/* Once the creator has called setsid it cannot move those any more that were born before. */
static void add_phase(struct tree *tree, struct node *node, int phase)
{
	bool at_once = phase == PHASE_EARLY && node->leads_session;

	for (size_t i = 0; i < node->n_children; i++)
		if ((int)node->children[i]->birth.phase == phase)
			add_creation(tree, node, node->children[i]);
	for (size_t i = 0; i < node->n_children; i++) {
		struct node *child = node->children[i];
		if ((int)child->birth.phase == phase)
			add_moves(tree, node, child, at_once ? BUNDLE_FREE : BUNDLE_DEFERRED);
	}
}

static void add_lead(struct tree *tree, struct node *node)
{
	const struct group *made = node->grouping.first ? node->grouping.first : node->group;

	if (!node->leads_session && !node->leads_group && !node->grouping.first)
		return;
	node_begin(tree, node, BUNDLE_RIGID);
	node_add_step(tree, node, node->leads_session ? STEP_SETSID : STEP_LEAD_GROUP);
	if (made->ready_word)
		add_wake(tree, node, made->ready_word, 1);
}

/* A maker that will be in another group than its own. */
static void add_stay(struct tree *tree, struct node *node)
{
	node_begin(tree, node, BUNDLE_RIGID);
	if (node->grouping.first && node->grouping.first->joined_word &&
	    !node->grouping.first->keeper)
		add_wait(tree, node, node->grouping.first->joined_word, 1);
	if (node->grouping.movable_word)
		add_wake(tree, node, node->grouping.movable_word, 1);
}

static void add_creations(struct tree *tree, struct node *node)
{
	add_phase(tree, node, PHASE_EARLY);
	add_lead(tree, node);
	add_phase(tree, node, PHASE_MAIN);
	add_stay(tree, node);
	if (node->grouping.moved_word) {
		node_begin(tree, node, BUNDLE_RIGID);
		add_wait(tree, node, node->grouping.moved_word, 1);
		add_phase(tree, node, PHASE_MOVED);
	}
	/* Threads can be made only in the own namespace (EINVAL, copy_process). */
	node_begin(tree, node, BUNDLE_RIGID);
	if (node->task)
		node_add_step(tree, node, STEP_ENTER)->place = node->place;
	if (!node->early_place)
		return;
	node_begin(tree, node, BUNDLE_DEFERRED);
	add_wait(tree, node, node->early_place->ready_word, 1);
	node_add_step(tree, node, STEP_ENTER)->place = node->early_place;
	add_wake(tree, node, node->early_place->entered_word, node->early_place->n_entering);
}

static void add_join(struct tree *tree, struct node *node)
{
	const struct group *group = node->group;

	if (node->grouping.join != JOIN_SELF)
		return;
	node_begin(tree, node, BUNDLE_DEFERRED);
	if (group->ready_word)
		add_wait(tree, node, group->ready_word, 1);
	node_add_step(tree, node, STEP_JOIN)->group = node->group;
	if (group->joined_word)
		add_wake(tree, node, group->joined_word, 1);
}

static void add_reap(struct tree *tree, struct node *node, struct node *helper,
		     enum bundle_kind kind)
{
	node_begin(tree, node, kind);
	node_add_step(tree, node, STEP_REAP)->node = helper;
	if (helper->as_helper.left_word)
		add_wake(tree, node, helper->as_helper.left_word, 1);
}

/* Helpers that leave when they are done; the others are told to, see add_adoptions. */
static void add_reaping(struct tree *tree, struct node *node)
{
	for (size_t i = 0; i < node->n_children; i++)
		if (!node->children[i]->task && !node->children[i]->as_helper.leave_word)
			add_reap(tree, node->children[i]->as_helper.reaper, node->children[i],
				 BUNDLE_DEFERRED);
}

static void set_mark(struct tree *tree, struct node *node, uint32_t value)
{
	node_add_step(tree, node, STEP_SUBREAPER)->value = value;
}

static void add_adoption(struct tree *tree, const struct adoption *adoption, uint32_t next_turn)
{
	struct node *helper = adoption->helper, *reaper = helper->as_helper.reaper;
	struct node *conductor = adoption->marked ? helper->as_helper.adopter : reaper;

	node_begin(tree, conductor, BUNDLE_RIGID);
	add_wait(tree, conductor, adoption->turn_word, 1);
	if (adoption->marked)
		set_mark(tree, conductor, 1);
	add_wake(tree, conductor, helper->as_helper.leave_word, 1);
	add_reap(tree, reaper, helper, conductor == reaper ? BUNDLE_RIGID : BUNDLE_DEFERRED);
	node_begin(tree, conductor, BUNDLE_RIGID);
	if (conductor != reaper)
		add_wait(tree, conductor, helper->as_helper.left_word, 1);
	if (adoption->marked)
		set_mark(tree, conductor, 0);
	if (next_turn)
		add_wake(tree, conductor, next_turn, 1);
}

static void add_adoptions(struct tree *tree)
{
	for (size_t i = 0; i < tree->n_adoptions; i++)
		add_adoption(tree, &tree->adoptions[i],
			     i + 1 < tree->n_adoptions ? tree->adoptions[i + 1].turn_word : 0);
}

static bool is_adopted(const struct node *node)
{
	const struct node *parent = node_birth_parent(node);

	return parent && node->task && !parent->task;
}

/*
 * A stopped task is finished before those that wait for its stop, its children perhaps among them;
 * if its first thread exits then, they must not be tied to it (PR_SET_PDEATHSIG is about threads).
 */
static bool outlives_tie(const struct node *creator)
{
	return creator && creator->task && task_leader_is_dead(creator->task) &&
	       task_is_stopped(creator->task);
}

static void add_end(struct tree *tree, struct node *node)
{
	node_begin(tree, node, BUNDLE_LAST);
	if (is_adopted(node)) {
		add_wait(tree, node, node_birth_parent(node)->as_helper.left_word, 1);
		if (!outlives_tie(node->parent))
			node_add_step(tree, node, STEP_TIE);
	}
	if (node->task)
		return;
	if (node->group && node->group->joined_word &&
	    (node->group->leader == node || node->group->keeper == node))
		add_wait(tree, node, node->group->joined_word, 1);
	if (node->as_helper.leave_word)
		add_wait(tree, node, node->as_helper.leave_word, 1);
	node_add_step(tree, node, STEP_EXIT);
}

void search_steps(struct tree *tree)
{
	choose_words(tree);
	for (size_t i = 0; i < tree->n_order; i++) {
		struct node *node = tree->order[i];
		node_begin(tree, node, BUNDLE_RIGID);
		/* A helper whose creator leaves before it would die with that. */
		if (!is_adopted(node) && !outlives_tie(node->creator) &&
		    (node->task || node->as_helper.reaper == node_birth_parent(node)))
			node_add_step(tree, node, STEP_TIE);
		if (node->as_helper.founds) {
			node_add_step(tree, node, STEP_FOUND)->place = node->as_helper.founds;
			add_wake(tree, node, node->as_helper.founds->founded_word, 1);
		}
		if (node->place->init == node && node->place->ready_word)
			add_wake(tree, node, node->place->ready_word, 1);
		if (node->grouping.moved_first) {
			node_begin(tree, node, BUNDLE_RIGID);
			add_wait(tree, node, node->grouping.put_word, 1);
		}
		add_creations(tree, node);
		add_join(tree, node);
	}
	for (size_t i = 0; i < tree->n_order; i++)
		add_reaping(tree, tree->order[i]);
	if (tree->n_adoptions) {
		/* The first turn is nobody's to give. */
		struct node *root = tree->nodes[0];
		node_begin(tree, root, BUNDLE_RIGID);
		add_wake(tree, root, tree->adoptions[0].turn_word, 1);
	}
	add_adoptions(tree);
	for (size_t i = 0; i < tree->n_order; i++)
		add_end(tree, tree->order[i]);
}
