/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where the kernel has what a task has open: its struct files, in its memory. Where there are very
 * many this tells sooner than kcmp(2) which descriptors are of one description.
 */
#ifndef NESTOR_COLLECT_FILE_ADDRESSES_H
#define NESTOR_COLLECT_FILE_ADDRESSES_H

#include <stdint.h>

struct target;

/* Of a task whose descriptors are listed; 0: it has few, or nobody may look there. */
uint64_t target_file_address(struct target *target, uint32_t number);

#endif
