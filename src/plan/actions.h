/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The coordinator's part of a plan: what it does itself, as a list in order, and what it does while
 * it waits. `nestor plan` prints the list, run/ carries it out, and tests let one after the other
 * fail. All that is decided is decided here.
 */
#ifndef NESTOR_PLAN_ACTIONS_H
#define NESTOR_PLAN_ACTIONS_H

#include "base/text.h"
#include "kinds/kind.h"
#include "model/snapshot.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct plan;
struct program;
struct user_namespace;

/* ---- Actions, in order ---- */

/* A new one is a row in plan/actions.c, which says it, and one in run/actions.c, which does it. */
enum action_kind {
	ACTION_COUNT_PAST_IDS,	    /* our own processes get none of the tree's numbers */
	ACTION_START_EXECUTOR,	    /* that traces, and undoes when the coordinator is killed */
	ACTION_MAKE_USER_NAMESPACE, /* namespace */
	ACTION_MAKE_PID_NAMESPACE,  /* that of the first task, owned by namespace */
	ACTION_MAKE_NAMESPACE,	    /* plain, in its owner, filled by its kind */
	ACTION_JOIN_NAMESPACE,	    /* plain, to others, all of which are made */
	ACTION_FILL_NAMESPACE,	    /* plain, one that was joined to others before */
	ACTION_FINISH_NAMESPACE,    /* plain, when all that are joined are filled */
	ACTION_MAKE_MOUNTS,	    /* all mount namespaces */
	ACTION_CONNECT,		    /* source, with others that are open now */
	ACTION_HOLD,  /* holder (count): a process keeps what has been opened for it */
	ACTION_LEAVE, /* late files, to such processes, where tasks will fetch them */
	ACTION_OPEN,  /* source, an index */
	ACTION_MAP_PROGRAMS,
	ACTION_FORK,	      /* the first task */
	ACTION_AWAIT,	      /* until a word of the programs is as large as that */
	ACTION_GATE,	      /* gate */
	ACTION_PARK,	      /* until as many programs (count) are at rest */
	ACTION_STOP,	      /* finishes the stopped tasks, and leaves them in their stop */
	ACTION_CLOSE,	      /* all sources and namespaces */
	ACTION_SET_LIMITS,    /* limits */
	ACTION_SET_LAST_PIDS, /* service of guided threads ends: namespaces count on as they did */
	ACTION_PREPARE,	      /* prepared: what a kind needs before the first process exists */
	ACTION_APPLY,	      /* apply: what a kind sets from outside */
	ACTION_TELL_NAMESPACES, /* to the caller: they are made and nothing is in them */
	ACTION_ANNOUNCE,	/* tells the caller, who may still say no */
	ACTION_FINISH,		/* all others get their registers and go */
	ACTION_KINDS,
};

struct action {
	enum action_kind kind;
	union {
		const struct user_namespace *namespace;
		const struct namespace *plain;
		const NsEntry *limits;
		const struct task_kind *prepared;
		size_t source;
		struct gate *gate;
		uint32_t count;
		struct {
			const char *what;
			uint64_t word;
			uint32_t count;
		} await;
		struct {
			const struct task_kind *kind;
			size_t task, thread;
		} apply;
	};
};

/* ---- Gates: programs wait until the coordinator has done something about all that came ---- */

enum gate_name {
	GATE_LATE_FILES,	  /* opened when processes exist; see plan/lower/late-files.c */
	GATE_LAST_FILES,	  /* the same when tasks are in their namespaces */
	GATE_FILTERS_BEFORE_STOP, /* threads with seccomp filters; see kinds/task/seccomp.c */
	GATE_STOPPED_LEADERS,	  /* first threads that exit again, of stopped tasks */
	GATE_STOPPED,		  /* parents of stopped tasks go on when these stand */
	GATE_FILTERS,		  /* as above, of those who wait for stopped children */
	GATE_LEADERS,		  /* as above, of all others */
	GATE_COUNT,
};

/* What the coordinator does about those who wait, before it opens the gate or after it. */
enum gate_way {
	GATE_WAY_OPEN,	/* nothing */
	GATE_WAY_TRACE, /* before: they are traced, their filters silent until they are let go */
	GATE_WAY_EXIT,	/* after: they exit, and are seen dead */
};

struct waiting_thread {
	size_t task, thread;
};

struct gate {
	enum gate_way way;
	/* Address of a word that everybody adds one to who comes; 0: all are parked (counted). */
	uint64_t arrived_word;
	uint64_t go_word; /* is set to 1 when they may go on; 0: nobody comes by here */
	struct waiting_thread *waiting;
	size_t n_waiting;
};

const char *gate_say(enum gate_name name); /* for whom it is */

/* So that it has a word; programs may wait for that by themselves. */
struct gate *plan_gate(struct plan *plan, enum gate_name name);

/*
 * Appends to the program of a thread that it waits at the gate. For filters the gate is the one
 * that the task comes to: before or after its stopped children stand.
 */
void plan_wait_at_gate(struct plan *plan, enum gate_name name, const struct task *task,
		       size_t thread, struct program *program);
void plan_wait_at_filters(struct plan *plan, const struct task *task, size_t thread,
			  struct program *program);

/* ---- Services: what programs ask for, whenever the coordinator waits ---- */

enum service_kind {
	SERVICE_FILL,  /* struct planned_fill */
	SERVICE_GUIDE, /* struct guided_thread */
	SERVICE_TIME,  /* struct made_namespace */
	SERVICE_KINDS,
};

struct request {
	uint64_t ready_word; /* is not 0 once it is asked for */
	const void *what;
};

struct service {
	uint64_t word;	     /* is changed by every request; 0: there are none */
	uint64_t after_word; /* not before this word is at least n_after; 0: at once */
	uint32_t n_after;
	struct request *requests;
	size_t n_requests;
};

/* The service, with a word. */
struct service *plan_service(struct plan *plan, enum service_kind kind);
void plan_add_request(struct plan *plan, enum service_kind kind, uint64_t ready_word,
		      const void *what);

/* ---- System calls that a thread is made to make by ptrace, when all programs are at rest ---- */

struct remote_request {
	size_t task, thread;
	uint32_t nr;
	uint64_t args[6];
	bool keeps_result;
	/* The first argument is what was kept last; not made if the second is the same. */
	bool uses_result;
	bool has_expected; /* it is to return this */
	uint64_t expected;
};

struct remote_request *plan_call_at_end(struct plan *plan, const struct task *task, size_t thread,
					uint32_t nr, uint64_t first, uint64_t second,
					uint64_t third);

/* ---- The list ---- */

/* Once the programs are built. */
void actions_make(struct plan *plan);
void action_describe(const struct plan *plan, const struct action *action, struct text *text);
/* Before programs are built (once more). */
void actions_forget(struct plan *plan);

#endif
