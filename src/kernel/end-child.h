/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef NESTOR_KERNEL_END_CHILD_H
#define NESTOR_KERNEL_END_CHILD_H

#include <sys/types.h>

/* Kills a child of ours that is not reaped yet, and reaps it. Never waits for one that lives on. */
void end_child(pid_t pid);

#endif
