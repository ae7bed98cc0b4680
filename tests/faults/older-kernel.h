/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a kernel before 6.15 refuses with EINVAL, where nestor goes another way. */
#ifndef NESTOR_TESTS_FAULTS_OLDER_KERNEL_H
#define NESTOR_TESTS_FAULTS_OLDER_KERNEL_H

#include <linux/ptrace.h>
#include <stdbool.h>
#include <sys/types.h>

/* A call that `tid` is about to make. */
bool older_kernel_refuses(pid_t tid, const struct ptrace_syscall_info *info);

#endif
