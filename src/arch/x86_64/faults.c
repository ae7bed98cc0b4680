// SPDX-License-Identifier: LGPL-2.1-or-later
/* See faults.h. */
#include "arch/faults.h"

#include <signal.h>

static const struct fault faults[] = {
	{ SIGSEGV, NULL, 0 },
	{ SIGBUS, "", 0 },
	{ SIGILL, "\x0f\x0b", 2 },	   /* ud2 */
	{ SIGTRAP, "\xcc", 1 },		   /* int3 */
	{ SIGFPE, "\x31\xc9\xf7\xf1", 4 }, /* xor %ecx, %ecx; div %ecx */
};

const struct fault *fault_of(uint32_t signal)
{
	for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
		if (faults[i].signal == signal)
			return &faults[i];
	return NULL;
}
