/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where something is: a mount of the tree's mount namespaces, and a path there. What kinds that
 * have paths ask at dump and at restore; kinds/mounts answers.
 */
#ifndef NESTOR_KINDS_PLACES_H
#define NESTOR_KINDS_PLACES_H

#include "kinds/kind.h"

struct collect;

/* ---- dump ---- */

/*
 * The mount of a file that was not opened in nestor's own mount namespace: 1 and its id, after
 * a look that the file is found there again by its path; 0 for all others.
 */
int mount_of_file(const struct open_file *file, uint32_t *ret_mount_id, struct error *err);
/*
 * Of a mount whose namespace has ended, as that of `unshare -m` whose last task is gone, /proc
 * shows paths from that mount on. The path of the file on a mount of the tree that shows the same,
 * or the link as it is.
 */
int mount_path_of_left(const struct open_file *file, const char **ret_path, struct error *err);
/*
 * Of a file that is mapped from an overlay upon another one, which shows it on a mount that nobody
 * has: 1, a path by which the same is mapped, and its mount (0: nestor's own); 0 for all others.
 */
int mount_of_mapped(const struct open_file *file, uint32_t *ret_mount_id, const char **ret_path,
		    struct error *err);
/* Of a file on no mount that anybody has: 1, a path that leads to it where nestor is; or 0. */
int mount_path_of_alone(const struct open_file *file, const char **ret_path, struct error *err);
/*
 * As mount_of_file, of a file whose last name is gone, which was at `path`: what is left of the
 * directories above has to be on its mount, and something can be made there, or by that path on
 * another mount: *ret_made_on, 0 for one of nestor's own namespace, -1 for its own.
 */
int mount_of_removed_file(const struct open_file *file, const char *path, uint32_t *ret_mount_id,
			  int64_t *ret_made_on, struct error *err);
/*
 * Where one can be made again that was on a mount which shows just it and that nobody has any more,
 * as when a file is replaced that somebody has mounted something on: a directory of its file system
 * on a mount of the tree. 1, or 0.
 */
int mount_of_left_file(const struct open_file *file, uint32_t *ret_mount_id,
		       const char **ret_directory, struct error *err);
/*
 * Of a file of an overlay that was removed there, from `path`, and has links: are they but those
 * that it has in a lower layer? 1, 0, or -1 with errno.
 */
int mount_of_lower_removed(const struct open_file *file, const char *path);
/* What a path leads to on the mount, of a namespace of the tree, that a file is on (O_PATH); -1. */
int mount_open_beside(const struct open_file *file, const char *path);
/* As mount_of_file, of one that no path leads to. */
int mount_of_gone(const struct open_file *file, uint32_t *ret_mount_id, struct error *err);
/*
 * Whether it is what a mount shows at `path`: that is made again, and leads there. 1, 0, or -1 with
 * errno.
 */
int mount_of_removed_root(const struct open_file *file, const char *path, uint32_t *ret_mount_id);
/*
 * The same for an end of a terminal of this devpts, which has that name there (ptmx, 0, ...), and
 * its path. Who made it before the devpts was mounted, as a restore and LXC do, has left it on a
 * mount that is gone: then it is on one that shows the same. One that was made by a node of /dev is
 * where another can be made.
 */
int mount_of_terminal(const struct open_file *file, dev_t devpts, const char *name,
		      uint32_t *ret_mount_id, const char **ret_path, struct error *err);
/*
 * What has this name in a devpts (O_PATH), by a mount of the tree or of nestor's own; -1: with
 * errno, ENOENT where none of them leads there, or with an error.
 */
int mount_open_terminal(struct collect *collect, dev_t devpts, const char *name, struct error *err);
/* A directory (O_PATH) on the mount of a file, if a namespace of the tree has it; -1 with errno. */
int mount_open_directory(const struct open_file *file, const char *path, uint32_t *ret_mount_id);
/* The mount on which it was opened; -1 where all tasks are in nestor's own namespace. */
int mount_id_of_file(const struct open_file *file, int64_t *ret_mount_id, struct error *err);
/* Is it one that a mount namespace of the tree, which is not nestor's own, has? */
bool mount_is_of_tree(const struct open_file *file);
/*
 * The same for a descriptor of ours (O_PATH) of something in a task's namespace: 1, its mount and
 * its path there; 0 where that is nestor's own.
 */
int mount_of_inode(struct collect *collect, int fd, uint32_t *ret_mount_id, const char **ret_path,
		   const char *what, struct error *err);
/* Something that the kernel tells by its inode and its handle (name_to_handle_at(2)) alone. */
struct watched_place {
	dev_t device;
	ino_t inode;
	struct file_handle *handle;
	int failed; /* then: an errno, where something cannot be told */
};
/*
 * inodes.c: a path to it on a mount of the tree that shows its file system, and that mount; NULL if
 * none leads there, or if it cannot be told: then nobody looks any further.
 */
char *mount_path_of_inode(struct collect *collect, struct watched_place *place,
			  uint32_t *ret_mount_id);
/*
 * A mount of the tree that the kernel tells by its number alone; 0: any of this file system. Its
 * record, and where it is mounted; false: the tree has none.
 */
bool mount_of_number(struct collect *collect, uint32_t number, dev_t device, uint32_t *ret_mount_id,
		     const char **ret_path);
/* The same as mount_path_of_inode by a mount of nestor's own. */
struct mount_line;
char *mount_own_path_of_inode(struct collect *collect, const struct mount_line *mount,
			      struct watched_place *place);
/* By any of them; NULL where there is none, or where the tree has no mounts of its own. */
int mount_own_paths_of_inode(struct collect *collect, struct watched_place *place, char **ret_path,
			     struct error *err);

/*
 * Of a file system whose driver is in the tree, which is asked for nothing (FUSE): 1, and all that
 * the record has of it, or the id of another one, which has the same description; 0: of another
 * one.
 */
int mount_served_collect(const struct open_file *file, RegFileEntry *reg, struct error *err);

/* Does a mount of the tree show this file, which was removed, and is it carried for that? */
bool mounts_carry_file(struct collect *collect, const struct stat *stat);

/* Is it the pipe by which the kernel tells the daemon of an autofs in the tree? */
bool mounts_tell_by_pipe(struct collect *collect, uint32_t pipe_id);

/*
 * A description at the root of mounts that are attached nowhere: they end with it, if it is the
 * first that can be that which open_tree(2) or fsmount(2) gave.
 */
void mount_detached_hold(const struct open_file *file, uint32_t mount_id);

/* ---- restore ---- */

/* What was made of a namespace, and of each of its mounts. */
struct made_mount_namespace {
	int fd;
	int *roots;	   /* -1: not reachable, or by its path */
	uint64_t *numbers; /* of those that are, by its path; 0; NULL: of none */
	int *covered;	   /* what it is mounted on, where that is to be kept; -1 */
};

struct made_mounts {
	struct made_mount_namespace *namespaces; /* like snapshot->mount_namespaces */
	bool show_each_other;			 /* by mounts of nsfs */
};

/*
 * The devpts of the tree's own of which this is a mount, or NULL; whether a mount shows
 * just that file of a superblock; and the root of a mount of it before there are any, borrowed.
 */
const MntEntry *mounts_own_devpts(const struct snapshot *snapshot, uint32_t mount_id);
/*
 * The mount of a devpts of somebody outside, by which a terminal was made that was opened on this
 * mount: itself, or the one that ptmx(4) takes, which is "pts" beside it. NULL: there is none.
 */
const MntEntry *mounts_bound_devpts(const struct snapshot *snapshot, uint32_t mount_id,
				    const char *ptmx);
bool mounts_show_file(const struct snapshot *snapshot, uint32_t device, const char *root);
/*
 * A mount that shows just the file with this path on another mount, and is made before the
 * namespace of that is there; NULL: there is none.
 */
const MntEntry *mounts_show_before(const struct snapshot *snapshot, uint32_t mount_id,
				   const char *path);
int mounts_early_devpts(struct file_opener *opener, const MntEntry *mount, struct error *err);

/* Opens a path of a mount namespace through the mount on which it was opened. */
int mounts_open(const struct file_opener *opener, uint32_t mount_id, const char *path, int flags);
/* One that mount_served_collect has recorded; and opens it. */
int mounts_served_check(const struct snapshot *snapshot, const RegFileEntry *reg,
			struct error *err);
int mounts_served_open(struct file_opener *opener, const RegFileEntry *reg,
		       int (*flags_of)(const RegFileEntry *reg), struct error *err);
/* With the first of such of a device all others are opened. */
bool mounts_served_together(const struct snapshot *snapshot, const RegFileEntry *reg,
			    uint32_t *ret_device);
/* The description that detached mounts end with, if it is this file; -1. */
int mounts_take_detached(const struct file_opener *opener, uint32_t mount_id, uint32_t file_id);
/* The namespace that it is in, and the root directory of that, borrowed; -1: in none there is. */
int mounts_namespace(const struct file_opener *opener, uint32_t mount_id);
int mounts_root(const struct file_opener *opener, uint32_t mount_id);

#endif
