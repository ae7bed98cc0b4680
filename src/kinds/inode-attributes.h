/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What files that a restore makes again have besides content, owner, mode and times: extended
 * attributes (xattr(7): user, trusted, security, and access lists), what chattr(1) sets (append
 * only, immutable, no dump, no access time), and the hint of how long lives what is written to them
 * (F_SET_RW_HINT).
 *
 * Measurements that the kernel writes itself (IMA, EVM) are not set; others, as labels, only where
 * the new file does not have them anyway.
 */
#ifndef NESTOR_KINDS_INODE_ATTRIBUTES_H
#define NESTOR_KINDS_INODE_ATTRIBUTES_H

#include "model/snapshot.h"

struct error;

/* By any descriptor; O_PATH tells the extended ones only. *ret stays NULL where there are none. */
int inode_attributes_collect(struct snapshot *snapshot, int fd, InodeAttributesEntry **ret,
			     const char *what, struct error *err);
/* NULL is none, here and below. */
int inode_attributes_check(const InodeAttributesEntry *entry, const char *what, struct error *err);
/* When it has its owner, mode and content, of which each takes some of them away. */
int inode_attributes_set(const InodeAttributesEntry *entry, int fd, const char *what,
			 struct error *err);
/* When it is open, and mapped, for whoever writes to it, and has its times. */
int inode_attributes_set_flags(const InodeAttributesEntry *entry, int fd, const char *what,
			       struct error *err);

#endif
