// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Mounts that were made are held by descriptors until tasks have taken what is on them. Of those
 * that a path leads to from the root of their namespace that root is enough: they are opened by it
 * when they are asked for, and known by their number. A path leads to a mount if all that is
 * mounted on its way is above it. None is trusted where something is mounted later, or when it is
 * walked (autofs(5)).
 */
#include "kinds/mounts/mounts.h"

#include "base/cleanup.h"
#include "kinds/mounts/kind.h"
#include "kinds/mounts/make.h"
#include "kinds/mounts/plan.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>

static bool is_above(const struct mount_namespace *namespace, size_t above, size_t index)
{
	while (index && index != above)
		index = namespace->parents[index];
	return index == above;
}

static bool keeps_paths(const struct mount_namespace *namespace)
{
	for (size_t i = 0; i < namespace->n_mounts; i++) {
		const MntEntry *mount = namespace->mounts[i];
		if (mount->detached || mount_is_late(mount) ||
		    (mount->fsname && strcmp(mount->fsname, "autofs") == 0) ||
		    (i && strcmp(mount->mountpoint, "/") == 0))
			return false;
	}
	return true;
}

static bool is_reached(const struct mount_namespace *namespace, size_t index)
{
	const char *mountpoint = namespace->mounts[index]->mountpoint;

	for (size_t i = 1; i < namespace->n_mounts; i++)
		if (path_below(mountpoint, namespace->mounts[i]->mountpoint) &&
		    !is_above(namespace, i, index))
			return false;
	return index > 0;
}

size_t mounts_count_reached(const struct mount_namespace *namespace)
{
	size_t count = 0;

	for (size_t i = 1; i < namespace->n_mounts && keeps_paths(namespace); i++)
		count += is_reached(namespace, i);
	return count;
}

static int open_by_path(const struct made_mount_namespace *made, const MntEntry *mount)
{
	return mount_open_path(made->roots[0], path_below(mount->mountpoint, "/"), O_PATH,
			       RESOLVE_BENEATH);
}

/* 0 with errno: it cannot be told. */
static uint64_t number_of(int fd)
{
	struct statx found;

	return fd < 0 || statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, 0, &found)
		       ? 0
		       : found.stx_mnt_id;
}

void mounts_close_reached(struct made_mount_namespace *made,
			  const struct mount_namespace *namespace, struct arena *arena)
{
	bool keeps = keeps_paths(namespace);

	made->numbers = arena_array(arena, uint64_t, namespace->n_mounts);
	for (size_t i = 1; keeps && i < namespace->n_mounts; i++) {
		if (made->roots[i] < 0 || !is_reached(namespace, i))
			continue;
		autoclose int fd = open_by_path(made, namespace->mounts[i]);
		uint64_t number = number_of(fd);
		if (!number || number != number_of(made->roots[i]))
			continue;
		cleanup_close(&made->roots[i]);
		made->numbers[i] = number;
	}
}

int mount_made_root(const struct made_mount_namespace *made,
		    const struct mount_namespace *namespace, size_t index)
{
	errno = ENOENT;
	if (!made->numbers || !made->numbers[index])
		return made->roots[index] < 0 ? -1 : fcntl(made->roots[index], F_DUPFD_CLOEXEC, 0);
	autoclose int fd = open_by_path(made, namespace->mounts[index]);
	uint64_t number = number_of(fd);
	if (number == made->numbers[index])
		return take_fd(&fd);
	errno = number ? ENOENT : errno;
	return -1;
}
