// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Where the layers of an overlay lie when it is dumped: in nestor's own mount namespace or in one
 * of the tree, in which directory those that are named from somewhere, and that they are what the
 * overlay shows.
 */
#include "base/cleanup.h"
#include "kinds/mounts/kind.h"
#include "kinds/mounts/make.h"
#include "kinds/mounts/overlay-hidden.h"
#include "kinds/mounts/overlay.h"
#include "kinds/mounts/survey.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Opened in a namespace of the tree, on a mount that its name leads through. */
static int open_inside(const struct live_namespace *namespace, const char *path)
{
	autoclose int fd = survey_open_path(&namespace->table, path, O_PATH | O_DIRECTORY);
	int64_t mount_id = fd < 0 ? -1 : survey_mount_id(fd);

	for (size_t i = 0; i < namespace->table.n_lines; i++)
		if (namespace->table.lines[i].id == mount_id &&
		    path_below(path, namespace->table.lines[i].mountpoint))
			return take_fd(&fd);
	if (mount_id >= 0)
		errno = ENOENT;
	return -1;
}

int overlay_open_layer(const struct live_namespace *namespace, struct overlay_layers *layers,
		       size_t index)
{
	const char *path = layers->all[index].path;

	if (layers->all[index].hidden) {
		errno = ENOENT;
		return -1;
	}
	int fd = namespace ? open_inside(namespace, path)
			   : open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 && !survey_is_absent(errno))
		layers->failed = errno;
	return fd;
}

static int fail_layers(const struct live_superblock *superblock,
		       const struct overlay_layers *layers, struct error *err)
{
	errno = layers->failed;
	return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot find its layers", superblock->what);
}

/* Which of them are not there as they are in nestor's own namespace. */
static size_t count_others(const struct live_namespace *namespace, struct overlay_layers *layers,
			   bool *ret_complete)
{
	size_t others = 0;

	*ret_complete = true;
	for (size_t i = 0; i < layers->n; i++) {
		autoclose int inside = overlay_open_layer(namespace, layers, i);
		autoclose int own = overlay_open_layer(NULL, layers, i);
		int same = inside < 0 || own < 0 ? 0 : survey_is_same(inside, own);
		if (same < 0)
			layers->failed = errno;
		if (inside < 0)
			*ret_complete = false;
		else if (!same)
			others++;
	}
	return others;
}

static bool are_in(const struct live_namespace *namespace, struct overlay_layers *layers)
{
	bool complete;

	return count_others(namespace, layers, &complete) > 0 && complete;
}

/* A namespace of the tree that has all, and not the same as nestor's own; NULL: there is none. */
static const struct live_namespace *find_namespace(const struct live_superblock *superblock,
						   struct overlay_layers *layers)
{
	const struct mount_survey *survey = survey_of_mounts(superblock->collect);

	for (size_t i = 0; i < superblock->n_mounts; i++)
		if (are_in(superblock->mounts[i].namespace, layers))
			return superblock->mounts[i].namespace;
	for (size_t i = 0; i < survey->n_namespaces; i++)
		if (are_in(&survey->namespaces[i], layers))
			return &survey->namespaces[i];
	return NULL;
}

static void record_namespace(MntEntry *entry, const struct live_namespace *found)
{
	entry->has_layers_ns_id = found != NULL;
	entry->layers_ns_id = found ? found->id : 0;
}

/* ---- layers that are named from somewhere ---- */

struct trial {
	const struct live_mount *mount;
	int mount_fd;	  /* shows what is in it, and nothing that is mounted there */
	bool by_a_person; /* has been named, and need not be shown to be right */
};

/* Nobody but root, or the owner of the overlay, could have put there what looks alike. */
static bool is_trusted(const struct trial *trial, struct overlay_layers *layers, int fd)
{
	struct stat stat;

	if (trial->by_a_person)
		return true;
	if (fstat(fd, &stat)) {
		layers->failed = errno;
		return false;
	}
	return !(stat.st_mode & (S_IWGRP | S_IWOTH)) &&
	       (stat.st_uid == 0 || stat.st_uid == geteuid() || trial->mount->entry->has_userns_id);
}

static bool compare_opened(const struct trial *trial, struct overlay_layers *layers, const int *fds)
{
	for (size_t i = 0; i < layers->n; i++)
		if (fds[i] < 0 || (layers->all[i].relative && !is_trusted(trial, layers, fds[i])))
			return false;
	return overlay_compare(layers, fds, trial->mount_fd, trial->mount->line->root) >=
	       (trial->by_a_person ? 0 : 1);
}

static bool is_base(const struct trial *trial, struct overlay_layers *layers,
		    const struct live_namespace *namespace)
{
	int *fds = arena_array(layers->arena, int, layers->n);

	for (size_t i = 0; i < layers->n; i++)
		fds[i] = overlay_open_layer(namespace, layers, i);
	bool found = compare_opened(trial, layers, fds);
	for (size_t i = 0; i < layers->n; i++)
		cleanup_close(&fds[i]);
	return found;
}

/* Tries one directory: in a namespace of the tree, and else in nestor's own. 1 if it is that. */
static int try_base(const struct live_superblock *superblock, const struct trial *trial,
		    const char *base, struct error *err)
{
	struct overlay_layers layers = { .arena = superblock->collect->arena, .base = base };
	MntEntry *entry = trial->mount->entry;

	if (overlay_list(entry->options, &layers, err))
		return 0;
	const struct live_namespace *found = find_namespace(superblock, &layers);
	if (found && !is_base(trial, &layers, found))
		found = NULL;
	bool is_it = found || is_base(trial, &layers, NULL);
	if (layers.failed)
		return fail_layers(superblock, &layers, err);
	if (!is_it)
		return 0;
	record_namespace(entry, found);
	entry->layers_base = arena_string(superblock->collect->arena, base);
	return 1;
}

static const char *base_of_person(const struct live_superblock *superblock)
{
	for (size_t i = 0; i < superblock->n_mounts; i++) {
		const struct external *row =
			externals_find(superblock->collect->options->externals, EXTERNAL_OVERLAY,
				       superblock->mounts[i].line->mountpoint);
		if (row && row->value[0] == '/')
			return row->value;
	}
	return NULL;
}

static int find_base(const struct live_superblock *superblock, const struct overlay_layers *layers,
		     int mount_fd, struct error *err)
{
	const struct live_mount *mount = &superblock->mounts[0];
	struct trial trial = { mount, mount_fd, true };
	const char *named = base_of_person(superblock);
	size_t n;

	if (mount_fd < 0)
		return fail_errno(err, ERR_UNSUPPORTED_MOUNT,
				  "%s has layers without an absolute path, and cannot be looked at",
				  superblock->what);
	int found = named ? try_base(superblock, &trial, named, err) : 0;
	if (named)
		return found ? (found < 0 ? -1 : 0)
			     : fail(err, ERR_UNSUPPORTED_MOUNT,
				    "%s shows something else than its layers in %.200s",
				    superblock->what, named);
	trial.by_a_person = false;
	const char **bases = overlay_bases(superblock->collect, layers, mount->line->device,
					   mount->entry->has_userns_id, &n);
	for (size_t i = 0; i < n; i++)
		if ((found = try_base(superblock, &trial, bases[i], err)))
			return found < 0 ? -1 : 0;
	for (size_t i = 0; i < layers->n; i++)
		if (layers->all[i].relative) {
			fail(err, ERR_UNSUPPORTED_MOUNT, "%s: its layer %.200s is no absolute path",
			     superblock->what, layers->all[i].path);
			break;
		}
	return fail_hint(err,
			 "--external overlay[%s]:DIR says from which directory its layers are "
			 "named",
			 mount->line->mountpoint);
}

/* The first to which its name does not lead in nestor's own namespace. */
static const char *find_missing(struct overlay_layers *layers)
{
	struct stat found;

	for (size_t i = 0; i < layers->n; i++) {
		int failed = stat(layers->all[i].path, &found);
		if (failed && !survey_is_absent(errno))
			layers->failed = errno;
		if (failed || !S_ISDIR(found.st_mode))
			return layers->all[i].path;
	}
	return NULL;
}

/* `missing`: a name that leads nowhere; NULL: they all lead to something else. */
static int fail_not_found(const struct live_superblock *superblock, const char *missing,
			  struct error *err)
{
	const char *why =
		overlay_hidden_why(superblock->collect, superblock->mounts[0].line->device);
	if (why)
		fail(err, ERR_UNSUPPORTED_MOUNT,
		     "%s has a layer in a tmpfs that nobody has mounted any more, and %s",
		     superblock->what, why);
	else if (missing)
		fail(err, ERR_UNSUPPORTED_MOUNT,
		     "%s: its layer %.200s is no directory in nestor's mount namespace, nor in one "
		     "of the tree",
		     superblock->what, missing);
	else
		fail(err, ERR_UNSUPPORTED_MOUNT,
		     "%s: where its layers were named there are others now, and they are not to be "
		     "found",
		     superblock->what);
	return fail_hint(err, "--external mnt[%s]:NAME has it given from outside",
			 superblock->mounts[0].line->mountpoint);
}

int overlay_find_layers(const struct live_superblock *superblock, MntEntry *entry,
			struct error *err)
{
	struct overlay_layers layers = { .arena = superblock->collect->arena };

	if (overlay_list(entry->options, &layers, err))
		return fail_while(err, "%s", superblock->what);
	if (layers.n_relative) {
		autoclose int mount_fd = -1;
		if (live_mount_copy(&superblock->mounts[0], &mount_fd, err))
			return -1;
		return find_base(superblock, &layers, mount_fd, err);
	}
	struct overlay_named named = { &layers, find_namespace(superblock, &layers), true };
	record_namespace(entry, named.namespace);
	const char *missing = named.namespace ? NULL : find_missing(&layers);
	if (layers.failed)
		return fail_layers(superblock, &layers, err);
	named.are_there = !missing;
	int found = overlay_find_real(superblock, &named, entry, err);
	if (found)
		return found < 0 ? -1 : 0;
	return fail_not_found(superblock, missing, err);
}

/* Bound from nestor's own, which may be without it when it is restored (gone-outside.c). */
int mount_overlay_note(const struct live_superblock *superblock, int mount_fd, struct error *err)
{
	struct overlay_layers layers = { .arena = superblock->collect->arena };
	MntEntry *entry = superblock->mounts[0].entry;
	struct error failed = { 0 };

	if (strcmp(superblock->mounts[0].line->type, "overlay") != 0 ||
	    strcmp(entry->root, "/") != 0 || mount_fd < 0 ||
	    overlay_list(entry->options, &layers, &failed) || !layers.n_relative)
		return 0;
	if (!find_base(superblock, &layers, mount_fd, &failed) ||
	    failed.name == ERR_UNSUPPORTED_MOUNT)
		return 0;
	*err = failed;
	return -1;
}
