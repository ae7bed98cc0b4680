/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where the search may go one way or another, and only trying tells which comes to an end. An
 * attempt is one vector of these choices; the table in choices.c is the space that is searched.
 */
#ifndef NESTOR_PLAN_SEARCH_CHOICES_H
#define NESTOR_PLAN_SEARCH_CHOICES_H

#include <stddef.h>
#include <stdint.h>

enum choice {
	CHOICE_ORDER,	     /* in which order tasks are looked at */
	CHOICE_LEADER_PLACE, /* below whom a stand-in for a session leader is made */
	CHOICE_SOURCE,	     /* from whom in its session an orphan comes */
	CHOICE_EARLY_CHILD,  /* which children born before their parent's setsid are orphans */
	CHOICE_GROUP_KEEPER, /* whether somebody stays in a group that its maker leaves */
	CHOICE_COUNT,
};

/* What CHOICE_LEADER_PLACE can be: below the deepest of those who wait for it, or this one. */
enum { LEADER_BELOW_DEEPEST, LEADER_BELOW_PARENT };
/* CHOICE_SOURCE: the leader, or any other member. */
enum { SOURCE_LEADER, SOURCE_MEMBER };
/* CHOICE_GROUP_KEEPER */
enum { KEEPER_NONE, KEEPER_STAYS };

/* CHOICE_ORDER, CHOICE_EARLY_CHILD: 0 is the plain way, every other value another selection. */
struct choices {
	unsigned value[CHOICE_COUNT];
};

/* How many attempts a tree of that size is worth: a plan costs more than linear time then. */
unsigned choices_attempts(size_t n_tasks);
struct choices choices_of_attempt(unsigned attempt);
/* "order 3, leader place 1, ..." for a refusal, in room bytes. */
void choices_text(const struct choices *choices, char *text, size_t room);

/* Fills in the numbers of `count` things in the order that CHOICE_ORDER says. */
void choices_order(const struct choices *choices, size_t *order, size_t count);
/* Whether CHOICE_EARLY_CHILD takes the thing with this number for an orphan. */
int choices_take_as_orphan(const struct choices *choices, size_t number);

#endif
