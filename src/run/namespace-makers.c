// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Plain namespaces are made by two threads: the kernel takes long for each, those of networks
 * above all, and none needs another. The coordinator goes through them in the order of the plan,
 * the other thread from the end on, until they meet; what the other one has made, or failed with,
 * is told when it is that one's turn.
 */
#include "run/state.h"

#include <assert.h>
#include <pthread.h>

/* A thread for less than that costs more than it saves. */
enum { FEWEST = 4 };

enum maker_state { TO_BE_MADE, BEING_MADE, THERE, FAILED };

struct namespace_makers {
	struct run *run;
	const struct namespace **list; /* in the order of the plan */
	uint8_t *states;	       /* enum maker_state, of each in the list */
	size_t n, n_seen;	       /* how many have had their turn */
	struct error err;	       /* of the one that the other thread has failed with */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	pthread_t thread;
	bool is_running;
};

static bool take(struct namespace_makers *makers, size_t at)
{
	pthread_mutex_lock(&makers->lock);
	bool mine = makers->states[at] == TO_BE_MADE;
	if (mine)
		makers->states[at] = BEING_MADE;
	pthread_mutex_unlock(&makers->lock);
	return mine;
}

static void set_state(struct namespace_makers *makers, size_t at, enum maker_state state)
{
	pthread_mutex_lock(&makers->lock);
	makers->states[at] = (uint8_t)state;
	pthread_cond_signal(&makers->changed);
	pthread_mutex_unlock(&makers->lock);
}

static void *make_from_the_end(void *data)
{
	struct namespace_makers *makers = data;

	for (size_t at = makers->n; at-- > 0;) {
		if (!take(makers, at))
			continue;
		bool failed = run_new_namespace(makers->run, makers->list[at], &makers->err) < 0;
		set_state(makers, at, failed ? FAILED : THERE);
		if (failed)
			break;
	}
	return NULL;
}

/* Those of time take a copy of our memory, which nobody may be changing meanwhile. */
static int seek(struct namespace_makers *makers, size_t at, struct error *err)
{
	const struct namespace *namespace_ = makers->list[at];
	int found = run_seek_namespace(makers->run, namespace_, err);

	if (found == 0 && namespace_->type == NAMESPACE_TIME)
		found = run_new_namespace(makers->run, namespace_, err) ? -1 : 1;
	makers->states[at] = found > 0 ? THERE : TO_BE_MADE;
	return found;
}

static int begin(struct run *run, struct error *err)
{
	const struct plan *plan = run->plan;
	struct namespace_makers *makers = arena_new(run->arena, struct namespace_makers);
	size_t n_open = 0;

	run->makers = makers;
	run_plain_namespaces(run);
	makers->run = run;
	makers->list = arena_array(run->arena, const struct namespace *, plan->n_actions + 1);
	makers->states = arena_array(run->arena, uint8_t, plan->n_actions + 1);
	for (size_t i = 0; i < plan->n_actions; i++)
		if (plan->actions[i].kind == ACTION_MAKE_NAMESPACE)
			makers->list[makers->n++] = plan->actions[i].plain;
	for (size_t at = 0; at < makers->n; at++) {
		int found = seek(makers, at, err);
		if (found < 0)
			return -1;
		n_open += found == 0;
	}
	pthread_mutex_init(&makers->lock, NULL);
	pthread_cond_init(&makers->changed, NULL);
	/* Without it the coordinator makes all of them. */
	makers->is_running = n_open >= FEWEST &&
			     pthread_create(&makers->thread, NULL, make_from_the_end, makers) == 0;
	return 0;
}

static int await(struct namespace_makers *makers, size_t at, struct error *err)
{
	pthread_mutex_lock(&makers->lock);
	while (makers->states[at] == BEING_MADE)
		pthread_cond_wait(&makers->changed, &makers->lock);
	bool failed = makers->states[at] == FAILED;
	pthread_mutex_unlock(&makers->lock);
	if (failed)
		*err = makers->err;
	return failed ? -1 : 0;
}

int run_make_namespace(struct run *run, const struct namespace *namespace_, struct error *err)
{
	if (!run->makers && begin(run, err))
		return -1;
	struct namespace_makers *makers = run->makers;
	size_t at = makers->n_seen++;

	assert(makers->list[at] == namespace_);
	if (take(makers, at)) {
		if (run_new_namespace(run, namespace_, err))
			return -1;
		set_state(makers, at, THERE);
	} else if (await(makers, at, err)) {
		return -1;
	}
	/* No thread is left when processes are made. */
	if (makers->n_seen == makers->n)
		run_end_makers(run);
	return 0;
}

void run_end_makers(struct run *run)
{
	struct namespace_makers *makers = run->makers;

	if (!makers || !makers->is_running)
		return;
	for (size_t at = 0; at < makers->n; at++)
		(void)take(makers, at);
	pthread_join(makers->thread, NULL);
	makers->is_running = false;
}
