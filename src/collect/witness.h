/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A process of ours to whom a thread has all rights that ids and capabilities give: of its ids, in
 * its user namespace, without a capability, and with a number in its pid namespace. What the
 * thread may not do to it, something else forbids.
 */
#ifndef NESTOR_COLLECT_WITNESS_H
#define NESTOR_COLLECT_WITNESS_H

#include <stddef.h>
#include <sys/types.h>

struct collect;
struct target;

/*
 * Its number as the thread sees it; negative: the errno for which there is none. Made once for all
 * who are alike.
 */
pid_t witness_for(struct target *target, size_t thread);

/* Once the tasks are known, and before much of them is. */
void witnesses_prepare(struct collect *collect);

/* Has the first of them be made, if they were prepared, while the tasks are read. */
void witnesses_begin(struct collect *collect);

/* Has all of them end, meanwhile: nobody is asked any more. */
void witnesses_dismiss(struct collect *collect);

/* Ends all of them, and waits for that. They end with us too. */
void witnesses_end(struct collect *collect);

#endif
