/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Stopping a tree, in parts: finding and stopping its tasks, then reading what was stopped. */
#ifndef NESTOR_COLLECT_SEIZE_H
#define NESTOR_COLLECT_SEIZE_H

#include "base/error.h"
#include "collect/interrupted.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct arena;
struct collect;
struct target;

struct found_thread {
	pid_t tid;
	bool stopped;
	int signal; /* that could not be let through, and has to be when it is let go */
	struct thread_sleep sleep; /* before it was told to stop */
};

/*
 * A task of the tree while it is being stopped. threads[0] is the leader, unless that has exited
 * and the others go on without it: then it is not among them.
 */
struct found_task {
	pid_t pid;
	bool zombie;
	bool gone;
	bool leader_dead;
	bool leader_seized; /* it died when it was ours: its end is told to us first */
	int stop_signal;
	struct found_thread *threads;
	size_t n_threads;
	size_t n_workers;	   /* threads of the kernel's own, when they were last counted */
	struct found_task *parent; /* as of the last pass */
	unsigned pass;		   /* in which it was last seen as somebody's child */
	struct found_task *next_in_bucket;
	struct found_task *first_child, *last_child, *next_sibling; /* as of the last pass */
};

enum { FOUND_BUCKETS = 1024, LATE_ROOM = 64 };

/*
 * Threads that did not stop when others had: the kernel may have them wait for what these do
 * (FUSE). The next time they are told first, and before all the one that was found last.
 */
struct late_threads {
	struct late_thread {
		pid_t pid, tid;
	} threads[LATE_ROOM];
	size_t n;
};

struct found_tree {
	const struct collect *collect; /* for collect_go_on */
	struct arena *arena;
	struct found_task **tasks;
	size_t n_tasks;
	struct found_task *buckets[FOUND_BUCKETS]; /* by pid */
	unsigned pass;
	bool changed;	/* in this pass */
	bool scan_proc; /* there are no `children` files */
	uint64_t deadline;
	uint64_t patience; /* with a thread that the kernel has wait, in nanoseconds */
	struct late_threads *late;
};

/*
 * What stopping came to. STOP_AGAIN: the tree has to run for a moment, and be stopped again; err
 * says why, in case there is no time left.
 */
enum stop_outcome { STOP_DONE, STOP_AGAIN, STOP_FAILED };

enum stop_outcome find_and_stop(struct found_tree *tree, pid_t root, struct error *err);

/* Lets all go. */
void found_tree_release(struct found_tree *tree);

/*
 * Fills a target whose threads are stopped: status, stat, registers, masks, rseq, vdso. Settles
 * registers, see thread_settle in stopped.c. STOP_AGAIN: it is at work for a killed nestor.
 */
enum stop_outcome target_read_stopped(struct target *target, struct error *err);
/* The same of one that runs: what ptrace tells stays unknown. */
int target_read_running(struct target *target, struct error *err);

/* The root has to be a process, not a thread, and another than we are. */
int check_root(pid_t root, struct error *err);

/* Once the targets are known, each gets its task of the snapshot. */
void collect_add_tasks(struct collect *collect);

#endif
