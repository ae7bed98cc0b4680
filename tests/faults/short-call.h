/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Calls that may do less than they are asked for do half of it: those that read and write much of a
 * file, as where a signal comes; of directories a few entries are told at once.
 */
#ifndef NESTOR_TESTS_FAULTS_SHORT_CALL_H
#define NESTOR_TESTS_FAULTS_SHORT_CALL_H

#include <linux/ptrace.h>
#include <sys/types.h>

/* A call that `tid` is about to make. */
void shorten_call(pid_t tid, const struct ptrace_syscall_info *info);

#endif
