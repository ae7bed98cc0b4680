/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Overlays as the kernel has them in its memory. */
#ifndef NESTOR_KINDS_MOUNTS_OVERLAY_KERNEL_H
#define NESTOR_KINDS_MOUNTS_OVERLAY_KERNEL_H

#include "collect/read-kernel.h"

#include <stdbool.h>
#include <sys/types.h>

#define OVERLAY_PLACES(X)                                  \
	X(FILE_PATH, "file", "f_path")                     \
	X(PATH_MOUNT, "path", "mnt")                       \
	X(PATH_DENTRY, "path", "dentry")                   \
	X(MOUNT_ROOT, "vfsmount", "mnt_root")              \
	X(MOUNT_SUPERBLOCK, "vfsmount", "mnt_sb")          \
	X(DEVICE, "super_block", "s_dev")                  \
	X(PRIVATE, "super_block", "s_fs_info")             \
	X(DENTRY_PARENT, "dentry", "d_parent")             \
	X(DENTRY_INODE, "dentry", "d_inode")               \
	X(DENTRY_NAME, "dentry", "d_name")                 \
	X(NAME_LENGTH, "qstr", "len")                      \
	X(NAME_BYTES, "qstr", "name")                      \
	X(OVERLAY_COUNT, "ovl_fs", "numlayer")             \
	X(OVERLAY_LAYERS, "ovl_fs", "layers")              \
	X(LAYER_SIZE, "ovl_layer", "")                     \
	X(LAYER_MOUNT, "ovl_layer", "mnt")                 \
	X(WORK_BASE, "ovl_fs", "workbasedir")              \
	/* From here on: since 6.2. */                     \
	X(MOUNT_IDS, "vfsmount", "mnt_idmap")              \
	X(IDS_UIDS, "mnt_idmap", "uid_map")                \
	X(IDS_GIDS, "mnt_idmap", "gid_map")                \
	X(MAP_COUNT, "uid_gid_map", "nr_extents")          \
	X(MAP_EXTENTS, "uid_gid_map", "extent")            \
	X(MAP_FORWARD, "uid_gid_map", "forward")           \
	/* What is in a tmpfs: since 6.8. */               \
	X(SUPERBLOCK_TYPE, "super_block", "s_type")        \
	X(SUPERBLOCK_ROOT, "super_block", "s_root")        \
	X(TYPE_NAME, "file_system_type", "name")           \
	X(DENTRY_HASH, "dentry", "d_hash")                 \
	X(HASH_BACK, "hlist_bl_node", "pprev")             \
	X(DENTRY_CHILDREN, "dentry", "d_children")         \
	X(DENTRY_NEXT, "dentry", "d_sib")                  \
	X(INODE_MODE, "inode", "i_mode")                   \
	X(INODE_UID, "inode", "i_uid")                     \
	X(INODE_GID, "inode", "i_gid")                     \
	X(INODE_NUMBER, "inode", "i_ino")                  \
	X(INODE_LINKS, "inode", "i_nlink")                 \
	X(INODE_DEVICE, "inode", "i_rdev")                 \
	X(MEMORY_INODE, "shmem_inode_info", "vfs_inode")   \
	X(MEMORY_ATTRIBUTES, "shmem_inode_info", "xattrs") \
	X(ATTRIBUTES_ROOT, "simple_xattrs", "rb_root")     \
	X(TREE_ROOT, "rb_root", "rb_node")                 \
	X(NODE_LEFT, "rb_node", "rb_left")                 \
	X(NODE_RIGHT, "rb_node", "rb_right")               \
	X(ATTRIBUTE_NODE, "simple_xattr", "rb_node")       \
	X(ATTRIBUTE_NAME, "simple_xattr", "name")          \
	X(ATTRIBUTE_SIZE, "simple_xattr", "size")          \
	X(ATTRIBUTE_VALUE, "simple_xattr", "value")        \
	X(MEMORY_BLOCKS, "shmem_sb_info", "max_blocks")    \
	X(MEMORY_INODES, "shmem_sb_info", "max_inodes")    \
	X(MEMORY_MODE, "shmem_sb_info", "mode")            \
	X(MEMORY_UID, "shmem_sb_info", "uid")              \
	X(MEMORY_GID, "shmem_sb_info", "gid")              \
	X(OVERLAY_CONFIG, "ovl_fs", "config")              \
	X(CONFIG_REDIRECT, "ovl_config", "redirect_mode")  \
	X(CONFIG_INDEX, "ovl_config", "index")             \
	X(CONFIG_EXPORT, "ovl_config", "nfs_export")       \
	X(CONFIG_METACOPY, "ovl_config", "metacopy")       \
	X(OVERLAY_INODE, "ovl_inode", "vfs_inode")         \
	X(OVERLAY_UPPER, "ovl_inode", "__upperdentry")     \
	X(OVERLAY_ENTRY, "ovl_inode", "oe")                \
	X(ENTRY_COUNT, "ovl_entry", "__numlower")          \
	X(ENTRY_STACK, "ovl_entry", "__lowerstack")        \
	X(LOWER_SIZE, "ovl_path", "")                      \
	X(LOWER_DENTRY, "ovl_path", "dentry")

enum overlay_place {
	OVERLAY_PLACES(BTF_NUMBER) N_OVERLAY_PLACES,
};

/* A directory of a file system, as the kernel has it. */
struct real_layer {
	uint64_t superblock, dentry, inode, ids;
	dev_t device;
	const char *path; /* from the root of the file system */
};

/* As they are named; behind them the one for work, which is on the mount of the upper one. */
struct real_layers {
	struct real_layer *all;
	size_t n; /* without that */
	bool has_upper;
	uint64_t overlay; /* struct ovl_fs */
};

/* As collect_read_kernel() gives it: always the same one. */
int overlay_read_kernel(struct collect *collect, struct kernel_reader **ret);
/*
 * By something open on a mount of it. The first place is that of the upper one. 1: what there is
 * are not those that are named.
 */
int overlay_real_layers(struct kernel_reader *by, int mount_fd, dev_t device, size_t n_named,
			struct real_layers *ret);
/* The names of a dentry from the root of its file system on; NULL: too long. */
const char *overlay_real_path(struct kernel_reader *by, uint64_t dentry);
/* How a mount maps ids; 0 where that cannot be seen. How much of that there is. */
uint64_t overlay_real_ids(struct kernel_reader *by, uint64_t mount);
uint32_t overlay_real_extents(struct kernel_reader *by, uint64_t ids, enum overlay_place place);
/* The dentry of something that is open. */
uint64_t overlay_real_dentry(struct kernel_reader *by, int fd);

#endif
