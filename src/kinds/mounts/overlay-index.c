// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Overlays with an index (index=on): attributes of the upper directory and of the index say by
 * handles which layers they belong to, and a mount that finds others there is refused (ESTALE:
 * ovl_verify_set_fh, fs/overlayfs/namei.c). Layers in memory are made anew, with other handles, so
 * these are taken away, and written again by the mount. What is in the index is named after handles
 * too: files that had several names in a lower layer, and with nfs_export all that was copied up.
 * There is no way to tell which they are in the new layers: refused.
 */
#include "kinds/mounts/overlay.h"

#include "base/cleanup.h"
#include "base/listing.h"
#include "kinds/mounts/kind.h"
#include "kinds/mounts/survey.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

struct indexed {
	bool index, exported;
	struct arena *arena;
	const char *upper, *work; /* NULL: it has none */
};

static int note_layer(void *data, const char *key, const char *path, struct error *err)
{
	struct indexed *indexed = data;
	bool upper = strcmp(key, "upperdir") == 0;

	(void)err;
	if (upper || strcmp(key, "workdir") == 0)
		*(upper ? &indexed->upper : &indexed->work) =
			overlay_unescape(arena_string(indexed->arena, path));
	return 0;
}

static int note_option(void *data, const char *key, const char *value, struct error *err)
{
	struct indexed *indexed = data;
	bool on = value && strcmp(value, "on") == 0;

	(void)err;
	indexed->index |= on && strcmp(key, "index") == 0;
	indexed->exported |= on && strcmp(key, "nfs_export") == 0;
	return 0;
}

static int read_options(const MntEntry *entry, struct indexed *indexed, struct error *err)
{
	const struct overlay_reader reader = { NULL, note_layer, note_option, indexed };

	return overlay_read(&reader, entry->options, err);
}

/* ---- dump ---- */

/* 1; 0; -1 with errno. */
static int is_made_anew(const struct live_namespace *namespace, int fd)
{
	int64_t mount_id = survey_mount_id(fd);
	struct statfs fs;

	if (mount_id < 0 || fstatfs(fd, &fs))
		return -1;
	for (size_t i = 0; fs.f_type == TMPFS_MAGIC && i < namespace->table.n_lines; i++)
		if (namespace->table.lines[i].id == mount_id)
			return !namespace->entries[i]->bound_path &&
			       !namespace->entries[i]->ext_mount;
	return 0;
}

/* 1 if something is in it, 0, or -1 with errno. */
static int has_names(int work_fd)
{
	autoclosedir DIR *dir = listing_open(work_fd, "index");
	const char *name;

	if (!dir)
		return errno == ENOENT ? 0 : -1;
	return listing_next(dir, &name) ? 1 : errno ? -1 : 0;
}

static int look(const struct live_namespace *namespace, struct overlay_layers *layers,
		const struct indexed *indexed)
{
	bool anew = false;
	int names = indexed->exported;

	for (size_t i = 0; i < layers->n; i++) {
		autoclose int fd = overlay_open_layer(namespace, layers, i);
		int made = fd < 0 ? 0 : is_made_anew(namespace, fd);
		bool work = indexed->work && i == layers->n - 1;
		if (made < 0 || (work && fd >= 0 && !names && (names = has_names(fd)) < 0))
			return -1;
		anew |= made;
	}
	return anew && names;
}

int overlay_index_check(const struct live_superblock *superblock, const MntEntry *entry,
			struct error *err)
{
	const struct mount_survey *survey = survey_of_mounts(superblock->collect);
	struct arena *arena = superblock->collect->arena;
	struct overlay_layers layers = { .arena = arena, .base = entry->layers_base };
	struct indexed indexed = { .arena = arena };

	if (read_options(entry, &indexed, err) || overlay_list(entry->options, &layers, err))
		return -1;
	for (size_t i = 0; indexed.index && i < survey->n_namespaces; i++) {
		const struct live_namespace *namespace = &survey->namespaces[i];
		if (!entry->has_layers_ns_id || namespace->id != entry->layers_ns_id)
			continue;
		int names = look(namespace, &layers, &indexed);
		if (names < 0)
			return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot look at its index",
					  superblock->what);
		if (names)
			return fail(err, ERR_UNSUPPORTED_MOUNT,
				    "%s has an index by handles (%s) of layers in memory, which "
				    "are others afterwards",
				    superblock->what,
				    indexed.exported ? "nfs_export=on" : "index=on");
	}
	return 0;
}

/* ---- restore ---- */

static int forget(const char *path, struct error *err)
{
	static const char *const names[] = { "trusted.overlay.origin", "trusted.overlay.upper",
					     "user.overlay.origin", "user.overlay.upper" };
	struct statfs fs;

	if (statfs(path, &fs) || fs.f_type != TMPFS_MAGIC)
		return 0;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (lremovexattr(path, names[i]) && errno != ENODATA && errno != EPERM &&
		    errno != EOPNOTSUPP)
			return fail_errno(err, ERR_KERNEL_REFUSED, "cannot use the layer %.200s",
					  path);
	return 0;
}

int overlay_index_forget(const MntEntry *entry, struct arena *arena, struct error *err)
{
	struct indexed indexed = { .arena = arena };

	if (read_options(entry, &indexed, err))
		return -1;
	if (!indexed.index || !indexed.upper || !indexed.work || !entry->has_layers_ns_id)
		return 0;
	return forget(indexed.upper, err) ||
			       forget(arena_printf(arena, "%s/index", indexed.work), err)
		       ? -1
		       : 0;
}
