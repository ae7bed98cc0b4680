/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* File systems that mounts of a tree have: one file and one row each (table.c). */
#ifndef NESTOR_KINDS_MOUNTS_KIND_H
#define NESTOR_KINDS_MOUNTS_KIND_H

#include "base/error.h"
#include "kernel/mountinfo.h"
#include "kinds/kind.h"

#include <errno.h>

struct collect;

struct live_namespace;
struct mount_workplace;

/* A mount of the tree, as seen by a dump. */
struct live_mount {
	const struct live_namespace *namespace;
	const struct mount_line *line;
	MntEntry *entry;
	bool hidden; /* by others */
	int *kept;   /* a copy that is asked for again; -1: none yet. NULL: none is kept */
};

/* All mounts of a superblock: those that can be seen first, and of these those with root "/". */
struct live_superblock {
	struct collect *collect;
	const struct live_mount *mounts;
	size_t n_mounts;
	const char *what; /* for messages: "mount /proc (proc) of pid 12" */
};

/*
 * A mount of the same that is attached nowhere, and has nothing mounted in it but what its owner
 * could not take away either. 0, with -1 where others hide it for good. -1 where that cannot be
 * told, which is never to be taken for hidden.
 */
int live_mount_copy(const struct live_mount *mount, int *ret_fd, struct error *err);
/* The same of one whose content has to be seen: refused where it is hidden. */
int live_superblock_copy(const struct live_superblock *superblock, int *ret_fd, struct error *err);

/* What making a superblock needs. */
struct mount_maker {
	const struct snapshot *snapshot;
	struct file_opener *opener;
	const int *pid_namespaces;   /* like snapshot->pid_namespaces; -1: not there */
	const int *user_namespaces;  /* like snapshot->user_namespaces; -1: nestor's own */
	const int *plain_namespaces; /* like snapshot->plain_namespaces */
	const struct images *images;
	const struct externals *externals;
	struct mount_workplace *workplace; /* make.h; NULL: there is none */
	const struct made_superblocks
		*made; /* make.h: with the maps of ids; NULL: there are none */
};

/*
 * A file system.
 *   owned    superblocks belong to the user namespace in which they were mounted: it is found,
 *            and `make` runs in there
 *   tells    the same, but that it is `collect` that finds it: whoever tries might wait for ever
 *   single   mounted again it is the same
 *   numbered superblocks must have the device number that they had (numbered.c)
 *   lets_go  `make` itself lets its number go (mounts_let_number_go), doing other things first
 *   removed  what is not in it any more, but mounted, can be carried too
 *   parts    can be made again where no mount shows the root of it
 *   acts     uses other file systems with the ids of whoever mounted it
 *   apart    `make` asks for no other mount: a mount namespace without any will do
 *   collect  fills the entry's own members; called once for each superblock
 *   content  writes what is in it into images, once for each superblock, when all else has been
 *            looked at: whoever watches its files is told of that. May be NULL
 *   complete once, when namespaces have their ids; may be NULL
 *   check    pure
 *   inside   pure; what it is made of lies in mounts of the tree: that part of a mount namespace in
 *            which `make` has to run, with all that leads there. 1; 0: nestor's own will do; -1.
 *            NULL: nothing of this kind does
 *   needs    pure; the `index`th of mounts whose file systems are to be made before it. 1; 0: there
 *            are no more; -1. May be NULL
 *   make     a mount of a new superblock that is not attached; its descriptor
 *   fill     what is in it, with nestor's own rights, in a process whose ids may be changed
 *   seal     once it is mounted everywhere, and nothing in it is to be changed any more
 */
struct mount_kind {
	const char *type; /* as mountinfo has it */
	Fstype fstype;
	bool owned, tells, single, numbered, lets_go, parts, removed, acts, apart;
	int (*collect)(const struct live_superblock *superblock, MntEntry *entry,
		       struct error *err);
	int (*content)(const struct live_superblock *superblock, MntEntry *entry,
		       struct error *err);
	void (*complete)(struct collect *collect);
	int (*check)(const struct snapshot *snapshot, const MntEntry *entry, struct error *err);
	int (*inside)(const struct snapshot *snapshot, const MntEntry *entry, struct arena *arena,
		      struct mount_namespace *ret_part, struct error *err);
	int (*needs)(const struct snapshot *snapshot, const MntEntry *entry, size_t index,
		     const MntEntry **ret, struct error *err);
	int (*make)(const struct mount_maker *maker, const MntEntry *entry, struct error *err);
	int (*fill)(const struct mount_maker *maker, const MntEntry *entry, int root_fd,
		    struct error *err);
	int (*seal)(const struct mount_maker *maker, const MntEntry *entry, int root_fd,
		    struct error *err);
};

extern const struct mount_kind *const mount_kinds[]; /* NULL-terminated */
const struct mount_kind *mount_kind_of_type(const char *type);
const struct mount_kind *mount_kind_of_entry(const MntEntry *entry);

/* Of no row: mounted again by its type and options (plain.c). */
extern const struct mount_kind plain_mount_kind;
extern const struct mount_kind proc_mount_kind;
extern const struct mount_kind tmpfs_mount_kind;
extern const struct mount_kind overlay_mount_kind;
extern const struct mount_kind ramfs_mount_kind;
extern const struct mount_kind devpts_mount_kind;
extern const struct mount_kind sysfs_mount_kind;
extern const struct mount_kind devtmpfs_mount_kind;
extern const struct mount_kind mqueue_mount_kind;
extern const struct mount_kind cgroup_mount_kind;
extern const struct mount_kind cgroup2_mount_kind;
extern const struct mount_kind pstore_mount_kind;
extern const struct mount_kind securityfs_mount_kind;
extern const struct mount_kind fusectl_mount_kind;
extern const struct mount_kind debugfs_mount_kind;
extern const struct mount_kind tracefs_mount_kind;
extern const struct mount_kind binfmt_misc_mount_kind;
extern const struct mount_kind configfs_mount_kind;
extern const struct mount_kind hugetlbfs_mount_kind;
extern const struct mount_kind bpf_mount_kind;
extern const struct mount_kind autofs_mount_kind;
extern const struct mount_kind fuse_mount_kind;

/* Sets an option of a file system context; a value of NULL is a flag. */
int mount_set(int context_fd, const char *key, const char *value, struct error *err);
/* Sets the options as mountinfo has them: "mode=755,size=4k". */
int mount_set_options(int context_fd, const char *options, struct error *err);
/* The same, where numbers of users and groups are those of the superblock's owner. */
int mount_set_owned_options(int context_fd, const struct mount_maker *maker, const MntEntry *entry,
			    struct error *err);
/* Once all is in it; -1 with errno. */
int mount_make_read_only(int root_fd);
/* single.c: is it the one that nestor's own namespaces have (1, 0), or one of the tree's? */
int mount_single_is_own(const struct live_superblock *superblock, const MntEntry *entry,
			struct error *err);
int mount_single_collect(const struct live_superblock *superblock, MntEntry *entry,
			 struct error *err);
/* node-attributes.c: a file that is there from the beginning, and what it has then. */
struct usual_node {
	uint32_t mode;
	bool of_root; /* else of whoever mounts it */
};
/* Records mode and owner of `name` ("" is the root) where they may be others. */
int mount_node_collect(const struct live_superblock *superblock, MntEntry *entry, int root_fd,
		       const char *name, const struct usual_node *usual, struct error *err);
int mount_nodes_check(const MntEntry *entry, struct error *err);
int mount_nodes_set(const struct mount_maker *maker, const MntEntry *entry, int root_fd,
		    struct error *err);
/* One with nothing in it, attached nowhere; -1 with errno. */
int mount_new_tmpfs(void);
/* The superblock of a context, and a mount of it that is attached nowhere; then both. */
int mount_create(int context_fd, const MntEntry *entry, struct error *err);
int mount_attachable(int context_fd, const MntEntry *entry, struct error *err);
int mount_finish(int context_fd, const MntEntry *entry, struct error *err);

#endif
