// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Tasks in a group stop. The coordinator puts them there, last of all that it does with them,
 * and the kernel then sends SIGCHLD to the parent. So a parent waits until all stopped tasks
 * stand, before it sets its signal actions, which drops the signal; what it does from there on
 * happens after `stopped_done_word`.
 *
 * A parent that is stopped itself cannot wait: the coordinator finishes all stopped tasks
 * together. It keeps the SIGCHLD pending, unless its action is to ignore stops (SA_NOCLDSTOP).
 */
#include "plan/build.h"

static bool waits(const struct tree *tree, const struct node *node)
{
	return tree->has_stopped_child[node->index] && !task_is_stopped(node->task);
}

void stopped_count(struct build *build)
{
	struct plan *plan = build->plan;
	struct tree *tree = build->tree;
	uint32_t waiting = 0;

	plan->n_parked = 0;
	for (size_t i = 0; i < plan->snapshot->n_tasks; i++) {
		const struct node *node = tree->nodes[i];
		if (task_is_zombie(node->task))
			continue;
		plan->n_parked += (uint32_t)node->task->n_threads;
		if (waits(tree, node))
			waiting += (uint32_t)node->task->n_threads;
	}
	plan->n_parked_before_stop = plan->n_parked - waiting;
	plan->stopped_done_word = waiting ? program_word(&plan->programs, 0) : 0;
}

void build_stopped_wait(struct build *build, const struct node *node)
{
	if (waits(build->tree, node))
		program_wait(node->program, build->plan->stopped_done_word, 1);
}
