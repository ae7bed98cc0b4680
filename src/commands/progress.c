// SPDX-License-Identifier: LGPL-2.1-or-later
/* The progress line; see progress.h. */
#include "commands/progress.h"

#include <stdio.h>
#include <unistd.h>

enum { SHOW_AFTER_MS = 300, REDRAW_EVERY_MS = 100 };

static long ms_between(const struct timespec *from, const struct timespec *to)
{
	return (to->tv_sec - from->tv_sec) * 1000 + (to->tv_nsec - from->tv_nsec) / 1000000;
}

void progress_init(struct progress *progress, bool busy)
{
	*progress = (struct progress){ .enabled = !busy && isatty(STDERR_FILENO) };
	clock_gettime(CLOCK_MONOTONIC, &progress->start);
	progress->last = progress->start;
}

void progress_show(void *data, const char *phase, size_t done, size_t total)
{
	struct progress *progress = data;
	struct timespec now;

	if (!progress->enabled)
		return;
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (ms_between(&progress->start, &now) < SHOW_AFTER_MS ||
	    (progress->shown && ms_between(&progress->last, &now) < REDRAW_EVERY_MS))
		return;
	progress->last = now;
	progress->shown = true;
	if (total)
		fprintf(stderr, "\r\033[Knestor: %s (%zu of %zu)", phase, done, total);
	else
		fprintf(stderr, "\r\033[Knestor: %s", phase);
}

void progress_end(struct progress *progress)
{
	if (progress->shown)
		fputs("\r\033[K", stderr);
	progress->shown = false;
}
