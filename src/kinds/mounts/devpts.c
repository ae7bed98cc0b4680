// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * devpts: each mount is an instance of its own (since 4.7), with its own numbers. What is in it are
 * terminals, which come and go with their masters: they are the files' affair.
 *
 * A terminal that is mounted somewhere, and whose master has been closed (the console of a
 * container whose manager has gone), shows as removed. It is made once more, mounted, and hung up
 * by closing its master. It has its number again unless another terminal has that by now.
 *
 * The root and ptmx keep mode and owner where somebody has changed them; times are those of a new
 * one.
 */
#include "kinds/mounts/kind.h"

#include "base/cleanup.h"
#include "collect/collect.h"
#include "kernel/deputy.h"
#include "kinds/mounts/make.h"
#include "kinds/mounts/survey.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

enum { MOST_PASSED = 4096, MOST_DIGITS = 7 };

static bool is_number(const char *name)
{
	size_t length = strlen(name);

	return length > 0 && length <= MOST_DIGITS && strspn(name, "0123456789") == length;
}

/* ---- dump ---- */

static int collect_removed(struct collect *collect, const struct live_mount *mount,
			   const char *what, struct error *err)
{
	MntEntry *entry = mount->entry;
	struct stat stat;

	autoclose int fd =
		mount->hidden ? -1 : survey_open_mount(&mount->namespace->table, mount->line);
	if (mount->hidden && live_mount_copy(mount, &fd, err))
		return -1;
	if (!mount->hidden && fd < 0 && !survey_is_absent(errno))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot open %s", what);
	if (fd >= 0 && fstat(fd, &stat))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot look at %s", what);
	if (!is_number(mount->line->root + 1) || fd < 0 || !S_ISCHR(stat.st_mode))
		return fail(err, ERR_UNSUPPORTED_MOUNT, "%s shows something that was removed",
			    what);
	entry->carried_as = arena_string(collect->arena, mount->line->root + 1);
	entry->origin = snapshot_new(collect->snapshot, MNT_ORIGIN_ENTRY, MntOriginEntry);
	entry->origin->inode = stat.st_ino;
	entry->origin->mode = stat.st_mode & 07777;
	entry->origin->uid = stat.st_uid;
	entry->origin->gid = stat.st_gid;
	return 0;
}

static uint32_t option_of(const char *options, const char *key)
{
	const char *at = strstr(options, key);

	return at ? (uint32_t)strtoul(at + strlen(key), NULL, 8) : 0;
}

/* Nothing where other mounts hide it for good. */
static int collect_attributes(const struct live_superblock *superblock, MntEntry *entry,
			      struct error *err)
{
	const struct usual_node root = { .mode = 0755, .of_root = true };
	const struct usual_node ptmx = { .mode = option_of(entry->options, "ptmxmode=") };
	autoclose int fd = -1;

	if (live_mount_copy(&superblock->mounts[0], &fd, err))
		return -1;
	if (fd < 0 || strcmp(superblock->mounts[0].line->root, "/") != 0)
		return 0;
	return mount_node_collect(superblock, entry, fd, "", &root, err) ||
			       mount_node_collect(superblock, entry, fd, "ptmx", &ptmx, err)
		       ? -1
		       : 0;
}

static int collect(const struct live_superblock *superblock, MntEntry *entry, struct error *err)
{
	for (size_t i = 0; i < superblock->n_mounts; i++)
		if (superblock->mounts[i].line->removed &&
		    collect_removed(superblock->collect, &superblock->mounts[i], superblock->what,
				    err))
			return -1;
	return collect_attributes(superblock, entry, err);
}

static bool has_terminal(const struct mount_survey *survey, const struct records *terminals,
			 const struct mount_line *mount)
{
	uint32_t number = (uint32_t)strtoul(mount->root + 1, NULL, 10);

	for (size_t i = 0; i < terminals->count; i++) {
		const TtyInfoEntry *info = terminals->records[i]->message;
		const struct mount_line *opened_on =
			info->pty && info->pty->index == number && info->has_mount_id
				? survey_find_mount(survey, info->mount_id, NULL)
				: NULL;
		if (opened_on && opened_on->device == mount->device)
			return true;
	}
	return false;
}

/* One that nobody in the tree has open is there as long as somebody outside has its master. */
static void complete(struct collect *collect)
{
	const struct mount_survey *survey = survey_of_mounts(collect);
	const struct records *terminals = snapshot_records(collect->snapshot, IMAGE_TTY_INFO);
	struct error err = { 0 };

	for (size_t i = 0; survey && i < survey->n_namespaces; i++)
		for (size_t k = 0; k < survey->namespaces[i].table.n_lines; k++) {
			const struct mount_line *line = &survey->namespaces[i].table.lines[k];
			const MntEntry *entry = survey->namespaces[i].entries[k];
			if (mount_kind_of_entry(entry) != &devpts_mount_kind || line->removed ||
			    entry->bound_path || entry->ext_mount || !is_number(line->root + 1) ||
			    has_terminal(survey, terminals, line))
				continue;
			survey_refuse(survey_name_mount(collect, &survey->namespaces[i], line),
				      "shows a terminal whose master is outside of the tree", &err);
			fail_hint(&err, "--external mnt[%s]:NAME has it given from outside",
				  line->mountpoint);
			collect_pass(collect, &err);
		}
}

/* ---- check and restore ---- */

static int check(const struct snapshot *snapshot, const MntEntry *entry, struct error *err)
{
	(void)snapshot;
	if (!entry->deleted || (entry->origin && is_number(entry->carried_as)))
		return mount_nodes_check(entry, err);
	return fail(err, ERR_IMAGE_INVALID, "mount %u (%.200s) is of a terminal that is none",
		    entry->mnt_id, entry->mountpoint);
}

static int make(const struct mount_maker *maker, const MntEntry *entry, struct error *err)
{
	autoclose int context_fd = fsopen("devpts", FSOPEN_CLOEXEC);

	if (context_fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot mount a devpts");
	if (mount_set_owned_options(context_fd, maker, entry, err))
		return -1;
	/* Modes are to be set, and then it is sealed. */
	MntEntry writable = *entry;
	if (entry->n_attributes)
		writable.sb_flags &= ~(uint32_t)MS_RDONLY;
	return mount_finish(context_fd, &writable, err);
}

struct sealing {
	const struct mount_maker *maker;
	const MntEntry *entry;
	int context_fd, user_fd;
};

static int fail_seal(const MntEntry *entry, struct error *err)
{
	return fail_errno(err, ERR_KERNEL_REFUSED, "cannot make the devpts at %s read-only",
			  entry->mountpoint);
}

/* In a deputy: numbers of groups are those of who sets them. */
static int make_read_only(void *data, struct error *err)
{
	const struct sealing *sealing = data;
	int context_fd = sealing->context_fd;

	if (sealing->user_fd >= 0 && deputy_enter_user(sealing->user_fd, 0))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot enter a user namespace");
	/* What is left out gets what is usual (parse_mount_options, fs/devpts/inode.c). */
	if (mount_set(context_fd, "ro", NULL, err) ||
	    mount_set_owned_options(context_fd, sealing->maker, sealing->entry, err))
		return -1;
	return fsconfig(context_fd, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0)
		       ? fail_seal(sealing->entry, err)
		       : 0;
}

static int seal(const struct mount_maker *maker, const MntEntry *entry, int root_fd,
		struct error *err)
{
	if (mount_nodes_set(maker, entry, root_fd, err))
		return -1;
	if (!entry->n_attributes || !(entry->sb_flags & MS_RDONLY))
		return 0;
	autoclose int context_fd = fspick(root_fd, "", FSPICK_CLOEXEC | FSPICK_EMPTY_PATH);
	struct sealing sealing = { maker, entry, context_fd, mount_owner_fd(maker, entry) };
	return context_fd < 0 ? fail_seal(entry, err) : deputy_run(make_read_only, &sealing, err);
}

/* With this number, or the next that is free; those below it are passed over. -1 with errno. */
static int open_master(int devpts_fd, uint32_t wanted, uint32_t *ret_number)
{
	int passed[MOST_PASSED], fd = -1;
	size_t n_passed = 0;

	while (n_passed < MOST_PASSED) {
		fd = openat(devpts_fd, "ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
		if (fd >= 0 && ioctl(fd, TIOCGPTN, ret_number) < 0)
			cleanup_close(&fd);
		if (fd < 0 || *ret_number >= wanted)
			break;
		passed[n_passed++] = fd;
	}
	if (n_passed == MOST_PASSED) {
		fd = -1;
		errno = ENOSPC;
	}
	while (n_passed)
		cleanup_close(&passed[--n_passed]);
	return fd;
}

static int set_owner(int devpts_fd, const char *name, const MntOriginEntry *origin)
{
	autoclose int fd = openat(devpts_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	char self[64];

	snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
	return fd < 0 || fchownat(fd, "", origin->uid, origin->gid, AT_EMPTY_PATH) ||
			       chmod(self, origin->mode & 07777)
		       ? -1
		       : 0;
}

static const struct made_terminal *find_terminal(const struct made_superblocks *made,
						 const MntEntry *mount)
{
	for (size_t i = 0; i < made->n_terminals; i++) {
		const MntEntry *other = made->terminals[i].mount;
		if (other->root_dev == mount->root_dev &&
		    other->origin->inode == mount->origin->inode &&
		    strcmp(other->carried_as, mount->carried_as) == 0)
			return &made->terminals[i];
	}
	return NULL;
}

bool mount_is_terminal(const MntEntry *mount)
{
	return mount->deleted && !mount->bound_path && !mount->ext_mount && mount->origin &&
	       mount_kind_of_entry(mount) == &devpts_mount_kind;
}

const char *mount_terminal_name(const struct made_superblocks *made, const MntEntry *mount)
{
	const struct made_terminal *terminal = find_terminal(made, mount);

	return terminal ? terminal->name : mount->carried_as;
}

static int make_terminal(struct file_opener *opener, struct made_superblocks *made, int devpts_fd,
			 const MntEntry *mount, struct error *err)
{
	uint32_t number = 0;
	int fd = open_master(devpts_fd, (uint32_t)strtoul(mount->carried_as, NULL, 10), &number);
	char *name = arena_printf(opener->arena, "%u", number);

	if (fd < 0 || set_owner(devpts_fd, name, mount->origin)) {
		fail_errno(err, ERR_KERNEL_REFUSED,
			   "the terminal that is mounted at %.200s cannot be made",
			   mount->mountpoint);
		return cleanup_close(&fd), -1;
	}
	made->terminals = arena_grow(opener->arena, made->terminals, made->n_terminals,
				     sizeof *made->terminals);
	made->terminals[made->n_terminals++] = (struct made_terminal){ mount, name, fd };
	return 0;
}

int mounts_make_terminals(struct file_opener *opener, struct made_superblocks *made,
			  struct error *err)
{
	const struct snapshot *snapshot = opener->snapshot;

	for (size_t i = 0; i < snapshot->n_mount_namespaces; i++)
		for (size_t k = 0; k < snapshot->mount_namespaces[i]->n_mounts; k++) {
			const MntEntry *mount = snapshot->mount_namespaces[i]->mounts[k];
			if (!mount_is_terminal(mount) || find_terminal(made, mount))
				continue;
			for (size_t m = 0; m < made->n; m++)
				if (made->all[m].device == mount->root_dev &&
				    make_terminal(opener, made, made->all[m].fd, mount, err))
					return -1;
		}
	return 0;
}

void mounts_hang_up_terminals(struct made_superblocks *made)
{
	while (made->n_terminals)
		close(made->terminals[--made->n_terminals].fd);
}

const struct mount_kind devpts_mount_kind = {
	.type = "devpts",
	.fstype = FSTYPE__DEVPTS,
	.owned = true,
	.removed = true,
	.apart = true,
	.collect = collect,
	.complete = complete,
	.check = check,
	.make = make,
	.seal = seal,
};
