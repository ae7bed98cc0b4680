// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Plain namespaces are made by two threads: the kernel takes long for each, those of networks
 * above all, and none needs another.
 */
#include "base/both-ends.h"
#include "run/state.h"

#include <assert.h>

/* A thread for less than that costs more than it saves. */
enum { FEWEST = 4 };

struct namespace_makers {
	struct run *run;
	const struct namespace **list; /* in the order of the plan */
	bool *is_there;		       /* before any of them is made */
	size_t n, n_seen;	       /* how many have had their turn */
	struct both_ends ends;
};

static bool make_one(void *data, size_t at)
{
	struct namespace_makers *makers = data;
	struct error ignored = { 0 };

	return makers->is_there[at] ||
	       run_new_namespace(makers->run, makers->list[at], &ignored) == 0;
}

/* Those of time take a copy of our memory, which nobody may be changing meanwhile. */
static int seek(struct namespace_makers *makers, size_t at, struct error *err)
{
	const struct namespace *namespace_ = makers->list[at];
	int found = run_seek_namespace(makers->run, namespace_, err);

	if (found == 0 && namespace_->type == NAMESPACE_TIME)
		found = run_new_namespace(makers->run, namespace_, err) ? -1 : 1;
	makers->is_there[at] = found > 0;
	return found;
}

static int begin(struct run *run, struct error *err)
{
	const struct plan *plan = run->plan;
	struct namespace_makers *makers = arena_new(run->arena, struct namespace_makers);
	size_t n_open = 0;

	run_plain_namespaces(run);
	makers->run = run;
	makers->list = arena_array(run->arena, const struct namespace *, plan->n_actions + 1);
	makers->is_there = arena_array(run->arena, bool, plan->n_actions + 1);
	for (size_t i = 0; i < plan->n_actions; i++)
		if (plan->actions[i].kind == ACTION_MAKE_NAMESPACE)
			makers->list[makers->n++] = plan->actions[i].plain;
	for (size_t at = 0; at < makers->n; at++) {
		int found = seek(makers, at, err);
		if (found < 0)
			return -1;
		n_open += found == 0;
	}
	both_ends_begin(&makers->ends, run->arena, makers->n, n_open < FEWEST, make_one, makers);
	run->makers = makers;
	return 0;
}

int run_make_namespace(struct run *run, const struct namespace *namespace_, struct error *err)
{
	if (!run->makers && begin(run, err))
		return -1;
	struct namespace_makers *makers = run->makers;
	size_t at = makers->n_seen++;

	assert(makers->list[at] == namespace_);
	if (!makers->is_there[at] && both_ends_turn(&makers->ends, at) &&
	    run_new_namespace(run, namespace_, err))
		return -1;
	/* No thread is left when processes are made. */
	if (makers->n_seen == makers->n)
		run_end_makers(run);
	return 0;
}

void run_end_makers(struct run *run)
{
	if (run->makers)
		both_ends_end(&run->makers->ends);
}
