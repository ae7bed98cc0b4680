// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What the owner of a mount namespace may not undo: mounts that came from a namespace of another
 * owner cannot be unmounted one by one (MNT_LOCKED), nor their flags cleared (MNT_LOCK_*). It is
 * what hides things from a sandbox, and nothing shows it. So it is tried, in a copy: a deputy
 * enters the mount and the user namespace and unshares, which keeps the locks as the owner is the
 * same, makes all private, and tries to clear each flag and to unmount each mount, leaves first.
 *
 * What cannot be tried, because something hides it that stays, counts as locked: whoever looks
 * from inside could not get at it either.
 */
#include "kinds/mounts/survey.h"

#include "kernel/deputy.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/syscall.h>

static const struct {
	uint32_t flag;
	uint64_t attribute, clear;
} lockable[] = {
	{ MS_RDONLY, MOUNT_ATTR_RDONLY, MOUNT_ATTR_RDONLY },
	{ MS_NOSUID, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NOSUID },
	{ MS_NODEV, MOUNT_ATTR_NODEV, MOUNT_ATTR_NODEV },
	{ MS_NOEXEC, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOEXEC },
};
enum { LOCKABLE = sizeof lockable / sizeof *lockable };

/* All of the mode of access times is locked together. */
enum { ATIME_FLAGS = MS_NOATIME | MS_NODIRATIME | MS_RELATIME };

struct verdict {
	bool locked;
	uint32_t locked_flags;
};

struct trial {
	const struct live_namespace *namespace;
	int user_fd;
	const size_t *order; /* leaves first */
	struct verdict *verdicts;
};

/* EPERM is the only answer that means a lock; of any other the flag is kept locked all the same. */
static bool is_clearable(const char *path, uint64_t set, uint64_t clear)
{
	struct mount_attr attributes = { .attr_set = set, .attr_clr = clear };

	return syscall(SYS_mount_setattr, AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, &attributes,
		       sizeof attributes) == 0;
}

static bool is_atime_free(const char *path, uint32_t flags)
{
	uint64_t other = flags & MS_NOATIME ? MOUNT_ATTR_RELATIME : MOUNT_ATTR_NOATIME;

	return is_clearable(path, other, MOUNT_ATTR__ATIME);
}

static uint32_t locked_flags(const struct mount_line *line)
{
	uint32_t locked = 0;

	for (size_t i = 0; i < LOCKABLE; i++)
		if (line->flags & lockable[i].flag &&
		    !is_clearable(line->mountpoint, 0, lockable[i].clear))
			locked |= lockable[i].flag;
	if (!is_atime_free(line->mountpoint, line->flags))
		locked |= line->flags & ATIME_FLAGS;
	return locked;
}

/* Is something that was not taken away on top of it? */
static bool is_covered(const struct trial *trial, size_t index)
{
	const struct mount_table *table = &trial->namespace->table;
	const struct mount_line *line = &table->lines[index];

	for (size_t i = 0; i < table->n_lines; i++) {
		const struct mount_line *other = &table->lines[i];
		if (!trial->verdicts[i].locked || i == index)
			continue;
		bool on_top = other->parent_id == line->id &&
			      strcmp(other->mountpoint, line->mountpoint) == 0;
		bool hides = other->parent_id == line->parent_id &&
			     strcmp(other->mountpoint, line->mountpoint) != 0 &&
			     path_below(line->mountpoint, other->mountpoint);
		if (on_top || hides)
			return true;
	}
	return false;
}

static int try_all(void *data, struct error *err)
{
	struct trial *trial = data;
	const struct mount_table *table = &trial->namespace->table;

	if (setns(trial->namespace->fd, CLONE_NEWNS) || setns(trial->user_fd, CLONE_NEWUSER))
		return fail_errno(err, ERR_NO_PRIVILEGE, "cannot enter a mount namespace");
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot copy a mount namespace");
	for (size_t i = 0; i < table->n_lines; i++) {
		size_t index = trial->order[i];
		const struct mount_line *line = &table->lines[index];
		struct verdict *verdict = &trial->verdicts[index];
		if (is_covered(trial, index)) {
			*verdict = (struct verdict){ true, line->flags & ~(uint32_t)MS_UNBINDABLE };
			continue;
		}
		verdict->locked_flags = locked_flags(line);
		/* The root is not to be unmounted, and its lock comes by itself. */
		verdict->locked = strcmp(line->mountpoint, "/") != 0 &&
				  umount2(line->mountpoint, MNT_DETACH | UMOUNT_NOFOLLOW) != 0;
	}
	return 0;
}

struct key {
	size_t index, depth, length;
};

static int leaves_first(const void *a, const void *b)
{
	const struct key *one = a, *other = b;

	if (one->depth != other->depth)
		return one->depth > other->depth ? -1 : 1;
	if (one->length != other->length)
		return one->length < other->length ? -1 : 1;
	return one->index > other->index ? -1 : 1;
}

/*
 * Leaves before what is below them; of siblings those with the shorter path first, which may hide
 * others.
 */
static size_t *order_of(const struct mount_table *table, struct arena *arena)
{
	struct key *keys = arena_array(arena, struct key, table->n_lines + 1);
	size_t *order = arena_array(arena, size_t, table->n_lines + 1);

	for (size_t i = 0; i < table->n_lines; i++) {
		const struct mount_line *at = &table->lines[i];
		size_t depth = 0;
		for (size_t k = 0; k < table->n_lines; k++)
			if (table->lines[k].id == at->parent_id && depth < table->n_lines) {
				at = &table->lines[k];
				depth++;
				k = SIZE_MAX;
			}
		keys[i] = (struct key){ i, depth, strlen(table->lines[i].mountpoint) };
	}
	qsort(keys, table->n_lines, sizeof *keys, leaves_first);
	for (size_t i = 0; i < table->n_lines; i++)
		order[i] = keys[i].index;
	return order;
}

int mount_locks_find(struct live_namespace *namespace, struct error *err)
{
	struct arena *arena = namespace->member->collect->arena;
	size_t n = namespace->table.n_lines, size = n * sizeof(struct verdict);
	struct trial trial = { .namespace = namespace };

	trial.user_fd = ioctl(namespace->fd, NS_GET_USERNS);
	if (trial.user_fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "cannot tell the owner of a mount namespace");
	struct stat owner, own;
	if (fstat(trial.user_fd, &owner) || stat("/proc/self/ns/user", &own)) {
		close(trial.user_fd);
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot read a user namespace");
	}
	/* Nothing binds whoever owns all mounts. */
	if (owner.st_ino == own.st_ino) {
		close(trial.user_fd);
		return 0;
	}
	trial.order = order_of(&namespace->table, arena);
	trial.verdicts = deputy_memory(size);
	int result = trial.verdicts ? deputy_run(try_all, &trial, err)
				    : fail_errno(err, ERR_KERNEL_REFUSED, "cannot map memory");
	close(trial.user_fd);
	for (size_t i = 0; i < n && !result; i++) {
		MntEntry *entry = namespace->entries[i];
		entry->has_locked = entry->locked = trial.verdicts[i].locked;
		entry->locked_flags = trial.verdicts[i].locked_flags;
		entry->has_locked_flags = entry->locked_flags != 0;
	}
	deputy_memory_free(trial.verdicts, size);
	return result;
}
