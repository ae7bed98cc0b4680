/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A small executable model of the kernel's rules for process trees: fork, exit, wait, sessions,
 * process groups, pid namespaces, subreapers, user namespaces and who may do what in them.
 * docs/process-tree.md tells the rules; test-kernel holds the model against the real kernel. Random
 * histories run on it give trees that the kernel could have; the plan for such a tree, run on it,
 * has to give the tree again.
 */
#ifndef NESTOR_TESTS_MODEL_KERNEL_H
#define NESTOR_TESTS_MODEL_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifndef MODEL_SIZE
#define MODEL_SIZE 1024
#endif

enum {
	MODEL_PROCESSES = MODEL_SIZE,
	MODEL_NAMESPACES = MODEL_SIZE / 4,
	MODEL_LEVELS = 32,
	MODEL_USERS = 256,
	MODEL_USER_DEPTH = 33,
	MODEL_PID_MAX = 4194304, /* PID_MAX_LIMIT, what a new pid namespace starts with (6.14) */
};

/*
 * Index 0 is the host's. All of them belong to uid 0, which each maps to itself, unless whoever
 * made it had no CAP_SETFCAP.
 */
struct model_users {
	int parent; /* -1: none */
	int depth;
	bool mapped;
	uint32_t id; /* the caller's own */
};

/* Index 0 is the host's namespace. */
struct model_namespace {
	int parent; /* -1: none */
	int level;
	int owner;	/* a user namespace */
	int init;	/* index of the process, dead or alive; -1: none yet */
	bool closed;	/* its init has begun to exit: nobody can be born in it any more */
	uint32_t next;	/* where the search for a free number starts (the idr's cursor) */
	uint32_t limit; /* pid_max: numbers are below it */
};

enum model_state {
	MODEL_GONE, /* reaped; still the struct pid that sessions and groups refer to */
	MODEL_ALIVE,
	MODEL_EXITING, /* an init that waits until its namespace is empty; not to be woken */
	MODEL_ZOMBIE,
};

struct model_process {
	enum model_state state;
	int parent;
	int namespace, for_children;
	uint32_t numbers[MODEL_LEVELS];
	int session, group; /* by the index of the leader */
	bool subreaper, executed;
	int users;	/* user namespace */
	bool powerless; /* has dropped all capabilities */
	int death_signal;
	bool killed; /* by its parent's death */
	uint32_t status;
};

struct model {
	struct model_process processes[MODEL_PROCESSES];
	int n_processes;
	struct model_namespace namespaces[MODEL_NAMESPACES];
	int n_namespaces;
	struct model_users users[MODEL_USERS];
	int n_users;
};

struct model_clone {
	bool new_namespace, new_users, same_parent; /* CLONE_NEWPID, CLONE_NEWUSER, CLONE_PARENT */
	const uint32_t *numbers;		    /* set_tid: innermost first */
	size_t n_numbers;
};

/* Process 0: the host's init; process 1, its child: who runs the tree, in a session of its own. */
void model_init(struct model *model);

/* All of these return 0 or a positive number, or -errno as the system call would. */
int model_fork(struct model *model, int process, const struct model_clone *clone); /* index */
int model_setsid(struct model *model, int process);
int model_setpgid(struct model *model, int process, int32_t pid, int32_t group);
int model_enter(struct model *model, int process, int32_t number); /* pidfd_open, setns */
int model_setns(struct model *model, int process, int namespace);
int model_unshare(struct model *model, int process);
/* PIDFD_GET_PID_FOR_CHILDREN_NAMESPACE of a process: the namespace */
int model_for_children(const struct model *model, int process, int target);
int model_unshare_users(struct model *model, int process);
int model_enter_users(struct model *model, int process, int32_t number);
int model_join_users(struct model *model, int process, int users); /* setns by a descriptor */
int model_drop(struct model *model, int process); /* capset: no capability is left */
int model_set_subreaper(struct model *model, int process, bool on);
int model_exec(struct model *model, int process);
int model_set_last_pid(struct model *model, int process, int32_t last);
int model_set_pid_max(struct model *model, int process, int32_t limit);
/* waitid(P_PID, number, WNOHANG): the number, or 0 if it has not ended; reaps unless told not to */
int model_wait(struct model *model, int process, int32_t number, bool leave);
/* The end of a process, and of all others in its namespace if it is the init. */
void model_exit(struct model *model, int process, uint32_t status);
void model_reap(struct model *model, int process);

/*
 * Would it put an init into a group whose leader's number is of the init's own namespace? Such
 * an init never comes to its end: it waits until nobody uses that number but does so itself. No
 * test does that to the machine it runs on.
 */
bool model_setpgid_traps(const struct model *model, int process, int32_t pid, int32_t group);

/* rights.c */
int model_add_users(struct model *model, int parent, bool mapped);
int model_make_users(struct model *model, int process);
/* Has it all capabilities in the user namespace, as far as it has any at all? (ns_capable) */
bool model_may(const struct model *model, int process, int users);
/* Is it allowed to look at the other's namespaces? (ptrace_may_access) */
bool model_may_look(const struct model *model, int process, int target);
/* Whose namespaces a process may enter, by its number there; -errno where it may not. */
int model_look_up(const struct model *model, int process, int32_t number);
bool model_users_are_within(const struct model *model, int users, int outer);

bool model_exists(const struct model *model, int process); /* alive, exiting or zombie */
bool model_is_alive(const struct model *model, int process);
bool model_is_zombie(const struct model *model, int process);
bool model_is_init(const struct model *model, int process);
/* The process (not reaped) that has the number in the namespace, or -1. */
int model_find(const struct model *model, int namespace, uint32_t number);
bool model_is_within(const struct model *model, int namespace, int outer);
/* The number of a process, dead or alive, as the namespace sees it; 0: not visible. */
uint32_t model_number(const struct model *model, int process, int namespace);

#endif
