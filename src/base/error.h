/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Errors are values: a fixed-size record owned by the caller, without pointers, so that it can
 * lie on a stack or in shared memory. Whatever can fail takes `struct error *err` last and
 * returns 0 (or a count, or a descriptor), and -1 on failure. The first failure wins: undoing
 * never overwrites it. Only commands/ prints errors.
 */
#ifndef NESTOR_BASE_ERROR_H
#define NESTOR_BASE_ERROR_H

#include <stdbool.h>
#include <stddef.h>

enum error_name {
	ERR_NONE,
#define ERROR(symbol, name, meaning) ERR_##symbol,
#include "base/errors.def"
#undef ERROR
	ERR_COUNT,
};

struct error {
	enum error_name name;
	int os_errno;	  /* 0 where no system call failed */
	char text[768];	  /* what was being done, to which object, why it failed */
	char hint[256];	  /* what the person can do; may be empty */
	char option[512]; /* of the command line, that lets it through, as a shell takes it; "" */
	bool passing;	  /* see fail_passing */
};

/* Stable kebab-case name as listed in docs/errors.md, and its one-line meaning. */
const char *error_name(enum error_name name);
const char *error_meaning(enum error_name name);

/*
 * Record a failure; always returns -1. fail_errno appends strerror(errno), read first; with one
 * that says nothing of what was looked for, as ENOMEM, a name that does (ERR_FILE_MISSING) becomes
 * ERR_KERNEL_REFUSED. What %s inserts is made printable (message.h).
 */
int fail(struct error *err, enum error_name name, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
int fail_errno(struct error *err, enum error_name name, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Whether somebody lacked something, which is no answer to what was looked for or tried. */
bool errno_tells_nothing(int os_errno);

/* The same with a text that was made by these functions, and may have several lines. */
int fail_text(struct error *err, enum error_name name, const char *text);

/* Put one clause of context in front ("restoring task 1:37: ..."); always returns -1. */
int fail_while(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Say what the person can do; always returns -1, so it can end a failing path. */
int fail_hint(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * Say that the state is one that mostly goes away when the task runs for a moment longer, as events
 * do that it is about to read: a dump tries again for a while. Always returns -1.
 */
int fail_passing(struct error *err);

/*
 * Name the option that would let it through, ready to paste: "--external", and its value, which is
 * quoted if a shell would read something else (NULL: it has none). Always returns -1.
 */
int fail_option(struct error *err, const char *option, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
