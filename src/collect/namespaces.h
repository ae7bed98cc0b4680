/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The one survey of the namespaces of a live tree. A namespace is known by its device and inode,
 * and is met by what is in it (tasks and threads), by descriptors, and as the owner or the parent
 * of another one. Whoever meets one asks here; each gets its id, and its NsEntry, once.
 */
#ifndef NESTOR_COLLECT_NAMESPACES_H
#define NESTOR_COLLECT_NAMESPACES_H

#include "base/error.h"
#include "model/namespaces.h"

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

struct collect;
struct target;

struct surveyed_namespace {
	enum namespace_type type;
	dev_t device;
	ino_t inode;
	uint32_t id;
	struct surveyed_namespace *parent; /* pid and user, below the outermost of the tree */
	struct surveyed_namespace *owner;  /* NULL: not to be told, of nestor's own */
	bool own;	/* nestor is in it; pid: or the root without its init (levels_to_root) */
	NsEntry *entry; /* NULL for nestor's own, but for a pid namespace that the tree shares */
	int fd;		/* of the namespace; -1 for nestor's own */
	const struct target *member; /* a task of the tree that is in it, or NULL */
	pid_t member_tid;	     /* a thread that is; or 0 */
	pid_t maker; /* time: a thread whose children are born in it, and that is not; or 0 */
	bool is_begun;
	/* Private to the kinds: */
	size_t level;  /* pid: below that of the root */
	bool empty;    /* pid: without an init, or without it by now */
	void *content; /* user: its maps; net: what is known of it already */
};

/* One whose id is known only when all tasks have been looked at (survey of the kind). */
struct held_descriptor {
	struct held_descriptor *next;
	int fd;
	const char *what;
	NsFileEntry *entry; /* gets the id */
};

struct survey {
	struct surveyed_namespace **list; /* owners and parents before what is below them */
	size_t count;
	struct surveyed_namespace *own[NAMESPACE_TYPES]; /* NULL: this kernel has no such type */
	struct surveyed_namespace *root_pid; /* of the root task; NULL before it has been met */
	struct held_descriptor *held;
};

/* The survey of a dump, with nestor's own; NULL with err. */
struct survey *survey_of(struct collect *collect, struct error *err);

struct surveyed_namespace *survey_find(const struct survey *survey, const struct stat *stat);

/*
 * The namespace behind `fd`, which is borrowed; `what` holds it, for messages. One that is new is
 * added, with its owner and parents. Refuses what is not at or below nestor's user namespace, pid
 * namespaces that are not below the root task's, and types that no kind has.
 */
struct surveyed_namespace *survey_add(struct collect *collect, enum namespace_type type, int fd,
				      const char *what, struct error *err);
/* That of a task; its link is followed once. */
struct surveyed_namespace *survey_add_task(struct target *target, enum namespace_type type,
					   struct error *err);

struct surveyed_namespace *survey_add_thread(struct target *target, size_t thread,
					     enum namespace_type type, struct error *err);

/* Takes the descriptor, another one of the same description. */
int survey_hold(struct collect *collect, int taken_fd, const char *what, NsFileEntry *entry,
		struct error *err);

/*
 * tasks.c: what takes long of the namespaces that tasks are in, first of all, so that the assistant
 * has it to do meanwhile; the namespaces of all tasks and threads, once these have their messages,
 * and the kinds.
 */
int collect_namespaces_begin(struct collect *collect, struct error *err);
int collect_namespaces(struct collect *collect, struct error *err);
/* The ids of nestor's own, for the inventory and for zombies, which are in none. */
int survey_set_own(struct collect *collect, TaskKobjIdsEntry *ids, struct error *err);
/* Closes what is open, after success and failure alike. */
void survey_release(struct collect *collect);

#endif
