// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Pseudo-terminals, pty(7). A master is made by opening the ptmx of a devpts, which gives it the
 * lowest free number there; the slave with that number is opened by way of the master (TIOCGPTPEER,
 * 4.13), so no name has to lead to it. A restore opens masters until it has the recorded number,
 * and lets the others go.
 *
 * That the slave was open and is closed again by all shows to the master (an end of file), so it is
 * opened and closed once more then. What waits in either direction: pty-queues.c. What was typed
 * before the slave was ever opened is not seen, and lost, and so is the echo of it. That a process
 * has given up the terminal that controls its session (TIOCNOTTY), or was there before that did, is
 * lost: it has it as all others of the session.
 *
 * Of what waits all is taken out and put back, in a tree that goes on, too: that the next character
 * was to be taken for what it is (VLNEXT) is lost, and who is told of input by a signal (O_ASYNC)
 * is told once more.
 *
 * One whose master is outside of the tree: outside.c. Descriptions of /dev/tty: alias.c. One that
 * was hung up while its terminal goes on (vhangup(2)) comes back as that of one that is gone; the
 * terminal, as if somebody had opened it since.
 *
 * One that was made in a devpts beside a mount that is gone since (lxc-start) is found by the
 * kernel's memory (pty-instance.c), and made again where that devpts is mounted; where nobody may
 * look there, or it is mounted nowhere, it is refused.
 *
 * A master that was not unlocked yet (TIOCSPTLCK) is locked again when all are open.
 *
 * Refused: one that was locked when its slave had been open; a master that was opened to read or
 * to write only; consoles (/dev/console where that is no pseudo-terminal), virtual terminals and
 * serial lines.
 */
#include "kinds/ttys/ttys.h"

#include "base/cleanup.h"
#include "collect/collect.h"
#include "kinds/opener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

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
	if (info->type == TTY_TYPE__CTTY)
		return alias_check(snapshot, entry->tty, info, err);
	if (info->type == TTY_TYPE__EXT_TTY)
		return pty_state_check(info, err);
	if (!entry->tty->has_master || !info->ptmx)
		return fail(err, ERR_IMAGE_UNSUPPORTED,
			    "terminal %u: the images do not tell where it was opened", info->id);
	return pty_state_check(info, err) ? -1 : pty_queues_check(info, err);
}

/* That of a mount namespace of the tree is there once all processes are. */
static enum file_way pty_way(const struct snapshot *snapshot, const FileEntry *entry)
{
	const TtyInfoEntry *info = tty_info_of(snapshot, entry);

	if (info && info->type == TTY_TYPE__CTTY)
		return FILE_LATE;
	if (!info || !info->has_mount_id)
		return FILE_EARLY;
	return entry->tty->has_master && entry->tty->master && pty_is_early(snapshot, info)
		       ? FILE_EARLY
		       : FILE_LATE;
}

/* Lower numbers that are free are taken meanwhile (pty-make.c). */
static struct file_cost pty_cost(const struct snapshot *snapshot, const FileEntry *entry)
{
	const TtyInfoEntry *info = tty_info_of(snapshot, entry);

	return (struct file_cost){ .kept = 1,
				   .meanwhile = info && info->pty ? info->pty->index : 0 };
}

static int pty_verify(struct file_opener *opener, const FileEntry *entry, struct error *err)
{
	const TtyInfoEntry *info = tty_info_of(opener->snapshot, entry);

	if (info->type == TTY_TYPE__CTTY)
		return alias_verify(opener, entry->tty, err);
	return info->type == TTY_TYPE__EXT_TTY ? outside_verify(opener, info, err) : 0;
}

static int set_owner(int slave, const TtyInfoEntry *info, struct error *err)
{
	char self[32];

	snprintf(self, sizeof self, "/proc/self/fd/%d", slave);
	if (slave < 0 ||
	    (info->has_uid && info->has_gid && chown(self, info->uid, info->gid) < 0) ||
	    (info->has_mode && chmod(self, info->mode & 07777) < 0))
		return fail_errno(err, ERR_KERNEL_REFUSED, "terminal %u: cannot give it its owner",
				  info->id);
	return 0;
}

/* Also where nobody has the slave open; only its name: an open would be seen by the master. */
static int set_owner_of_name(int fd, const FileEntry *entry, const TtyInfoEntry *info,
			     struct error *err)
{
	if (info->type == TTY_TYPE__CTTY || (info->type == TTY_TYPE__EXT_TTY && entry->tty->master))
		return 0;
	if (!entry->tty->master)
		return set_owner(fd, info, err);
	autoclose int peer = pty_open_peer(fd, O_PATH);
	return set_owner(peer, info, err);
}

static int open_entry(struct file_opener *opener, const FileEntry *entry, const TtyInfoEntry *info,
		      struct error *err)
{
	if (info->type == TTY_TYPE__CTTY)
		return alias_open(opener, entry->tty, info, err);
	return entry->tty->master ? pty_take_master(opener, info, err)
				  : pty_open_slave(opener, entry->tty, info, err);
}

static int pty_open(struct file_opener *opener, const FileEntry *entry, struct error *err)
{
	const TtyInfoEntry *info = tty_info_of(opener->snapshot, entry);
	bool is_given = info->type == TTY_TYPE__EXT_TTY && outside_is_given(opener, info);
	autoclose int fd = open_entry(opener, entry, info, err);

	if (fd < 0)
		return -1;
	if (!is_given && set_owner_of_name(fd, entry, info, err))
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
		const TtyInfoEntry *other =
			entry->type == FD_TYPES__TTY ? tty_info_of(snapshot, entry) : NULL;
		if (other && !entry->tty->master && alias_terminal(snapshot, other) == info)
			return true;
	}
	return false;
}

bool pty_was_open(const struct snapshot *snapshot, const TtyInfoEntry *info)
{
	return info->type != TTY_TYPE__PTY || info->slave_closed || has_slave(snapshot, info);
}

/* When both sides are open: the last of the slaves to close it would forget. */
static int pty_connect(struct file_opener *opener, const FileEntry *entry, int fd,
		       struct error *err)
{
	const TtyInfoEntry *info = tty_info_of(opener->snapshot, entry);

	if (info->type == TTY_TYPE__EXT_TTY)
		return pty_state_write(fd, info, err);
	if (!entry->tty->master)
		return 0;
	if (pty_state_write(fd, info, err))
		return -1;
	if (pty_was_open(opener->snapshot, info)) {
		autoclose int slave = pty_open_peer(fd, O_RDWR | O_NONBLOCK);
		if (slave < 0)
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "terminal %u: cannot open its other side", info->id);
		if (pty_queues_write(fd, slave, info, err))
			return -1;
		if (info->slave_exclusive && ioctl(slave, TIOCEXCL) < 0)
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "terminal %u: cannot have its slave for itself",
					  info->id);
	}
	return pty_state_lock(fd, info, err);
}

static void pty_describe(const FileEntry *entry, char *text, size_t room)
{
	snprintf(text, room, "terminal %u %s", entry->tty->tty_info_id,
		 entry->tty->path && !entry->tty->has_mount_id ? entry->tty->path
		 : entry->tty->master			       ? "master"
							       : "slave");
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
	.verify = pty_verify,
	.way = pty_way,
	.cost = pty_cost,
	.open = pty_open,
	.calls = alias_calls,
	.connect = pty_connect,
	.describe = pty_describe,
	.meets = pty_meets,
	.complete = pty_complete,
	.before_release = outside_before_release,
};
