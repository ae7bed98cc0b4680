/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Parts of making mount namespaces; private to kinds/mounts. */
#ifndef NESTOR_KINDS_MOUNTS_MAKE_H
#define NESTOR_KINDS_MOUNTS_MAKE_H

#include "kinds/kind.h"

#include <sys/types.h>

struct group_plan;
struct made_mount_namespace;
struct mount_maker;
struct mount_plan;
struct passing_name;

struct superblock {
	uint32_t device;
	int fd; /* a mount of it, attached nowhere or on the shelf */
	const MntEntry *mount;
};

struct made_origin {
	const MntEntry *mount;
	const char *path; /* where it is for the moment */
	struct passing_name *name;
	int fd, above_fd;
};

struct made_terminal {
	const MntEntry *mount;
	const char *name;
	int fd; /* the master */
};

struct made_idmap {
	const UsernsEntry *map;
	int fd; /* a user namespace that has it */
};

/* What is bound from outside, while its owner may unmount it. */
struct kept_mount {
	const MntEntry *mount;
	int fd; /* of a copy that is attached nowhere; -1: it has been taken */
};

struct made_superblocks {
	struct superblock *all;
	size_t n;
	struct made_origin *origins; /* what bound ones show, where it is not to be found */
	size_t n_origins;
	struct made_terminal *terminals; /* mounted ones that are hung up, until that is done */
	size_t n_terminals;
	struct kept_mount *kept;
	size_t n_kept;
	struct made_idmap *idmaps;
	size_t n_idmaps;
	struct mount_shelf *shelf; /* NULL: there is none, for another thread than the first */
};

/* shelf.c: where those stand that the kernel does not copy otherwise. */
struct mount_shelf {
	int fd; /* a mount namespace; -1: none yet */
	unsigned n;
};
/* A copy, attached nowhere, of the mount of a superblock from `fd` on, which is in it. */
int mount_shelf_copy(struct mount_shelf *shelf, int superblock_fd, int fd, struct error *err);

/*
 * A deputy that leaves a mount namespace behind takes long to end (namespace_unlock waits for all
 * CPUs): who has sent it goes on meanwhile, and has waited for each when all is made.
 */
struct mount_workplace {
	int bare_fd;  /* a mount namespace with nothing in it; -1: none yet */
	pid_t ending; /* see deputy_run_ending */
};
int mount_deputy_run(const struct mount_maker *maker, int (*work)(void *data, struct error *err),
		     void *data, struct error *err);
/* The user namespace of the tree that a superblock is to belong to, borrowed; -1: nestor's own. */
int mount_owner_fd(const struct mount_maker *maker, const MntEntry *mount);
/* shelf.c, in a deputy, which is in a new one with nothing in it then; and its descriptor. */
int mount_go_bare(struct error *err);
int mount_enter_bare(struct error *err);

/* make-namespaces.c */
int mounts_make_namespaces(struct file_opener *opener, const struct mount_maker *maker,
			   const struct made_superblocks *superblocks,
			   const struct group_plan *groups, struct error *err);
int mounts_attach_late(struct file_opener *opener, const struct group_plan *groups,
		       struct error *err);

/* idmap.c: pure; user namespaces with the maps of mounts; those of one that is not attached yet. */
int mount_idmap_check(const struct snapshot *snapshot, const MntEntry *mount, struct error *err);
int mounts_make_idmaps(struct file_opener *opener, struct made_superblocks *made,
		       struct error *err);
/* The user namespace that has it; -1. */
int mount_idmap_users(const struct made_superblocks *made, const UsernsEntry *map);
void mounts_close_idmaps(struct made_superblocks *made);
int mount_set_idmap(const struct file_opener *opener, const struct made_superblocks *made,
		    const MntEntry *mount, int origin_fd, int fd, struct error *err);

/* devpts.c: terminals that are mounted and hung up. What was made is there on failure. */
int mounts_make_terminals(struct file_opener *opener, struct made_superblocks *made,
			  struct error *err);
bool mount_is_terminal(const MntEntry *mount);
const char *mount_terminal_name(const struct made_superblocks *made, const MntEntry *mount);
void mounts_hang_up_terminals(struct made_superblocks *made);

/* outside.c: has the caller said what takes the place of each mount that is outside? */
int mounts_check_outside(const struct file_opener *opener, struct error *err);
/* removed-files.c: fills a new one, which has no name any more. */
int mount_removed_fill(const struct file_opener *opener, const MntEntry *mount, int fd,
		       struct error *err);
/* origins.c: directories that are there until all is mounted. What was made is there on failure. */
int mounts_make_origins(struct file_opener *opener, struct made_superblocks *made,
			struct error *err);
const char *mount_origin_path(const struct made_superblocks *made, const MntEntry *mount);
/* gone-outside.c: what may be unmounted outside meanwhile. A descriptor, or -1; to be closed. */
int mounts_hold_outside(struct file_opener *opener, struct made_superblocks *made,
			struct error *err);
/* Would it be held, if nobody has given another one for it? */
bool mount_may_go_outside(const MntEntry *mount);
int mount_take_held(const struct made_superblocks *made, const MntEntry *mount);
void mounts_let_go_outside(struct made_superblocks *made);
/* Of one that is not held: is it still what it was when the images were read? */
int mount_check_bound(const struct externals *externals, const MntEntry *mount, int fd,
		      struct error *err);
/* A plain path of nestor's own namespace, or below a root directory there (O_PATH). */
int mount_open_outside(int root_fd, const char *path);
/* Removes them again. After a failure it adds none. */
int mounts_settle_origins(const struct file_opener *opener, struct made_superblocks *made,
			  bool failed, struct error *err);

/* Where its file system was made, with the source that this mount shows; NULL. */
const struct superblock *mount_superblock_made(const struct made_superblocks *superblocks,
					       const MntEntry *mount);

struct mount_kind;
int mounts_make_superblock(const struct mount_maker *maker, const struct mount_kind *kind,
			   const MntEntry *mount, struct error *err);

/* fuse-play.c: in between, whoever looks for something in a FUSE is answered, not by its driver. */
int mounts_play_drivers(struct file_opener *opener, struct error *err);
void mounts_end_drivers(struct file_opener *opener);
/* Did all of them come to a good end? */
int mounts_check_drivers(struct file_opener *opener, struct error *err);
/* fuse.c: is that of such? Then what it shows, found by somebody whom the driver serves. */
bool mount_is_fuse(const MntEntry *mount);
int mount_fuse_open(const struct mount_maker *maker, const MntEntry *mount, int root_fd,
		    struct error *err);

/* early.c: the superblock with this number if it is there already, or -1; the caller's from now. */
int mounts_take_early(struct file_opener *opener, uint32_t device);
void mounts_close_early(struct file_opener *opener);

/* numbered.c: are there any? Device numbers are held before anything else can take them. */
bool mounts_are_numbered(const struct snapshot *snapshot);
int mounts_hold_numbers(struct file_opener *opener, struct error *err);
/* Takes what is free below those that are held, as far as it is little; until they are released. */
void mounts_fill_holes(struct file_opener *opener);
/* By whoever is about to make it: it is no longer held for that. */
void mounts_let_number_go(struct file_opener *opener, uint32_t device);
/* Of what was made then, whatever number it has. */
void mounts_number_is_taken(struct file_opener *opener, int mount_fd, uint32_t device);
/*
 * In a deputy that has descriptors of its own, which end with it: what is made next has this
 * number, unless somebody is faster. Then, whether it has: 1, 0, -1. One that has not is kept, so
 * that it is in nobody's way, and released when all are made.
 */
int mounts_free_number(uint32_t device, struct error *err);
int mounts_has_number(struct file_opener *opener, int mount_fd, uint32_t device, struct error *err);
void mounts_release_numbers(struct file_opener *opener);
void mounts_close_numbers(struct file_opener *opener);

/* make-superblocks.c: those that are bound from nowhere. What was made is there also on failure. */
int mounts_make_superblocks(struct file_opener *opener, const struct mount_maker *maker,
			    struct made_superblocks *superblocks, struct error *err);
/* Once all is mounted: what was removed is, and nothing in them changes any more. */
int mounts_settle_superblocks(const struct mount_maker *maker,
			      const struct made_superblocks *superblocks, struct error *err);

/* make.c: fills all of *ret_made, also on failure. */
int mount_make_one(const struct file_opener *opener, const struct mount_maker *maker,
		   const struct made_superblocks *superblocks,
		   const struct mount_namespace *namespace_, const struct mount_plan *plan,
		   const bool *keeps_master, struct made_mount_namespace *ret_made,
		   struct error *err);
void mount_namespace_close(struct made_mount_namespace *made, size_t n_mounts);
/* In one that was made, what shows others. */
int mount_attach_late(const struct file_opener *opener, const struct mount_namespace *namespace_,
		      const bool *keeps_master, struct made_mount_namespace *made,
		      struct error *err);
/*
 * reached.c: of those that a path leads to no descriptor is kept; how many are that? And the root
 * of any, in a descriptor of the caller's; -1 with errno.
 */
size_t mounts_count_reached(const struct mount_namespace *namespace_);
void mounts_close_reached(struct made_mount_namespace *made,
			  const struct mount_namespace *namespace_, struct arena *arena);
/* The same by the id of the mount, for a path on it, with what of that is below the root. */
int mounts_open_root(const struct file_opener *opener, uint32_t mount_id, const char *path,
		     const char **ret_below);
int mount_made_root(const struct made_mount_namespace *made,
		    const struct mount_namespace *namespace_, size_t index);
/* open-path.c: without symbolic links; RESOLVE_* of openat2(2). -1 with errno. */
int mount_open_path(int fd, const char *path, int flags, uint64_t resolve);
/* Below the root of a mount, and on it; the root may be a file. */
int mount_open_on(int root_fd, const char *path, int flags);

/* In a mount namespace of our own: an empty directory instead of all that there was. */
int mounts_leave_all(int *ret_fd, struct error *err);

/* MS_* of a mount. -1 with errno. */
int mount_set_flags(int fd, uint32_t flags);

/* revealed.c: what lies below the root of a namespace. */
int mount_revealed_check(const MntEntry *mount, struct error *err);
/* In whose namespaces it is to be; NULL: there is nothing, or nobody to whom it matters. */
const struct task *mount_revealed_to(const struct snapshot *snapshot,
				     const struct mount_namespace *namespace_);
/*
 * By the coordinator, whose namespace has a proc and sysfs: attached nowhere, -1 where there is
 * none. What was made is there also on failure.
 */
enum { REVEALING = 2 };
int mount_revealed_prepare(const struct mount_maker *maker,
			   const struct mount_namespace *namespace_, int *ret_fds,
			   struct error *err);
/* Moves the root onto them. The mount that is to be the root instead, or -1 if there is none. */
int mount_revealed_attach(const struct mount_namespace *namespace_, const int *fds, int stage_fd,
			  int root_fd, int *ret_fd, struct error *err);

/* make-detached.c: pure; then, when all is as it is to be, those that are attached nowhere. */
int mounts_check_detached(const struct snapshot *snapshot, const struct mount_namespace *namespace_,
			  struct error *err);
int mounts_detach(const struct file_opener *opener, struct error *err);

/* make-groups.c: once all mounts are there. */
int mounts_make_groups(const struct file_opener *opener, const struct group_plan *plan,
		       const struct made_mount_namespace *temporary, struct error *err);

#endif
