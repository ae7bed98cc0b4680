/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What has to be taken back if a restore does not come to its end: names, and whatever else is made
 * outside of namespaces that end by themselves. An entry is added before the thing is made, and
 * dropped when it is gone or is to stay. The list may be worked off by another process with the
 * same memory and descriptors, the owner having died at any instant (run/executor.c): a member
 * changes in one store, and `undo` allocates nothing, locks nothing, and does no harm where the
 * thing was never made.
 */
#ifndef NESTOR_BASE_UNDO_H
#define NESTOR_BASE_UNDO_H

struct undo_entry {
	struct undo_entry *next;
	void (*undo)(const struct undo_entry *entry); /* NULL: nothing any more */
};

struct undo_list {
	struct undo_entry *first; /* the last that was added */
};

/* A list of NULL takes nothing. The entry stays where it is until the list ends. */
void undo_add(struct undo_list *list, struct undo_entry *entry);
void undo_drop(struct undo_entry *entry);
/* The last one first. */
void undo_all(struct undo_list *list);

#endif
