// SPDX-License-Identifier: LGPL-2.1-or-later
/* See cgroup-place.h. */
#include "kinds/files/cgroup-place.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

/* 1, 0, or -1 with errno. */
static int is_cgroup(int fd)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return -1;
	return fs.f_type == CGROUP2_SUPER_MAGIC || fs.f_type == CGROUP_SUPER_MAGIC;
}

int cgroup_place_check(const struct file_opener *opener, const char *path)
{
	bool make = !opener->externals || !opener->externals->cgroups.make_none;
	char *above = arena_string(opener->arena, path);

	for (char *slash; make && (slash = strrchr(above, '/')) && slash != above;) {
		*slash = '\0';
		autoclose int fd = opener_open_path(opener, above, O_PATH | O_NOFOLLOW);
		int found = fd < 0 ? 0 : is_cgroup(fd);
		if (found || (fd < 0 && errno_tells_nothing(errno)))
			return found > 0 ? 0 : -1;
		if (fd >= 0)
			break;
	}
	errno = ENOENT;
	return -1;
}

/*
 * Cgroups that no task is in (slices of systemd) are made by nobody else. They are known to the
 * keeper as others that a restore makes. -1 with errno, or with err.
 */
static int make_cgroups(struct file_opener *opener, const char *path, struct error *err)
{
	char *name = arena_string(opener->arena, path);
	char *slash = strrchr(name, '/');

	if (!slash || slash == name)
		return -1;
	*slash = '\0';
	int fd = opener_open_path(opener, name, O_PATH | O_NOFOLLOW);
	if (fd >= 0 || errno != ENOENT)
		return fd;
	autoclose int above = make_cgroups(opener, name, err);
	const char *last = strrchr(name, '/') + 1;
	if (above < 0 || is_cgroup(above) <= 0 ||
	    (opener->expect_leftover && opener->expect_leftover(opener, above, last, err)) ||
	    mkdirat(above, last, 0755) < 0)
		return -1;
	return openat(above, last, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

int cgroup_place_open(struct file_opener *opener, const char *path, int flags, struct error *err)
{
	int fd = opener_open_path(opener, path, flags);

	if (fd >= 0 || errno != ENOENT || cgroup_place_check(opener, path))
		return fd;
	autoclose int directory = make_cgroups(opener, path, err);
	return directory < 0 ? -1 : opener_open_path(opener, path, flags);
}

int cgroup_place_open_directory(struct file_opener *opener, const char *path, int flags,
				struct error *err)
{
	autoclose int fd = cgroup_place_open(opener, arena_printf(opener->arena, "%s/.", path),
					     O_PATH | O_DIRECTORY, err);

	return fd < 0 ? -1 : opener_open_path(opener, path, flags);
}
