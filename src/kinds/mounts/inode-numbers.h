/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The numbers that the inodes of a tmpfs have, by which programs know files again (SQLite asks for
 * that of its database before it writes, tail -F for that of what it follows).
 */
#ifndef NESTOR_KINDS_MOUNTS_INODE_NUMBERS_H
#define NESTOR_KINDS_MOUNTS_INODE_NUMBERS_H

#include "base/arena.h"
#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* What cannot be changed of an inode, and whose it is: a file system of a user namespace lets
 * nobody make one who has no number there. */
struct numbered_inode {
	uint64_t number;
	mode_t type;
	dev_t device;
	const char *link; /* target of a symbolic link */
	uid_t uid;
	gid_t gid;
	bool made;
};

/* All that there will be. */
struct inode_numbers {
	int root_fd; /* borrowed */
	struct numbered_inode *all;
	size_t n;
};

/* Has it numbers that can be had again? 1, 0, or -1 with err. */
int inode_numbers_are_kept(int fd, struct error *err);
void inode_numbers_add(struct inode_numbers *numbers, struct arena *arena,
		       const struct numbered_inode *inode);
/* Makes inodes with the numbers that can be had, by names in the root directory. */
int inode_numbers_make(struct inode_numbers *numbers, struct error *err);
/* Gives its place to the one with this number: 1; 0: there is none; -1 with err. */
int inode_numbers_place(struct inode_numbers *numbers, uint64_t number, int dir_fd,
			const char *name, struct error *err);
/* Removes those that got no place. */
int inode_numbers_clear(const struct inode_numbers *numbers, struct error *err);

#endif
