// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * devpts: each mount is an instance of its own (since 4.7), with its own numbers. What is in it are
 * terminals, which come and go with their masters: they are the files' affair.
 */
#include "kinds/mounts/kind.h"

#include "base/cleanup.h"

#include <sys/mount.h>

static int make(const struct mount_maker *maker, const MntEntry *entry, struct error *err)
{
	autoclose int context_fd = fsopen("devpts", FSOPEN_CLOEXEC);

	if (context_fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot mount a devpts");
	if (mount_set_owned_options(context_fd, maker, entry, err))
		return -1;
	return mount_finish(context_fd, entry, err);
}

const struct mount_kind devpts_mount_kind = {
	.type = "devpts",
	.fstype = FSTYPE__DEVPTS,
	.owned = true,
	.make = make,
};
