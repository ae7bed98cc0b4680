/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A thread's seccomp filters, read from outside, and what they would say to a system call. The
 * evaluation is the kernel's (kernel/seccomp.c, net/core/filter.c): every filter runs, the most
 * severe verdict holds.
 */
#ifndef NESTOR_COLLECT_SECCOMP_H
#define NESTOR_COLLECT_SECCOMP_H

#include "base/error.h"

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct arena;

struct seccomp_filter {
	struct sock_filter *instructions;
	size_t count;
	bool log; /* SECCOMP_FILTER_FLAG_LOG */
};

struct seccomp_filters {
	struct seccomp_filter *filters; /* oldest first, as they were installed */
	size_t n;
};

/* The thread must be stopped under our ptrace. No filter at all is success with n = 0. */
int seccomp_read_filters(pid_t tid, struct arena *arena, struct seccomp_filters *ret_filters,
			 struct error *err);

/* What becomes of a call; of what several filters say, the worst. */
enum seccomp_verdict {
	SECCOMP_PASSES, /* SECCOMP_RET_ALLOW, SECCOMP_RET_LOG */
	SECCOMP_FAILS,	/* SECCOMP_RET_ERRNO, SECCOMP_RET_TRACE: an error, and no harm */
	SECCOMP_HARMS,	/* a signal, an end, a question to somebody else; or it is not known */
};

/* ip is behind the instruction of the call. */
enum seccomp_verdict seccomp_judge(const struct seccomp_filters *filters, uint32_t nr,
				   const uint64_t args[6], uint64_t ip);

/*
 * The same where the instruction pointer and some arguments are not known (bit i of `known` is
 * clear): it passes, or fails, only if it does whatever they are.
 */
enum seccomp_verdict seccomp_judge_any(const struct seccomp_filters *filters, uint32_t nr,
				       const uint64_t args[6], unsigned known);

#endif
