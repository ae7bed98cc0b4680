/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the printer knows about system calls: names, kinds of arguments, names of constants. */
#ifndef NESTOR_PROGRAM_CALLS_H
#define NESTOR_PROGRAM_CALLS_H

#include <stddef.h>
#include <stdint.h>

enum argument_kind {
	ARG_NONE, /* the call has no such argument */
	ARG_HEX,
	ARG_UNSIGNED,
	ARG_SIGNED, /* 32 bits */
	ARG_LONG,   /* 64 bits, signed */
	ARG_OCTAL,
	ARG_ADDRESS,
	ARG_SIZE,
	ARG_FD,
	ARG_DIRECTORY, /* a descriptor or AT_FDCWD */
	ARG_ID,	       /* of a process, user or group; -1 leaves it as it is */
	ARG_SIGNAL,
	ARG_STRING,
	ARG_PROT,
	ARG_MAP_FLAGS,
	ARG_MREMAP_FLAGS,
	ARG_ADVICE,
	ARG_OPEN_FLAGS,
	ARG_CLONE_FLAGS,
	ARG_CLOSE_RANGE_FLAGS,
	ARG_MASK_HOW,
	ARG_RESOURCE,
	ARG_TIMER,
	ARG_CLOCK,
	ARG_PRCTL,
	ARG_FCNTL,
	ARG_MM_FIELD, /* of PR_SET_MM */
	ARG_WHENCE,
	ARG_POLICY,
	ARG_ID_TYPE,
	ARG_WAIT_OPTIONS,
	ARG_FUTEX,
	ARG_SECCOMP,
	ARG_ARCH_PRCTL,
	ARG_RSEQ_FLAGS,
	ARG_MLOCK_FLAGS,
	ARG_REQUEST, /* of ioctl */
	/* Pointers to data of ours, shown decoded: */
	ARG_CLONE_ARGS,
	ARG_IOVEC, /* the next argument counts them */
	ARG_SIGACTION,
	ARG_SIGSET,
	ARG_SIGNAL_STACK,
	ARG_SIGINFO,
	ARG_SIGEVENT,
	ARG_RLIMIT,
	ARG_ITIMERVAL,
	ARG_ITIMERSPEC,
	ARG_TIMESPEC,
	ARG_GROUPS, /* the argument before counts them */
	ARG_CAP_HEADER,
	ARG_CAP_DATA,
	ARG_SCHED_ATTR,
	ARG_SCHED_PARAM,
	ARG_CPU_SET,   /* the argument before is its size */
	ARG_BYTES,     /* the next argument is their size */
	ARG_FILTER,    /* struct sock_fprog */
	ARG_MM_MAP,    /* struct prctl_mm_map */
	ARG_NUMBER_AT, /* pointer to a 32-bit number */
};

struct call_format {
	uint32_t nr;
	const char *name;
	uint8_t arguments[6];
};

/* NULL if the call is not in the table. */
const struct call_format *call_format_find(uint32_t nr);
/* The formats of arguments 1 to 4 of prctl(operation); `name` is that of the operation. */
const struct call_format *prctl_format_find(uint64_t operation);

struct constant {
	uint64_t value;
	const char *name;
};

/* How the constants of an argument kind are to be read; NULL if it has none. */
struct constant_set {
	const struct constant *constants;
	size_t n_constants;
	uint8_t are_flags;
};
const struct constant_set *argument_constants(enum argument_kind kind);

#endif
