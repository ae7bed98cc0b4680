/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the memory kind asks of the rest of the pipeline, in the place of that: linked before it.
 */
#ifndef NESTOR_TESTS_MEMORY_STUBS_H
#define NESTOR_TESTS_MEMORY_STUBS_H

#include "plan/plan.h"

#include <stddef.h>

enum { MAX_FILES = 16 };

/* Files and pages of the test; descriptors of the test stand for sources. */
extern struct fake {
	int file_fds[MAX_FILES];
	size_t n_files;
	int pages_fds[MAX_FILES];
	struct source sources[4 * MAX_FILES];
	struct images *images;
} fake;

#endif
