/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A deputy: a child that enters namespaces and opens things there. It shares the caller's
 * descriptor table, so what it opens is the caller's, and nothing else but what lies in shared
 * memory. It goes when the caller goes, and in time. Of the caller's threads it has only the one
 * that called: a lock that another one held, of the allocator or of streams, would never be given
 * back there. What other threads do that may take such locks they do within deputies_wait and
 * deputies_go_on; and what a deputy forks it forks by _Fork, for fork(3) takes all of them.
 */
#ifndef NESTOR_KERNEL_DEPUTY_H
#define NESTOR_KERNEL_DEPUTY_H

#include "base/error.h"

#include <stddef.h>

/* Runs `work` in a deputy and waits for it; its error comes back. */
int deputy_run(int (*work)(void *data, struct error *err), void *data, struct error *err);

/* No deputy begins in between, and none may be asked for by who has called the first. */
void deputies_wait(void);
void deputies_go_on(void);

/* Memory that deputies share with their callers, zeroed; NULL with errno. */
void *deputy_memory(size_t size);
void deputy_memory_free(void *memory, size_t size);

#endif
