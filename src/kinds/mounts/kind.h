/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* File systems that mounts of a tree have: one file and one row each (table.c). */
#ifndef NESTOR_KINDS_MOUNTS_KIND_H
#define NESTOR_KINDS_MOUNTS_KIND_H

#include "base/error.h"
#include "kernel/mountinfo.h"
#include "kinds/kind.h"

struct collect;

/* A mount of the tree, as seen by a dump. */
struct live_mount {
	struct collect *collect;
	const struct mount_line *line;
	int root_fd;	  /* O_PATH; -1 where others hide it */
	const char *what; /* for messages: "mount /proc (proc) of pid 12" */
};

/* What making a superblock needs. */
struct mount_maker {
	const struct snapshot *snapshot;
	const int *pid_namespaces;  /* like snapshot->pid_namespaces; -1: not there */
	const int *user_namespaces; /* like snapshot->user_namespaces; -1: nestor's own */
	const struct images *images;
};

/*
 * A file system.
 *   collect  fills the entry's own members; called for one mount of each superblock, with root "/"
 *            where there is one
 *   complete once, when namespaces have their ids; may be NULL
 *   check    pure
 *   make     a mount of a new superblock that is not attached; its descriptor
 */
struct mount_kind {
	const char *type; /* as mountinfo has it */
	Fstype fstype;
	int (*collect)(const struct live_mount *mount, MntEntry *entry, struct error *err);
	void (*complete)(struct collect *collect);
	int (*check)(const struct snapshot *snapshot, const MntEntry *entry, struct error *err);
	int (*make)(const struct mount_maker *maker, const MntEntry *entry, struct error *err);
};

extern const struct mount_kind *const mount_kinds[]; /* NULL-terminated */
const struct mount_kind *mount_kind_of_type(const char *type);
const struct mount_kind *mount_kind_of_entry(const MntEntry *entry);

extern const struct mount_kind proc_mount_kind;

/* Sets an option of a file system context; a value of NULL is a flag. */
int mount_set(int context_fd, const char *key, const char *value, struct error *err);
/* Sets the options as mountinfo has them: "mode=755,size=4k". */
int mount_set_options(int context_fd, const char *options, struct error *err);
/* Takes a context to the end: the detached mount. */
int mount_finish(int context_fd, const MntEntry *entry, struct error *err);

#endif
