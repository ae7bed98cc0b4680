// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Paths to inodes of which the kernel tells no path: by a descriptor, or by the handle of what
 * somebody watches. What opens nothing by its handle (overlays, most file systems of the kernel's
 * own) may be the root of a mount, or lie in a layer of an overlay (overlay-handle.c): then the
 * kernel is asked for the handle of what is found. Such a handle may be but the number of an inode,
 * so what is found has to be on that mount.
 */
#include "kinds/mounts/mounts.h"

#include "base/cleanup.h"
#include "kernel/by-handle.h"
#include "kinds/mounts/overlay.h"
#include "kinds/mounts/survey.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The path that the kernel has for it, if it leads back to it; else NULL with errno or 0. */
static char *path_on_mount(const struct live_namespace *namespace, const struct mount_line *line,
			   int fd, struct arena *arena)
{
	char self[64], path[PATH_MAX];

	snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
	ssize_t length = readlink(self, path, sizeof path - 1);
	if (length <= 0)
		return NULL;
	path[length] = '\0';
	errno = 0;
	autoclose int found =
		path_is_plain(path) ? survey_open_on_mount(namespace, line, path) : -1;
	int same = found < 0 ? -1 : survey_is_same(found, fd);
	if (same == 0)
		errno = 0;
	return same > 0 ? arena_string(arena, path) : NULL;
}

int mount_of_inode(struct collect *collect, int fd, uint32_t *ret_mount_id, const char **ret_path,
		   const char *what, struct error *err)
{
	const struct mount_survey *survey = survey_of_mounts(collect);
	const struct live_namespace *namespace;
	int64_t mount_id = survey_mount_id(fd);

	if (mount_id < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot tell its mount", what);
	if (!survey || !survey->n_namespaces || survey_is_own_mount(survey, mount_id))
		return 0;
	const struct mount_line *line = survey_find_mount(survey, mount_id, &namespace);
	char *path = line ? path_on_mount(namespace, line, fd, collect->arena) : NULL;
	if (line && !path && errno && !survey_is_absent(errno))
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot look for its path", what);
	if (!path)
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "%s is on a mount that is in no mount namespace of the tree", what);
	*ret_mount_id = line->id;
	*ret_path = path;
	return 1;
}

/* ---- by a handle ---- */

static void note_failure(struct watched_place *place, int failure)
{
	if (errno_tells_nothing(failure))
		place->failed = failure;
}

/* Of a path: it may lead nowhere, or where we may not go. */
static void note_unseen(struct watched_place *place, int failure)
{
	if (failure && !survey_is_absent(failure) && failure != EACCES)
		place->failed = failure;
}

static int open_place(struct watched_place *place, int root_fd)
{
	int fd = open_by_handle_from(root_fd, place->handle, O_PATH | O_CLOEXEC);

	if (fd < 0)
		note_failure(place, errno);
	return fd;
}

static bool is_at(struct watched_place *place, int fd)
{
	int same = handle_is_of(fd, place->handle);

	if (same < 0)
		note_failure(place, errno);
	return same > 0;
}

/* What was removed has no name but where it is mounted. */
static char *place_of_removed(const struct live_namespace *namespace, const struct mount_line *line,
			      struct watched_place *place)
{
	autoclose int fd = survey_open_mount(&namespace->table, line);
	struct stat stat;

	if (fd < 0 || fstat(fd, &stat) < 0) {
		note_failure(place, errno);
		return NULL;
	}
	return stat.st_ino == place->inode
		       ? arena_string(namespace->collect->arena, line->mountpoint)
		       : NULL;
}

static char *place_on_overlay(struct collect *collect, const struct mount_line *line,
			      struct watched_place *place)
{
	struct overlay_layers layers = { .arena = collect->arena };
	const struct live_namespace *home;

	if (!overlay_layers_of(collect, line, &layers, &home))
		return NULL;
	char *path = overlay_path_of_handle(collect, home, &layers, place);
	note_failure(place, layers.failed);
	return survey_path_on(line, path, collect->arena);
}

static char *place_on_mount(const struct live_namespace *namespace, const struct mount_line *line,
			    struct watched_place *place)
{
	struct collect *collect = namespace->collect;
	autoclose int root_fd = survey_open_on_mount(namespace, line, line->mountpoint);
	autoclose int fd = root_fd < 0 ? -1 : open_place(place, root_fd);

	if (fd >= 0) {
		char *own = path_on_mount(namespace, line, fd, collect->arena);
		if (!own)
			note_unseen(place, errno);
		return own;
	}
	if (root_fd < 0)
		note_failure(place, errno);
	else if (is_at(place, root_fd))
		return arena_string(collect->arena, line->mountpoint);
	char *path = place_on_overlay(collect, line, place);
	autoclose int found = path ? survey_open_on_mount(namespace, line, path) : -1;
	if (path && found < 0)
		note_failure(place, errno);
	return found >= 0 && is_at(place, found) ? path : NULL;
}

char *mount_path_of_inode(struct collect *collect, struct watched_place *place,
			  uint32_t *ret_mount_id)
{
	const struct mount_survey *survey = survey_of_mounts(collect);

	for (size_t i = 0; survey && i < survey->n_namespaces; i++)
		for (size_t k = 0; k < survey->namespaces[i].table.n_lines && !place->failed; k++) {
			const struct live_namespace *namespace = &survey->namespaces[i];
			const struct mount_line *line = &namespace->table.lines[k];
			if (line->device != place->device)
				continue;
			char *path = line->removed ? place_of_removed(namespace, line, place)
						   : place_on_mount(namespace, line, place);
			if (!path)
				continue;
			*ret_mount_id = line->id;
			return path;
		}
	return NULL;
}

bool mount_of_number(struct collect *collect, uint32_t number, dev_t device, uint32_t *ret_mount_id,
		     const char **ret_path)
{
	const struct mount_survey *survey = survey_of_mounts(collect);

	for (size_t i = 0; survey && i < survey->n_namespaces; i++)
		for (size_t k = 0; k < survey->namespaces[i].table.n_lines; k++) {
			const struct mount_line *line = &survey->namespaces[i].table.lines[k];
			if (number ? line->id != number : line->device != device || line->removed)
				continue;
			*ret_mount_id = line->id;
			*ret_path = line->mountpoint;
			return true;
		}
	return false;
}

/* ---- in nestor's own namespace ---- */

/* Its name, if that leads back to the inode. */
static char *own_name_of(struct arena *arena, int fd, struct watched_place *place)
{
	char self[64], path[PATH_MAX];
	struct stat found, named;

	snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
	ssize_t length = readlink(self, path, sizeof path - 1);
	path[length < 0 ? 0 : length] = '\0';
	if (length < 0 || fstat(fd, &found) < 0 || lstat(path, &named) < 0) {
		note_unseen(place, errno);
		return NULL;
	}
	return found.st_ino == place->inode && named.st_ino == found.st_ino &&
			       named.st_dev == found.st_dev
		       ? arena_string(arena, path)
		       : NULL;
}

static bool is_there(const struct mount_line *mount, const char *path, struct watched_place *place)
{
	autoclose int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	int64_t mount_id = fd < 0 ? -1 : survey_mount_id(fd);
	if (mount_id < 0)
		note_failure(place, errno);
	return mount_id == mount->id && is_at(place, fd);
}

char *mount_own_path_of_inode(struct collect *collect, const struct mount_line *mount,
			      struct watched_place *place)
{
	autoclose int root_fd = open(mount->mountpoint, O_PATH | O_CLOEXEC);
	autoclose int fd = root_fd < 0 ? -1 : open_place(place, root_fd);

	if (root_fd < 0)
		note_failure(place, errno);
	if (fd >= 0)
		return own_name_of(collect->arena, fd, place);
	if (is_there(mount, mount->mountpoint, place))
		return arena_string(collect->arena, mount->mountpoint);
	char *path = place_on_overlay(collect, mount, place);
	return path && is_there(mount, path, place) ? path : NULL;
}

int mount_own_paths_of_inode(struct collect *collect, struct watched_place *place, char **ret_path,
			     struct error *err)
{
	const struct mount_survey *survey = survey_of_mounts(collect);

	*ret_path = NULL;
	if (!survey)
		return 0;
	if (survey_read_own(collect, err))
		return -1;
	for (size_t i = 0; i < survey->own.n_lines && !*ret_path && !place->failed; i++)
		if (survey->own.lines[i].device == place->device)
			*ret_path = mount_own_path_of_inode(collect, &survey->own.lines[i], place);
	return 0;
}

int mount_path_of_alone(const struct open_file *file, const char **ret_path, struct error *err)
{
	struct collect *collect = file->target->collect;
	const struct mount_survey *survey = survey_of_mounts(collect);
	union {
		struct file_handle handle;
		char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} own = { .handle.handle_bytes = MAX_HANDLE_SZ };
	struct watched_place place = { file->stat.st_dev, file->stat.st_ino, &own.handle, 0 };
	char *path = NULL;
	int unused;

	if (!survey)
		return 0;
	autoclose int fd = target_open(file->target, file->proc_name, O_PATH);
	int64_t mount_id = fd < 0 ? -1 : survey_mount_id(fd);
	if (mount_id < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot tell the mount of %s",
				  file->what);
	if (survey_is_own_mount(survey, mount_id) || survey_find_mount(survey, mount_id, NULL))
		return 0;
	int failed = name_to_handle_at(fd, "", &own.handle, &unused, AT_EMPTY_PATH);
	if (failed)
		note_failure(&place, errno);
	if (!failed && mount_own_paths_of_inode(collect, &place, &path, err))
		return -1;
	errno = place.failed;
	if (!path && place.failed)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot look for %s", file->what);
	*ret_path = path;
	return path != NULL;
}
