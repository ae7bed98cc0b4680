/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Plans made by hand, of real tasks, which keep the address space of the test (no program unmaps
 * it), so that what runs once they are let go is a function of ours.
 */
#ifndef NESTOR_TESTS_RUN_FIXTURE_H
#define NESTOR_TESTS_RUN_FIXTURE_H

#include "kernel/facts.h"
#include "run/run.h"

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { MAX_TASKS = 4, MAX_THREADS = 2 };

/* What a thread says once it runs. */
struct word_from_thread {
	volatile uint32_t runs;
	uint64_t argument; /* rdi and r12 as they came */
	uint64_t saved;
	pid_t pid, tid, parent;
};

struct fixture {
	struct arena arena;
	struct snapshot snapshot;
	struct user_namespace own;
	struct facts facts;
	struct plan plan;
	struct run_options options;
	struct run_result result;
	struct error err;
	struct planned_task tasks[MAX_TASKS];
	struct planned_thread threads[MAX_TASKS][MAX_THREADS];
	PstreeEntry pstree[MAX_TASKS];
	uint32_t thread_ids[MAX_TASKS][MAX_THREADS];
	struct word_from_thread (*words)[MAX_THREADS];
	uint8_t *stacks;
};

static const uint64_t thread_flags =
	CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;

/* Of a case with cmocka; nothing that it has made may be left. */
int fixture_set_up(void **state);
int fixture_tear_down(void **state);

/* A task with n_threads threads, each with a program that is still empty. */
struct planned_task *fixture_add_task(struct fixture *fixture, size_t n_threads);
void fixture_set_pid(struct fixture *fixture, size_t task, size_t thread, uint32_t pid);
/* Sets the pid of the first task, which plans always know. */
void fixture_choose_root_pid(struct fixture *fixture);
/* The arguments of clone3, as data of the programs. */
uint64_t fixture_clone_data(struct fixture *fixture, uint64_t flags, const uint32_t *set_tid,
			    size_t n_set_tid);

int fixture_run(struct fixture *fixture);
void fixture_succeed(struct fixture *fixture);
/* What was restored. */
void fixture_end_root(struct fixture *fixture);

void wait_until_runs(const struct word_from_thread *word);
bool has_children(void);
/* A pid that is free with some certainty: that of a child that has just ended. */
pid_t free_pid(void);
/* Of /proc/PID/NAME, the line that starts with key; "" if there is none. */
const char *proc_line(pid_t pid, const char *name, const char *key);
char state_of(pid_t pid);

#endif
