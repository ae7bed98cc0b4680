/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Histories: lists of system calls by named processes, as data. They are drawn at random, run on
 * the model, written and read as text, cut down to what a failure needs, and played on the real
 * kernel (actors.h).
 */
#ifndef NESTOR_TESTS_MODEL_HISTORY_H
#define NESTOR_TESTS_MODEL_HISTORY_H

#include "kernel.h"

#include <stdio.h>

enum { HISTORY_CALLS = 2 * MODEL_PROCESSES, HISTORY_NUMBERS = 8, NOBODY = -1 };

enum call_kind {
	CALL_FORK,
	CALL_SETSID,
	CALL_SETPGID,
	CALL_EXIT,
	CALL_WAIT,
	CALL_SUBREAPER,
	CALL_UNSHARE,
	CALL_ENTER,
	CALL_EXEC,
	CALL_LAST_PID,
	CALL_PID_MAX,
	CALL_UNSHARE_USERS,
	CALL_ENTER_USERS,
	CALL_DROP,
	CALL_KINDS,
};

/* A process by its name, or a plain number where that is NOBODY. */
struct reference {
	int name;
	int32_t number;
};

struct call {
	enum call_kind kind;
	int process; /* name of the caller; the root is 0 */
	int child;   /* fork: name of the child */
	bool new_namespace, new_users, same_parent;
	uint8_t n_numbers; /* set_tid; more than HISTORY_NUMBERS: that many ones */
	uint32_t numbers[HISTORY_NUMBERS];
	struct reference target, group; /* setpgid, wait, enter, enter-user */
	int32_t value;			/* exit: wait status; subreaper, last-pid, pid-max */
};

struct history {
	struct model model;
	int root;
	bool own_namespace;
	uint64_t random; /* state of the generator */
	/* What may happen, in parts of the whole: */
	struct history_weights {
		unsigned fork, nest, enter, sibling, setsid, setpgid, move_child, exit, reap,
			subreaper, unshare, stay, users, unshare_users, enter_users, drop;
	} weights;
	int first_actor; /* processes with a lower index do nothing; 0: all do */
	unsigned max_tasks, max_namespaces, max_levels; /* 0: no limit but the model's */
	bool live; /* to be played on a real kernel, below a process that adopts orphans */
	uint32_t outer_number; /* of that process */
	uint32_t root_number;  /* in a shared namespace, and the first of those to be drawn there */
	struct call calls[HISTORY_CALLS];
	size_t n_calls;
	int n_names;
	int index_of[MODEL_PROCESSES]; /* by name; NOBODY: not made */
	int name_of[MODEL_PROCESSES];  /* by index */
};

uint32_t history_random(struct history *history, uint32_t below);
/* An empty history whose root has a pid namespace of its own or not. */
void history_start(struct history *history, bool own_namespace);
/* Goes on for `length` random calls; all limits and weights are set. */
void history_go_on(struct history *history, unsigned length);
/* The same from the beginning. */
void history_make(struct history *history, uint64_t seed, bool own_namespace, unsigned length);
/* What the caller would pass to the kernel for it. */
int32_t history_number(const struct history *history, int process, struct reference reference);
/*
 * Runs the call on the model and appends it. Returns what the system call would; -ENOENT where
 * the caller is not there (then it is not appended).
 */
int history_do(struct history *history, const struct call *call);
/* Runs all calls again that `kept` has (all, without it), in a new history. */
void history_replay(struct history *ret_history, const struct history *old, const bool *kept);

/*
 * The shortest part of a history that still fails, found by leaving out calls as long as
 * `fails` says so.
 */
void history_shrink(struct history *history, bool (*fails)(struct history *history, void *data),
		    void *data);

/* Would it leave an init that never comes to its end? See model_setpgid_traps. */
bool history_call_traps(const struct history *history, const struct call *call);

void call_print(const struct call *call, FILE *file);
void history_print(const struct history *history, FILE *file);
/* Reads what history_print wrote, up to "end" or the end of the file; false: something else. */
bool history_read(struct history *history, FILE *file);

/*
 * Is there a session or group of the host in a shared namespace that looks as if its leader had
 * died in the tree, or the other way round? Such a tree is skipped: numbers alone cannot tell.
 */
bool history_is_ambiguous(const struct history *history);
/* Is somebody in the tree on its way out? It cannot be stopped and looked at. */
bool history_is_at_rest(const struct history *history);
/*
 * Is the init of each namespace in the tree, if there is one? Below a root that shares the host's
 * namespace, an init can be an orphan that left the tree, and its namespace is in there and not.
 */
bool history_is_whole(const struct history *history);
bool history_in_tree(const struct history *history, int process);

#endif
