// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * To whom a superblock belongs: the user namespace of whoever mounted it (s_user_ns), which nothing
 * shows. Its root may reconfigure it, and nobody further in (vfs_fsconfig_locked: CAP_SYS_ADMIN
 * over s_user_ns). So it is tried, with the options that it has, which changes nothing: by a deputy
 * in the owner of the mount namespace first, then in those above, up to nestor's own.
 */
#include "kinds/mounts/survey.h"

#include "base/cleanup.h"
#include "kernel/deputy.h"
#include "kinds/mounts/kind.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>

struct trial {
	const struct live_namespace *namespace;
	const struct mount_line *line;
	int user_fd;
	bool *ret_allowed; /* shared */
};

static int try_one(void *data, struct error *err)
{
	const struct trial *trial = data;

	if (setns(trial->namespace->fd, CLONE_NEWNS) || setns(trial->user_fd, CLONE_NEWUSER))
		return fail_errno(err, ERR_NO_PRIVILEGE, "cannot enter a mount namespace");
	autoclose int context_fd =
		fspick(AT_FDCWD, trial->line->mountpoint, FSPICK_CLOEXEC | FSPICK_SYMLINK_NOFOLLOW);
	if (context_fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot look at mount %s",
				  trial->line->mountpoint);
	/* Of a device file system what is not given would become the default again. */
	if (strcmp(trial->line->type, "devpts") == 0 &&
	    mount_set_options(context_fd, trial->line->options, err))
		return -1;
	*trial->ret_allowed = fsconfig(context_fd, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0) == 0 ||
			      errno != EPERM;
	return 0;
}

int mount_owner_find(const struct live_namespace *namespace, const struct mount_line *line,
		     uint32_t *ret_userns_id, struct error *err)
{
	const struct surveyed_namespace *user = namespace->met->owner;
	bool *allowed = deputy_memory(sizeof *allowed);
	int result = 0;

	if (!allowed)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot map shared memory");
	*ret_userns_id = 0;
	for (; user && !user->own && !result; user = user->parent) {
		struct trial trial = { namespace, line, user->fd, allowed };
		result = deputy_run(try_one, &trial, err);
		if (!result && *allowed)
			break;
	}
	if (!result && user && !user->own)
		*ret_userns_id = user->id;
	deputy_memory_free(allowed, sizeof *allowed);
	return result;
}
