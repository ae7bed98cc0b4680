// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What mounts are bound from and need not be there any more. A directory that was removed is empty,
 * and shows nothing but its mode and owner; so it is made once more, bound, and removed again. The
 * same is done for one that was empty and has gone since with whoever made it (systemd-nspawn has
 * one by which it hands mounts in): the tree would not see anything else if it had lived on. Files
 * that were removed get their content when they have no name any more (removed-files.c).
 */
#include "kinds/mounts/kind.h"

#include "base/cleanup.h"
#include "base/listing.h"
#include "base/log.h"
#include "kinds/passing-name.h"
#include "kinds/mounts/make.h"
#include "kinds/mounts/mounts.h"
#include "kinds/mounts/survey.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- dump ---- */

/* 1, 0, or -1 with errno; who may not look does not know. */
static int is_empty(int path_fd)
{
	int fd = openat(path_fd, ".", O_RDONLY | O_DIRECTORY | O_NOATIME | O_CLOEXEC);
	bool opened = fd >= 0;
	autoclosedir DIR *dir = listing_of(fd);
	const char *found;

	if (!dir)
		return survey_is_absent(errno) || (errno == EPERM && !opened) ? 0 : -1;
	if (listing_next(dir, &found))
		return 0;
	return errno == 0 ? 1 : -1;
}

void mount_origin_describe(struct collect *collect, MntEntry *entry, const struct stat *stat)
{
	entry->origin = snapshot_new(collect->snapshot, MNT_ORIGIN_ENTRY, MntOriginEntry);
	entry->origin->inode = stat->st_ino;
	entry->origin->mode = stat->st_mode & 07777;
	entry->origin->uid = stat->st_uid;
	entry->origin->gid = stat->st_gid;
}

int mount_origin_collect(struct collect *collect, MntEntry *entry, int root_fd, struct error *err)
{
	struct stat stat = { 0 };
	int empty = root_fd < 0 || fstat(root_fd, &stat) ? -1 : S_ISDIR(stat.st_mode);

	if (empty > 0)
		empty = is_empty(root_fd);
	if (empty < 0 && !survey_is_absent(errno))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot look into what is mounted at %s",
				  entry->mountpoint);
	if (empty <= 0)
		return 0;
	mount_origin_describe(collect, entry, &stat);
	return 0;
}

/* ---- restore ---- */

int mount_open_outside(int root_fd, const char *path)
{
	struct open_how how = { .flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
				.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS |
					   RESOLVE_NO_MAGICLINKS };
	autoclose int top_fd = root_fd == AT_FDCWD ? open("/", O_PATH | O_DIRECTORY | O_CLOEXEC)
						   : fcntl(root_fd, F_DUPFD_CLOEXEC, 0);

	path += strspn(path, "/");
	return top_fd < 0 ? -1
			  : (int)syscall(SYS_openat2, top_fd, *path ? path : ".", &how, sizeof how);
}

/* The directory that it was in, or the next above that is there; its path is left in `above`. */
static int open_above(const struct file_opener *opener, char *above)
{
	for (char *slash; (slash = strrchr(above, '/'));) {
		*slash = '\0';
		int fd = mount_open_outside(opener->root_fd, above);
		if (fd >= 0 || (errno != ENOENT && errno != ENOTDIR))
			return fd;
	}
	return -1;
}

/* Nobody else gets into it until it is removed. */
static int make_one(struct file_opener *opener, const MntEntry *mount, struct made_origin *origin,
		    struct error *err)
{
	const char *last = strrchr(mount->bound_path, '/') + 1;
	struct passing_name *(*take)(struct file_opener * opener, int dir_fd, const char *name,
				     int *ret_fd) =
		mount->origin->has_content ? passing_file : passing_directory;
	char *above = arena_string(opener->arena, mount->bound_path);

	*origin = (struct made_origin){ .mount = mount, .fd = -1 };
	origin->above_fd = open_above(opener, above);
	if (origin->above_fd >= 0)
		origin->name = take(opener, origin->above_fd, last, &origin->fd);
	if (origin->above_fd >= 0 && !origin->name && errno == EEXIST) {
		last = arena_printf(opener->arena, ".nestor-removed-%" PRIu64,
				    mount->origin->inode);
		origin->name = take(opener, origin->above_fd, last, &origin->fd);
	}
	origin->path = arena_printf(opener->arena, "%s/%s", above, last);
	return origin->name
		       ? 0
		       : fail_errno(err, ERR_FILE_MISSING, "%.200s, which is mounted at %.200s",
				    mount->bound_path, mount->mountpoint);
}

static int settle_one(const struct file_opener *opener, const struct made_origin *origin,
		      struct error *err)
{
	const MntOriginEntry *entry = origin->mount->origin;
	bool wrong = !entry->has_content && (fchown(origin->fd, entry->uid, entry->gid) < 0 ||
					     fchmod(origin->fd, entry->mode) < 0);

	if (passing_remove(origin->name) || wrong)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot remove %.200s again",
				  origin->path);
	return entry->has_content ? mount_removed_fill(opener, origin->mount, origin->fd, err) : 0;
}

int mounts_settle_origins(const struct file_opener *opener, struct made_superblocks *made,
			  bool failed, struct error *err)
{
	int result = 0;

	for (size_t i = 0; i < made->n_origins; i++) {
		struct made_origin *origin = &made->origins[i];
		if (failed || result)
			passing_remove(origin->name);
		else
			result = settle_one(opener, origin, err);
		cleanup_close(&origin->fd);
		cleanup_close(&origin->above_fd);
	}
	return result;
}

const char *mount_origin_path(const struct made_superblocks *made, const MntEntry *mount)
{
	for (size_t i = 0; mount->origin && i < made->n_origins; i++)
		if (made->origins[i].mount->origin->inode == mount->origin->inode &&
		    strcmp(made->origins[i].mount->bound_path, mount->bound_path) == 0)
			return made->origins[i].path;
	return mount->bound_path;
}

static bool is_made(const struct made_superblocks *made, const MntEntry *mount)
{
	return mount_origin_path(made, mount) != mount->bound_path;
}

static bool is_missing(const struct file_opener *opener, const MntEntry *mount)
{
	autoclose int fd =
		mount->deleted ? -1 : mount_open_outside(opener->root_fd, mount->bound_path);

	return fd < 0 && (mount->deleted || errno == ENOENT || errno == ENOTDIR);
}

int mounts_make_origins(struct file_opener *opener, struct made_superblocks *made,
			struct error *err)
{
	const struct snapshot *snapshot = opener->snapshot;

	for (size_t i = 0; i < snapshot->n_mount_namespaces; i++)
		for (size_t k = 0; k < snapshot->mount_namespaces[i]->n_mounts; k++) {
			const MntEntry *mount = snapshot->mount_namespaces[i]->mounts[k];
			struct made_origin origin;
			if (!mount->bound_path || !mount->origin || is_made(made, mount) ||
			    !is_missing(opener, mount))
				continue;
			if (make_one(opener, mount, &origin, err)) {
				cleanup_close(&origin.above_fd);
				return -1;
			}
			if (!mount->deleted && !mount->origin->has_content)
				log_warning("restore", mount->mountpoint,
					    "%s is gone, from which it was mounted, and was "
					    "empty: it is shown as removed",
					    mount->bound_path);
			made->origins = arena_grow(opener->arena, made->origins, made->n_origins,
						   sizeof *made->origins);
			made->origins[made->n_origins++] = origin;
		}
	return 0;
}
