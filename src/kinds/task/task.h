/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Kinds of state that a task or a thread has. kinds/table.c lists them, by stage and in the order
 * given here: the order within STAGE_LAST and that of the stages is argued in the files named.
 */
#ifndef NESTOR_KINDS_TASK_TASK_H
#define NESTOR_KINDS_TASK_TASK_H

#include "kinds/kind.h"

/* STAGE_PROCESS */
extern const struct task_kind personality_kind;	    /* personality.c */
extern const struct task_kind resource_limits_kind; /* rlimits.c */
extern const struct task_kind
	memory_policy_kind; /* memory-policy.c: THP, memory-deny-write-execute */
extern const struct task_kind process_attributes_kind; /* attributes.c: before threads' stacks */
extern const struct task_kind memory_barriers_kind;    /* membarrier.c */
extern const struct task_kind semaphore_undo_kind;     /* semaphore-undo.c */
extern const struct task_kind signal_actions_kind;     /* signals.c */
extern const struct task_kind coredump_filter_kind;    /* proc-values.c: applied */
extern const struct task_kind login_kind;     /* proc-values.c: written by the task itself */
extern const struct task_kind autogroup_kind; /* the same */
extern const struct task_kind oom_score_kind; /* oom.c */

/* STAGE_THREAD */
extern const struct task_kind thread_pointers_kind; /* thread-pointers.c */
extern const struct task_kind scheduling_kind;	    /* sched.c */
extern const struct task_kind timer_slack_kind;	    /* timer-slack.c */
extern const struct task_kind alternate_stack_kind; /* altstack.c */
extern const struct task_kind pending_signals_kind; /* pending.c */
extern const struct task_kind service_manager_kind; /* service-manager.c: systemd */

/* STAGE_IDS */
extern const struct task_kind credentials_kind; /* credentials.c: all of them; ids are given here */

/* STAGE_CAPABILITIES */
extern const struct task_kind capability_sets_kind; /* credentials-plan.c: and securebits */

/* STAGE_LAST */
extern const struct task_kind interval_timers_kind;    /* itimers.c */
extern const struct task_kind posix_timers_kind;       /* posix-timers.c */
extern const struct task_kind zombie_signals_kind;     /* signals.c */
extern const struct task_kind keyrings_kind;	       /* keyrings.c, keyrings-plan.c */
extern const struct task_kind syscall_dispatch_kind;   /* dispatch.c */
extern const struct task_kind process_keyring_kind;    /* keyrings-plan.c */
extern const struct task_kind landlock_kind;	       /* landlock.c: refused */
extern const struct task_kind thread_attributes_kind;  /* attributes.c */
extern const struct task_kind numa_policy_kind;	       /* numa.c */
extern const struct task_kind rseq_kind;	       /* rseq.c */
extern const struct task_kind dumpable_by_change_kind; /* dumpable.c: before any change of ids */
extern const struct task_kind dumpable_kind;	       /* dumpable.c: after every change of ids */
extern const struct task_kind child_subreaper_kind;    /* subreaper.c: when no orphan is to come */
extern const struct task_kind
	parent_death_signal_kind;		 /* death-signal.c: cleared by a change of ids */
extern const struct task_kind seccomp_kind;	 /* seccomp.c */
extern const struct task_kind capabilities_kind; /* credentials-plan.c: what filters needed */

#endif
