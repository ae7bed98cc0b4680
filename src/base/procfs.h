/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reading small kernel text files whole, and picking fields out of them. */
#ifndef NESTOR_BASE_PROCFS_H
#define NESTOR_BASE_PROCFS_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct arena;

/* Of an errno that came of a file below /proc/PID: only these say that the task is gone. */
bool procfs_is_gone(int error);
/* The name for an error about it: ERR_TREE_CHANGED of what is gone, else ERR_KERNEL_REFUSED. */
enum error_name procfs_error(int error);

/*
 * Reads the file `name` below directory descriptor `dir_fd` (AT_FDCWD allowed) whole into the
 * arena, terminated. Returns the length, or -1 with errno set: expected outcomes, such as a task
 * that vanished, are the caller's to judge.
 */
ssize_t procfs_read(struct arena *arena, int dir_fd, const char *name, char **ret_text);

/* The same into memory of its own, to be freed. */
ssize_t procfs_read_new(int dir_fd, const char *name, char **ret_text);

/* The same into a buffer of the caller's; fails with E2BIG when it does not fit. */
ssize_t procfs_read_into(int dir_fd, const char *name, char *buffer, size_t size);

/*
 * Is /proc there, and does it show the caller's own pid namespace? ERR_NO_PROC if not: then every
 * number that is read there means another task.
 */
int procfs_check(struct error *err);

/* The text after `key` (for instance "NSpid:") at the start of a line, blanks skipped; or NULL. */
const char *procfs_field(const char *text, const char *key);

/* Numbers separated by blanks up to the end of the line; returns how many were stored. */
size_t procfs_numbers(const char *text, int base, uint64_t *numbers, size_t room);

/* The first number after `key`; false where there is none. */
bool procfs_number(const char *text, const char *key, int base, uint64_t *ret_number);

/* The same, 0 where there is none. */
uint64_t procfs_value(const char *text, const char *key, int base);

/* proc_pid_stat(5) at `path`: does the task exit (PF_EXITING among its flags), or has it? */
bool procfs_is_exiting(const char *path);

#endif
