// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Goes through the steps of all processes without making any: do they all come to their end? A
 * history in which two wait for each other is refused here, instead of hanging in a restore.
 */
#include "plan/tree.h"

struct stage {
	struct tree *tree;
	uint32_t *counts;	/* by word */
	struct node ***waiting; /* by word: who stands at a STEP_WAIT for it */
	size_t *n_waiting;
	bool *ended;	      /* by node */
	struct node **reaper; /* by node: who stands at a STEP_REAP of it */
	struct node **ready;  /* stack of nodes that may go on */
	size_t n_ready;
};

static void wake(struct stage *stage, uint32_t word)
{
	stage->counts[word]++;
	for (size_t i = 0; i < stage->n_waiting[word]; i++)
		stage->ready[stage->n_ready++] = stage->waiting[word][i];
	stage->n_waiting[word] = 0;
}

static void wait_for(struct stage *stage, uint32_t word, struct node *node)
{
	struct node ***list = &stage->waiting[word];

	*list = arena_grow(stage->tree->arena, *list, stage->n_waiting[word], sizeof node);
	(*list)[stage->n_waiting[word]++] = node;
}

/* Returns false where the node has to wait. */
static bool go_through(struct stage *stage, struct node *node, const struct step *step)
{
	switch (step->kind) {
	case STEP_CREATE:
		stage->ready[stage->n_ready++] = step->node;
		return true;
	case STEP_WAIT:
		if (stage->counts[step->word] >= step->value)
			return true;
		wait_for(stage, step->word, node);
		return false;
	case STEP_WAKE:
		wake(stage, step->word);
		return true;
	case STEP_REAP:
		if (stage->ended[step->node->index])
			return true;
		stage->reaper[step->node->index] = node;
		return false;
	case STEP_EXIT:
		stage->ended[node->index] = true;
		if (stage->reaper[node->index])
			stage->ready[stage->n_ready++] = stage->reaper[node->index];
		return true;
	default:
		return true;
	}
}

static void play(struct stage *stage, struct node *node)
{
	while (node->next_step < node->n_steps &&
	       go_through(stage, node, &node->steps[node->next_step]))
		node->next_step++;
}

void rehearse(struct tree *tree)
{
	size_t n_words = (size_t)tree->n_words + 1;
	struct stage stage = {
		.tree = tree,
		.counts = arena_array(tree->arena, uint32_t, n_words),
		.waiting = arena_array(tree->arena, struct node **, n_words),
		.n_waiting = arena_array(tree->arena, size_t, n_words),
		.ended = arena_array(tree->arena, bool, tree->n_nodes),
		.reaper = arena_array(tree->arena, struct node *, tree->n_nodes),
		/* A node is in it at most once: it either waits or may go on. */
		.ready = arena_array(tree->arena, struct node *, tree->n_nodes),
	};

	stage.ready[stage.n_ready++] = tree->nodes[0];
	while (stage.n_ready)
		play(&stage, stage.ready[--stage.n_ready]);
	for (size_t i = 0; i < tree->n_order; i++) {
		struct node *node = tree->order[i];
		if (node->task && node->next_step < node->n_steps)
			tree_refuse(tree, node, ERR_UNREACHABLE_TREE,
				    "it would wait for a process that in turn waits for it");
	}
}
