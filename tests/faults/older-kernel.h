/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an older kernel refuses, where nestor goes another way: one before 6.15, and the oldest one,
 * which is 6.1 without CONFIG_PROC_CHILDREN.
 */
#ifndef NESTOR_TESTS_FAULTS_OLDER_KERNEL_H
#define NESTOR_TESTS_FAULTS_OLDER_KERNEL_H

#include <linux/ptrace.h>
#include <sys/types.h>

enum kernel_age { KERNEL_OWN, KERNEL_OLDER, KERNEL_OLDEST };

/* What comes of a call that `tid` is about to make: an errno, or 0 if it is made. */
int older_kernel_refuses(enum kernel_age age, pid_t tid, const struct ptrace_syscall_info *info);

#endif
