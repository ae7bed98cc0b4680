// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What the owner of a mount namespace may not undo: mounts that came from a namespace of another
 * owner cannot be unmounted one by one (MNT_LOCKED), nor their flags cleared (MNT_LOCK_*). It is
 * what hides things from a sandbox, and nothing shows it. So it is tried, in a copy: a deputy
 * enters the mount and the user namespace and unshares, which keeps the locks as the owner is the
 * same, makes all private, and tries to clear each flag and to unmount each mount. What is
 * unmounted is waited for (namespace_unlock: synchronize_rcu), so what hides others is moved away
 * where it can be, and the rest is but marked for expiry (umount2(2)), which looks at the lock
 * first, too.
 *
 * What cannot be tried, because something hides it that stays, counts as locked: whoever looks
 * from inside could not get at it either.
 */
#include "kinds/mounts/survey.h"

#include "base/arena.h"
#include "base/both-ends.h"
#include "base/table.h"
#include "kernel/deputy.h"
#include "kinds/mounts/plan.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
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
	struct live_namespace *namespace; /* NULL: nothing binds whoever owns all mounts */
	struct mounts_ahead *ahead;
	int namespace_fd, user_fd;
	const struct mount_namespace *mounts;
	struct verdict *verdicts; /* like mounts->mounts */
	bool *locked;		  /* the same */
	struct mount_covers *covers;
	const bool *hides; /* the same: is an earlier one at or below its mountpoint? */
};

/*
 * 1, 0, or -1 with errno: EPERM is the only answer that means a lock; of what else a mount may say
 * the flag is kept locked all the same. Who waits to be told to mount something there (autofs) is
 * not to be woken.
 */
static int is_clearable(const char *path, uint64_t set, uint64_t clear)
{
	struct mount_attr attributes = { .attr_set = set, .attr_clr = clear };

	if (syscall(SYS_mount_setattr, AT_FDCWD, path, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT,
		    &attributes, sizeof attributes) == 0)
		return 1;
	return errno_tells_nothing(errno) ? -1 : 0;
}

static int is_atime_free(const char *path, uint32_t flags)
{
	uint64_t other = flags & MS_NOATIME ? MOUNT_ATTR_RELATIME : MOUNT_ATTR_NOATIME;

	return is_clearable(path, other, MOUNT_ATTR__ATIME);
}

static int find_locked_flags(const MntEntry *mount, uint32_t *ret_locked)
{
	uint32_t locked = 0;

	for (size_t i = 0; i < LOCKABLE; i++) {
		int clearable = mount->flags & lockable[i].flag
					? is_clearable(mount->mountpoint, 0, lockable[i].clear)
					: 1;
		if (clearable < 0)
			return -1;
		locked |= clearable ? 0 : lockable[i].flag;
	}
	int free = is_atime_free(mount->mountpoint, mount->flags);
	if (free < 0)
		return -1;
	*ret_locked = locked | (free ? 0 : mount->flags & ATIME_FLAGS);
	return 0;
}

static uint64_t hash_of(const char *path, size_t length)
{
	uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */

	for (size_t i = 0; i < length; i++)
		hash = (hash ^ (uint8_t)path[i]) * UINT64_C(1099511628211);
	return hash;
}

/* By hashes of all that lie on the way to those before; two that are alike do no harm. */
static bool *find_hiding(struct arena *arena, const struct mount_namespace *mounts)
{
	bool *hides = arena_array(arena, bool, mounts->n_mounts);
	struct table passed = { 0 };

	for (size_t i = 0; i < mounts->n_mounts; i++) {
		const char *path = mounts->mounts[i]->mountpoint;
		size_t length = strlen(path);
		hides[i] = table_find(&passed, hash_of(path, length)) != NULL;
		while (table_add(&passed, arena, hash_of(path, length), hides) && length > 1) {
			while (length && path[--length] != '/')
				;
			length += length == 0; /* the root directory */
		}
	}
	return hides;
}

/*
 * Over the root directory nobody finds it. What is locked is not moved either (do_move_mount), but
 * not only that.
 */
static bool is_moved_away(const char *mountpoint)
{
	return syscall(SYS_move_mount, AT_FDCWD, mountpoint, AT_FDCWD, "/", 0) == 0;
}

/* 1, 0, or -1 with errno */
static int is_locked(const struct trial *trial, size_t i)
{
	const char *mountpoint = trial->mounts->mounts[i]->mountpoint;
	int flag = trial->hides[i] ? MNT_DETACH : MNT_EXPIRE;

	if (trial->hides[i] && is_moved_away(mountpoint))
		return 0;
	if (umount2(mountpoint, flag | UMOUNT_NOFOLLOW) == 0)
		return 0;
	/* EAGAIN: it is marked now; EBUSY: somebody uses it, which is asked last. */
	if (flag == MNT_EXPIRE && (errno == EAGAIN || errno == EBUSY))
		return 0;
	/* EPERM is about who asks (may_mount). */
	return errno == EPERM || errno_tells_nothing(errno) ? -1 : 1;
}

/* From the last to the first: what hides a mount was mounted after it. */
static int try_all(void *data, struct error *err)
{
	struct trial *trial = data;

	if (setns(trial->namespace_fd, CLONE_NEWNS))
		return survey_fail_enter("mount", err);
	mount_ahead_copy(trial->ahead);
	if (deputy_enter_user(trial->user_fd, 0))
		return survey_fail_enter("user", err);
	mount_ahead_ask(trial->ahead);
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot copy a mount namespace");
	for (size_t i = trial->mounts->n_mounts; i-- > 0;) {
		const MntEntry *mount = trial->mounts->mounts[i];
		struct verdict *verdict = &trial->verdicts[i];
		/* It is not in the copy, so it is never locked. */
		if (mount_is_late(mount))
			continue;
		if (mount_is_covered(trial->covers, i, trial->locked)) {
			*verdict =
				(struct verdict){ true, mount->flags & ~(uint32_t)MS_UNBINDABLE };
			trial->locked[i] = true;
			continue;
		}
		/* The root is not to be unmounted, and its lock comes by itself. */
		int locked = find_locked_flags(mount, &verdict->locked_flags) ? -1
			     : i > 0					      ? is_locked(trial, i)
									      : 0;
		if (locked < 0)
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "cannot tell what is locked of mount %s",
					  mount->mountpoint);
		trial->locked[i] = verdict->locked = locked;
	}
	return 0;
}

/*
 * Copies of namespaces are waited for, when they are made and when they go, so some are tried side
 * by side. Not too many: what is asked of each holds descriptors.
 */
enum { TRIALS_AT_ONCE = 32, FEWEST_FOR_TWO = 4 };

struct trials {
	struct trial list[TRIALS_AT_ONCE];
	size_t n;
	pid_t ending[2]; /* whom each thread has sent last; see deputy_run_ending */
};

static void prepare(struct live_namespace *namespace, struct trial *trial)
{
	struct arena *arena = namespace->collect->arena;

	*trial = (struct trial){ 0 };
	if (namespace->met->owner->own)
		return;
	*trial = (struct trial){
		.namespace = namespace,
		.ahead = &namespace->ahead,
		.namespace_fd = namespace->fd,
		.user_fd = namespace->met->owner->fd,
		.mounts = &namespace->order,
		.verdicts = arena_array(arena, struct verdict, namespace->order.n_mounts),
		.locked = arena_array(arena, bool, namespace->order.n_mounts),
		.covers = mount_covers_new(arena, &namespace->order),
		.hides = find_hiding(arena, &namespace->order),
	};
	mount_ahead_prepare(namespace);
}

static int try_in_copy(struct trial *trial, pid_t *ending, struct error *err)
{
	return trial->namespace ? deputy_run_ending(try_all, trial, ending, err) : 0;
}

static bool try_beside(void *data, size_t at)
{
	struct trials *trials = data;
	struct error left_to_the_caller = { 0 };

	return try_in_copy(&trials->list[at], &trials->ending[1], &left_to_the_caller) == 0;
}

static int try_each(struct trials *trials, struct both_ends *ends, struct error *err)
{
	for (size_t i = 0; i < trials->n; i++)
		if (both_ends_turn(ends, i) &&
		    try_in_copy(&trials->list[i], &trials->ending[0], err))
			return -1;
	return 0;
}

static int run_trials(struct trials *trials, struct arena *arena, struct error *err)
{
	struct both_ends ends;

	both_ends_begin(&ends, arena, trials->n, trials->n < FEWEST_FOR_TWO, try_beside, trials);
	int result = try_each(trials, &ends, err);
	both_ends_end(&ends);
	for (size_t i = 0; i < 2; i++)
		deputy_end(&trials->ending[i]);
	return result;
}

static void settle(const struct trial *trial, bool known)
{
	if (!trial->namespace)
		return;
	for (size_t i = 0; i < trial->mounts->n_mounts && known; i++) {
		MntEntry *entry = trial->mounts->mounts[i];
		entry->has_locked = entry->locked = trial->verdicts[i].locked;
		entry->locked_flags = trial->verdicts[i].locked_flags;
		entry->has_locked_flags = entry->locked_flags != 0;
	}
	mount_ahead_settle(trial->namespace);
}

int mount_locks_find(struct live_namespace *namespaces, size_t n, struct error *err)
{
	struct trials trials = { 0 };
	int result = 0;

	for (size_t at = 0; at < n && result == 0; at += trials.n) {
		struct collect *collect = namespaces[at].collect;
		if (collect_go_on(collect, err))
			return -1;
		trials.n = n - at < TRIALS_AT_ONCE ? n - at : TRIALS_AT_ONCE;
		for (size_t i = 0; i < trials.n; i++)
			prepare(&namespaces[at + i], &trials.list[i]);
		result = run_trials(&trials, collect->arena, err);
		for (size_t i = 0; i < trials.n; i++)
			settle(&trials.list[i], result == 0);
	}
	return result;
}
