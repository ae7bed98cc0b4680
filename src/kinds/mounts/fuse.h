/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* FUSE whose driver is in the tree; private to kinds/mounts. See fuse.c. */
#ifndef NESTOR_KINDS_MOUNTS_FUSE_H
#define NESTOR_KINDS_MOUNTS_FUSE_H

#include "kinds/kind.h"
#include "kinds/mounts/kind.h"

/* Flags of FUSE_INIT that <linux/fuse.h> may not have yet. */
enum { FUSE_FLAGS_LOW = 32 };
#define FUSE_MORE_FLAGS	    (1ULL << 30)
#define FUSE_GIVES_SECURITY (1ULL << 32)
#define FUSE_GIVES_GROUP    (1ULL << 34)
#define FUSE_HAS_EXPIRING   (1ULL << 35)
#define FUSE_MAPS_DIRECT_IO (1ULL << 36)
#define FUSE_PASSES_THROUGH (1ULL << 37)
#define FUSE_LETS_MAP_IDS   (1ULL << 40)

/* FUSE_EXPIRE_ONLY of FUSE_NOTIFY_INVAL_ENTRY */
enum { FUSE_EXPIRES = 1 };

/* The oldest protocol whose messages have the size that they have today. */
enum { FUSE_OLDEST_MINOR = 12 };

/* What a read takes at most (MAX_RW_COUNT), with what comes before it. */
enum { FUSE_MOST_WRITE = 1 << 30 };

/*
 * fuse-read.c: what the kernel knows of it, and to whom it belongs (0: to nestor's). The connection
 * is told apart by an address.
 */
int fuse_read(const struct live_superblock *superblock, MntEntry *entry, uint64_t *ret_connection,
	      struct error *err);

/* Something in it, by a descriptor of ours, of which the driver is asked nothing. */
struct fuse_file {
	bool has_name;	  /* and all that is above it */
	bool for_others;  /* than who mounted it */
	bool writes_back; /* what is written stays with the kernel for a while, and so do times */
	bool has_times;	  /* it can be told */
	bool locks;	  /* the driver is told of locks, and nobody else */
	uint32_t uid, gid;
	uint64_t node;
	/*
	 * Of a description: does it send signals; O_*; by which the driver knows it; FOPEN_*; has
	 * the kernel kept back what was written to the file?
	 */
	bool has_owner;
	uint32_t flags;
	uint64_t handle;
	uint32_t open_flags;
	bool to_be_written;
	uint64_t poll_handle; /* 0: nobody has polled it */
};
/*
 * By a descriptor of ours (O_PATH), and the description (fuse-mapped.c), 0: it is none. What leads
 * there is added to the nodes. -1 with errno.
 */
int fuse_read_file(struct collect *collect, int fd, uint64_t description, MntFuseEntry *fuse,
		   struct fuse_file *ret);
/* fuse-mapped.c: by which address the kernel has the description of it. -1 with errno. */
int fuse_find_description(const struct open_file *file, int fd, uint64_t *ret_address);
/* fuse-written.c: what was written to it has to get to its driver before the next attempt. */
void fuse_note_written(const struct open_file *file);
/* st_dev, st_ino, st_mode and st_size of it. -1 with errno. */
int fuse_look(struct collect *collect, int fd, struct stat *ret_stat);

/* With what a person can do; always -1. */
int fuse_refuse(const struct live_superblock *superblock, const char *why, struct error *err);
/* Are they such as `fuse_read` tells? */
bool fuse_flags_are_known(uint64_t flags);

/* fuse-served.c: those that a task of the tree serves, by their connections; nobody asks them. */
int fuse_find_served(struct collect *collect, struct error *err);
bool fuse_is_served(struct collect *collect, uint64_t connection);

/*
 * fuse-reached.c: is its driver in the tree, and has nobody anything of it that cannot be kept?
 * Nobody is asked who might stand still.
 */
int fuse_check_reached(const struct live_superblock *superblock, uint64_t connection,
		       struct error *err);

/*
 * fuse-device.c: the connection of a descriptor of ours, 0: none yet, and its root_dev. -1 with
 * errno.
 */
int fuse_device_connection(struct collect *collect, int fd, uint64_t *ret_connection,
			   uint32_t *ret_device);
bool fuse_device_is(uint32_t major_number, uint32_t minor_number);
/* The first of those that serve it; NULL. */
const FileEntry *fuse_device_of(const struct snapshot *snapshot, uint32_t connection);
/* Before anything else of the superblock is done: in the others, once it is there. */
int fuse_device_clone(const struct file_opener *opener, const MntEntry *entry, struct error *err);

/* What an answer to FUSE_OPEN may say (FOPEN_*), but for what passes files through. */
enum { FUSE_OPEN_FLAGS = 0x7f };

/* The mount by which a superblock is made; NULL. */
const MntEntry *fuse_mount_of(const struct snapshot *snapshot, uint32_t device);
/* Where nestor's user namespace is not its owner: that; -1. */
int fuse_owner_fd(const struct snapshot *snapshot, const int *user_namespaces,
		  const MntEntry *entry);

/* What is in it, on no other mount; by a descriptor of the root of that. */
struct fuse_way {
	const MntEntry *mount;
	int root_fd;
	const char *path;
	int flags;
	uint64_t failing; /* so many attempts come before, and nobody is about to open it yet */
	uint32_t file_id; /* then this file is; 0: none */
	bool polled;	  /* and it is polled, once: as whoever may ask for it */
};
int fuse_open_inside(const struct file_opener *opener, const struct fuse_way *way,
		     struct error *err);
int fuse_open_file(const struct file_opener *opener, const RegFileEntry *reg, int flags,
		   struct error *err);
/* After so many attempts that fail; and polls it. */
int fuse_open_and_poll(const struct file_opener *opener, const RegFileEntry *reg, int flags,
		       uint64_t failing, struct error *err);

/*
 * fuse-polled.c: more than so many were not opened before a file that was polled. Opens all of its
 * file system that were. 1: this one was, too; 0: it was not.
 */
enum { FUSE_MOST_OPENED = 100000 };
int fuse_open_polled(struct file_opener *opener, const RegFileEntry *reg,
		     int (*flags_of)(const RegFileEntry *reg), int *ret_fd, struct error *err);

/* fuse-play.c: it has been mounted, and the kernel begins to ask. */
int fuse_play_begin(struct file_opener *opener, const MntEntry *entry, struct error *err);
/* What is now mounted, by a descriptor of that: its connection can be told to fail. */
void fuse_play_mounted(const struct file_opener *opener, uint32_t device, int mount_fd);
/* This file of it is about to be opened; 0: none any more. */
void fuse_play_opening(const struct file_opener *opener, uint32_t device, uint32_t file_id);
/* By which number something of it was polled last; 0: nothing has been since this was asked. */
uint64_t fuse_play_polled(const struct file_opener *opener, uint32_t device);

#endif
