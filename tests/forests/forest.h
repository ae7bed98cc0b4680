/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A random forest: what its processes and threads do to themselves, and how they find each other.
 * Everything is tried, and nothing has to succeed: what the kernel forbids leaves another forest.
 */
#ifndef NESTOR_TESTS_FOREST_H
#define NESTOR_TESTS_FOREST_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* A number below `below`; the generator is the caller's own copy, given a state for each call. */
struct dice {
	uint64_t state;
};
uint32_t draw(struct dice *dice, uint32_t below);
/* True once in `times`. */
bool once_in(struct dice *dice, uint32_t times);

/* maps.c */

/*
 * Denies setgroups or not, and writes one of the maps or both of a process, named as /proc names
 * it, in numbers of the caller's namespace (which has to be that above, or the same).
 */
void write_random_maps(struct dice *dice, pid_t pid);
/* An id that the caller's namespace maps, if there is one. */
uint32_t random_id(struct dice *dice, bool group);

/* credentials.c; all of them for the calling thread only */

void change_ids(struct dice *dice);
void change_groups(struct dice *dice);
void change_capabilities(struct dice *dice);
void change_marks(struct dice *dice);

/* others.c: uts, ipc, net, cgroup, time and mount namespaces, and something in each */

/*
 * Those of mounts only in processes of a single thread. Pairs of interfaces may lead to where `pid`
 * is, but not to where `root` is, which may be the host.
 */
void make_other_namespace(struct dice *dice, bool single, pid_t pid, pid_t root);
void enter_other_namespace(struct dice *dice, bool single, pid_t pid);
/* What is seen of them from inside. */
struct surroundings {
	char host[72], domain[72], interfaces[600], mounts[200];
	int semaphore;	  /* its value; -1: none */
	int messages;	  /* of a queue; -1: none */
	int clocks_apart; /* seconds between those that a time namespace sets */
};
void draw_surroundings(struct surroundings *ret_seen);

/* What a thread knows of itself, where /proc may not show it. */
struct self_portrait {
	uint32_t uids[3], gids[3];
	uint32_t groups[32];
	int n_groups;
	int securebits, no_new_privs, dumpable, death_signal, ambient;
	uint64_t sets[3], bounding;
	pid_t pid, tid, parent;
	struct surroundings surroundings;
};
void draw_self(struct self_portrait *ret_portrait);
/* The first thing that differs; NULL: nothing. */
const char *portrait_difference(const struct self_portrait *one, const struct self_portrait *other);

#endif
