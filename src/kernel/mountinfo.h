/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The lines of /proc/PID/mountinfo (proc_pid_mountinfo(5)). */
#ifndef NESTOR_KERNEL_MOUNTINFO_H
#define NESTOR_KERNEL_MOUNTINFO_H

#include "base/arena.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct mount_line {
	uint32_t id, parent_id;
	dev_t device;
	const char *root;	       /* in the superblock; a removed one ends with REMOVED_ROOT */
	const char *mountpoint;	       /* from the root directory of whoever opened the file */
	uint32_t flags;		       /* MS_* of the mount */
	uint32_t shared_id, master_id; /* 0: none */
	bool unbindable, idmapped;
	bool removed; /* for whoever takes the mark off the root */
	const char *type, *source;
	uint32_t superblock_flags; /* MS_* */
	const char *options;	   /* of the superblock, those that are no flags */
};

#define OVERLAY_COMMA "\\054" /* in the options of an overlay: in a name, not between options */

#define REMOVED_ROOT "//deleted"

/* Changes the text, and keeps pointers into it. -1 with ERR_KERNEL_REFUSED for a line it does not
 * understand. */
int mountinfo_parse(char *text, struct arena *arena, struct mount_line **ret_lines,
		    size_t *ret_count, struct error *err);

#endif
