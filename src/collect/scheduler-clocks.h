/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* When a thread that does not run was last on a processor. */
#ifndef NESTOR_COLLECT_SCHEDULER_CLOCKS_H
#define NESTOR_COLLECT_SCHEDULER_CLOCKS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct collect;

/* From a file `sched` of /proc: when it was last put to account, in ns of its processor's clock. */
bool scheduler_read(const char *path, uint64_t *ret_exec_start, uint64_t *ret_switches);

/* The processor on which it was last, if it is in this state (proc_pid_stat(5)). */
bool scheduler_processor(pid_t tid, char state, unsigned *ret_processor);

/* What has to be added to the clock of a processor to get a time of wait_clock; NULL: unknown. */
const int64_t *scheduler_clock(struct collect *collect, unsigned processor);

#endif
