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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>

struct trial {
	const struct mount_line *line;
	int copy_fd; /* a mount of it */
	int user_fd;
	int namespace_fd; /* a mount namespace that it owns; -1: none is known */
	bool ret_allowed;
};

/*
 * A number as the user namespace has it: that of a file which was given to it before. Nobody's
 * number means that there is none, and is refused as an option.
 */
struct option {
	const char *key;
	const char *value; /* NULL: a flag */
	int owned_fd;
};
enum { MAX_OPTIONS = 16 };

static size_t prepare_options(char *text, struct option *options)
{
	size_t n = 0;

	for (char *word; n < MAX_OPTIONS && (word = strsep(&text, ","));) {
		char *value = strchr(word, '=');
		bool user = strncmp(word, "uid=", 4) == 0, group = strncmp(word, "gid=", 4) == 0;
		if (!*word)
			continue;
		if (value)
			*value++ = '\0';
		options[n] = (struct option){ word, value, -1 };
		if (user || group) {
			unsigned id = (unsigned)strtoul(value, NULL, 10);
			options[n].owned_fd = memfd_create("owned", MFD_CLOEXEC);
			if (fchown(options[n].owned_fd, user ? id : (uid_t)-1,
				   group ? id : (gid_t)-1))
				options[n].owned_fd = -1;
		}
		n++;
	}
	return n;
}

static int set_options(int context_fd, struct option *options, size_t n, struct error *err)
{
	for (size_t i = 0; i < n; i++) {
		autoclose int owned_fd = options[i].owned_fd;
		char number[16];
		struct stat owned;
		if (owned_fd >= 0 && fstat(owned_fd, &owned) == 0) {
			bool group = strcmp(options[i].key, "gid") == 0;
			snprintf(number, sizeof number, "%u", group ? owned.st_gid : owned.st_uid);
			options[i].value = number;
		}
		if (mount_set(context_fd, options[i].key, options[i].value, err))
			return -1;
	}
	return 0;
}

static int try_one(void *data, struct error *err)
{
	struct trial *trial = data;
	/* Of a devpts what is not given would become the default again. */
	autofree char *text =
		strdup(strcmp(trial->line->type, "devpts") == 0 ? trial->line->options : "");
	struct option options[MAX_OPTIONS];

	if (!text)
		return fail_errno(err, ERR_OUT_OF_MEMORY, "cannot look at mount %s",
				  trial->line->mountpoint);
	size_t n = prepare_options(text, options);

	/* fspick(2) is for whoever owns the mounts that he sees (may_mount). */
	if ((trial->namespace_fd >= 0 && setns(trial->namespace_fd, CLONE_NEWNS)) ||
	    deputy_enter_user(trial->user_fd, 0) ||
	    (trial->namespace_fd < 0 && unshare(CLONE_NEWNS)))
		return fail_errno(err, ERR_NO_PRIVILEGE, "cannot enter a user namespace");
	autoclose int context_fd = fspick(trial->copy_fd, "", FSPICK_CLOEXEC | FSPICK_EMPTY_PATH);
	if (context_fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot look at mount %s",
				  trial->line->mountpoint);
	/* Ids that it has no number for cannot have been given by it. */
	struct error unknown = { 0 };
	if (set_options(context_fd, options, n, &unknown)) {
		if (!mount_tells_nothing(unknown.os_errno))
			return 0;
		*err = unknown;
		return -1;
	}
	/* The right is asked for first, whatever the file system says then. */
	int failure = fsconfig(context_fd, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0) ? errno : 0;
	if (mount_tells_nothing(failure))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot tell who owns mount %s",
				  trial->line->mountpoint);
	trial->ret_allowed = failure != EPERM;
	return 0;
}

/* Mounts in namespaces further in are copies of those further out, or the other way round. */
static const struct surveyed_namespace *innermost(const struct live_superblock *superblock)
{
	const struct surveyed_namespace *found = superblock->mounts[0].namespace->met->owner;

	for (size_t i = 1; i < superblock->n_mounts; i++) {
		const struct surveyed_namespace *other =
			superblock->mounts[i].namespace->met->owner;
		if (other->level > found->level)
			found = other;
	}
	return found;
}

static int namespace_of(const struct live_superblock *superblock,
			const struct surveyed_namespace *user)
{
	for (size_t i = 0; i < superblock->n_mounts; i++) {
		const struct live_namespace *namespace = superblock->mounts[i].namespace;
		if (namespace->met->owner == user)
			return namespace->fd;
	}
	return -1;
}

int mount_owner_find(const struct live_superblock *superblock, uint32_t *ret_userns_id,
		     struct error *err)
{
	const struct surveyed_namespace *user = innermost(superblock);
	autoclose int copy_fd = -1;

	*ret_userns_id = 0;
	if (user->own)
		return 0;
	for (size_t i = 0; i < superblock->n_mounts && copy_fd < 0; i++)
		if (live_mount_copy(&superblock->mounts[i], &copy_fd, err))
			return -1;
	if (copy_fd < 0)
		return fail(err, ERR_UNSUPPORTED_MOUNT,
			    "%s is hidden by other mounts, so its owner cannot be found out",
			    superblock->what);
	if (superblock->collect->looking)
		return 0;
	for (; user && !user->own; user = user->parent) {
		struct trial trial = { superblock->mounts[0].line, copy_fd, user->fd,
				       namespace_of(superblock, user), false };
		if (deputy_run(try_one, &trial, err))
			return -1;
		if (!trial.ret_allowed)
			continue;
		*ret_userns_id = user->id;
		return 0;
	}
	return 0;
}
