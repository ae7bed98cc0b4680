// SPDX-License-Identifier: LGPL-2.1-or-later
/* See assistant.h: one queue, two threads that take from it. */
#include "collect/assistant.h"

#include "base/arena.h"
#include "kernel/deputy.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

struct assistant {
	pthread_mutex_t lock; /* of all that follows, and of the state of errands */
	pthread_cond_t given; /* the assistant waits for errands, */
	pthread_cond_t idle;  /* and the first thread for the assistant */
	struct errand *first, **last;
	bool busy; /* the assistant runs an errand */
	bool ending;
	bool has_thread;
	pthread_t thread;
};

/* The next that is waiting and that this thread may do, out of the queue; or NULL. */
static struct errand *take(struct assistant *assistant, enum assistant_thread thread)
{
	for (struct errand **at = &assistant->first; *at; at = &(*at)->next) {
		struct errand *errand = *at;

		if (errand->by_first && thread != THREAD_FIRST)
			continue;
		*at = errand->next;
		if (!*at)
			assistant->last = at;
		errand->state = ERRAND_RUNNING;
		return errand;
	}
	return NULL;
}

static void run(struct assistant *assistant, struct errand *errand, enum assistant_thread thread)
{
	pthread_mutex_unlock(&assistant->lock);
	if (thread == THREAD_ASSISTANT)
		deputies_wait();
	errand->run(errand, thread);
	if (thread == THREAD_ASSISTANT)
		deputies_go_on();
	pthread_mutex_lock(&assistant->lock);
	errand->state = ERRAND_DONE;
}

static void *assistant_main(void *data)
{
	struct assistant *assistant = data;

	pthread_mutex_lock(&assistant->lock);
	while (!assistant->ending) {
		struct errand *errand = take(assistant, THREAD_ASSISTANT);

		assistant->busy = errand != NULL;
		if (errand)
			run(assistant, errand, THREAD_ASSISTANT);
		pthread_cond_signal(&assistant->idle);
		if (!errand)
			pthread_cond_wait(&assistant->given, &assistant->lock);
	}
	assistant->busy = false;
	pthread_mutex_unlock(&assistant->lock);
	return NULL;
}

/* No signal may be taken there: SIGCHLD is what the first thread waits for (wait.h). */
static bool start_thread(struct assistant *assistant)
{
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int failed = pthread_create(&assistant->thread, NULL, assistant_main, assistant);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return !failed;
}

struct assistant *assistant_start(void)
{
	struct assistant *assistant = calloc(1, sizeof *assistant);

	if (!assistant)
		out_of_memory();
	pthread_mutex_init(&assistant->lock, NULL);
	pthread_cond_init(&assistant->given, NULL);
	pthread_cond_init(&assistant->idle, NULL);
	assistant->last = &assistant->first;
	assistant->has_thread = start_thread(assistant);
	return assistant;
}

void assistant_end(struct assistant *assistant)
{
	if (!assistant)
		return;
	pthread_mutex_lock(&assistant->lock);
	assistant->first = NULL;
	assistant->last = &assistant->first;
	assistant->ending = true;
	pthread_cond_signal(&assistant->given);
	pthread_mutex_unlock(&assistant->lock);
	if (assistant->has_thread)
		pthread_join(assistant->thread, NULL);
	pthread_cond_destroy(&assistant->idle);
	pthread_cond_destroy(&assistant->given);
	pthread_mutex_destroy(&assistant->lock);
	free(assistant);
}

void assistant_give(struct assistant *assistant, struct errand *errand)
{
	pthread_mutex_lock(&assistant->lock);
	errand->state = ERRAND_WAITING;
	errand->next = NULL;
	*assistant->last = errand;
	assistant->last = &errand->next;
	pthread_cond_signal(&assistant->given);
	pthread_mutex_unlock(&assistant->lock);
}

static void take_back(struct assistant *assistant, struct errand *errand)
{
	struct errand **at = &assistant->first;

	while (*at != errand)
		at = &(*at)->next;
	*at = errand->next;
	if (!*at)
		assistant->last = at;
}

static void do_waiting(struct assistant *assistant, struct errand *errand)
{
	take_back(assistant, errand);
	errand->state = ERRAND_RUNNING;
	run(assistant, errand, THREAD_FIRST);
}

/* Another piece of the same work, which takes about as long. */
static struct errand *find_like(const struct assistant *assistant, const struct errand *errand)
{
	struct errand *at = assistant->first;

	while (at && (at->run != errand->run || at->by_first))
		at = at->next;
	return at;
}

void assistant_need(struct assistant *assistant, struct errand *errand)
{
	pthread_mutex_lock(&assistant->lock);
	if (errand->state == ERRAND_WAITING)
		do_waiting(assistant, errand);
	while (errand->state == ERRAND_RUNNING) {
		struct errand *like = find_like(assistant, errand);
		if (like)
			do_waiting(assistant, like);
		else
			pthread_cond_wait(&assistant->idle, &assistant->lock);
	}
	pthread_mutex_unlock(&assistant->lock);
}

bool assistant_join_in(struct assistant *assistant)
{
	struct errand *errand;

	pthread_mutex_lock(&assistant->lock);
	while (!(errand = take(assistant, THREAD_FIRST)) && assistant->busy)
		pthread_cond_wait(&assistant->idle, &assistant->lock);
	if (errand)
		run(assistant, errand, THREAD_FIRST);
	pthread_mutex_unlock(&assistant->lock);
	return errand != NULL;
}
