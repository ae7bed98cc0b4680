/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A small executable model of the kernel's rules for process trees: fork, exit, wait, sessions,
 * process groups, pid namespaces, subreapers. Random histories run on it give trees that the
 * kernel could have; the plan for such a tree, run on it, has to give the tree again.
 */
#ifndef NESTOR_TESTS_MODEL_KERNEL_H
#define NESTOR_TESTS_MODEL_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MODEL_PROCESSES = 512, MODEL_NAMESPACES = 256, MODEL_LEVELS = 32 };

/* Index 0 is the host's namespace. */
struct model_namespace {
	int parent; /* -1: none */
	int level;
	int init; /* index of the process; -1: none yet */
};

/* A process, and the struct pid that sessions and groups refer to (by index) after its death. */
struct model_process {
	bool alive, zombie; /* neither: reaped */
	int parent;
	int namespace, for_children;
	uint32_t numbers[MODEL_LEVELS];
	int session, group;
	bool subreaper;
	int death_signal;
	bool killed; /* by its parent's death */
	uint32_t status;
};

struct model {
	struct model_process processes[MODEL_PROCESSES];
	int n_processes;
	struct model_namespace namespaces[MODEL_NAMESPACES];
	int n_namespaces;
	uint32_t next_number[MODEL_NAMESPACES];
};

/* Process 0: the host's init; process 1, its child: who runs the tree, in a session of its own. */
void model_init(struct model *model);

/* All of these return 0 or a positive number, or -errno as the system call would. */
int model_fork(struct model *model, int process, bool new_namespace, bool same_parent,
	       const uint32_t *numbers, size_t n_numbers); /* innermost first; index of the child */
int model_setsid(struct model *model, int process);
int model_setpgid(struct model *model, int process, uint32_t pid, uint32_t group);
int model_setns(struct model *model, int process, int namespace);
int model_unshare(struct model *model, int process);
void model_exit(struct model *model, int process, uint32_t status);
void model_reap(struct model *model, int process);

/* The process (not reaped) that has the number in the namespace, or -1. */
int model_find(const struct model *model, int namespace, uint32_t number);
bool model_is_within(const struct model *model, int namespace, int outer);
/* The number of a process, dead or alive, as the namespace sees it; 0: not visible. */
uint32_t model_number(const struct model *model, int process, int namespace);

#endif
