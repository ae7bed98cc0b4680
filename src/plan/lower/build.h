/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Turning the history of a tree and the state of its tasks into programs. Private to plan/. */
#ifndef NESTOR_PLAN_BUILD_H
#define NESTOR_PLAN_BUILD_H

#include "plan/plan.h"
#include "plan/search/tree.h"

#include <stdbool.h>
#include <stdint.h>

/* What becomes of a node in the programs; each by the file that is named. */
struct lowered {
	struct program *program;
	uint64_t number_slot; /* where the creator keeps a helper's number; 0: it is known */
	uint64_t killed_word; /* of a zombie that its parent has to kill; zombies.c */
	/* descriptors.c: */
	struct node *table_owner;   /* the first of those that share its descriptor table */
	uint32_t n_sharers;	    /* of an owner: the others */
	uint32_t n_keeping_sharers; /* those of them that enter namespaces late */
	uint64_t made_word, placed_word, used_word;
	uint64_t entered_word; /* likewise of an owner; user-namespaces.c */
	uint64_t late_word; /* counts threads that have entered other namespaces than the first */
	uint64_t *place_slots; /* by thread: descriptors of pid namespaces; children-places.c */
};

struct build {
	struct plan *plan;
	struct tree *tree;
	const struct plan_options *options;
	uint64_t *words;     /* address of a tree's word, by its number; 0: not used yet */
	bool tables_shared;  /* some tasks share a descriptor table */
	size_t n_lost_cores; /* zombies that lose the mark that they dumped core */
};

/* sources.c */
int sources_make(struct plan *plan, const struct plan_options *options, struct error *err);
void sources_forget_borrowers(struct plan *plan);
bool source_is_always_inherited(const struct source *source);
/* holders.c: how many it takes, and of what; 0: who makes the first task can have all. */
int sources_choose_holders(struct plan *plan, struct error *err);
/* The first number above those of all sources. */
uint32_t sources_end(const struct plan *plan);
struct source *source_at(const struct plan *plan, uint32_t number);
/* Are there so many numbers above those of all sources? */
bool sources_leave_numbers(const struct plan *plan, uint64_t wanted);
/* Number of the first source that tasks do not inherit, or past the last one. */
uint32_t sources_first_fetched(const struct plan *plan);
/* Appends a pidfd_getfd; the result is the lowest free descriptor of the task. */
struct op *source_fetch(struct plan *plan, struct program *program, uint32_t source);
/* The same from whoever has it; the number comes into a slot. */
void source_fetch_into(struct plan *plan, struct program *program, uint32_t source, uint64_t slot);

/* What a task borrows at one time, above all numbers that are its own. */
enum { FETCH_ROOM = 16 };

/* kept.c: the numbers that a task keeps for its threads; false: none. */
bool kept_range(const struct plan *plan, const struct task *task, uint32_t *ret_first,
		uint32_t *ret_last);

/* limits.c: does all of it fit into what whoever restores may have? When the holes are found. */
int limits_check(const struct plan *plan, struct error *err);

/* holes.c: finds plan->hole for `size` bytes of programs, and plan->vdso_parking at its end. */
int holes_find(struct plan *plan, uint64_t size, struct error *err);
/* Bytes of the hole that programs may take. */
uint64_t holes_room(const struct plan *plan);

/* clone.c */
uint64_t clone_flags_of(const struct node *node);
uint32_t clone_exit_signal(const struct node *node);
size_t clone_set_tid(const struct pid_vector *pids, size_t n_unnamed, uint32_t *ret_tids);
void build_clone(struct build *build, struct node *creator, struct node *child);
/* `maker` is the program of another one; the outermost n_unnamed levels are left to the kernel. */
struct op *build_thread_clone(struct build *build, struct node *node, size_t thread,
			      size_t n_unnamed, struct program *maker, struct program *program);

/* skeleton.c: what the first task does before anything else. */
void build_skeleton(struct build *build, struct program *program);

/* history.c: the steps of a node. */
uint64_t build_word(struct build *build, uint32_t word); /* its address */
void build_history(struct build *build, struct node *node);
void build_enter(struct build *build, struct program *program, uint32_t number);
/* Sets an argument to the number that `node` sees of a helper of its own. */
void op_helper_number(struct op *op, unsigned argument, const struct node *node,
		      const struct node *helper);

/* user-namespaces.c: founders, and when a task enters its user namespace. */
int user_namespaces_check(const struct plan *plan, const struct tree *tree, struct error *err);
void build_found(struct build *build, struct node *founder, const struct place *place);
void build_enter_founded(struct build *build, struct node *node, const struct place *place);
void build_join_user_namespace(struct build *build, struct program *program,
			       const struct user_namespace *namespace);
void build_zombie_user_namespace(struct build *build, struct node *node);
bool node_enters_user_namespace(const struct node *node);
void build_enter_user_namespace(struct build *build, struct node *node);
/* Where its descriptor table keeps the sources that are needed to enter; last < first: none. */
void namespace_sources(const struct plan *plan, uint32_t *ret_first, uint32_t *ret_last);
/* Does it go on to namespaces, or to directories, that its process does not come to? */
bool thread_parts(const struct build *build, const struct node *node, size_t thread);
/* Does it need them once files and memory are there? How many of its threads but the first do? */
bool node_keeps_namespaces(const struct build *build, const struct node *node);
uint32_t late_threads(const struct build *build, const struct node *node);
/* Closes them, in the program of the first thread. */
void build_close_namespaces(struct build *build, struct node *node, struct program *program);

/* late-files.c: descriptors that are opened when processes are there already, after all others. */
void late_files_prepare(struct build *build);			  /* before any program is built */
int late_files_check(const struct plan *plan, struct error *err); /* when all are */
int build_late_files(struct build *build, struct node *node, struct error *err);
/* The calls that its task has to make itself while late files are opened. */
void build_calls(struct build *build, struct node *node);
/* Once the task is in its namespaces and directories. */
void build_last_files(struct build *build, struct node *node);
int build_files_at_end(struct build *build, struct node *node, struct error *err);

/* descriptors.c */
void descriptors_share(struct build *build);
int build_descriptors(struct build *build, struct node *node, struct error *err);
/* Once files and memory are there: closes whatever the task's table does not have. */
void build_closing(struct build *build, struct node *node);

/* zombies.c */
int zombie_check(const struct node *node, struct error *err);
int build_zombie(struct build *build, struct node *node, struct error *err);
void build_zombie_waits(struct build *build, struct node *node);

/* zombie-faults.c */
bool fault_gives(const struct task *task, uint32_t signal);
bool may_filter(const struct task *task);
void build_filtered_death(struct program *program, uint32_t action); /* SECCOMP_RET_KILL_* */
void build_fault(struct build *build, struct program *program, uint32_t signal);

/* stopped.c */
int stopped_signal(const struct snapshot *snapshot, const struct task *task);
void stopped_count(struct build *build);
void build_stopped_wait(struct build *build, const struct node *node);

/* children-places.c: where the children of a thread will be born. */
void build_children_place(struct build *build, struct node *node, size_t thread,
			  struct program *program);
/* One that it makes when it has come as far as the owner. */
void build_children_place_on_the_way(struct build *build, struct node *node);
/* For a task with threads that is about to enter its user namespace. */
void build_fetch_children_places(struct build *build, struct node *node);
/* Does the task set that of its leader only once it has entered its user namespace? */
bool children_place_is_inside(const struct build *build, const struct node *node, size_t thread);
/*
 * Children are born where those of another process, whose pidfd was put into a slot by the last
 * call, are born. Closes the pidfd.
 */
void build_enter_children_place(struct build *build, struct program *program, uint64_t pidfd_slot);

/* guided-threads.c: before any program is built; and where a node has made its last process. */
void guided_threads_prepare(struct build *build);
void build_last_created(struct build *build, const struct node *node);
/* The same: makes a thread. The maker's program goes on in the one that is returned. */
struct program *build_thread(struct build *build, struct node *node, size_t thread,
			     struct program *maker, struct program *program);

/* threads.c: makes the others, and finishes each with what is its own. */
int build_threads(struct build *build, struct node *node, struct error *err);

/* task.c: the whole program of a node. */
int build_node(struct build *build, struct node *node, struct error *err);
int build_stage(struct build *build, enum task_stage stage, const struct task *task, size_t thread,
		struct program *program, struct error *err);

/* check.c: what plan_check does, with the tree that it found. */
int check_snapshot(struct tree *tree, struct arena *arena, const struct snapshot *snapshot,
		   const struct kind_table *table, const struct plan_options *options,
		   struct error *err);

#endif
