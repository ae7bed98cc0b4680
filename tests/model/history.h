/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Random histories on the model, and the snapshots that a dump of their trees would give. */
#ifndef NESTOR_TESTS_MODEL_HISTORY_H
#define NESTOR_TESTS_MODEL_HISTORY_H

#include "kernel.h"
#include "model/snapshot.h"

struct history {
	struct model model;
	int root;
	uint64_t random; /* state of the generator */
	/* What may happen, in parts of the whole: */
	struct history_weights {
		unsigned fork, nest, enter, setsid, setpgid, move_child, exit, reap, subreaper,
			unshare;
	} weights;
};

uint32_t history_random(struct history *history, uint32_t below);
/* Runs `length` random calls in a tree whose root has a pid namespace of its own or not. */
void history_make(struct history *history, uint64_t seed, bool own_namespace, unsigned length);
/*
 * Is there a session or group of the host in a shared namespace that looks as if its leader had
 * died in the tree, or the other way round? Such a tree is skipped: numbers alone cannot tell.
 */
bool history_is_ambiguous(const struct history *history);
int history_snapshot(const struct history *history, struct arena *arena,
		     struct snapshot *ret_snapshot, struct error *err);
bool history_in_tree(const struct history *history, int process);

#endif
