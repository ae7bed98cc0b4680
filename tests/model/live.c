// SPDX-License-Identifier: LGPL-2.1-or-later
/* See live.h. */
#include "live.h"

#include "actors.h"
#include "scenario.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

enum {
	MOST_ALIVE = 8192,
	FIRST_NUMBER = 2000,
	NUMBERS_EACH = 64,
	EXIT_MILLISECONDS = 3,
	MOST_TRIES = 400
};

/* Not in the children: they are to be small. */
struct memory {
	struct history wanted, played;
};

static struct actors_board *board;
static struct memory *memory;
static uint32_t *alive; /* turns of the actors */
static size_t n_alive, n_histories;
static uint32_t next_turn = 1;

void live_begin(void)
{
	board = actors_open(false);
	memory = mmap(NULL, sizeof *memory, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		      0);
	alive = mmap(NULL, MOST_ALIVE * sizeof *alive, PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	scenario_need(board && memory != MAP_FAILED && alive != MAP_FAILED, "no memory");
	board->private = memory;
	board->private_size = sizeof *memory;
	prctl(PR_SET_CHILD_SUBREAPER, 1UL, 0UL, 0UL, 0UL);
}

struct history *live_history(bool own_namespace)
{
	memset(&memory->wanted, 0, sizeof memory->wanted);
	memory->wanted.live = true;
	memory->wanted.outer_number = (uint32_t)getpid();
	memory->wanted.root_number = FIRST_NUMBER + (uint32_t)n_histories++ * NUMBERS_EACH;
	history_start(&memory->wanted, own_namespace);
	return &memory->wanted;
}

static bool play_fork(struct history *history, const struct call *call, const struct order *order)
{
	if (!actors_do(board, next_turn, order))
		return false;
	/* A number may be taken by somebody whom the model does not know. */
	return board->result == -EEXIST || history_do(history, call) == board->result;
}

/* False: the kernel and the model do not agree. */
static bool play_call(const struct call *call)
{
	struct history *history = &memory->played;
	struct order order = actors_order(history, call);
	int process = history->index_of[call->process];

	if (process < 0 || !model_is_alive(&history->model, process) ||
	    history_call_traps(history, call))
		return true;
	if (call->kind == CALL_FORK)
		return play_fork(history, call, &order);
	int64_t wanted = history_do(history, call);
	/* Somebody who has left may not be gone yet. */
	for (int tries = 0; tries < MOST_TRIES; tries++) {
		if (!actors_do(board, next_turn, &order))
			return false;
		if (call->kind == CALL_EXIT || wanted != board->result)
			scenario_sleep_ms(EXIT_MILLISECONDS);
		if (wanted == board->result || board->result > 0)
			break;
	}
	return wanted == board->result;
}

unsigned live_play(const char *name)
{
	const struct history *wanted = &memory->wanted;
	struct history *history = &memory->played;
	const struct model *model = &history->model;
	unsigned count = 0;

	scenario_need(next_turn + (uint32_t)wanted->n_names < ACTORS_TURNS, "too many processes");
	history->live = true;
	history->outer_number = wanted->outer_number;
	history->root_number = wanted->root_number;
	history_start(history, wanted->own_namespace);
	scenario_need(actors_start(board, next_turn, wanted->own_namespace,
				   wanted->own_namespace ? 0 : wanted->root_number) > 0,
		      "cannot fork: %s", strerror(errno));
	for (size_t i = 0; i < wanted->n_calls; i++)
		if (!play_call(&wanted->calls[i]))
			scenario_need(false,
				      "%s, call %zu: the kernel returns %" PRId64
				      ", the model does not",
				      name, i, board->result);
	for (int i = history->root; i < model->n_processes; i++) {
		count += model_exists(model, i);
		if (model_is_alive(model, i) && n_alive < MOST_ALIVE)
			alive[n_alive++] = next_turn + (uint32_t)history->name_of[i];
	}
	next_turn += (uint32_t)history->n_names;
	return count;
}

void live_ready(void)
{
	munmap(memory, sizeof *memory);
	board->private = NULL;
}

unsigned live_check(void)
{
	unsigned count = 0;

	for (size_t i = 0; i < n_alive; i++)
		count += actors_ping(board, alive[i]);
	scenario_check(count == n_alive, "%u of %zu processes answer", count, n_alive);
	return count;
}
