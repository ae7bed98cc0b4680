// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * In which order each process does what it has to do. Everything is played once, in the planner:
 * a bundle of steps is done as soon as what it waits for has happened and its place in the rules
 * of its process allows it; the order found so is that of the program. Nothing that is done takes
 * away what another waits for, so it does not matter which of several possible bundles goes first:
 * if there is an order in which all come to their end, this is one. A history without such an
 * order is refused here, instead of hanging in a restore.
 */
#include "plan/search/tree.h"

struct item {
	struct node *node;
	struct bundle *bundle; /* NULL: look what else the node may do */
};

struct list {
	struct item *items;
	size_t count;
};

/* Where a node is with its bundles. */
struct progress {
	struct step *ordered; /* what it has done */
	size_t n_ordered;
	size_t n_opened, n_pending, n_blocking; /* bundles; opened ones that are not done */
	const struct bundle *stopped_at;
	const struct place *current_place; /* where its children are born */
};

struct stage {
	struct tree *tree;
	uint32_t *counts;	   /* by word */
	struct list *waiting;	   /* by word */
	struct list *reaping;	   /* by node: who waits for its end */
	struct list *moving;	   /* by node: who has to make it before it can move it */
	bool *created, *ended;	   /* by node */
	struct list work;	   /* what may go on */
	struct progress *progress; /* by node */
};

static void list_add(struct stage *stage, struct list *list, struct node *node,
		     struct bundle *bundle)
{
	list->items = arena_grow(stage->tree->arena, list->items, list->count, sizeof *list->items);
	list->items[list->count++] = (struct item){ node, bundle };
}

static void go_on(struct stage *stage, struct list *list)
{
	while (list->count) {
		struct item item = list->items[--list->count];
		list_add(stage, &stage->work, item.node, item.bundle);
	}
}

/* True once all that the bundle waits for has happened; else it is called again when it has. */
static bool is_possible(struct stage *stage, struct node *node, struct bundle *bundle)
{
	for (; bundle->n_looked_at < bundle->n_steps; bundle->n_looked_at++) {
		const struct step *step = &node->steps[bundle->first + bundle->n_looked_at];
		struct list *list = NULL;
		if (step->kind == STEP_WAIT && stage->counts[step->word] < step->value)
			list = &stage->waiting[step->word];
		else if (step->kind == STEP_REAP && !stage->ended[step->node->index])
			list = &stage->reaping[step->node->index];
		else if (step->kind == STEP_MOVE && !stage->created[step->node->index])
			list = &stage->moving[step->node->index];
		if (!list)
			continue;
		list_add(stage, list, node, bundle);
		return false;
	}
	return true;
}

static void keep_step(struct progress *progress, const struct step *step)
{
	/* Where the children are born is the same as before. */
	if (step->kind == STEP_ENTER && step->place == progress->current_place)
		return;
	if (step->kind == STEP_ENTER || step->kind == STEP_ENTER_FOUNDED)
		progress->current_place = step->place;
	progress->ordered[progress->n_ordered++] = *step;
}

static void do_bundle(struct stage *stage, struct node *node, struct bundle *bundle)
{
	struct progress *progress = &stage->progress[node->index];

	for (size_t i = 0; i < bundle->n_steps; i++) {
		const struct step *step = &node->steps[bundle->first + i];
		keep_step(progress, step);
		switch (step->kind) {
		case STEP_CREATE:
			stage->created[step->node->index] = true;
			go_on(stage, &stage->moving[step->node->index]);
			list_add(stage, &stage->work, step->node, NULL);
			break;
		case STEP_WAKE:
			stage->counts[step->word]++;
			go_on(stage, &stage->waiting[step->word]);
			break;
		case STEP_EXIT:
			stage->ended[node->index] = true;
			go_on(stage, &stage->reaping[node->index]);
			break;
		default:
			break;
		}
	}
	progress->n_pending--;
	progress->n_blocking -= bundle->kind != BUNDLE_DEFERRED;
}

static bool may_open(const struct progress *progress, const struct bundle *bundle)
{
	switch (bundle->kind) {
	case BUNDLE_RIGID:
		return progress->n_blocking == 0;
	case BUNDLE_LAST:
		return progress->n_pending == 0;
	default:
		return true;
	}
}

static void open_bundles(struct stage *stage, struct node *node)
{
	struct progress *progress = &stage->progress[node->index];

	/* A rigid one that is not done lets nothing past. */
	while (progress->n_opened < node->n_bundles && !progress->stopped_at) {
		struct bundle *bundle = &node->bundles[progress->n_opened];
		if (!may_open(progress, bundle))
			return;
		progress->n_opened++;
		progress->n_pending++;
		progress->n_blocking += bundle->kind != BUNDLE_DEFERRED;
		if (is_possible(stage, node, bundle))
			do_bundle(stage, node, bundle);
		else if (bundle->kind == BUNDLE_RIGID || bundle->kind == BUNDLE_LAST)
			progress->stopped_at = bundle;
	}
}

static void play(struct stage *stage, struct item item)
{
	struct progress *progress = &stage->progress[item.node->index];

	if (item.bundle) {
		if (!is_possible(stage, item.node, item.bundle))
			return;
		do_bundle(stage, item.node, item.bundle);
		if (progress->stopped_at == item.bundle)
			progress->stopped_at = NULL;
	}
	open_bundles(stage, item.node);
}

/* Each node has room for all of its steps. */
static void make_room(struct stage *stage)
{
	struct tree *tree = stage->tree;
	size_t n_steps = 0;

	for (size_t i = 0; i < tree->n_nodes; i++)
		n_steps += tree->nodes[i]->n_steps;
	struct step *ordered = arena_array(tree->arena, struct step, n_steps + 1);
	stage->progress = arena_array(tree->arena, struct progress, tree->n_nodes);
	for (size_t i = 0; i < tree->n_nodes; i++) {
		const struct node *node = tree->nodes[i];
		stage->progress[i] =
			(struct progress){ .ordered = ordered, .current_place = node->place };
		ordered += node->n_steps;
	}
}

void search_schedule(struct tree *tree)
{
	size_t n_words = (size_t)tree->n_words + 1;
	struct stage stage = {
		.tree = tree,
		.counts = arena_array(tree->arena, uint32_t, n_words),
		.waiting = arena_array(tree->arena, struct list, n_words),
		.reaping = arena_array(tree->arena, struct list, tree->n_nodes),
		.moving = arena_array(tree->arena, struct list, tree->n_nodes),
		.created = arena_array(tree->arena, bool, tree->n_nodes),
		.ended = arena_array(tree->arena, bool, tree->n_nodes),
	};

	make_room(&stage);
	list_add(&stage, &stage.work, tree->nodes[0], NULL);
	while (stage.work.count)
		play(&stage, stage.work.items[--stage.work.count]);
	for (size_t i = 0; i < tree->n_nodes; i++) {
		struct node *node = tree->nodes[i];
		const struct progress *progress = &stage.progress[i];
		if (node->task && (progress->n_opened < node->n_bundles || progress->n_pending))
			tree_refuse(tree, node, ERR_UNREACHABLE_TREE,
				    "it would wait for a process that in turn waits for it");
		node->steps = progress->ordered;
		node->n_steps = progress->n_ordered;
	}
}
