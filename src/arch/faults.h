/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Instructions that end who executes them, by the signal of a fault. */
#ifndef NESTOR_ARCH_FAULTS_H
#define NESTOR_ARCH_FAULTS_H

#include <stddef.h>
#include <stdint.h>

struct fault {
	uint32_t signal;
	const char *code; /* for a page with nothing else; NULL: there is no page at all */
	size_t size;	  /* 0: the page lies beyond the end of its file */
};

/* NULL: no fault gives this signal. */
const struct fault *fault_of(uint32_t signal);

#endif
