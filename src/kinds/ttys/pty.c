// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Pseudo-terminals, pty(7). A master is made by opening the ptmx of a devpts, which gives it the
 * lowest free number there; the slave with that number is opened by way of the master (TIOCGPTPEER,
 * 4.13), so no name has to lead to it. A restore opens masters until it has the recorded number,
 * and lets the others go.
 *
 * That the slave was open and is closed again by all shows to the master (an end of file), so it is
 * opened and closed once more then. What waits in either direction: pty-queues.c. What was typed
 * before the slave was ever opened is not seen, and lost.
 *
 * Refused: a slave whose master is outside of the tree, a master that was never unlocked, and a
 * descriptor of /dev/tty.
 */
#include "kinds/ttys/ttys.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "collect/collect.h"
#include "kernel/syscalls.h"
#include "kinds/files/opener.h"
#include "kinds/mounts/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <termios.h>
#include <unistd.h>

#ifndef TIOCGPTPEER
#define TIOCGPTPEER _IO('T', 0x41)
#endif
#ifndef TIOCGPTLCK
#define TIOCGPTLCK _IOR('T', 0x39, int)
#endif

enum { PTMX_MAJOR = 5, PTMX_MINOR = 2, TTY_MINOR = 0, SLAVE_MAJOR = 136, LAST_SLAVE_MAJOR = 143 };
enum { MOST_MASTERS = 4096 };

static bool is_master(const struct stat *stat)
{
	return major(stat->st_rdev) == PTMX_MAJOR && minor(stat->st_rdev) == PTMX_MINOR;
}

static bool is_slave(const struct stat *stat)
{
	unsigned number = major(stat->st_rdev);

	return number >= SLAVE_MAJOR && number <= LAST_SLAVE_MAJOR;
}

/* ---- Dump ---- */

struct known_pty {
	struct known_pty *next;
	dev_t device; /* of its devpts */
	uint32_t index;
	TtyInfoEntry *info;
	bool has_master, has_slave;
	const struct target *target; /* who has the master, and its number there */
	uint32_t number;
	const char *what;     /* one of its descriptors, for messages */
	pid_t session, group; /* as we see them; 0: none */
};

static bool pty_recognise(const struct open_file *file)
{
	return S_ISCHR(file->stat.st_mode) && !(file->flags & O_PATH) &&
	       (is_master(&file->stat) || is_slave(&file->stat));
}

static struct known_pty *known_pty(struct collect *collect, dev_t device, uint32_t index)
{
	void **first = collect_state(collect, &pty_kind);
	struct known_pty *pty = *first;

	while (pty && (pty->device != device || pty->index != index))
		pty = pty->next;
	if (pty)
		return pty;
	pty = arena_new(collect->arena, struct known_pty);
	*pty = (struct known_pty){ .next = *first, .device = device, .index = index };
	pty->info = snapshot_new(collect->snapshot, TTY_INFO_ENTRY, TtyInfoEntry);
	pty->info->id = pty->next ? pty->next->info->id + 1 : 1;
	pty->info->type = TTY_TYPE__PTY;
	pty->info->pty = snapshot_new(collect->snapshot, TTY_PTY_ENTRY, TtyPtyEntry);
	pty->info->pty->index = index;
	snapshot_add_record(collect->snapshot, IMAGE_TTY_INFO, pty->info->id, pty->info);
	*first = pty;
	return pty;
}

/* A slave of a master. O_CLOEXEC would stay in the flags of the description (ptm_open_peer). */
static int open_peer(int master, int flags)
{
	int fd = ioctl(master, TIOCGPTPEER, flags | O_NOCTTY);

	if (fd >= 0)
		fcntl(fd, F_SETFD, FD_CLOEXEC);
	return fd;
}

static int duplicate_of(const struct target *target, uint32_t number)
{
	autoclose int pidfd = target_pidfd(target);

	return pidfd < 0 ? -1 : kernel_pidfd_getfd(pidfd, (int)number, 0);
}

static int collect_master(const struct open_file *file, int fd, struct known_pty **ret_pty,
			  struct error *err)
{
	struct collect *collect = file->target->collect;
	int index, locked = 0;
	uint32_t mount_id;
	struct stat name;

	if (ioctl(fd, TIOCGPTN, &index) < 0 || ioctl(fd, TIOCGPTLCK, &locked) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot tell its number",
				  file->what);
	if (locked)
		return fail(err, ERR_UNSUPPORTED_FILE, "%s is a terminal that was never unlocked",
			    file->what);
	/* Only its name: an open would be seen by the master. */
	autoclose int peer = open_peer(fd, O_PATH);
	if (peer < 0 || fstat(peer, &name) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot find its other side",
				  file->what);
	struct known_pty *pty = known_pty(collect, name.st_dev, (uint32_t)index);
	TtyInfoEntry *info = pty->info;
	int mounted = mount_of_file(file, &mount_id, err);
	if (mounted < 0 || pty_state_read(fd, info, collect->snapshot->arena, file->what, err))
		return -1;
	info->ptmx = arena_string(collect->snapshot->arena, file->link);
	info->has_mount_id = mounted > 0;
	info->mount_id = mount_id;
	info->has_uid = info->has_gid = info->has_mode = true;
	info->uid = name.st_uid;
	info->gid = name.st_gid;
	info->mode = name.st_mode & 07777;
	info->rdev = (uint32_t)file->stat.st_rdev;
	pty->has_master = true;
	pty->target = file->target;
	pty->number = file->number;
	/* The master tells both to whoever asks; ENOTTY: it controls no session. */
	if (ioctl(fd, TIOCGSID, &pty->session) < 0)
		pty->session = 0;
	if (ioctl(fd, TIOCGPGRP, &pty->group) < 0)
		pty->group = 0;
	*ret_pty = pty;
	return 0;
}

static int pty_collect(const struct open_file *file, FileEntry *entry, struct error *err)
{
	struct collect *collect = file->target->collect;
	struct known_pty *pty = NULL;

	if (is_master(&file->stat)) {
		autoclose int fd = duplicate_of(file->target, file->number);
		if (fd < 0)
			return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot get the descriptor",
					  file->what);
		if (collect_master(file, fd, &pty, err))
			return -1;
	} else {
		unsigned index = minor(file->stat.st_rdev) +
				 ((major(file->stat.st_rdev) - SLAVE_MAJOR) << 20);
		pty = known_pty(collect, file->stat.st_dev, index);
		pty->has_slave = true;
	}
	pty->what = file->what;
	entry->tty = snapshot_new(collect->snapshot, TTY_FILE_ENTRY, TtyFileEntry);
	entry->tty->id = file->id;
	entry->tty->tty_info_id = pty->info->id;
	entry->tty->flags = file->flags;
	entry->tty->fown = snapshot_new(collect->snapshot, FOWN_ENTRY, FownEntry);
	entry->tty->has_master = true;
	entry->tty->master = is_master(&file->stat);
	return 0;
}

/* The number at level 0 of a session or group, told by somebody who is in it. */
static uint32_t number_of(const struct collect *collect, pid_t seen, bool of_session)
{
	for (size_t i = 0; seen > 0 && i < collect->n_targets; i++) {
		const struct target *target = &collect->targets[i];
		/* proc(5): 5 is the group, 6 the session, as the reader sees them. */
		if ((pid_t)target_leader_field(target, of_session ? 6 : 5) != seen)
			continue;
		struct pid_vector pids =
			of_session ? task_sessions(target->task) : task_groups(target->task);
		return pids.pid[0];
	}
	return 0;
}

/* While the other side is closed, and was not always, the master sees an end (EPOLLHUP). */
static bool sees_end(int master)
{
	struct pollfd ready = { .fd = master };

	return poll(&ready, 1, 0) > 0 && (ready.revents & POLLHUP);
}

static int collect_queues(struct collect *collect, const struct known_pty *pty, struct error *err)
{
	autoclose int master = duplicate_of(pty->target, pty->number);
	struct error refused = { 0 };

	if (master < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot get the descriptor",
				  pty->what);
	pty->info->has_slave_closed = pty->info->slave_closed = sees_end(master);
	if (!pty->has_slave && !pty->info->slave_closed)
		return 0;
	autoclose int slave = open_peer(master, O_RDWR | O_NONBLOCK);
	if (slave < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot open its other side",
				  pty->what);
	if (pty_queues_read(master, slave, pty->info, collect->snapshot->arena, pty->what,
			    &refused) == 0)
		return 0;
	if (refused.name != ERR_UNSUPPORTED_FILE) {
		*err = refused;
		return -1;
	}
	collect_refuse_file(collect, "%s", refused.text);
	return 0;
}

static int pty_complete(struct collect *collect, struct error *err)
{
	for (struct known_pty *pty = *collect_state(collect, &pty_kind); pty; pty = pty->next) {
		if (!pty->has_master) {
			collect_refuse_file(collect,
					    "%s is a terminal whose master is outside of the tree",
					    pty->what);
			continue;
		}
		/* Somebody may only look (nestor tree). */
		if (collect->images && collect_queues(collect, pty, err))
			return -1;
		pty->info->sid = number_of(collect, pty->session, true);
		pty->info->pgrp = number_of(collect, pty->group, false);
		if (pty->session && !pty->info->sid)
			collect_refuse_file(collect,
					    "%s controls a session that is outside of the tree",
					    pty->what);
	}
	return 0;
}

/* ---- Restore ---- */

const TtyInfoEntry *tty_info_of(const struct snapshot *snapshot, const FileEntry *entry)
{
	const struct record *record =
		entry->tty ? snapshot_record(snapshot, IMAGE_TTY_INFO, entry->tty->tty_info_id)
			   : NULL;

	return record ? record->message : NULL;
}

static int pty_check(const struct snapshot *snapshot, const FileEntry *entry, struct error *err)
{
	const TtyInfoEntry *info = tty_info_of(snapshot, entry);

	if (!entry->tty || entry->tty->id != entry->id || !info)
		return fail(err, ERR_IMAGE_INVALID, "file %u has no record of a terminal",
			    entry->id);
	if (!entry->tty->has_master || !info->ptmx)
		return fail(err, ERR_IMAGE_UNSUPPORTED,
			    "terminal %u: the images do not tell where it was opened", info->id);
	return pty_state_check(info, err) ? -1 : pty_queues_check(info, err);
}

/* That of a mount namespace of the tree is there once all processes are. */
static enum file_way pty_way(const struct snapshot *snapshot, const FileEntry *entry)
{
	const TtyInfoEntry *info = tty_info_of(snapshot, entry);

	return info && info->has_mount_id ? FILE_LATE : FILE_EARLY;
}

struct made_pty {
	struct made_pty *next;
	uint32_t id;
	size_t place; /* of the master, kept until all files are open */
	bool is_taken;
};

static int open_ptmx(const struct file_opener *opener, const TtyInfoEntry *info)
{
	int flags = O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC;

	return info->has_mount_id ? mounts_open(opener, info->mount_id, info->ptmx, flags)
				  : opener_open_path(opener, info->ptmx, flags);
}

/* Numbers below the wanted one that are free here are passed over. */
static int open_master(const struct file_opener *opener, const TtyInfoEntry *info,
		       struct error *err)
{
	int passed[MOST_MASTERS], result = -1;
	uint32_t index = 0;
	size_t n_passed = 0;

	while (n_passed < MOST_MASTERS) {
		int fd = open_ptmx(opener, info);
		if (fd < 0 || ioctl(fd, TIOCGPTN, &index) < 0) {
			fail_errno(err, ERR_KERNEL_REFUSED, "terminal %u: cannot make it (%s)",
				   info->id, info->ptmx);
			if (fd >= 0)
				close(fd);
			break;
		}
		if (index == info->pty->index) {
			result = fd;
			break;
		}
		passed[n_passed++] = fd;
		if (index > info->pty->index) {
			fail(err, ERR_FILE_CHANGED, "terminal number %u is in use here",
			     info->pty->index);
			break;
		}
	}
	while (n_passed)
		close(passed[--n_passed]);
	return result;
}

static struct made_pty *make_pty(struct file_opener *opener, const TtyInfoEntry *info,
				 struct error *err)
{
	void **first = opener_state(opener, &pty_kind);
	int unlocked = 0;

	for (struct made_pty *pty = *first; pty; pty = pty->next)
		if (pty->id == info->id)
			return pty;
	int master = open_master(opener, info, err);
	if (master < 0)
		return NULL;
	struct made_pty *pty = arena_new(opener->arena, struct made_pty);
	*pty = (struct made_pty){ .next = *first,
				  .id = info->id,
				  .place = opener_keep(opener, master) };
	*first = pty;
	if (ioctl(master, TIOCSPTLCK, &unlocked) < 0) {
		fail_errno(err, ERR_KERNEL_REFUSED, "terminal %u: cannot unlock it", info->id);
		return NULL;
	}
	return pty;
}

static int set_owner(int slave, const TtyInfoEntry *info, struct error *err)
{
	if ((info->has_uid && info->has_gid && fchown(slave, info->uid, info->gid) < 0) ||
	    (info->has_mode && fchmod(slave, info->mode & 07777) < 0))
		return fail_errno(err, ERR_KERNEL_REFUSED, "terminal %u: cannot give it its owner",
				  info->id);
	return 0;
}

static int pty_open(struct file_opener *opener, const FileEntry *entry, struct error *err)
{
	const TtyInfoEntry *info = tty_info_of(opener->snapshot, entry);
	struct made_pty *pty = make_pty(opener, info, err);
	int flags = (int)entry->tty->flags & (O_ACCMODE | O_NONBLOCK);

	if (!pty)
		return -1;
	int master = opener_kept(opener, pty->place);
	autoclose int fd =
		entry->tty->master ? fcntl(master, F_DUPFD_CLOEXEC, 3) : open_peer(master, flags);
	if (fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "terminal %u: cannot open it", info->id);
	if (!entry->tty->master && set_owner(fd, info, err))
		return -1;
	if (opener_set_flags(fd, entry->tty->flags) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "terminal %u: cannot set its flags",
				  info->id);
	return take_fd(&fd);
}

static bool has_slave(const struct snapshot *snapshot, const TtyInfoEntry *info)
{
	for (size_t i = 0; i < snapshot->n_files; i++) {
		const FileEntry *entry = snapshot->files[i];
		if (entry->type == FD_TYPES__TTY && entry->tty && !entry->tty->master &&
		    entry->tty->tty_info_id == info->id)
			return true;
	}
	return false;
}

/* When both sides are open: the last of the slaves to close it would forget. */
static int pty_connect(struct file_opener *opener, const FileEntry *entry, int fd,
		       struct error *err)
{
	const TtyInfoEntry *info = tty_info_of(opener->snapshot, entry);

	if (!entry->tty->master)
		return 0;
	if (pty_state_write(fd, info, err))
		return -1;
	if (info->slave_closed || has_slave(opener->snapshot, info)) {
		autoclose int slave = open_peer(fd, O_RDWR | O_NONBLOCK);
		if (slave < 0)
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "terminal %u: cannot open its other side", info->id);
		if (pty_queues_write(fd, slave, info, err))
			return -1;
	}
	return pty_state_lock(fd, info, err);
}

static void pty_describe(const FileEntry *entry, char *text, size_t room)
{
	snprintf(text, room, "terminal %u %s", entry->tty->tty_info_id,
		 entry->tty->master ? "master" : "slave");
}

static void pty_meets(const FileEntry *entry, char *text, size_t room)
{
	snprintf(text, room, "terminal %u", entry->tty->tty_info_id);
}

static struct file_fields pty_fields(FileEntry *entry)
{
	return (struct file_fields){ .flags = &entry->tty->flags, .owner = &entry->tty->fown };
}

const struct file_kind pty_kind = {
	.name = "terminal",
	.type = FD_TYPES__TTY,
	.recognise = pty_recognise,
	.collect = pty_collect,
	.fields = pty_fields,
	.check = pty_check,
	.way = pty_way,
	.open = pty_open,
	.connect = pty_connect,
	.describe = pty_describe,
	.meets = pty_meets,
	.complete = pty_complete,
};
