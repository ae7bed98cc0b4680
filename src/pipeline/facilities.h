/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What nestor check tells: facilities of the kernel and of the caller's privileges, one a row, and
 * abilities, which are what a person can do with them.
 */
#ifndef NESTOR_PIPELINE_FACILITIES_H
#define NESTOR_PIPELINE_FACILITIES_H

#include "kernel/facts.h"

#include <stdbool.h>
#include <stddef.h>

/* A global capability is asked for in the initial user namespace, wherever the caller is. */
enum facility_source { A_FACT, A_CAPABILITY, A_GLOBAL_CAPABILITY, A_LOOK };

struct facility {
	const char *name;
	const char *other_name; /* criu(8)'s name of it, for --feature */
	enum facility_source source;
	size_t where;  /* offset of a bool in struct facts, or number of a capability */
	bool required; /* without it nothing can be dumped or restored */
	const char *needed_for;
	const char *without; /* what is done when it is missing */
	/* A_LOOK: asked only here, as it takes longer than a small dump may. */
	bool (*look)(void);
};

extern const struct facility facilities[];
extern const size_t n_facilities;

bool facility_is_there(const struct facility *facility, const struct facts *facts);

/*
 * A facility by its name, or one that scripts ask criu(8) for; *ret_without is what is done without
 * it, and stays as it is where the name is not known.
 */
bool facilities_have(const char *name, const struct facts *facts, const char **ret_without);

enum { MAX_NEEDS = 12 };

struct ability {
	const char *name;
	const char *text; /* whose trees can be dumped and restored */
	/* Facilities by name: of the caller, and in a user namespace that the caller makes. */
	const char *outside[MAX_NEEDS], *inside[MAX_NEEDS];
};

extern const struct ability abilities[];
extern const size_t n_abilities;

/*
 * Names of what is missing; returns how many. `inside` is what the caller has in a user namespace
 * of its own, NULL if it may make none. Room for 2 * MAX_NEEDS.
 */
size_t ability_missing(const struct ability *ability, const struct facts *facts,
		       const struct facts *inside, const char **missing);

#endif
