/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Namespaces of every type: the one table of the types. What a namespace is whatever its type is
 * struct namespace (snapshot.h).
 *
 * Pid and user namespaces have more than that: they are nested, tasks are born in the
 * ones and enter the others last. All other types are *plain*: a restore makes each before the
 * tree, by a maker inside its owner, and tasks and threads enter it by a descriptor. A plain type
 * is supported when it has a row in kinds/table.c, and refused by name where it has none.
 */
#ifndef NESTOR_MODEL_NAMESPACES_H
#define NESTOR_MODEL_NAMESPACES_H

#include "model/snapshot.h"

struct namespace_type_row {
	const char *name;      /* as in the target of a link, "uts:[4026531838]" */
	const char *words;     /* for people */
	const char *link;      /* below /proc/PID: what a task is in */
	const char *made_link; /* the same: what unshare(2) has made, where that is another one */
	uint32_t flag;	       /* CLONE_NEW*; in images, ns_cflag */
	bool plain;
	bool late;	   /* made when all processes exist, not before the tree */
	size_t has_id, id; /* in TaskKobjIdsEntry */
};

extern const struct namespace_type_row namespace_types[NAMESPACE_TYPES];

/* By the value of ns_cflag, and by the target of a link; false: there is none. */
bool namespace_type_of_flag(uint32_t flag, enum namespace_type *ret_type);
bool namespace_type_of_link(const char *link, enum namespace_type *ret_type);

/* May one of somebody else be given in its place? */
bool namespace_can_be_given(enum namespace_type type);

/* Which namespace of a type; 0 where the message does not tell. */
uint32_t ids_namespace(const TaskKobjIdsEntry *ids, enum namespace_type type);
void ids_set_namespace(TaskKobjIdsEntry *ids, enum namespace_type type, uint32_t id);

struct namespace *snapshot_plain_namespace(const struct snapshot *snapshot, uint32_t id);

/* Is it the one that the dumper was in: at a restore, that of the coordinator? */
bool namespace_is_dumpers(const struct snapshot *snapshot, enum namespace_type type, uint32_t id);

/*
 * The plain namespace that a thread is in (nsproxy is per thread); NULL: that of the coordinator.
 * Zombies are in none.
 */
struct namespace *thread_namespace(const struct snapshot *snapshot, const struct task *task,
				   size_t thread, enum namespace_type type);
/* For collect/, where it differs from that of the process. */
void thread_set_namespace(struct snapshot *snapshot, ThreadCoreEntry *core,
			  enum namespace_type type, uint32_t id);

/*
 * Where the process enters a type of namespaces while it has one thread and all rights, so that
 * each of its threads can get to its own from there; NULL: it stays in the coordinator's. A thread
 * is *late* for a type where its own is another one: it enters that by itself, with the rights that
 * the task has in its user namespace.
 */
struct namespace *task_first_namespace(const struct snapshot *snapshot, const struct task *task,
				       enum namespace_type type);
bool thread_is_late(const struct snapshot *snapshot, const struct task *task, size_t thread,
		    enum namespace_type type);
/*
 * Does it come to its directories by itself, and not with its process: the first of threads that
 * share them, and the leader where it is late for its mount namespace?
 */
bool thread_enters_fs(const struct snapshot *snapshot, const struct task *task, size_t thread);
bool thread_is_late_for_any(const struct snapshot *snapshot, const struct task *task,
			    size_t thread);

/* Part of snapshot_index, once user namespaces are linked. */
int index_plain_namespaces(struct snapshot *snapshot, struct error *err);

#endif
