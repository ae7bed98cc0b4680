/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What there is in a snapshot, for people: one line of text for each thing that a task or a
 * namespace has, with what it shares, or is at the other end of. Made for `nestor show`, `diff` and
 * `tree --html`, of images as of a tree that was looked at.
 */
#ifndef NESTOR_PIPELINE_DETAILS_H
#define NESTOR_PIPELINE_DETAILS_H

#include "base/arena.h"
#include "base/text.h"
#include "model/snapshot.h"

#include <stdbool.h>
#include <stddef.h>

enum detail_category {
	DETAIL_STATE, /* of a task: ids, capabilities, signals */
	DETAIL_DIRECTORY,
	DETAIL_DESCRIPTOR,
	DETAIL_AREA,
	DETAIL_MOUNT,
	DETAIL_NAMESPACE,
	DETAIL_CATEGORIES,
};

extern const char *const detail_categories[DETAIL_CATEGORIES]; /* "descriptors" */

struct detail {
	enum detail_category category;
	const struct task *task; /* NULL: of a namespace */
	uint32_t namespace_id;	 /* whose mount it is, or itself; 0 */
	const char *key;	 /* names it within that: "3", "cwd", "7f00-7f10", "/proc" */
	const char *type;	 /* "pipe", "unix socket", "anonymous" */
	const char *text;
	const char *plain; /* the same without numbers that the kernel gives anew */
	const char *same;  /* one object, whoever has it: "file 12"; "" */
	const char *meets; /* the other end has the same: "pipe 7"; "" */
};

struct details {
	struct arena *arena;
	const struct snapshot *snapshot;
	struct detail *list; /* task by task, then namespaces */
	size_t n;
	const struct detail **by_same, **by_meets; /* all, in the order of these names */
};

void details_make(struct details *details, struct arena *arena, const struct snapshot *snapshot);

/*
 * Those that have the same name (by_same: `same`, by_meets: `meets`), itself among them; returns
 * how many, 0 for "".
 */
size_t details_same(const struct details *details, const struct detail *detail,
		    const struct detail *const **ret_list);
size_t details_meeting(const struct details *details, const struct detail *detail,
		       const struct detail *const **ret_list);

/* An object with what it says of itself. */
void detail_print_json(const struct detail *detail, struct text *text);

/* A category ("descriptors", "descriptor"), or part of a type ("socket"). */
bool detail_is_of_kind(const struct detail *detail, const char *word);

#endif
