// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * To whom a superblock belongs: the user namespace of whoever mounted it (s_user_ns), which nothing
 * shows. Its root may reconfigure it, and nobody further in (vfs_fsconfig_locked: CAP_SYS_ADMIN
 * over s_user_ns). So it is tried, with the options that it has, which changes nothing: by a deputy
 * in the owner of the mount namespace first (ahead.c), then in those above, up to nestor's own.
 */
#include "kinds/mounts/survey.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/log.h"
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

struct owner_question {
	const struct mount_line *line;
	struct option options[MAX_OPTIONS];
	size_t n_options;
	int mount_fd;
	mode_t ptmx; /* of a devpts; 0: none */
};

/* -1 with errno; who has no such id cannot have given it. */
static int prepare_option(struct owner_question *question, char *word)
{
	char *value = strchr(word, '=');
	bool user = strncmp(word, "uid=", 4) == 0, group = strncmp(word, "gid=", 4) == 0;
	struct option *option = &question->options[question->n_options++];

	if (value)
		*value++ = '\0';
	*option = (struct option){ word, value, -1 };
	if (!user && !group)
		return 0;
	unsigned id = (unsigned)strtoul(value, NULL, 10);
	autoclose int fd = memfd_create("owned", MFD_CLOEXEC);
	if (fd < 0)
		return -1;
	if (fchown(fd, user ? id : (uid_t)-1, group ? id : (gid_t)-1))
		return errno_tells_nothing(errno) ? -1 : 0;
	option->owned_fd = take_fd(&fd);
	return 0;
}

static int look_at_ptmx(const struct owner_question *question, struct stat *ret)
{
	if (strcmp(question->line->type, "devpts") != 0)
		return -1;
	if (fstatat(question->mount_fd, "ptmx", ret, AT_SYMLINK_NOFOLLOW))
		return -1;
	/* Something else may be mounted over it. */
	return ret->st_dev == question->line->device && S_ISCHR(ret->st_mode) ? 0 : -1;
}

/*
 * Who may reconfigure a devpts has set the mode of its ptmx to that of the options. That of a
 * read-only one cannot be set again.
 */
static void set_ptmx_again(const struct owner_question *question)
{
	struct stat found;

	if (question->ptmx && !look_at_ptmx(question, &found) && found.st_mode != question->ptmx &&
	    fchmodat(question->mount_fd, "ptmx", question->ptmx & 07777, 0))
		log_warning("dump", question->line->mountpoint,
			    "its ptmx has the mode of its options now, and had %04o: %s",
			    question->ptmx & 07777U, strerror(errno));
}

void mount_owner_forget(struct owner_question *question)
{
	if (question)
		set_ptmx_again(question);
	for (size_t i = 0; question && i < question->n_options; i++)
		cleanup_close(&question->options[i].owned_fd);
}

struct owner_question *mount_owner_prepare(struct arena *arena, const struct mount_line *line,
					   int mount_fd)
{
	struct owner_question *question = arena_new(arena, struct owner_question);
	/* Of a devpts what is not given would become the default again. */
	char *text = arena_string(arena, strcmp(line->type, "devpts") == 0 ? line->options : "");

	struct stat ptmx;

	question->line = line;
	question->mount_fd = mount_fd;
	question->ptmx = look_at_ptmx(question, &ptmx) ? 0 : ptmx.st_mode;
	for (char *word; question->n_options < MAX_OPTIONS && (word = strsep(&text, ","));)
		if (*word && prepare_option(question, word)) {
			int failure = errno;
			mount_owner_forget(question);
			errno = failure;
			return NULL;
		}
	return question;
}

static int set_options(int context_fd, const struct owner_question *question, struct error *err)
{
	for (size_t i = 0; i < question->n_options; i++) {
		const struct option *option = &question->options[i];
		const char *value = option->value;
		char number[16];
		struct stat owned;
		if (option->owned_fd >= 0 && fstat(option->owned_fd, &owned))
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "cannot tell the number of the owner inside");
		if (option->owned_fd >= 0) {
			bool group = strcmp(option->key, "gid") == 0;
			snprintf(number, sizeof number, "%u", group ? owned.st_gid : owned.st_uid);
			value = number;
		}
		if (mount_set(context_fd, option->key, value, err))
			return -1;
	}
	return 0;
}

int mount_owner_ask(const struct owner_question *question, int mount_fd, struct error *err)
{
	/* fspick(2) is for whoever owns the mounts that he sees (may_mount). */
	autoclose int context_fd = fspick(mount_fd, "", FSPICK_CLOEXEC | FSPICK_EMPTY_PATH);

	if (context_fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot look at mount %s",
				  question->line->mountpoint);
	/* Ids that it has no number for cannot have been given by it. */
	struct error unknown = { 0 };
	if (set_options(context_fd, question, &unknown)) {
		if (!errno_tells_nothing(unknown.os_errno))
			return 0;
		*err = unknown;
		return -1;
	}
	/* The right is asked for first, whatever the file system says then. */
	int failure = fsconfig(context_fd, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0) ? errno : 0;
	if (errno_tells_nothing(failure))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot tell who owns mount %s",
				  question->line->mountpoint);
	return failure != EPERM;
}

struct trial {
	const struct owner_question *question;
	int mount_fd;
	int user_fd;
	int namespace_fd; /* a mount namespace that it owns; -1: none is known */
};

static int try_one(void *data, struct error *err)
{
	const struct trial *trial = data;

	if ((trial->namespace_fd >= 0 && setns(trial->namespace_fd, CLONE_NEWNS)) ||
	    deputy_enter_user(trial->user_fd, 0) ||
	    (trial->namespace_fd < 0 && unshare(CLONE_NEWNS)))
		return survey_fail_enter("user", err);
	return mount_owner_ask(trial->question, trial->mount_fd, err);
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

/* Any of its mounts will do: what is in it is not looked at. */
static int open_any(const struct live_superblock *superblock, int *ret_fd, struct error *err)
{
	*ret_fd = -1;
	for (size_t i = 0; i < superblock->n_mounts && *ret_fd < 0; i++) {
		const struct live_mount *mount = &superblock->mounts[i];
		if (!mount->hidden)
			*ret_fd = survey_open_mount(&mount->namespace->table, mount->line);
	}
	for (size_t i = 0; i < superblock->n_mounts && *ret_fd < 0; i++)
		if (live_mount_copy(&superblock->mounts[i], ret_fd, err))
			return -1;
	return *ret_fd < 0 ? fail(err, ERR_UNSUPPORTED_MOUNT,
				  "%s is hidden by other mounts, so its owner cannot be found out",
				  superblock->what)
			   : 0;
}

/* 1, 0, or -1 */
static int may_reconfigure(const struct live_superblock *superblock, int mount_fd,
			   const struct surveyed_namespace *user, struct error *err)
{
	int known = mount_ahead_owner(superblock, user);
	struct arena *arena = superblock->collect->arena;

	if (known >= 0)
		return known;
	struct owner_question *question =
		mount_owner_prepare(arena, superblock->mounts[0].line, mount_fd);
	if (!question)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot tell who owns %s",
				  superblock->what);
	struct trial trial = { question, mount_fd, user->fd, namespace_of(superblock, user) };
	int result = deputy_run(try_one, &trial, err);
	mount_owner_forget(question);
	return result;
}

int mount_owner_find(const struct live_superblock *superblock, uint32_t *ret_userns_id,
		     struct error *err)
{
	const struct surveyed_namespace *user = innermost(superblock);
	autoclose int mount_fd = -1;

	*ret_userns_id = 0;
	if (user->own)
		return 0;
	if (open_any(superblock, &mount_fd, err))
		return -1;
	if (superblock->collect->looking)
		return 0;
	for (; user && !user->own; user = user->parent) {
		int may = may_reconfigure(superblock, mount_fd, user, err);
		if (may < 0)
			return -1;
		if (!may)
			continue;
		*ret_userns_id = user->id;
		return 0;
	}
	return 0;
}
