// SPDX-License-Identifier: LGPL-2.1-or-later
/* See made-as.h. */
#include "kernel/made-as.h"

#include <errno.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>
#include <unistd.h>

static long call(long nr, struct __user_cap_data_struct *capabilities)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };

	return syscall(nr, &header, capabilities);
}

struct made_as made_as_begin(uid_t uid, gid_t gid, bool without_capabilities)
{
	struct made_as before = { .has_ids = true };
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3];

	before.gid = (gid_t)setfsgid(gid);
	before.uid = (uid_t)setfsuid(uid);
	if (!without_capabilities || call(SYS_capget, before.capabilities) < 0)
		return before;
	memcpy(none, before.capabilities, sizeof none);
	for (size_t i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
		none[i].effective = 0;
	before.has_capabilities = call(SYS_capset, none) == 0;
	return before;
}

/* Back at user 0 the thread has the capabilities of file accesses again (capabilities(7)). */
void made_as_end(const struct made_as *before)
{
	int failure = errno;
	struct __user_cap_data_struct capabilities[_LINUX_CAPABILITY_U32S_3];

	memcpy(capabilities, before->capabilities, sizeof capabilities);
	if (before->has_capabilities)
		call(SYS_capset, capabilities);
	if (before->has_ids) {
		setfsuid(before->uid);
		setfsgid(before->gid);
	}
	errno = failure;
}
