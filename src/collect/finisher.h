/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A process of ours that finishes the end of a dump if we are killed in the middle of it. */
#ifndef NESTOR_COLLECT_FINISHER_H
#define NESTOR_COLLECT_FINISHER_H

#include "base/error.h"

struct collect;
struct finisher;

/* NULL with err. It does nothing, and ends when we do, unless something is begun. */
struct finisher *finisher_start(struct error *err);

/*
 * From here on all tasks of the tree get this signal, SIGKILL or SIGSTOP, whatever becomes of us;
 * and none, if it fails.
 */
int finisher_begin(struct finisher *finisher, const struct collect *collect, int signal,
		   struct error *err);

/* Ends it; NULL is allowed. */
void finisher_end(struct finisher *finisher);

#endif
