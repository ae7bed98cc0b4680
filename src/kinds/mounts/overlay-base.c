// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Layers of an overlay that are named from a directory: engines of containers change to that of
 * their storage where the options would be too long otherwise ("lowerdir=l/XYZ:l/ABC"). The kernel
 * keeps the names only. But what is seen in the overlay is what is in a layer: a file has the times
 * (to the nanosecond, that of its birth too), the size and mostly the inode that it has there
 * (ovl_getattr asks the real one), and whatever lies in no layer above it has to be seen. So each
 * directory that may be meant is tried, and what has anything in it that cannot be is not it.
 *
 * Directories that others may write to are not tried: somebody could put the like of a layer there.
 */
#include "kinds/mounts/overlay.h"

#include "base/cleanup.h"
#include "base/listing.h"
#include "kinds/mounts/survey.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* ---- where they may lie ---- */

struct bases {
	struct arena *arena;
	const char **all;
	size_t n;
};

static void add_base(struct bases *bases, const char *path)
{
	for (size_t i = 0; i < bases->n; i++)
		if (strcmp(bases->all[i], path) == 0)
			return;
	bases->all = arena_grow(bases->arena, bases->all, bases->n, sizeof *bases->all);
	bases->all[bases->n++] = arena_string(bases->arena, path);
}

static void add_above(struct bases *bases, const char *path)
{
	char *above = arena_string(bases->arena, path);

	for (char *slash; (slash = strrchr(above, '/'));) {
		slash[slash == above] = '\0';
		add_base(bases, above);
		if (slash == above)
			return;
	}
}

/* Where engines have it mounted: "overlay/ID/merged". */
static void add_mountpoints(struct bases *bases, const struct mount_table *table, dev_t device)
{
	for (size_t i = 0; i < table->n_lines; i++)
		if (table->lines[i].device == device)
			add_above(bases, table->lines[i].mountpoint);
}

static void add_homes(struct bases *bases)
{
	autoclosedir DIR *dir = listing_open(AT_FDCWD, "/home");
	const char *name;

	while (listing_next(dir, &name))
		add_base(bases,
			 arena_printf(bases->arena,
				      "/home/%s/.local/share/containers/storage/overlay", name));
}

const char **overlay_bases(struct collect *collect, const struct overlay_layers *layers,
			   dev_t device, bool of_users, size_t *ret_n)
{
	static const char *const usual[] = {
		"/var/lib/docker/overlay2",
		"/var/lib/containers/storage/overlay",
		"/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots",
	};
	const struct mount_survey *survey = survey_of_mounts(collect);
	struct bases bases = { .arena = collect->arena };

	for (size_t i = 0; i < layers->n; i++)
		if (!layers->all[i].relative)
			add_above(&bases, layers->all[i].path);
	add_mountpoints(&bases, &survey->own, device);
	for (size_t i = 0; i < survey->n_namespaces; i++)
		add_mountpoints(&bases, &survey->namespaces[i].table, device);
	for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
		add_base(&bases, usual[i]);
	if (of_users)
		add_homes(&bases);
	*ret_n = bases.n;
	return bases.all;
}

/* ---- do they give what is seen? ---- */

/* A layer need not be looked at to its end. */
enum { MOST_ENTRIES = 1024, DEEPEST_ENTRY = 16 };

struct comparing {
	const int *fds; /* of the layers from the top, where `root` is; -1: not in that one */
	size_t at;	/* the one that is looked at */
	int mount_fd;
	size_t left;
	int same;
	bool wrong;
	int failed; /* an errno */
};

/* What cannot be told is neither there nor absent. What one may not look into tells nothing. */
static void note_failure(struct comparing *comparing)
{
	if (errno_tells_nothing(errno))
		comparing->failed = errno;
}

static int look(struct comparing *comparing, int fd, const char *path, struct statx *ret_found)
{
	int result = statx(fd, path, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT,
			   STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID, ret_found);

	if (result)
		note_failure(comparing);
	return result;
}

static bool is_same_time(const struct statx_timestamp *one, const struct statx_timestamp *other)
{
	return one->tv_sec == other->tv_sec && one->tv_nsec == other->tv_nsec;
}

bool overlay_is_same(const struct statx *one, const struct statx *other)
{
	bool born = one->stx_mask & other->stx_mask & STATX_BTIME;

	return one->stx_mode == other->stx_mode &&
	       is_same_time(&one->stx_ctime, &other->stx_ctime) &&
	       is_same_time(&one->stx_mtime, &other->stx_mtime) &&
	       (S_ISDIR(one->stx_mode) || one->stx_size == other->stx_size) &&
	       (born ? is_same_time(&one->stx_btime, &other->stx_btime)
		     : one->stx_ino == other->stx_ino);
}

/* "Removed" is a device 0:0, or an empty file with an attribute. */
static bool hides(const struct statx *found)
{
	return (S_ISCHR(found->stx_mode) && !found->stx_rdev_major && !found->stx_rdev_minor) ||
	       (S_ISREG(found->stx_mode) && !found->stx_size);
}

/* By what lies above: of the same name, or a directory on the way that may show nothing else. */
static bool is_covered(struct comparing *comparing, const char *path)
{
	const char *slash = strrchr(path, '/');
	char above[PATH_MAX];
	struct statx found;

	snprintf(above, sizeof above, "%.*s", slash ? (int)(slash - path) : 0, path);
	for (size_t i = 0; i < comparing->at; i++)
		if (comparing->fds[i] >= 0 &&
		    (look(comparing, comparing->fds[i], path, &found) == 0 ||
		     (*above && look(comparing, comparing->fds[i], above, &found) == 0)))
			return true;
	return false;
}

static void compare_entry(struct comparing *comparing, const char *path, const struct statx *layer)
{
	struct statx root, seen;
	int absent = look(comparing, comparing->mount_fd, path, &seen);

	/* Below another mount there is nothing to be learned. */
	if (look(comparing, comparing->mount_fd, "", &root) ||
	    (!absent && root.stx_mnt_id != seen.stx_mnt_id) || hides(layer))
		return;
	if (!absent && overlay_is_same(layer, &seen))
		comparing->same++;
	else if (!S_ISDIR(layer->stx_mode) && !is_covered(comparing, path))
		comparing->wrong = true;
}

static void compare_directory(struct comparing *comparing, const char *path, unsigned depth)
{
	int layer_fd = comparing->fds[comparing->at];
	autoclosedir DIR *dir =
		listing_of(openat(layer_fd, *path ? path : ".",
				  O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC));
	struct statx top, found;
	char below[PATH_MAX];
	const char *name;

	if (look(comparing, layer_fd, "", &top))
		return;
	while (listing_next(dir, &name)) {
		int length = snprintf(below, sizeof below, "%s%s%s", path, *path ? "/" : "", name);
		if (!comparing->left || comparing->wrong)
			return;
		comparing->left--;
		if (length >= (int)sizeof below || look(comparing, layer_fd, below, &found) ||
		    found.stx_mnt_id != top.stx_mnt_id)
			continue;
		compare_entry(comparing, below, &found);
		if (S_ISDIR(found.stx_mode) && depth < DEEPEST_ENTRY)
			compare_directory(comparing, below, depth + 1);
	}
	note_failure(comparing);
}

static int compare_layer(struct comparing *comparing)
{
	struct statx found;

	comparing->left = MOST_ENTRIES;
	if (comparing->fds[comparing->at] < 0)
		return 0;
	/* Its own root is that of the upper one, which may have nothing in it yet. */
	if (look(comparing, comparing->fds[comparing->at], "", &found) == 0)
		compare_entry(comparing, "", &found);
	compare_directory(comparing, "", 0);
	return comparing->wrong ? -1 : 0;
}

int overlay_compare(struct overlay_layers *layers, const int *fds, int mount_fd, const char *root)
{
	struct arena *arena = layers->arena;
	int *below = arena_array(arena, int, layers->n);
	struct comparing comparing = { .fds = below, .mount_fd = mount_fd };
	int result = 0;

	for (size_t i = 0; i < layers->n; i++) {
		below[i] = !layers->all[i].seen ? -1
			   : root[1] ? openat(fds[i], root + 1, O_PATH | O_NOFOLLOW | O_CLOEXEC)
				     : fcntl(fds[i], F_DUPFD_CLOEXEC, 0);
		if (layers->all[i].seen && below[i] < 0)
			note_failure(&comparing);
	}
	for (size_t i = 0; i < layers->n && !result; i++) {
		comparing.at = i;
		result = layers->all[i].relative ? compare_layer(&comparing) : 0;
	}
	for (size_t i = 0; i < layers->n; i++)
		cleanup_close(&below[i]);
	layers->failed = comparing.failed ? comparing.failed : layers->failed;
	return result ? -1 : comparing.same;
}
