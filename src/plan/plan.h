/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From a snapshot and the host's facts to the programs that rebuild the tree. Pure: same input,
 * same plan; no system call is reachable from here. What cannot be restored is refused here.
 */
#ifndef NESTOR_PLAN_PLAN_H
#define NESTOR_PLAN_PLAN_H

#include "base/arena.h"
#include "base/error.h"
#include "base/obstacles.h"
#include "kernel/facts.h"
#include "kinds/kind.h"
#include "model/cgroups.h"
#include "model/externals.h"
#include "model/snapshot.h"
#include "plan/actions.h"
#include "program/program.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Something the coordinator opens before the first fork and tasks fetch: by inheritance at
 * `number`, or with pidfd_getfd where inheriting many files would make every fork slow.
 */
enum source_kind {
	SOURCE_FILE,	       /* open file description `id` */
	SOURCE_PAGES,	       /* pages-<id>.img, read-only */
	SOURCE_SHARED_MEMORY,  /* object with VMA shmid `id`, filled, read-write */
	SOURCE_CORE_DIRECTORY, /* where zombie `id` dumps core: a file system of its own */
	SOURCE_TERMINAL,       /* a side of the terminal `id`, before the tree is there */
	SOURCE_COORDINATOR,    /* pidfd of the coordinator, for pidfd_getfd */
	SOURCE_CGROUP,	       /* cgroup.procs of a cgroup by its number (model/cgroups.h) */
	SOURCE_NAMESPACE,      /* that with this id, made before the tree; always inherited */
	SOURCE_PROC,	       /* nestor's /proc, for what only the task itself may write there */
	SOURCE_LATE_HOLDER,    /* pidfd of who has the late files; only where there are any */
};

const char *source_name(enum source_kind kind);

struct source {
	enum source_kind kind;
	uint64_t id;
	uint32_t number; /* descriptor number in the coordinator, and in tasks where inherited */
	bool inherited;	 /* O_CLOEXEC does not matter: nothing is executed */
	size_t users;
	const FileEntry *file; /* of an open file that is recorded */
	/*
	 * Of an open file: the last descriptor of it that was found. Where it is the only one, and
	 * the tree a single task, that task is born with it: `number` is that of the tree then.
	 */
	const FdinfoEntry *descriptor;
	bool born;
	/*
	 * Of an open file. One that is not FILE_EARLY is fetched after GATE_LATE_FILES, and
	 * its number is what the coordinator then writes to number_slot (unless that is 0).
	 */
	enum file_way way;
	/*
	 * 0: who makes the first task has it, at `number`. Where the limit of open files does not
	 * allow all at once, holder k has it (from 1 on), at a number that is written to
	 * number_slot. What is not FILE_EARLY some holder has then, whose pidfd is written to
	 * holder_slot.
	 */
	uint32_t holder;
	const struct task *opened_by; /* FILE_BY_TASK: the task, and its number there */
	uint32_t opened_at;
	/* Private to plan/: where the source is, in the program that is being built. */
	const struct program *borrower;
	uint64_t borrowed_slot;
	const struct descriptor_table *placed_in;
	uint32_t placed_at;
	uint64_t number_slot; /* a word that holds `number`; 0: not made yet */
	uint64_t holder_slot;
};

/* clone3 arguments of the first task, made by the coordinator itself. */
struct root_clone {
	uint64_t flags; /* CLONE_NEWPID where the root had a namespace of its own */
	uint32_t owner; /* user namespace that is to own it; 0: the coordinator's */
	uint32_t set_tid[MAX_PID_LEVELS]; /* innermost first, as clone3 takes it */
	size_t n_set_tid;
};

/* A thread to be finished by ptrace once all programs are at their park. */
struct planned_thread {
	uint32_t number;    /* tid at level 0 */
	uint32_t outer_pid; /* the same, or 0 where the coordinator must look its own up */
	const CoreEntry *core;
	struct program *program;
};

/*
 * SERVICE_GUIDE: a thread whose outer ids clone3 may not name, because its task has entered a user
 * namespace: the coordinator sets the last pids of those levels (pids/last-pids.h) just before it
 * is made, and looks what it got. Words at these addresses, each set to 1:
 *   request  by the leader, who waits for `go` then
 *   made     by the leader, once clone3 has put its result into the slot: the thread's id in its
 *            own namespace, or an error; leader and thread wait for `verdict` then
 *   retry    by the coordinator before the verdict: the thread ends, the leader asks again
 * All processes are made before that: helpers get the next number at levels shared with the host.
 */
struct guided_thread {
	size_t task;
	const char *name;	/* of its program */
	struct pid_vector pids; /* that it is to have */
	size_t namespace;	/* index of its pid namespace */
	size_t n_guided_levels; /* the outermost ones */
	uint64_t request_word, go_word, made_word, verdict_word, retry_word;
	uint64_t result_slot;
};

/* From where a pid namespace with guided threads counts on afterwards, innermost first. */
struct guided_namespace {
	uint32_t last_pids[MAX_PID_LEVELS];
	size_t n_levels;
};

/*
 * SERVICE_FILL: memory of a task that the coordinator fills, on another processor, while the task
 * fills the rest of it. The task asks when the memory is there, and waits for the word `done`.
 */
struct planned_fill {
	size_t task;
	uint32_t source; /* number of that of the content, and where that is in it */
	uint64_t offset;
	uint64_t address, size;
	uint64_t done_word;
};

/*
 * SERVICE_TIME: a namespace that a thread has made for its children (struct namespace, maker). The
 * thread asks and waits until it is ready: the coordinator has filled it, and has a descriptor of
 * it, whose number is in the slot by then.
 */
struct made_namespace {
	const struct namespace *namespace_;
	uint64_t request_word, ready_word, number_slot;
};

struct planned_task {
	const struct task *task;
	struct planned_thread *threads;
	size_t n_threads;
	struct program *program; /* of the leader */
	bool zombie;		 /* has no thread to finish */
	bool stopped;		 /* finished before the others, and left in a group stop */
	int stop_signal;	 /* by which it is stopped */
	bool waits_for_stop;	 /* goes on when its stopped children stand */
	bool leader_dead;	 /* threads[0] exits by itself when it is told to */
};

/* Room for one call of a planned_caller. */
struct planned_call {
	size_t op; /* index of the operation */
	uint64_t args, result_slot;
};

/* Of one task: each takes operations and memory of its program. */
enum { FEW_CALLS = 8, MOST_CALLS = 64 };

/*
 * A task that makes calls while late files are opened. The coordinator fills in the first calls
 * and how many are left out (`skip_word`), and adds one to `go_word`; the task adds one to
 * `done_word` when the results are there. It goes on after the calls that are made when `more_word`
 * is 0.
 */
struct planned_caller {
	const struct task *task;
	struct caller caller;
	const struct program *program;
	struct planned_call *calls; /* caller.at_once */
	uint64_t go_word, turn_word, done_word, more_word, skip_word;
};

#define NO_PROCESS SIZE_MAX

/* Who makes whom. */
struct planned_process {
	const struct task *task; /* NULL: a helper */
	size_t maker;		 /* index of who calls clone3 for it; of the first: NO_PROCESS */
};

/* State of a kind that is shared by all of a plan's programs. */
struct kind_state {
	const void *owner;
	void *state;
};

struct plan {
	struct arena *arena;
	const struct snapshot *snapshot;
	const struct facts *facts;
	const struct kind_table *kinds;
	enum cgroup_mode cgroup_mode;
	const struct externals *externals; /* as in plan_options */
	struct program_set programs;
	struct address_range
		hole; /* free in every task and in the coordinator; programs at start */
	struct address_range vdso_parking; /* inside the hole, where the skeleton keeps the vdso */
	struct source *sources;
	size_t n_sources;
	struct source_index *source_index; /* private to plan/sources.c */
	uint32_t first_source;		   /* above every descriptor number of the tree */
	/* Those that the only task is born with come one after the other among the sources, and by
	 * their numbers; the numbers of the others leave no gap. */
	size_t n_born, first_born;
	uint32_t *born;
	uint32_t n_holders;	/* besides who makes the first task */
	uint64_t *holder_slots; /* from 1 on: a word with the number of its pidfd there */
	struct root_clone root_clone;
	/* The pid namespace of level 0 is made with the tree: that of the root task, or a fresh one
	 * below an init of ours, where the recorded one was shared with others. */
	bool own_pid_namespace, fresh_pid_namespace;
	bool root_has_death_signal; /* when its parent ends */
	bool reloads_systemd;	    /* as in plan_options */
	/* Sources of holders that the coordinator may have again at one time: targets of epolls. */
	uint32_t fetched_at_once;
	uint32_t here_at_once; /* of what is left to holders: how much it has before it does so */
	uint32_t *taken_ids;   /* that programs take in a pid namespace shared with others */
	size_t n_taken_ids;
	size_t n_helpers;
	struct planned_task *tasks; /* same order as snapshot->tasks */
	size_t n_tasks;
	struct planned_process *processes; /* the tasks in the same order, then the helpers */
	size_t n_processes;
	uint32_t n_parked;	       /* value of run_header.done when all programs are at rest */
	uint32_t n_parked_before_stop; /* the same when the stopped tasks are to be finished */
	/* The coordinator's part (plan/actions.h). */
	uint64_t makers_word; /* at n_makers all processes are made; 0: nobody wants to know */
	uint32_t n_makers;
	/* Files that are opened when processes exist: the same of those that tasks open themselves
	 * (FILE_BY_TASK); where the coordinator has a file it tells by source.number_slot. */
	uint64_t opened_word;
	uint32_t n_opened_by_tasks;
	uint64_t entered_word; /* the same of tasks that are in their namespaces (FILE_LAST) */
	uint32_t n_entered;
	struct action *actions;
	size_t n_actions;
	struct gate gates[GATE_COUNT];
	struct service services[SERVICE_KINDS];
	struct guided_namespace *guided_namespaces; /* like the snapshot's pid namespaces */
	size_t n_guided_namespaces;
	struct planned_caller **callers; /* by task; NULL: it makes none */
	struct remote_request *calls_at_end;
	size_t n_calls_at_end;
	const char **warnings; /* what will not be as it was, though the tree is made */
	size_t n_warnings;
	struct kind_state *kind_states;
	size_t n_kind_states;
};

struct plan_options {
	enum cgroup_mode cgroups;
	bool shell_job;
	bool reloads_systemd;	    /* service-manager.c */
	bool is_checked;	    /* the snapshot, by plan_check: kinds are not asked again */
	bool fresh_pid_namespace;   /* for level 0, unless it is the root task's own */
	int coordinator_pid;	    /* as tasks of level 0 see it */
	uint32_t coordinator_group; /* the same; 0: they do not see it */
	const struct externals *externals; /* what takes the place of what is outside; or NULL */
	struct obstacles *obstacles; /* of plan_check: get each refusal by itself; NULL: only err */
};

int plan_make(struct plan *plan, struct arena *arena, const struct snapshot *snapshot,
	      const struct facts *facts, const struct kind_table *table,
	      const struct plan_options *options, struct error *err);

/*
 * What can be refused from the snapshot alone; run at dump, before anything is written, and again
 * at restore. Stops at the first reason of each task; all of them are in err, one a line, as far
 * as there is room, and in options->obstacles.
 */
int plan_check(const struct snapshot *snapshot, const struct kind_table *table,
	       const struct plan_options *options, struct error *err);

/*
 * For kinds: the number of a source, registered on first use. A program gets the descriptor with
 * plan_fetch: it appends what is needed so that the descriptor stands at `number` (CLOEXEC as
 * asked); numbers below plan->first_source only. In STAGE_FILES and STAGE_MEMORY all sources are
 * still there; afterwards none.
 */
uint32_t plan_source(struct plan *plan, enum source_kind kind, uint64_t id);
/* The source itself, if it is registered; else NULL. */
const struct source *plan_find_source(const struct plan *plan, enum source_kind kind, uint64_t id);
void plan_fetch(struct plan *plan, struct program *program, uint32_t source, uint32_t number,
		bool close_on_exec);
/*
 * A descriptor that holds the source inside the task during STAGE_FILES (once its own descriptors
 * are placed) and STAGE_MEMORY, for mmap, fchdir, preadv. Returns the address of a slot with the
 * number, for op_argument_from. All numbers that the task does not own are closed before
 * STAGE_PROCESS.
 */
uint64_t plan_borrow(struct plan *plan, struct program *program, uint32_t source);
/* Not needed for now: it is closed where descriptors are scarce, and fetched again. */
void plan_give_back(struct plan *plan, struct program *program, uint32_t source);

/* lower/let-in.c: what `enter` adds runs as somebody whom the file system of the file lets in. */
typedef void plan_entering(struct plan *plan, struct program *program, uint32_t file_id,
			   const void *data);
void plan_let_in(struct plan *plan, struct program *program, uint32_t file_id, plan_entering *enter,
		 const void *data);

/*
 * The same where none of that holds yet, at the start of any program (task_kind.hand_down): the
 * descriptor has to be let go of before the process makes others.
 */
uint64_t plan_hold(struct plan *plan, struct program *program, uint32_t source);
void plan_let_go(struct plan *plan, struct program *program, uint32_t source, uint64_t slot);

/*
 * What a thread with directories of its own needs later than that: in STAGE_FILES of its process a
 * source comes to stand at a number that lasts until the thread's STAGE_IDS. ERR_LIMIT_TOO_LOW.
 */
enum kept { KEPT_MOUNTS, KEPT_ROOT, KEPT_CWD, KEPT_COUNT };
int plan_keep(const struct planning *planning, size_t thread, enum kept kept, uint32_t source,
	      struct error *err);
uint32_t plan_kept(const struct planning *planning, size_t thread, enum kept kept);

/*
 * What a kind keeps between the programs of a plan: zeroed memory of that size on first use.
 * `owner` is any address of the kind's own.
 */
void *plan_kind_state(struct plan *plan, const void *owner, size_t size);

/* What will be different, for the log of a restore. */
void plan_warn(struct plan *plan, const char *text);

void plan_print(const struct plan *plan, struct text *text);
void plan_print_json(const struct plan *plan, struct text *text);

#endif
