/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One line on a terminal that says what is being done, for work that takes its time. Nothing is
 * shown where stderr is no terminal, or before 300 ms have passed.
 */
#ifndef NESTOR_COMMANDS_PROGRESS_H
#define NESTOR_COMMANDS_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

struct progress {
	bool enabled;
	bool shown; /* a line stands there that has to be wiped */
	struct timespec start, last;
};

/* `busy`: something else writes to the terminal already. */
void progress_init(struct progress *progress, bool busy);
/* total 0: only the phase is shown. Fits run_options.progress; data is a struct progress. */
void progress_show(void *data, const char *phase, size_t done, size_t total);
void progress_end(struct progress *progress);

#endif
