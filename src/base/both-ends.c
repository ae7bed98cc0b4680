// SPDX-License-Identifier: LGPL-2.1-or-later
/* See both-ends.h. */
#include "base/both-ends.h"

enum { OPEN, WITH_THE_OTHER, DONE, WITH_THE_CALLER };

static bool take(struct both_ends *ends, size_t at)
{
	pthread_mutex_lock(&ends->lock);
	bool mine = ends->states[at] == OPEN;
	if (mine)
		ends->states[at] = WITH_THE_OTHER;
	pthread_mutex_unlock(&ends->lock);
	return mine;
}

static void give(struct both_ends *ends, size_t at, uint8_t state)
{
	pthread_mutex_lock(&ends->lock);
	ends->states[at] = state;
	pthread_cond_signal(&ends->changed);
	pthread_mutex_unlock(&ends->lock);
}

static void *go_from_the_end(void *data)
{
	struct both_ends *ends = data;
	bool goes_on = true;

	for (size_t at = ends->n; goes_on && at-- > 0 && take(ends, at);) {
		goes_on = ends->work(ends->data, at);
		give(ends, at, goes_on ? DONE : WITH_THE_CALLER);
	}
	return NULL;
}

void both_ends_begin(struct both_ends *ends, struct arena *arena, size_t n, bool alone,
		     bool (*work)(void *data, size_t at), void *data)
{
	*ends = (struct both_ends){ .work = work, .data = data, .n = n };
	ends->states = arena_array(arena, uint8_t, n + 1);
	pthread_mutex_init(&ends->lock, NULL);
	pthread_cond_init(&ends->changed, NULL);
	ends->is_running =
		!alone && pthread_create(&ends->thread, NULL, go_from_the_end, ends) == 0;
}

bool both_ends_turn(struct both_ends *ends, size_t at)
{
	pthread_mutex_lock(&ends->lock);
	while (ends->states[at] == WITH_THE_OTHER)
		pthread_cond_wait(&ends->changed, &ends->lock);
	bool is_done = ends->states[at] == DONE;
	if (!is_done)
		ends->states[at] = WITH_THE_CALLER;
	pthread_mutex_unlock(&ends->lock);
	return !is_done;
}

void both_ends_end(struct both_ends *ends)
{
	if (!ends->is_running)
		return;
	for (size_t at = 0; at < ends->n; at++)
		(void)both_ends_turn(ends, at);
	pthread_join(ends->thread, NULL);
	ends->is_running = false;
}
