/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reading the kernel's memory (kernel/kernel-reader.h) while collecting. */
#ifndef NESTOR_COLLECT_READ_KERNEL_H
#define NESTOR_COLLECT_READ_KERNEL_H

#include "kernel/kernel-reader.h"

struct collect;

/*
 * The reader that a dump has for these places, which are told apart by their address, begun; who
 * gets it ends it. 1: this kernel cannot be read so, or we may not; -1 with errno.
 */
int collect_read_kernel(struct collect *collect, const struct kernel_places *places,
			struct kernel_reader **ret);

#endif
