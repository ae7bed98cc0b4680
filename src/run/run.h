/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The coordinator: carries out a plan. Opens the sources, maps the programs, forks the first
 * task, waits until every program is at its park, then finishes each thread by ptrace (register
 * sets, signal mask, unmapping of the programs) and lets the tree go. On any failure everything
 * that was made is ended and reaped.
 */
#ifndef NESTOR_RUN_RUN_H
#define NESTOR_RUN_RUN_H

#include "base/error.h"
#include "plan/plan.h"

#include <stdbool.h>
#include <sys/types.h>

struct images;

/* What is to fail, for tests, as `nestor plan --json` counts it. */
enum fault_kind {
	FAULT_NONE,
	FAULT_OPERATION, /* of a program: run/fault.c */
	FAULT_ACTION,	 /* of the coordinator: run/actions.c */
};

struct run_fault {
	enum fault_kind kind;
	size_t program, number;
	bool afterwards; /* the action is done, and then has failed all the same */
};

struct run_options {
	unsigned timeout_seconds; /* in which no program comes to its end; 0: no limit */
	bool detached;		  /* nobody waits for the tree: we are going to end */
	bool sibling;	    /* with detached: the first task is our parent's child, not ours */
	bool leave_stopped; /* -s: tasks are left stopped by SIGSTOP */
	/*
	 * A fresh pid namespace gets its /proc, before the tree is let go. The caller has a mount
	 * namespace for that, and has left it by then (before_release).
	 */
	bool mount_proc;
	int root_fd; /* for file_opener */
	struct run_fault fault;
	/*
	 * Called once all is made and before any task runs: the last moment at which the restore
	 * can still fail. May be NULL.
	 */
	int (*before_release)(void *data, pid_t root_pid, struct error *err);
	/*
	 * Called once the namespaces are made, before anything else is, with the pid of a process
	 * that is in those of the root until it returns. May be NULL.
	 */
	int (*namespaces_made)(void *data, pid_t pid, struct error *err);
	/* Before that, for each terminal whose master was outside; the descriptor is borrowed. */
	int (*take_master)(void *data, int fd, struct error *err);
	void *before_release_data; /* of these */
	int (*progress)(void *data, const char *phase, size_t done, size_t total);
	void *progress_data;
};

struct run_result {
	pid_t root_pid;	 /* running, as the caller sees it */
	pid_t child_pid; /* of the caller: the same, or the init of the fresh pid namespace */
	uint64_t microseconds_forking, microseconds_total;
	uint64_t pages_restored;
};

/*
 * Raises the own soft limit of open files, which sources and children need. Before facts_probe,
 * which records the limits that children inherit.
 */
int run_raise_limits(const struct snapshot *snapshot, struct error *err);

/*
 * Makes a user namespace, a child of the caller's own, and enters it: what an ordinary user can do
 * to get the rights that a restore needs. The caller has one thread. ERR_NO_PRIVILEGE where the
 * maps may not be given, ERR_LIMIT_TOO_LOW, ERR_KERNEL_REFUSED; the caller may be inside then.
 */
int run_enter_new_user_namespace(const struct user_namespace *namespace, struct error *err);

/*
 * Are all ids free that the plan takes in the pid namespace of the caller? All that are not are in
 * err, with who has them.
 */
int run_check_ids(const struct plan *plan, struct error *err);
/*
 * In a pid namespace that is shared our own processes and the helpers get the next numbers: goes
 * on counting where that gives them none of the tree's.
 */
void run_count_past_ids(const struct plan *plan);

int run_plan(struct plan *plan, const struct images *images, const struct run_options *options,
	     struct run_result *ret_result, struct error *err);

#endif
