/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the coordinator knows while a plan is carried out; private to run/. */
#ifndef NESTOR_RUN_STATE_H
#define NESTOR_RUN_STATE_H

#include "base/undo.h"
#include "kinds/kind.h"
#include "program/op.h"
#include "run/run.h"

#include <linux/futex.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct run_thread {
	const struct planned_thread *planned;
	struct run_task *task;
	pid_t tid; /* as we see it; 0 as long as it is not known */
	bool seized;
};

struct run_task {
	const struct planned_task *planned;
	struct run_thread *threads; /* none for a zombie; without a dead leader */
	size_t n_threads;
	struct run_thread *dead_leader; /* that exits by its own program; NULL: it lives */
	bool finished;
};

/* Its first thread, also if that is to exit. */
static inline struct run_thread *run_leader(struct run_task *task)
{
	return task->dead_leader ? task->dead_leader : task->threads;
}

/* A word of the programs. */
static inline uint32_t *word_at(uint64_t address)
{
	return (uint32_t *)(uintptr_t)address;
}

/* A slot of theirs: a result, or an argument that is not known when they are planned. */
static inline uint64_t *slot_at(uint64_t address)
{
	return (uint64_t *)(uintptr_t)address;
}

/* See life.c; the kernel reads it, so it stays where it is. */
struct run_life {
	struct robust_list_head head, *former;
	struct robust_list entry;
	bool watched;
};

/* Where the holder says what came of the first clone; in the header page, behind run_header. */
struct birth {
	uint32_t over; /* futex: 0, then 1 */
	int32_t failed_errno;
	int32_t root_pid;
	const char *what; /* a call that failed; the holder shares our addresses */
	/* Of a fresh pid namespace: */
	uint32_t root_made; /* futex: 1 once its init has made the first task, or failed to */
	int32_t root_errno;
	uint32_t release;  /* futex: set when the tree is about to be let go */
	uint32_t released; /* its init no longer depends on us */
	int32_t release_errno;
	/* Of the holder, where it stays as the parent of the first task: */
	uint32_t empty;	  /* futex: set when it is to close all that it has */
	uint32_t emptied; /* futex: it has */
};

enum { BIRTH_OFFSET = 2048 };

/* A user namespace that was made, and is kept by a descriptor. */
struct run_user_namespace {
	const struct user_namespace *namespace;
	int fd;
};

struct run;

/* See executor.c. */
struct executor {
	pid_t pid; /* 0: there is none */
	pid_t coordinator;
	void *stack;
	int (*job)(struct run *run, void *data, struct error *err); /* NULL: it is to end */
	void *job_data;
	struct error *job_err;
	int result;
	uint32_t done;	/* futex: how many jobs */
	bool committed; /* from here on the tree is let go, whoever dies */
};

/* A process that keeps descriptors which would be too many elsewhere. */
struct run_holder {
	pid_t pid; /* 0: it has ended */
	int pidfd;
	size_t n_left; /* of what it has, that may be asked for */
};

/* Where a descriptor is that a kind keeps (opener_keep); no holder: only with us, or taken. */
struct run_kept {
	uint32_t holder, number;
};

/* Those of holders that we have once more: who was asked for last is the last to go. */
struct run_fetched {
	size_t *sources;
	size_t room, n;
};

struct run {
	struct plan *plan;
	const struct images *images;
	const struct run_options *options;
	struct arena *arena; /* that of the plan */

	struct file_opener opener;
	struct run_holder *holders; /* from 1 on those of the plan, then others; NULL: no more */
	uint32_t n_holders;	    /* and 1 */
	int *source_fds;	    /* like plan->sources, anywhere; -1 for those not open */
	uint32_t *source_holders, *source_numbers; /* who has them, and where; 0: nobody else */
	size_t n_late_here;			   /* opened late, and left to nobody */
	struct run_fetched *fetched;
	struct run_kept *kept; /* like opener.kept_fds */
	size_t n_kept;
	uint32_t sources_floor; /* above all numbers that sources get in who makes the first task */

	uint8_t *mapped; /* the programs, at their address; NULL before */
	size_t mapped_size;
	struct run_header *header;
	struct birth *birth;
	struct run_life life;
	struct executor executor;
	struct undo_list undo;

	struct run_user_namespace *user_namespaces; /* parents before children */
	size_t n_user_namespaces;
	bool *found_namespaces; /* the same: those that did not have to be made; NULL: none */
	int *plain_namespaces;	/* like snapshot->plain_namespaces; -1: not made; NULL before */
	struct namespace_makers *makers; /* NULL: before the first is made */
	int root_namespace_fd;		 /* the first task is born in it; -1: see root_clone */

	pid_t keeper; /* see leftovers.c; 0: there is none */
	int keeper_fd;

	pid_t holder; /* our child that has the sources at their numbers; 0 if there is none */
	pid_t child;  /* ours: the first task, or the init of a fresh pid namespace; 0 before */
	bool orphans_root; /* the first task is the holder's child, and nobody's at the end */

	struct run_task *tasks; /* like plan->tasks */
	size_t n_tasks;

	struct guide **guides;	     /* like plan->guided_namespaces; see guide.c */
	bool *served[SERVICE_KINDS]; /* like the requests of plan->services */

	pid_t *children_before; /* of ours, that are none of the run's business */
	size_t n_children_before;
	/* CLOCK_MONOTONIC in microseconds. */
	uint64_t started, forked, parked;
	pid_t root_pid; /* once it is known */
};

uint64_t monotonic_microseconds(void);

/* actions.c: the coordinator's part of the plan. */
int run_carry_out(struct run *run, struct error *err);

/* sources.c: before the first; run_close_sources also after a failure. */
void run_prepare_sources(struct run *run);
int run_open_source(struct run *run, size_t index, struct error *err);
/* What is held until the end (opener_hold), good or bad. */
void run_close_held(struct run *run);
int run_before_release(struct run *run, struct error *err);
void run_close_sources(struct run *run);
/* What one file has to do with others, once all are open. */
int run_connect_source(struct run *run, size_t index, struct error *err);

/* holders.c */
void run_prepare_holders(struct run *run);
int run_hold_sources(struct run *run, uint32_t holder, struct error *err);
/* What is late is at its place before tasks fetch it: nothing moves any more. */
int run_leave_all(struct run *run, struct error *err);
void run_end_batch_holders(struct run *run);
/* Words with numbers, once the programs are mapped. */
void run_tell_numbers(struct run *run);
int run_fetch(const struct run *run, uint32_t holder, uint32_t number);
/* Ours; fetched again where a holder has it; -1 with errno. */
int run_source_fd(const struct run *run, size_t index);
void run_forget_fetched(const struct run *run);

/* user-namespaces.c; run_close_namespaces also after a failure. */
int run_make_user_namespace(struct run *run, const struct user_namespace *namespace,
			    struct error *err);
int run_make_root_pid_namespace(struct run *run, const struct user_namespace *owner,
				struct error *err);
int run_user_namespace(const struct run *run, uint32_t id); /* borrowed; -1: there is none */
void run_close_namespaces(struct run *run);
/* namespaces.c: plain ones; once user namespaces are made. */
/* Their descriptors, like snapshot->plain_namespaces; -1 for those not made yet. */
int *run_plain_namespaces(struct run *run);
/* sources.c: what the tree has as a whole (tree_kind), when all processes exist. */
int run_make_trees(struct run *run, struct error *err);
/* 1: there is one already; 0: it is to be made. All are sought before the first is made. */
int run_seek_namespace(struct run *run, const struct namespace *namespace_, struct error *err);
/* For any thread: of what is shared it changes nothing but the place of its descriptor. */
int run_new_namespace(struct run *run, const struct namespace *namespace_, struct error *err);
/* namespace-makers.c: that it is there, when this returns; run_end_makers also after a failure. */
int run_make_namespace(struct run *run, const struct namespace *namespace_, struct error *err);
void run_end_makers(struct run *run);
/* Where the kind says so: what it shares with others, then what is its own. */
int run_join_namespace(struct run *run, const struct namespace *namespace_, struct error *err);
int run_fill_namespace(struct run *run, const struct namespace *namespace_, struct error *err);
int run_finish_namespace(struct run *run, const struct namespace *namespace_, struct error *err);
/* To the caller, if that wants to know (stand-in.c). */
int run_tell_namespaces(struct run *run, struct error *err);
int run_namespace(const struct run *run, uint32_t id); /* of any type; borrowed; -1: none */
void run_close_plain_namespaces(struct run *run);
/* user-limits.c: of the same, once the tree is made. */
int run_set_user_limits(struct run *run, const NsEntry *limits, struct error *err);

/* leftovers.c: for kinds that make directories outside of the tree; and its end. */
int run_expect_leftover(struct file_opener *opener, int parent_fd, const char *name,
			struct error *err);
int run_tell_keeper(const struct run *run); /* that what was made stays; -1 with errno */
void run_dismiss_keeper(struct run *run, bool restored);

/* map.c: puts the linked programs and the interpreter at their address. */
int run_map_programs(struct run *run, struct error *err);
void run_unmap_programs(struct run *run);

/* life.c: from here on tasks see when we die; they are not ours any more after run_unwatch_life. */
void run_watch_life(struct run *run);
void run_unwatch_life(struct run *run);

/* fault.c: lets one operation fail, where asked for; the programs are mapped. */
enum { NO_SUCH_CALL = 0x7fffff }; /* no kernel has a system call of this number: ENOSYS */
int run_apply_fault(struct run *run, struct error *err);

/* executor.c: who it is that traces, and that undoes when we are killed. */
int run_start_executor(struct run *run, struct error *err);
/* It does that while we wait. */
int run_by_executor(struct run *run, int (*job)(struct run *run, void *data, struct error *err),
		    void *data, struct error *err);
/* By the executor: from here on the tree is let go, whoever dies. */
int run_commit(struct run *run, struct error *err);
void run_end_executor(struct run *run, bool at_once);

/* place.c; what that needs is made before the fork. */
struct placing {
	const struct plan *plan;
	int *at;	 /* like plan->sources: where each is now; -1: not here */
	int *first_at;	 /* where it was; -1: not here, or closed */
	uint32_t *who;	 /* on the numbers up to those of the last source: index of one, and 1 */
	uint32_t *chain; /* room */
};

void run_prepare_placing(const struct run *run, struct placing *placing);
/* `holder`: the process from which files can be fetched; 0: who calls. -errno on failure. */
long run_place_sources(struct placing *placing, pid_t holder);

/* fork.c: makes holder and first task; all signals must be blocked. */
int run_fork(struct run *run, struct error *err);
/* From now on nobody but the tasks has the sources; the holder ends, or stays as a parent. */
int run_empty_holder(struct run *run, struct error *err);
void run_end_holder(struct run *run);

/* init.c: the init of a fresh pid namespace, which has made the first task. */
__attribute__((noreturn)) void run_be_init(struct run *run, pid_t coordinator, pid_t root);
/* It is on its own from here on. */
int run_release_init(struct run *run, struct error *err);
/* Until it has put off all that was ours, so that it can be dumped. */
void run_await_init(struct run *run);

/* wait.c: until `parked` programs are parked; until a word that programs wake is at least value. */
int run_wait_parked(struct run *run, uint32_t parked, struct error *err);
int run_wait_word(struct run *run, const uint32_t *word, uint32_t value, struct error *err);
void run_set_word(uint32_t *word, uint32_t value); /* and wakes all that wait for it */
/* A task that cannot be made because its pid is taken; pids as clone3 takes them. */
int fail_pid_in_use(const struct run *run, const char *who, const uint32_t *set_tid, size_t n,
		    bool outermost_is_ours, struct error *err);

/* The same for a word that programs set soon, whatever else is asked of us meanwhile. */
int run_wait_program(struct run *run, const uint32_t *word, uint32_t value, struct error *err);

/* servants.c: all that is asked for, whenever we wait. */
int run_serve(struct run *run, struct error *err);
/* guide.c: a thread that asks for its ids; the end, after a failure too. */
int run_guide(struct run *run, const void *guided_thread, struct error *err);
/* namespaces.c: one that a thread has made for its children, planned as struct made_namespace. */
int run_fill_made_namespace(struct run *run, const void *made_namespace, struct error *err);
int run_end_guides(struct run *run, bool restored, struct error *err);
/* fill.c: memory that a task leaves to us. */
int run_fill(struct run *run, const void *planned_fill, struct error *err);

/* callers.c */
const struct caller *run_caller(const struct file_opener *opener, const struct task *task);
int run_call(const struct file_opener *opener, const struct task *task,
	     struct task_request *requests, size_t count, struct error *err);
void run_end_calls(const struct run *run);

/* gates.c */
int run_pass_gate(struct run *run, const struct gate *gate, struct error *err);

/* Which threads a step is about. */
enum thread_group {
	THREADS_ALL,
	THREADS_OF_STOPPED_TASKS,
	THREADS_NOT_FINISHED,
};

/* By its place in the plan; a first thread that exits is one too. */
struct run_thread *run_thread(struct run *run, size_t task, size_t thread);

size_t run_threads(struct run *run, enum thread_group group, struct run_thread ***ret_threads);

/* pids.c: fills in their tids. */
int run_find_pids(struct run *run, struct run_thread **threads, size_t n_threads,
		  struct error *err);
/* By its number at level 0; -1 with errno. */
pid_t run_pid_of_number(struct run *run, uint32_t number);
/* Those of all processes, also of zombies; ret_pids like run->tasks. All are there. */
int run_find_task_pids(struct run *run, pid_t *ret_pids, struct error *err);
/* Children of ours or of another process, in the arena; -1 with errno: there may be more. */
int children_of(struct run *run, pid_t pid, pid_t **ret_pids, size_t *ret_count);

/* wait.c: ERR_INTERRUPTED once a signal asks us to stop; all are blocked meanwhile. */
int run_check_interrupted(struct error *err);
/* Fails with what the first program has told that failed. */
int run_check_programs(const struct run *run, struct error *err);

/*
 * finish.c: registers, signal masks, no more programs. Stopped tasks then stand in their stop,
 * still traced; at last all are let go.
 */
/* Before anything is made: does this processor have a place for all that is recorded? */
int run_check_registers(const struct plan *plan, struct error *err);
int run_seize(struct run_thread *thread, unsigned options, struct error *err);
int run_stop_tasks(struct run *run, struct error *err);
int run_let_go(struct run *run, struct error *err);

/* The letter of /proc/PID/stat; 0: there is no such thread; '?': that cannot be told. */
char run_state_of(pid_t tid);

/* undo.c: ends and reaps all that was made. */
void run_undo(struct run *run);

#endif
