/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A deputy: a child that enters namespaces and opens things there. It shares the caller's
 * descriptor table, so what it opens is the caller's, and nothing else but what lies in shared
 * memory. It goes when the caller goes, and in time. Of the caller's threads it has only the one
 * that called, whatever locks the others held: what it forks it forks by _Fork, for fork(3) takes
 * those of the allocator.
 */
#ifndef NESTOR_KERNEL_DEPUTY_H
#define NESTOR_KERNEL_DEPUTY_H

#include "base/error.h"

#include <stddef.h>

/* Runs `work` in a deputy and waits for it; its error comes back. */
int deputy_run(int (*work)(void *data, struct error *err), void *data, struct error *err);

/* Memory that deputies share with their callers, zeroed; NULL with errno. */
void *deputy_memory(size_t size);
void deputy_memory_free(void *memory, size_t size);

#endif
