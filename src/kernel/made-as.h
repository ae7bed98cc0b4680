/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files, sockets and pipes keep the credentials of who made them, which no call changes later, and
 * new inodes belong to its ids of file accesses (setfsuid(2)). These belong to a thread.
 */
#ifndef NESTOR_KERNEL_MADE_AS_H
#define NESTOR_KERNEL_MADE_AS_H

#include <linux/capability.h>
#include <stdbool.h>
#include <sys/types.h>

/* What was before; {0}: nothing has changed. */
struct made_as {
	bool has_ids, is_powerless, lacks_one, is_dumpable;
	uid_t uid, effective_uid;
	gid_t gid, effective_gid;
	struct __user_cap_data_struct capabilities[_LINUX_CAPABILITY_U32S_3];
};

/*
 * What the calling thread makes belongs to these, as far as it may choose, until the end, which
 * keeps errno. Without capabilities it can do nothing else meanwhile.
 */
struct made_as made_as_begin(uid_t uid, gid_t gid, bool without_capabilities);
/* The same as whoever has one capability (CAP_*) less. -1 with errno. */
int made_as_without(unsigned capability, struct made_as *ret_before);
void made_as_end(const struct made_as *before);

#endif
