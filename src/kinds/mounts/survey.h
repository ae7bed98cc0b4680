/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The mount namespaces of a live tree; private to kinds/mounts. */
#ifndef NESTOR_KINDS_MOUNTS_SURVEY_H
#define NESTOR_KINDS_MOUNTS_SURVEY_H

#include "collect/collect.h"
#include "collect/namespaces.h"
#include "kernel/mountinfo.h"
#include "kinds/mounts/kind.h"
#include "kinds/kind.h"

#include <sys/stat.h>

struct mount_table {
	struct mount_line *lines;
	size_t n_lines;
	int root_fd; /* the root directory of the namespace */
	const struct collect *collect;
	const struct mount_line *skipped; /* that the caller wants to be left out */
	size_t n_skipped;
};

struct mount_ahead;

struct mounts_ahead {
	struct mount_ahead *all;
	size_t n;
};

struct live_namespace {
	uint32_t id;
	const struct surveyed_namespace *met;
	int fd;		  /* the same, borrowed */
	const char *what; /* who is in it, or holds it: "pid 12" */
	struct collect *collect;
	struct mount_table table;
	MntEntry **entries;	      /* like table.lines */
	struct mount_namespace order; /* the same as a tree */
	/* Of a copy of mounts that are attached nowhere, or no more; NULL for all others: */
	MntDetachedEntry *detached;
	int64_t *originals; /* ids of what the lines are copies of; -1 */
	bool stands_in;	    /* for what the root of its table is */
	struct mounts_ahead ahead;
};

struct at_root {
	struct target *target;
	uint32_t number;
};

/* What is seen of nestor's own namespace at the mountpoint of a mount. */
struct own_place {
	bool is_known;
	int64_t mount_id;
	bool is_denied; /* what there is, which is not in stat then */
	struct stat stat;
};

/* A mount that nobody has any more, and why it cannot be made again. */
struct unmade_mount {
	int64_t id;
	const char *why;
};

struct removed_file {
	dev_t device;
	ino_t inode;
};

/* A superblock whose content is to be written. */
struct live_content {
	struct live_superblock superblock;
	const struct mount_kind *kind;
};

struct mount_survey {
	struct mount_table own;
	struct own_place *places; /* like own.lines, as far as they were asked for */
	struct live_namespace *namespaces;
	size_t n_namespaces;
	struct at_root *at_roots; /* descriptors whose link is "/" */
	size_t n_at_roots;
	struct removed_file *removed; /* that are carried, by number from 1 on */
	size_t n_removed;
	struct live_content *contents;
	size_t n_contents;
	size_t n_copies; /* that were taken ahead, and are kept */
	struct unmade_mount *unmade;
	size_t n_unmade;
	bool strange; /* some are on mounts that are nowhere to be found */
};

struct mount_survey *survey_of_mounts(struct collect *collect);

/* "mount /proc (proc) of pid 12"; fails with ERR_UNSUPPORTED_MOUNT. */
const char *survey_name_mount(struct collect *collect, const struct live_namespace *namespace_,
			      const struct mount_line *line);
int survey_refuse(const char *what, const char *why, struct error *err);

/* read.c: why a "mount" or "user" namespace is not entered; always -1. */
int survey_fail_enter(const char *type, struct error *err);

/* read.c: of a namespace, or of nestor's own (-1). */
int mount_table_read(struct collect *collect, int namespace_fd, struct mount_table *table,
		     struct error *err);

/*
 * bound-from.c: the mount of nestor's own namespace that a mount can be bound from (NULL: none), by
 * which path, below how many others.
 */
int mount_bound_find(struct mount_survey *survey, struct arena *arena,
		     const struct mount_line *line, int root_fd, char **ret_path,
		     uint32_t *ret_depth, const struct mount_line **ret, struct error *err);

/* superblocks.c: of all mounts that are bound from nowhere. */
int mount_superblocks_collect(struct collect *collect, struct error *err);
/* gone-outside.c: what is bound from outside, and carried all the same. */
int mount_gone_collect(struct collect *collect, struct error *err);
/* By a process, whose descriptor of /dev/fuse is an option of the mount: no other mounts it. */
bool mount_type_is_served(const char *type);

/*
 * Does an errno say that something is not there, or not to be seen? Any other is about who asks,
 * and is never to be taken for that.
 */
bool survey_is_absent(int problem);
/*
 * A path of a mount namespace, by its root directory. ENOENT, too, where it leads to or
 * through a file system whose driver stands still (FUSE), where whoever asks waits for ever.
 */
int survey_open_path(const struct mount_table *table, const char *path, int flags);
/* In a directory, on its mount, and not by way of links. */
int survey_open_beneath(int fd, const char *path, int flags);
int64_t survey_mount_id(int fd);
/* Is that one of nestor's own namespace? */
bool survey_is_own_mount(const struct mount_survey *survey,
			 int64_t mount_id); /* the mount that it was opened on; -1 */
/* 1, 0, or -1 with errno */
int survey_is_same(int one_fd, int other_fd);
/*
 * Where a mount shows what has this path in its file system, as a path of the namespace; NULL: it
 * shows another part.
 */
char *survey_path_on(const struct mount_line *line, const char *path, struct arena *arena);
/* The root of a mount; -1 with errno, ENOENT where another one hides it. */
int survey_open_mount(const struct mount_table *table, const struct mount_line *line);
/* A path (from the root of the namespace) on this mount, whatever is mounted later. */
int survey_open_on_mount(const struct live_namespace *namespace_, const struct mount_line *line,
			 const char *path);

/* outside.c: leaves out mounts that are to be; and is one to be given by somebody? */
void mount_table_skip(struct mount_table *table, const struct externals *externals,
		      struct arena *arena);
void mount_outside_collect(struct collect *collect, const struct mount_line *line, MntEntry *entry);

/* idmap.c: the ids that it maps. */
int mount_idmap_collect(const struct live_namespace *namespace_, const struct mount_line *line,
			int root_fd, MntEntry *entry, const char *what, struct error *err);

/* removed-files.c: a file of nestor's own file systems that was removed is carried. */
int mount_removed_collect(struct collect *collect, MntEntry *entry, int root_fd, const char *what,
			  struct error *err);
/*
 * origins.c: what is told of something that was removed; and what is needed where the directory
 * that it shows has gone.
 */
void mount_origin_describe(struct collect *collect, MntEntry *entry, const struct stat *stat);
int mount_origin_collect(struct collect *collect, MntEntry *entry, int root_fd, struct error *err);

/* held.c: what a mount of nsfs shows, if that is of the tree: 1; 0 where it is not; -1. */
int mount_held_collect(struct collect *collect, const struct live_namespace *namespace_,
		       const struct mount_line *line, MntEntry *entry, const char *what,
		       struct error *err);
/* Once the mounts of the namespace are ordered: of one that others hide. */
bool mount_held_is_hidden(const MntEntry *entry);
int mount_held_collect_hidden(struct collect *collect, const struct live_namespace *namespace_,
			      const struct mount_line *line, MntEntry *entry, const char *what,
			      struct error *err);
/* Calls `found` for each mount namespace that a descriptor or such a mount holds. */
typedef int mount_found(struct collect *collect, int fd, const char *what, struct error *err);
int mount_held_namespaces(struct collect *collect, mount_found *found, struct error *err);

/* Nestor's own table, if it was not read before. */
int survey_read_own(struct collect *collect, struct error *err);
/* A mount of the tree by its id, or by that of what it is a copy of; NULL. */
const struct mount_line *survey_find_mount(const struct mount_survey *survey, int64_t mount_id,
					   const struct live_namespace **ret_namespace);

/*
 * detached.c: mounts that descriptors hold, and that are attached nowhere. A descriptor whose link
 * is "/" may be of one; when all namespaces are known, `found` is called for a copy of each.
 */
void mount_detached_meet(struct target *target, uint32_t number);
int mount_detached_find(struct collect *collect, mount_found *found, struct error *err);
/*
 * In a deputy, in a mount namespace of its own that is private: a mount that is attached nowhere
 * becomes its root; on an empty directory, as what is shared cannot take its place. -1 with errno.
 */
int mount_become_root(int copy_fd);
/*
 * What is mounted in the mounts of a copy, from the root of its originals on, and is not in it:
 * such a mount is another than all that were copied. The nearest come first, and not all are looked
 * at. NULL, or its path; -1 with errno.
 */
int mount_find_uncopied(const struct live_namespace *namespace_, int fd, const char **ret_path);

/*
 * unmounted.c: mounts that are in no namespace any more, and on which tasks have something;
 * `found` is called for a namespace that shows the same as each.
 */
int mount_unmounted_find(struct collect *collect, mount_found *found, struct error *err);
/*
 * below-root.c: something that a task has on a mount which none of the namespaces shows (O_PATH).
 * Is that in the task's one, covered at the root, and is more seen from there than from the top? 1,
 * 0, or -1.
 */
int mount_is_below_root(struct collect *collect, struct target *target, int fd, struct error *err);
/* Why what is on such a mount is refused: "is on a mount that ..." */
const char *mount_unmounted_why(const struct mount_survey *survey, int64_t mount_id);
/* unmounted-copy.c: 1, and a namespace with a copy of a mount that shows what it showed; 0; -1. */
struct unmounted {
	int64_t id;
	int fd, root_fd;  /* something on it; its root, or -1 where that cannot be reached */
	const char *link; /* the path of `fd` from its root on */
	const struct surveyed_namespace *holders; /* the mount namespace of who has it */
};
int mount_unmounted_copy(struct collect *collect, const struct unmounted *unmounted, int *ret_fd,
			 struct error *err);
/*
 * unmounted-last.c: the same with a tmpfs that nobody else shows. Then, of either: what was read of
 * the namespace becomes what is to be read of the mount itself, whose root is known.
 */
int mount_unmounted_stand_in(struct collect *collect, const struct unmounted *unmounted,
			     int *ret_fd, struct error *err);
/* A namespace with nothing in it but a new tmpfs: 1, or -1. */
struct memory_like {
	const struct surveyed_namespace *holders; /* the mount namespace of who has it */
	uint64_t attributes;			  /* MOUNT_ATTR_* */
	char size[32], inodes[32];
	char mode[16], uid[16], gid[16]; /* of its root; "": whatever there is */
};
int mount_memory_stand_in(const struct memory_like *like, int *ret_fd, struct error *err);
/* Why there is neither. */
int mount_unmounted_explain(const struct mount_survey *survey, const struct unmounted *unmounted,
			    const char **ret_why, struct error *err);
int mount_unmounted_take_place(struct live_namespace *namespace_, const struct unmounted *unmounted,
			       struct error *err);
/*
 * paths.c: is it on a mount of the tree, or of nestor's own, that shows the same and allows the
 * same? 1, 0, or -1 with errno.
 */
int survey_has_place(const struct mount_survey *survey, const struct open_file *file, int fd);

/* hidden.c: once the mounts are ordered: what lies below the root, where nobody sees it. */
int mount_hidden_collect(struct live_namespace *namespace_, struct error *err);
/* revealed.c: of these, which are all that the namespace has, those that matter all the same. */
struct mount_status;
int mount_revealed_collect(struct live_namespace *namespace_, const struct mount_status *all,
			   size_t n, struct error *err);

/* overlay-hidden.c: the same for each tmpfs that nothing but overlays in the tree have. */
int overlay_hidden_find(struct collect *collect, mount_found *found, struct error *err);

/* overlay-find.c: of one that is bound from nestor's own: from where its layers are named. */
int mount_overlay_note(const struct live_superblock *superblock, int mount_fd, struct error *err);

/*
 * owners.c: may whoever has entered a user namespace, and a mount namespace of it, reconfigure a
 * superblock? Prepared before that is entered (NULL with errno); then 1, 0, or -1.
 */
struct owner_question;
struct owner_question *mount_owner_prepare(struct arena *arena, const struct mount_line *line,
					   int mount_fd);
int mount_owner_ask(const struct owner_question *question, int mount_fd, struct error *err);
void mount_owner_forget(struct owner_question *question);

/*
 * ahead.c: what will be asked of superblocks, found out by the deputy that is in a mount namespace
 * for its locks: who sends one for each question waits for each. Nothing is decided by it: what it
 * could not find out is asked again.
 */
void mount_ahead_prepare(struct live_namespace *namespace_);
/* In the deputy: in the namespace; and in its owner, too. */
void mount_ahead_copy(struct mounts_ahead *ahead);
void mount_ahead_ask(struct mounts_ahead *ahead);
/* Once it has ended: what only it needed is closed. */
void mount_ahead_settle(struct live_namespace *namespace_);
/* A copy as live_mount_copy() makes it, which is the caller's then; -1: there is none. */
int mount_ahead_take(const struct live_mount *mount);
/* May that user namespace reconfigure it? 1, 0; -1: nobody has asked. */
int mount_ahead_owner(const struct live_superblock *superblock,
		      const struct surveyed_namespace *user);
void mount_ahead_release(struct live_namespace *namespace_);

/* owners.c: to whom a superblock belongs: a user namespace of the tree, or 0. */
int mount_owner_find(const struct live_superblock *superblock, uint32_t *ret_userns_id,
		     struct error *err);

/*
 * locks.c: what the owners of these namespaces may not do. Fills locked and locked_flags of the
 * entries, which are like the lines of each one's table.
 */
int mount_locks_find(struct live_namespace *namespaces, size_t n, struct error *err);

#endif
