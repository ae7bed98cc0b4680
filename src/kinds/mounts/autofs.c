// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * autofs: who comes to a directory waits there until a daemon has mounted something on it. The
 * daemon is told by a pipe of which the kernel has the write end, often as the only one; it is
 * known by its process group, whose members are not made to wait, and it knows the mount by its
 * device number (systemd asks for it by that, AUTOFS_DEV_IOCTL_OPENMOUNT). All of that is told by
 * the options in mountinfo (autofs_show_options); of the pipe since 4.1, with
 * CONFIG_CHECKPOINT_RESTORE.
 *
 * So it is mounted again with a new end of the restored pipe, for the group, under the same number
 * (numbered.c). What is in one is made again by somebody of the group (autofs-inside.c), and what
 * the daemon has mounted on it, or on that, is a mount like all others. One whose daemon has left
 * it (catatonic) is made so.
 *
 * The inode number of its root, which packets about direct and offset mounts tell, is another one,
 * as nobody can have one of his choice (get_next_ino). systemd does not look at it; automount(8)
 * knows such mounts by it, and answers nobody who comes to one: that is told by the log.
 *
 * Who waits cannot be stopped (wait_event_killable), so no task of the tree does.
 */
#include "kinds/mounts/kind.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/procfs.h"
#include "collect/collect.h"
#include "kernel/deputy.h"
#include "kinds/mounts/autofs.h"
#include "kinds/mounts/make.h"
#include "kinds/mounts/survey.h"
#include "kinds/places.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/auto_fs.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* ---- dump ---- */

/* Process groups have their numbers when all tasks are read. */
struct met_autofs {
	struct met_autofs *next;
	MntAutofsEntry *autofs;
	pid_t group;
};

/* Options that a mount takes as they are shown. */
static bool is_plain(const char *word)
{
	static const char *const plain[] = { "uid=",	  "gid=",	  "minproto=",
					     "maxproto=", "indirect",	  "direct",
					     "offset",	  "strictexpire", "ignore" };

	for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
		if (strncmp(word, plain[i], strlen(plain[i])) == 0)
			return true;
	return false;
}

/* Of the options as they are shown what is to be an option again; the rest goes into the record. */
static const char *split_options(struct arena *arena, const char *options, struct met_autofs *met,
				 bool *ret_told)
{
	char *rest = arena_string(arena, options);
	const char *plain = "";
	unsigned long long value;
	bool told = false;

	for (char *word; (word = strsep(&rest, ","));) {
		const char *equals = strchr(word, '=');
		value = equals ? strtoull(equals + 1, NULL, 10) : 0;
		if (is_plain(word))
			plain = arena_printf(arena, "%s%s%s", plain, *plain ? "," : "", word);
		else if (strncmp(word, "fd=", 3) == 0)
			met->autofs->fd = equals[1] == '-' ? 0 : (uint32_t)value;
		else if (strncmp(word, "pgrp=", 5) == 0)
			met->group = (pid_t)value;
		else if (strncmp(word, "timeout=", 8) == 0)
			met->autofs->timeout = value;
		else if (strncmp(word, "pipe_ino=", 9) == 0) {
			told = true;
			met->autofs->has_pipe_id = strcmp(word, "pipe_ino=-1") != 0;
			met->autofs->pipe_id = (uint32_t)value;
		}
	}
	*ret_told = told;
	return plain;
}

/* How systemd calls the source of those that it mounts. */
#define OF_SYSTEMD "systemd-"

static void tell_of_number(const MntEntry *entry)
{
	bool direct = strstr(entry->options, "direct") && !strstr(entry->options, "indirect");

	if ((direct || strstr(entry->options, "offset")) &&
	    strncmp(entry->source, OF_SYSTEMD, strlen(OF_SYSTEMD)) != 0)
		log_warning("dump", "mounts",
			    "%s (autofs): its root has another inode number after a restore, and a "
			    "daemon that knows it by that, as automount(8) does, no longer mounts "
			    "anything there; those with keys (indirect) are not concerned",
			    entry->mountpoint);
}

static int collect(const struct live_superblock *superblock, MntEntry *entry, struct error *err)
{
	struct collect *all = superblock->collect;
	struct met_autofs *met = arena_new(all->arena, struct met_autofs);
	bool told;

	met->autofs = snapshot_new(all->snapshot, MNT_AUTOFS_ENTRY, MntAutofsEntry);
	entry->options = (char *)split_options(all->arena, entry->options, met, &told);
	if (!told)
		return survey_refuse(superblock->what, "does not tell who is to mount there", err);
	if (autofs_collect_inside(superblock, met->autofs, err))
		return -1;
	for (size_t i = 0; i < superblock->n_mounts; i++) {
		superblock->mounts[i].entry->autofs = met->autofs;
		superblock->mounts[i].entry->options = entry->options;
	}
	if (met->autofs->has_pipe_id)
		tell_of_number(entry);
	met->next = *collect_state(all, &autofs_mount_kind);
	*collect_state(all, &autofs_mount_kind) = met;
	return 0;
}

bool mounts_tell_by_pipe(struct collect *collect, uint32_t pipe_id)
{
	const struct met_autofs *met = *collect_state(collect, &autofs_mount_kind);

	while (met && !(met->autofs->has_pipe_id && met->autofs->pipe_id == pipe_id))
		met = met->next;
	return met != NULL;
}

static uint32_t number_of_group(const struct collect *collect, pid_t group)
{
	enum { STAT_GROUP = 5 };

	for (size_t i = 0; group > 0 && i < collect->n_targets; i++)
		if ((pid_t)target_stat_field(&collect->targets[i], STAT_GROUP) == group)
			return task_groups(collect->targets[i].task).pid[0];
	return 0;
}

static void complete(struct collect *collect)
{
	const struct met_autofs *met = *collect_state(collect, &autofs_mount_kind);

	for (; met; met = met->next)
		met->autofs->group = number_of_group(collect, met->group);
}

/* ---- check ---- */

static const FileEntry *find_end(const struct snapshot *snapshot, uint32_t pipe_id)
{
	for (size_t i = 0; i < snapshot->n_files; i++) {
		const FileEntry *file = snapshot->files[i];
		if (file->type == FD_TYPES__PIPE && file->pipe && file->pipe->pipe_id == pipe_id &&
		    (file->pipe->flags & O_ACCMODE) != O_WRONLY)
			return file;
	}
	return NULL;
}

/* One of the group, its leader if that is there. */
static const struct task *find_member(const struct snapshot *snapshot, uint32_t group)
{
	const struct task *found = NULL;

	for (size_t i = 0; i < snapshot->n_tasks; i++) {
		const struct task *task = &snapshot->tasks[i];
		if (task_pids(task).pid[0] == group)
			return task;
		if (!found && task_groups(task).pid[0] == group)
			found = task;
	}
	return found;
}

/* The pipe and the group are ours to say. */
static bool has_plain_options(const char *options)
{
	for (; *options; options += strcspn(options, ",")) {
		options += strspn(options, ",");
		if (*options && !is_plain(options))
			return false;
	}
	return true;
}

static int check(const struct snapshot *snapshot, const MntEntry *entry, struct error *err)
{
	const MntAutofsEntry *autofs = entry->autofs;

	if (!autofs || autofs->fd >= INT_MAX || autofs->mode > 07777 ||
	    (entry->root_dev >> 8 & 0xfff) || !has_plain_options(entry->options))
		return fail(err, autofs ? ERR_IMAGE_INVALID : ERR_IMAGE_UNSUPPORTED,
			    "mount %" PRIu32 " (%.200s): its daemon is not described",
			    entry->mnt_id, entry->mountpoint);
	if (!autofs->group || !find_member(snapshot, autofs->group))
		return fail(err, ERR_UNSUPPORTED_MOUNT,
			    "mount %" PRIu32 " (%.200s): nobody in the tree is of the process "
			    "group that is to mount there (autofs)",
			    entry->mnt_id, entry->mountpoint);
	if (autofs->has_pipe_id && !find_end(snapshot, autofs->pipe_id))
		return fail(err, ERR_UNSUPPORTED_MOUNT,
			    "mount %" PRIu32 " (%.200s): nobody in the tree has the other end of "
			    "the pipe that tells whom to mount there (autofs)",
			    entry->mnt_id, entry->mountpoint);
	return autofs_check_inside(snapshot, entry, err);
}

/* ---- restore ---- */

enum { PATIENCE_MS = 30000, ATTEMPTS = 20 };

/* Its process group by the number that it has in its own pid namespace; -1 with errno. */
static int64_t read_group(pid_t pid)
{
	char path[64], text[4096];

	snprintf(path, sizeof path, "/proc/%d/status", pid);
	if (procfs_read_into(AT_FDCWD, path, text, sizeof text) < 0)
		return -1;
	const char *groups = procfs_field(text, "NSpgid:");
	uint64_t numbers[MAX_PID_LEVELS + 1];
	size_t levels = groups ? procfs_numbers(groups, 10, numbers, MAX_PID_LEVELS + 1) : 0;
	errno = ESRCH;
	return levels ? (int64_t)numbers[levels - 1] : -1;
}

/*
 * As we see it. A group of which the leader has gone is that of any member, once that has joined
 * it: all do before they wait for us. Nobody joins it any more if the member cannot be seen.
 */
static pid_t find_group(const struct file_opener *opener, const MntAutofsEntry *autofs)
{
	errno = ESRCH;
	const struct timespec pause = { .tv_nsec = 1000000 };
	const struct task *member = find_member(opener->snapshot, autofs->group);
	pid_t pid = member ? opener->pids[member->index] : -1;

	if (pid <= 0 || task_pids(member).pid[0] == autofs->group)
		return pid;
	struct pid_vector groups = task_groups(member);
	for (int i = 0; i < PATIENCE_MS; i++) {
		int64_t group = read_group(pid);
		if (group < 0 || group == groups.pid[groups.levels - 1])
			return group < 0 ? -1 : getpgid(pid);
		nanosleep(&pause, NULL);
	}
	errno = ESRCH;
	return -1;
}

/* An end of its own; one that is catatonic has had one as well. */
static int open_end(const struct file_opener *opener, const MntAutofsEntry *autofs,
		    struct error *err)
{
	const FileEntry *file =
		autofs->has_pipe_id ? find_end(opener->snapshot, autofs->pipe_id) : NULL;
	int ends[2], found = file ? opener_file(opener, file->id) : -1;
	char self[64];

	snprintf(self, sizeof self, "/proc/self/fd/%d", found);
	int fd = file ? open(self, O_WRONLY | O_NONBLOCK | O_CLOEXEC) : -1;
	if (!file && pipe2(ends, O_CLOEXEC) == 0) {
		close(ends[0]);
		fd = ends[1];
	}
	return fd < 0 ? fail_errno(err, ERR_KERNEL_REFUSED, "cannot open the end of a pipe for it")
		      : fd;
}

struct making {
	struct file_opener *opener;
	const MntEntry *entry;
	int context_fd, pipe_fd;
	pid_t group;
};

/*
 * In a deputy with a table of its own: the number of the descriptor is shown for ever, and may be
 * that of anything of ours.
 */
static int create(void *data, struct error *err)
{
	const struct making *making = data;
	const MntEntry *entry = making->entry;
	int number = entry->autofs->has_pipe_id ? (int)entry->autofs->fd : making->pipe_fd;
	char text[16];

	mounts_let_number_go(making->opener, entry->root_dev);
	if (unshare(CLONE_FILES))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot have descriptors of our own");
	int context_fd = fcntl(making->context_fd, F_DUPFD_CLOEXEC, number + 1);
	if (context_fd < 0 || dup2(making->pipe_fd, number) < 0)
		return fail_errno(err, ERR_LIMIT_TOO_LOW, "cannot give its pipe the number %d",
				  number);
	snprintf(text, sizeof text, "%d", number);
	if (mount_set(context_fd, "fd", text, err))
		return -1;
	snprintf(text, sizeof text, "%d", making->group);
	if (mount_set(context_fd, "pgrp", text, err) ||
	    mount_set_options(context_fd, entry->options, err) ||
	    mounts_free_number(entry->root_dev, err))
		return -1;
	return mount_create(context_fd, entry, err);
}

/* What no option says, by whoever has all rights; opening its root is no coming to it. */
static int settle(const MntEntry *entry, int mount_fd, struct error *err)
{
	const MntAutofsEntry *autofs = entry->autofs;
	unsigned long timeout = autofs->timeout;
	autoclose int fd = openat(mount_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || (timeout && ioctl(fd, AUTOFS_IOC_SETTIMEOUT, &timeout)) ||
	    fchmod(fd, autofs->mode) ||
	    (!autofs->has_pipe_id && ioctl(fd, AUTOFS_IOC_CATATONIC, 0)))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot set what the autofs at %s has",
				  entry->mountpoint);
	return 0;
}

static int make_once(const struct mount_maker *maker, const MntEntry *entry, int pipe_fd,
		     pid_t group, struct error *err)
{
	autoclose int context_fd = fsopen("autofs", FSOPEN_CLOEXEC);
	struct making making = { maker->opener, entry, context_fd, pipe_fd, group };

	if (context_fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot mount an autofs");
	if (deputy_run(create, &making, err))
		return -1;
	return mount_attachable(context_fd, entry, err);
}

static int make(const struct mount_maker *maker, const MntEntry *entry, struct error *err)
{
	pid_t group = find_group(maker->opener, entry->autofs);

	if (group <= 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "cannot find the process group that is to mount at %s",
				  entry->mountpoint);
	autoclose int pipe_fd = open_end(maker->opener, entry->autofs, err);
	if (pipe_fd < 0)
		return -1;
	for (int i = 0; i < ATTEMPTS; i++) {
		autoclose int fd = make_once(maker, entry, pipe_fd, group, err);
		int is_it =
			fd < 0 ? -1 : mounts_has_number(maker->opener, fd, entry->root_dev, err);
		if (is_it < 0 || (is_it && (autofs_fill(maker->opener, entry, fd, err) ||
					    settle(entry, fd, err))))
			return -1;
		if (is_it)
			return take_fd(&fd);
	}
	return fail(err, ERR_KERNEL_REFUSED,
		    "the device number, by which a daemon knows it, is taken by somebody again and "
		    "again");
}

const struct mount_kind autofs_mount_kind = {
	.type = "autofs",
	.fstype = FSTYPE__AUTOFS,
	.numbered = true,
	.lets_go = true,
	.collect = collect,
	.complete = complete,
	.check = check,
	.make = make,
};
