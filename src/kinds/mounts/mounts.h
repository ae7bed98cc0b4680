/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Mount namespaces of a tree: the rows, and what the steps of a dump and a restore do. */
#ifndef NESTOR_KINDS_MOUNTS_MOUNTS_H
#define NESTOR_KINDS_MOUNTS_MOUNTS_H

#include "kinds/places.h"

struct collect;

/* ---- dump ---- */

/*
 * Before tasks are read: finds the mount namespaces of all tasks that are not nestor's own, and
 * reads their mounts. ERR_UNSUPPORTED_MOUNT for what cannot be made again.
 */
int mount_namespaces_collect(struct collect *collect, struct error *err);
bool mount_namespace_is_read(struct collect *collect, uint32_t id);
/* What is in file systems that are carried: superblocks.c. */
int mount_contents_collect(struct collect *collect, struct error *err);
/* Once pid namespaces have their ids. */
void mount_namespaces_complete(struct collect *collect);
void mount_namespaces_release(struct collect *collect);
/* ---- restore ---- */

/*
 * gone-outside.c: what is bound from outside and is no more there is made with the tree, where that
 * can be. root_fd: of the paths outside, or AT_FDCWD.
 */
int mounts_find_gone(const struct snapshot *snapshot, const struct externals *externals,
		     int root_fd, struct error *err);

extern const struct namespace_kind mount_namespace_kind;
extern const struct tree_kind mounts_tree_kind;
/* adopt.c */
int mounts_adopt(struct snapshot *snapshot, const struct images *images, struct error *err);
/* fuse-written.c: when the tree runs again. */
void mounts_flush_written(struct collect *collect, bool ended);
/* fuse-device.c */
extern const struct file_kind fuse_device_kind;
/* STAGE_FILES: who shares its fs cannot enter one. */
extern const struct task_kind mount_fs_kind;

/* Makes all of them, when all processes exist; opener->mounts has them then. */
int mounts_make(struct file_opener *opener, struct error *err);
void mounts_close(struct file_opener *opener);

#endif
