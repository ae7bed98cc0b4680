// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The choices of the search, and the order in which their combinations are tried: the plain way
 * of each first, then in turns, so that two choices that have to be made together are soon met.
 */
#include "plan/search/choices.h"

#include <stdio.h>

static unsigned by_attempt(unsigned attempt)
{
	return attempt;
}

static unsigned every_other(unsigned attempt)
{
	return attempt % 2;
}

static unsigned from_second(unsigned attempt)
{
	return attempt > 0;
}

static unsigned from_third(unsigned attempt)
{
	return attempt > 1 ? attempt : 0;
}

static const struct choice_row {
	const char *name;
	unsigned (*value)(unsigned attempt);
} rows[CHOICE_COUNT] = {
	[CHOICE_ORDER] = { "order", by_attempt },
	[CHOICE_LEADER_PLACE] = { "leader place", every_other },
	[CHOICE_SOURCE] = { "source", every_other },
	[CHOICE_EARLY_CHILD] = { "early child", from_third },
	[CHOICE_GROUP_KEEPER] = { "group keeper", from_second },
};

unsigned choices_attempts(size_t n_tasks)
{
	size_t affordable = 50000 / (n_tasks + 1);

	return affordable < 3 ? 3 : affordable > 400 ? 400 : (unsigned)affordable;
}

struct choices choices_of_attempt(unsigned attempt)
{
	struct choices choices;

	for (size_t i = 0; i < CHOICE_COUNT; i++)
		choices.value[i] = rows[i].value(attempt);
	return choices;
}

void choices_text(const struct choices *choices, char *text, size_t room)
{
	size_t used = 0;

	text[0] = '\0';
	for (size_t i = 0; i < CHOICE_COUNT && used < room; i++)
		used += (size_t)snprintf(text + used, room - used, "%s%s %u", i ? ", " : "",
					 rows[i].name, choices->value[i]);
}

/* The step of a linear congruential generator (the constants of Knuth's MMIX). */
static uint64_t next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return *state >> 33;
}

void choices_order(const struct choices *choices, size_t *order, size_t count)
{
	uint64_t state = choices->value[CHOICE_ORDER];

	for (size_t i = 0; i < count; i++)
		order[i] = i;
	if (state == 0)
		return;
	for (size_t i = count; i > 1; i--) {
		size_t other = next_random(&state) % i, number = order[i - 1];
		order[i - 1] = order[other];
		order[other] = number;
	}
}

int choices_take_as_orphan(const struct choices *choices, size_t number)
{
	unsigned selection = choices->value[CHOICE_EARLY_CHILD];

	return selection && (number * 7 + (size_t)selection * 3) % 4 < 2;
}
