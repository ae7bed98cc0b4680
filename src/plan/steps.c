// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What each process does, in order, until it has its place in the tree. Creating comes first
 * wherever it can, so that nobody waits for somebody whom it has yet to create; joining groups
 * comes after, then the exits of helpers.
 */
#include "plan/tree.h"

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
	return group->n_born == 0 && (!group->leader->task || group->leader->first_group == group);
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
		if (node->join != JOIN_NONE)
			choose_group_words(tree, node->group);
		if (node->moved_first)
			choose_group_words(tree, node->wanted_group);
		struct place *place = node->place;
		if (!node->creator || place == node->creator->place || place->init == node)
			continue;
		bool known =
			place->init->creator == node->creator && place->init->phase <= node->phase;
		if (!known && !place->ready_word)
			place->ready_word = tree_add_word(tree);
	}
}

/* The founder is there just for the init to be born in what it has made. */
static struct place *add_founded(struct tree *tree, struct node *node, struct node *child,
				 struct place *current)
{
	struct place *place = child->place;
	struct node *founder = place->founder;

	if (current != node->place)
		node_add_step(tree, node, STEP_ENTER)->place = node->place;
	node_add_step(tree, node, STEP_CREATE)->node = founder;
	add_wait(tree, node, place->founded_word, 1);
	node_add_step(tree, node, STEP_ENTER_FOUNDED)->place = place;
	node_add_step(tree, node, STEP_CREATE)->node = child;
	add_wake(tree, node, founder->leave_word, 1);
	node_add_step(tree, node, STEP_REAP)->node = founder;
	return place;
}

static struct place *add_creation(struct tree *tree, struct node *node, struct node *child,
				  struct place *current)
{
	struct place *wanted = child->place->init == child ? node->place : child->place;

	if (child->place->init == child && child->place->founder)
		return add_founded(tree, node, child, current);
	if (wanted != current) {
		if (wanted != node->place && wanted->ready_word)
			add_wait(tree, node, wanted->ready_word, 1);
		node_add_step(tree, node, STEP_ENTER)->place = wanted;
	}
	node_add_step(tree, node, STEP_CREATE)->node = child;
	return wanted;
}

static void add_move(struct tree *tree, struct node *node, struct node *child, struct group *group)
{
	if (group->ready_word)
		add_wait(tree, node, group->ready_word, 1);
	if (child->movable_word)
		add_wait(tree, node, child->movable_word, 1);
	struct step *step = node_add_step(tree, node, STEP_MOVE);
	step->node = child;
	step->group = group;
	/* Who is moved for the sake of its children stays until they are there. */
	if (group->joined_word)
		add_wake(tree, node, group->joined_word, 1);
	if (child->moved_word)
		add_wake(tree, node, child->moved_word, 1);
}

static void add_moves(struct tree *tree, struct node *node, bool early)
{
	for (size_t i = 0; i < node->n_children; i++) {
		struct node *child = node->children[i];
		if ((child->phase == PHASE_EARLY) != early)
			continue;
		if (child->moved_first)
			add_move(tree, node, child, child->wanted_group);
		else if (child->join == JOIN_BY_CREATOR)
			add_move(tree, node, child, child->group);
	}
}

static struct place *add_phase(struct tree *tree, struct node *node, int phase,
			       struct place *current)
{
	for (size_t i = 0; i < node->n_children; i++)
		if ((int)node->children[i]->phase == phase)
			current = add_creation(tree, node, node->children[i], current);
	return current;
}

static void add_lead(struct tree *tree, struct node *node)
{
	const struct group *made = node->first_group ? node->first_group : node->group;

	if (node->leads_session)
		node_add_step(tree, node, STEP_SETSID);
	else if (node->leads_group || node->first_group)
		node_add_step(tree, node, STEP_LEAD_GROUP);
	else
		return;
	if (made->ready_word)
		add_wake(tree, node, made->ready_word, 1);
}

/* A maker that will be in another group than its own. */
static void add_stay(struct tree *tree, struct node *node)
{
	if (node->first_group && node->first_group->joined_word)
		add_wait(tree, node, node->first_group->joined_word, 1);
}

static void add_creations(struct tree *tree, struct node *node)
{
	struct place *current = add_phase(tree, node, PHASE_EARLY, node->place);

	add_moves(tree, node, true);
	add_lead(tree, node);
	current = add_phase(tree, node, PHASE_MAIN, current);
	add_stay(tree, node);
	if (node->movable_word)
		add_wake(tree, node, node->movable_word, 1);
	if (node->moved_word && !node->moved_first) {
		add_wait(tree, node, node->moved_word, 1);
		current = add_phase(tree, node, PHASE_MOVED, current);
	}
	add_moves(tree, node, false);
	/* Threads can be made only in the own namespace (EINVAL, copy_process). */
	if (current != node->place && node->task)
		node_add_step(tree, node, STEP_ENTER)->place = node->place;
}

static void add_join(struct tree *tree, struct node *node)
{
	const struct group *group = node->group;

	if (node->join != JOIN_SELF)
		return;
	if (group->ready_word)
		add_wait(tree, node, group->ready_word, 1);
	node_add_step(tree, node, STEP_JOIN)->group = node->group;
	if (group->joined_word)
		add_wake(tree, node, group->joined_word, 1);
}

static void add_reap(struct tree *tree, struct node *node, struct node *helper)
{
	node_add_step(tree, node, STEP_REAP)->node = helper;
	if (helper->left_word)
		add_wake(tree, node, helper->left_word, 1);
}

/* Helpers that leave when they are done; the others are told to, see add_adoptions. */
static void add_reaping(struct tree *tree, struct node *node)
{
	for (size_t i = 0; i < node->n_children; i++)
		if (!node->children[i]->task && !node->children[i]->leave_word)
			add_reap(tree, node, node->children[i]);
}

static void set_mark(struct tree *tree, struct node *node, uint32_t value)
{
	node_add_step(tree, node, STEP_SUBREAPER)->value = value;
}

static void add_adoption(struct tree *tree, const struct adoption *adoption, uint32_t next_turn)
{
	struct node *helper = adoption->helper, *reaper = helper->reaper;
	struct node *conductor = adoption->marked ? helper->adopter : reaper;

	add_wait(tree, conductor, adoption->turn_word, 1);
	if (adoption->marked)
		set_mark(tree, conductor, 1);
	add_wake(tree, conductor, helper->leave_word, 1);
	add_reap(tree, reaper, helper);
	if (conductor != reaper)
		add_wait(tree, conductor, helper->left_word, 1);
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
	return node->creator && node->task && !node->creator->task;
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
	if (is_adopted(node)) {
		add_wait(tree, node, node->creator->left_word, 1);
		if (!outlives_tie(node->parent))
			node_add_step(tree, node, STEP_TIE);
	}
	if (node->task)
		return;
	if (node->group && node->group->joined_word && node->group->leader == node)
		add_wait(tree, node, node->group->joined_word, 1);
	if (node->leave_word)
		add_wait(tree, node, node->leave_word, 1);
	node_add_step(tree, node, STEP_EXIT);
}

void plan_steps(struct tree *tree)
{
	choose_words(tree);
	for (size_t i = 0; i < tree->n_order; i++) {
		struct node *node = tree->order[i];
		/* A helper whose creator leaves before it would die with that. */
		if (!is_adopted(node) && !outlives_tie(node->creator) &&
		    (node->task || node->reaper == node->creator))
			node_add_step(tree, node, STEP_TIE);
		if (node->founds) {
			node_add_step(tree, node, STEP_FOUND)->place = node->founds;
			add_wake(tree, node, node->founds->founded_word, 1);
		}
		if (node->place->init == node && node->place->ready_word)
			add_wake(tree, node, node->place->ready_word, 1);
		if (node->moved_first)
			add_wait(tree, node, node->moved_word, 1);
		add_creations(tree, node);
		add_join(tree, node);
		add_reaping(tree, node);
	}
	if (tree->n_adoptions) {
		/* The first turn is nobody's to give. */
		struct node *root = tree->nodes[0];
		add_wake(tree, root, tree->adoptions[0].turn_word, 1);
	}
	add_adoptions(tree);
	for (size_t i = 0; i < tree->n_order; i++)
		add_end(tree, tree->order[i]);
}
