/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An inode that inotify or fanotify watches: fdinfo has its handle, a restore wants a name. */
#ifndef NESTOR_KINDS_FILES_WATCHED_INODE_H
#define NESTOR_KINDS_FILES_WATCHED_INODE_H

#include "kinds/kind.h"

/*
 * From the end of a line of fdinfo ("fhandle-bytes:8 fhandle-type:1 f_handle:...") and the inode it
 * told before; `device` is the kernel's (s_dev). Fails with ERR_UNSUPPORTED_FILE if the inode has
 * neither a name that is to be seen from here, nor a descriptor of the tree; the latter is known
 * once all descriptors are: watched_inode_complete tells it.
 */
int watched_inode_collect(const struct open_file *file, const char *line, uint32_t device,
			  uint64_t inode, FhEntry **ret_handle, struct error *err);
/* For each record of the first; whatever is missing is refused by collect_refuse_file. */
int watched_inode_complete(struct collect *collect, struct error *err);

int watched_inode_check(const struct snapshot *snapshot, uint32_t file_id, const FhEntry *handle,
			struct error *err);
int watched_inode_verify(const struct file_opener *opener, const FhEntry *handle,
			 struct error *err);
/* A descriptor of it (O_PATH), and the path by which calls that take one reach it. */
int watched_inode_open(struct file_opener *opener, uint32_t device, const FhEntry *handle,
		       char path[64], struct error *err);

#endif
