/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reading the kernel's memory (kernel/kernel-reader.h) while collecting. */
#ifndef NESTOR_COLLECT_READ_KERNEL_H
#define NESTOR_COLLECT_READ_KERNEL_H

#include "kernel/kernel-reader.h"

struct collect;
struct target;

/*
 * The reader that a dump has for these places, which are told apart by their address, begun; who
 * gets it ends it. 1: this kernel cannot be read so, or we may not; -1 with errno.
 */
int collect_read_kernel(struct collect *collect, const struct kernel_places *places,
			struct kernel_reader **ret);

/*
 * Where a task's descriptor has its struct file (file-addresses.c), once they are listed; 0: the
 * task has few, or nobody may look there.
 */
uint64_t target_file_address(struct target *target, uint32_t number);
/* The file whose struct file is there, once all descriptors are known; 0: nobody has it open. */
uint32_t collect_file_at(struct collect *collect, uint64_t address);

#endif
