/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a processor can do, as cpuinfo.img has it, and whether what one could is there on another.
 * Facts only: which word of CPUID is where.
 */
#ifndef NESTOR_ARCH_PROCESSOR_H
#define NESTOR_ARCH_PROCESSOR_H

#include "base/arena.h"
#include "base/error.h"
#include "model/schema.h"

/* What has to be there again. The bits are those of a request (cpu_cap). */
enum {
	PROCESSOR_REGISTERS = 1 << 0,	 /* "fpu": the parts of the extended state */
	PROCESSOR_FEATURES = 1 << 1,	 /* "cpu": all that CPUID tells */
	PROCESSOR_INSTRUCTIONS = 1 << 2, /* "ins": of that, what programs may execute */
	PROCESSOR_ALL = PROCESSOR_REGISTERS | PROCESSOR_FEATURES | PROCESSOR_INSTRUCTIONS,
};

/* This one. */
CpuinfoEntry *processor_describe(struct arena *arena);

/*
 * ERR_CPU_DIFFERS where something of `recorded` that is wanted is not `here`, with the names of
 * what lacks; ERR_IMAGE_UNSUPPORTED for what is no processor of this kind.
 */
int processor_check(const CpuinfoEntry *recorded, const CpuinfoEntry *here, unsigned wanted,
		    struct error *err);

#endif
