// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Terminals whose master is outside of the tree: the console of a container, whose manager holds
 * it (--external tty[RDEV:DEV]), or the terminal of the session from which the tree was started
 * (--shell-job). Modes and size are kept.
 *
 * At a restore the first is given (--inherit-fd fd[N]:tty[RDEV:DEV]); without that a terminal of
 * the tree's own is made, and the caller takes its master, if it said so at the dump and now
 * (outside_is_orphan). Otherwise the other side is gone: the master is closed when all is done, so
 * that it is hung up. The second is the terminal of nestor's own standard descriptors; the group
 * that was in the foreground there is brought to it again.
 *
 * One whose master nobody has any more is hung up already, and comes back so.
 *
 * What had not been read from it stays with the terminal, which is not ours.
 */
#include "kinds/ttys/ttys.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "collect/collect.h"
#include "kinds/opener.h"

#include <asm/ioctls.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { FIELD_GROUP = 5, FIELD_SESSION = 6, FIELD_TERMINAL = 7, FIELD_FOREGROUND = 8 };

/* ---- Dump ---- */

/* The number at level 0 of a session or group, told by somebody who is in it. */
uint32_t tty_number_of(const struct collect *collect, pid_t seen, bool of_session)
{
	for (size_t i = 0; seen > 0 && i < collect->n_targets; i++) {
		const struct target *target = &collect->targets[i];
		/* proc(5), as the reader sees them. */
		if ((pid_t)target_leader_field(target, of_session ? FIELD_SESSION : FIELD_GROUP) !=
		    seen)
			continue;
		struct pid_vector pids =
			of_session ? task_sessions(target->task) : task_groups(target->task);
		return pids.pid[0];
	}
	return 0;
}

/* As stat of proc(5) has it (new_encode_dev). */
static bool has_terminal(const struct target *target, dev_t device)
{
	uint64_t number = target_leader_field(target, FIELD_TERMINAL);

	return ((number >> 8) & 0xfff) == major(device) &&
	       ((number & 0xff) | ((number >> 12) & 0xfff00)) == minor(device);
}

pid_t tty_session_of(const struct target *target)
{
	return target->held_for ? 0 : (pid_t)target_leader_field(target, FIELD_SESSION);
}

bool tty_is_own(const struct target *target, dev_t terminal)
{
	return !target->held_for && has_terminal(target, terminal);
}

dev_t tty_devpts_of(const struct target *target, dev_t terminal)
{
	char name[64];
	struct stat found;

	snprintf(name, sizeof name, "root/dev/pts/%u", minor(terminal));
	return !target->held_for && target_look(target, name, &found) == 0 &&
			       found.st_rdev == terminal
		       ? found.st_dev
		       : 0;
}

static const struct target *find_leader(const struct collect *collect, pid_t session)
{
	for (size_t i = 0; i < collect->n_targets; i++)
		if (collect->targets[i].pid == session)
			return &collect->targets[i];
	return NULL;
}

static bool is_of_caller(const struct outside_terminal *outside)
{
	const struct target *target = outside->target;

	return outside->collect->options->shell_job && tty_is_own(target, outside->slave) &&
	       !find_leader(outside->collect, (pid_t)target_leader_field(target, FIELD_SESSION));
}

bool outside_is_orphan(const TtyInfoEntry *info, const struct externals *externals)
{
	return externals && externals->give_masters && info->type == TTY_TYPE__EXT_TTY &&
	       info->has_mount_id && !info->of_caller;
}

bool outside_allow(struct outside_terminal *outside)
{
	TtyInfoEntry *info = outside->info;
	char id[40];

	snprintf(id, sizeof id, "%jx:%jx", (uintmax_t)outside->slave, (uintmax_t)outside->device);
	info->type = TTY_TYPE__EXT_TTY;
	info->rdev = (uint32_t)outside->slave;
	info->has_dev = true;
	info->dev = (uint32_t)outside->device;
	if (outside->is_gone)
		return true;
	info->has_of_caller = info->of_caller = is_of_caller(outside);
	if (info->of_caller)
		info->pgrp = tty_number_of(
			outside->collect,
			(pid_t)target_leader_field(outside->target, FIELD_FOREGROUND), false);
	if (info->of_caller || outside_is_orphan(info, outside->collect->options->externals) ||
	    externals_find(outside->collect->options->externals, EXTERNAL_TTY, id))
		return true;
	collect_refuse_file(outside->collect,
			    "%s is a terminal whose master is outside of the tree (--external "
			    "tty[%s] takes it along)",
			    outside->what, id);
	return false;
}

/* A session of the tree that has it, by its number; those of other terminals are known. */
void outside_find_session(struct outside_terminal *outside)
{
	const struct collect *collect = outside->collect;
	const struct records *terminals = snapshot_records(collect->snapshot, IMAGE_TTY_INFO);

	for (size_t i = 0; !outside->info->of_caller && i < collect->n_targets; i++) {
		const struct target *target = &collect->targets[i];
		uint32_t session = task_sessions(target->task).pid[0];
		bool is_known = false;
		if (target->zombie || !has_terminal(target, outside->slave) ||
		    find_leader(collect, (pid_t)target_leader_field(target, FIELD_SESSION)) !=
			    target)
			continue;
		for (size_t k = 0; k < terminals->count; k++) {
			const TtyInfoEntry *other = terminals->records[k]->message;
			is_known |= other->sid == session;
		}
		if (is_known)
			continue;
		outside->info->sid = session;
		outside->info->pgrp = tty_number_of(
			collect, (pid_t)target_leader_field(target, FIELD_FOREGROUND), false);
		return;
	}
}

/* ---- Restore ---- */

static char *key_of(const TtyInfoEntry *info, char key[48])
{
	snprintf(key, 48, "tty[%" PRIx32 ":%" PRIx32 "]", info->rdev,
		 info->has_dev ? info->dev : 0);
	return key;
}

static int find_given(const struct file_opener *opener, const TtyInfoEntry *info)
{
	char key[48];

	for (int fd = 0; info->of_caller && fd < 3; fd++)
		if (isatty(fd))
			return fd;
	return info->of_caller ? -1 : externals_fd(opener->externals, key_of(info, key));
}

bool outside_is_given(const struct file_opener *opener, const TtyInfoEntry *info)
{
	return find_given(opener, info) >= 0;
}

int outside_verify(const struct file_opener *opener, const TtyInfoEntry *info, struct error *err)
{
	int fd = find_given(opener, info);
	char key[48];

	if (info->of_caller && fd < 0)
		return fail(err, ERR_NOT_GIVEN,
			    "terminal %u is that of nestor, which has none at its input or outputs",
			    info->id);
	if (fd >= 0 && !isatty(fd) && errno_tells_nothing(errno))
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "cannot look at descriptor %d, given for %s", fd,
				  key_of(info, key));
	if (fd >= 0 && !isatty(fd))
		return fail(err, ERR_USAGE, "descriptor %d, given for %s, is no terminal", fd,
			    key_of(info, key));
	return 0;
}

/* Once more, for flags of its own. */
int outside_open(const struct file_opener *opener, const TtyInfoEntry *info, int flags,
		 struct error *err)
{
	char path[32];

	snprintf(path, sizeof path, "/proc/self/fd/%d", find_given(opener, info));
	int fd = open(path, flags | O_NOCTTY | O_CLOEXEC);
	return fd < 0 ? fail_errno(err, ERR_KERNEL_REFUSED, "terminal %u: cannot open it", info->id)
		      : fd;
}

/* In the session of nestor, to which it belongs as well; signals are held back. */
int outside_before_release(struct file_opener *opener, struct error *err)
{
	const struct records *terminals = snapshot_records(opener->snapshot, IMAGE_TTY_INFO);

	for (size_t i = 0; i < terminals->count; i++) {
		const TtyInfoEntry *info = terminals->records[i]->message;
		int fd = info->of_caller ? find_given(opener, info) : -1;
		pid_t group = fd >= 0 && info->pgrp ? opener->pid(opener, info->pgrp) : 0;
		int failed = group > 0 ? ioctl(fd, TIOCSPGRP, &group) : 0;
		if (failed < 0 && errno_tells_nothing(errno))
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "cannot put process group %d into the foreground",
					  (int)group);
		if (failed < 0)
			log_warning("restore", "terminals",
				    "process group %d does not get into the foreground: %m",
				    (int)group);
	}
	return 0;
}
