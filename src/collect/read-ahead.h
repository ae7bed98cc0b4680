/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Texts of /proc, read before they are asked for; see read-ahead.c. */
#ifndef NESTOR_COLLECT_READ_AHEAD_H
#define NESTOR_COLLECT_READ_AHEAD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

struct collect;
struct target;

/* Lets the assistant read the texts of all targets; they are stopped. */
void read_ahead_start(struct collect *collect);
/* Once the assistant has ended: what nobody asked for goes. */
void read_ahead_end(struct collect *collect);

/* As procfs_read_new, of a file below /proc/PID; it may be there already. */
ssize_t read_ahead_take(struct target *target, const char *name, char **ret_text);
/* As readlinkat, of a link there, which may be that of a descriptor. */
ssize_t read_ahead_link(struct target *target, const char *name, char *buffer, size_t size);

/* read-ahead-files.c: what /proc shows of a descriptor; longer texts are read when asked for. */
struct descriptor_ahead {
	bool has_link, has_stat, has_fdinfo;
	bool ownerless; /* nobody is to get signals, and no other one than usual */
	bool has_file_system;
	long file_system; /* f_type, where it has been opened by us */
	struct stat stat;
	char link[64], fdinfo[160];
};
/*
 * Those that are listed by now, once they make a piece; `all`: what is left, where there are many.
 * Sockets are asked by `ask`, whose answer is for free().
 */
void read_ahead_descriptors(struct target *target, bool all, void *(*ask)(int fd));
/* Frees the answers, with the assistant at its end. */
void read_ahead_forget_descriptors(struct target *target);
/* NULL: nothing is. */
const struct descriptor_ahead *read_ahead_descriptor(struct target *target, uint32_t number);
/* What was asked of it, or NULL. */
const void *read_ahead_asked(struct target *target, uint32_t number);

#endif
