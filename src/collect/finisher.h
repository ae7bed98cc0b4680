/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A process of ours that finishes the end of a dump if we are killed in the middle of it. */
#ifndef NESTOR_COLLECT_FINISHER_H
#define NESTOR_COLLECT_FINISHER_H

#include "base/error.h"

#include <stdint.h>
#include <sys/types.h>

struct collect;
struct finisher;
struct target;

enum { FINISHER_NAME_SIZE = 32 };

/*
 * What else belongs to the end: `work` runs in the finisher, which is a fork of us without our
 * descriptors. With a pid it gets a descriptor of that task, and is left out if the task is no
 * longer there; without one it needs nobody, and gets -1.
 */
struct finisher_job {
	void (*work)(const struct finisher_job *job, int fd);
	pid_t pid, tid;
	unsigned pidfd_flags; /* for tid */
	uint64_t started;
	uint32_t number;
	char name[FINISHER_NAME_SIZE];
};
struct finisher_job finisher_job_of(const struct target *target, uint32_t number);

/* NULL with err. It does nothing, and ends when we do, unless something is begun. */
struct finisher *finisher_start(struct error *err);

/* Done if we are gone, or give up, before finisher_begin; of several the last one first. */
int finisher_undo(struct finisher *finisher, const struct finisher_job *job, struct error *err);
/* Done if we are gone after it, before the first signal. */
int finisher_first(struct finisher *finisher, const struct finisher_job *job, struct error *err);

/*
 * From here on all tasks of the tree get this signal, SIGKILL or SIGSTOP, whatever becomes of us;
 * and none, if it fails.
 */
int finisher_begin(struct finisher *finisher, const struct collect *collect, int signal,
		   struct error *err);

/* Does, before it returns, what is to be undone. */
void finisher_give_up(struct finisher *finisher);

/* Ends it; NULL is allowed. */
void finisher_end(struct finisher *finisher);

#endif
