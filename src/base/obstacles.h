/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Everything that stands in the way of something, where one reason to refuse is not the end of
 * looking: reasons of one kind are counted together, and each kind has its first one as an example.
 * Of one kind are texts with the same name that differ in numbers and names only.
 *
 * An error that is no refusal (a call that failed, a tree that changed) ends the looking, as ever.
 */
#ifndef NESTOR_BASE_OBSTACLES_H
#define NESTOR_BASE_OBSTACLES_H

#include "base/arena.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

struct text;

enum { OBSTACLE_TEXTS = 100 }; /* kept of one kind; all are counted */

struct obstacle {
	enum error_name name;
	size_t count;
	const char **texts; /* each reason; texts[0] is the example */
	size_t n_texts;
	const char *hint;     /* of the first that has one; "" */
	const char **options; /* for the command line, each once; as a shell takes them */
	size_t n_options;
	const char *pattern; /* of its kind */
	bool passing;	     /* each of them (fail_passing) */
};

struct obstacles {
	struct arena *arena;
	struct obstacle *list; /* in the order in which they were met */
	size_t n, total;
	/* Says of whom a text tells as people there know them, before it is kept; or NULL. */
	void (*name)(const void *data, struct error *err);
	const void *name_data;
};

void obstacles_init(struct obstacles *obstacles, struct arena *arena);

/* A refusal says that a state is not supported; anything else says that looking did not work. */
bool error_is_refusal(enum error_name name);

/*
 * One more; of lines of a text, one each. The same text is the same reason. What a text has after
 * ": allow it with " is an option, or several with "or" between them.
 */
void obstacles_add(struct obstacles *obstacles, const struct error *err);

/* All of those as well. */
void obstacles_join(struct obstacles *obstacles, const struct obstacles *others);

/*
 * A refusal is added and *err forgotten: 0, look on. -1: it is none, or there are no obstacles to
 * add it to (NULL).
 */
int obstacles_pass(struct obstacles *obstacles, struct error *err);

/* For people: each kind with its count, an example (`all`: every text), hint and options. */
void obstacles_print(const struct obstacles *obstacles, bool all, struct text *text);
/* A JSON array with an object for each kind. */
void obstacles_print_json(const struct obstacles *obstacles, struct text *text);

/* -1 with the first of them as the error, and as much of the others as its text has room for; 0 if
 * there are none. */
int obstacles_report(const struct obstacles *obstacles, struct error *err);

#endif
