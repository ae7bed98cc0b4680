// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What is mapped from an overlay whose layer lies in another overlay, as in containers inside of
 * containers. A mapping has the file below (ovl_mmap, backing_file_mmap), which is shown by the
 * name that it had to whoever opened it. That is the path in the upper overlay where the file below
 * is no overlay's. Where it is, the name begins at the layer, a mount of the overlay's own
 * (clone_private_mount), and the inode is that of the lower one. There is nothing between and no
 * third, as the kernel stacks no more than two (FILESYSTEM_MAX_STACK_DEPTH).
 *
 * It comes back by the upper overlay, and so with the same name, if that shows the file at this
 * path: with the times of the file, to the nanosecond, that of its birth too, which a copy in its
 * upper layer has not. What was replaced or removed there comes back by way of its layer.
 */
#include "kinds/mounts/overlay.h"

#include "base/cleanup.h"
#include "kinds/mounts/mounts.h"
#include "kinds/mounts/survey.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { MAPPED_STATX = STATX_BASIC_STATS | STATX_BTIME };

/* What is looked for. */
struct mapped {
	struct collect *collect;
	const struct open_file *file;
	struct statx shown;
	int failed; /* an errno: something cannot be told */
	bool refused;
	struct error *err; /* then: why */
};

static void note_failure(struct mapped *mapped)
{
	if (!survey_is_absent(errno))
		mapped->failed = errno;
}

/* Nothing on a mount that forbids it could be mapped to be executed. */
static bool is_it(struct mapped *mapped, int fd)
{
	struct statx found;
	struct statvfs fs;

	if (fd < 0) {
		note_failure(mapped);
		return false;
	}
	if (statx(fd, "", AT_EMPTY_PATH, MAPPED_STATX, &found) || fstatvfs(fd, &fs)) {
		mapped->failed = errno;
		return false;
	}
	return S_ISREG(found.stx_mode) && !(fs.f_flag & ST_NOEXEC) &&
	       overlay_is_same(&mapped->shown, &found);
}

/* ---- by the overlay ---- */

/* In a namespace of the tree, or in nestor's own (NULL), where nothing may lie upon it. */
static const char *path_on_overlay(struct mapped *mapped, const struct live_namespace *namespace,
				   const struct mount_line *line)
{
	const struct mount_survey *survey = survey_of_mounts(mapped->collect);
	char *path = strcmp(line->type, "overlay") == 0
			     ? survey_path_on(line, mapped->file->link, mapped->collect->arena)
			     : NULL;

	if (!path)
		return NULL;
	autoclose int fd = namespace ? survey_open_on_mount(namespace, line, path)
				     : survey_open_path(&survey->own, path, O_PATH | O_NOFOLLOW);
	return is_it(mapped, fd) && (namespace || survey_mount_id(fd) == line->id) ? path : NULL;
}

static const char *path_on_one(struct mapped *mapped, const struct live_namespace *namespace,
			       const struct mount_table *table, const struct mount_line **ret_line)
{
	const char *path = NULL;

	for (size_t i = 0; i < table->n_lines && !path; i++) {
		path = path_on_overlay(mapped, namespace, &table->lines[i]);
		*ret_line = &table->lines[i];
	}
	return path;
}

/* First of all in the namespace of the task, then in others, at last in nestor's own. */
static const char *find_on_overlay(struct mapped *mapped, const struct surveyed_namespace *met,
				   uint32_t *ret_mount_id)
{
	const struct mount_survey *survey = survey_of_mounts(mapped->collect);
	const struct mount_line *line;
	const char *path = NULL;

	if (met->own)
		path = path_on_one(mapped, NULL, &survey->own, &line);
	for (int own = 1; own >= 0 && !path; own--)
		for (size_t i = 0; i < survey->n_namespaces && !path; i++) {
			const struct live_namespace *namespace = &survey->namespaces[i];
			if ((namespace->met == met) != own)
				continue;
			path = path_on_one(mapped, namespace, &namespace->table, &line);
			*ret_mount_id = path ? line->id : 0;
		}
	return path || met->own ? path : path_on_one(mapped, NULL, &survey->own, &line);
}

/* ---- by its layer ---- */

static const char *own_path_of(struct mapped *mapped, int fd)
{
	char self[64], path[PATH_MAX];
	struct stat named;

	snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
	ssize_t length = readlink(self, path, sizeof path - 1);
	path[length < 0 ? 0 : length] = '\0';
	if (length < 0 || lstat(path, &named)) {
		note_failure(mapped);
		return NULL;
	}
	return named.st_dev == mapped->file->stat.st_dev &&
			       named.st_ino == mapped->file->stat.st_ino
		       ? arena_string(mapped->collect->arena, path)
		       : NULL;
}

static const char *path_in_layer(struct mapped *mapped, const struct live_namespace *namespace,
				 struct overlay_layers *layers, size_t index,
				 uint32_t *ret_mount_id)
{
	const struct open_file *file = mapped->file;
	struct stat found;
	const char *path;
	autoclose int layer_fd = overlay_open_layer(namespace, layers, index);
	autoclose int fd = layer_fd < 0 ? -1 : survey_open_beneath(layer_fd, file->link, O_PATH);

	if (fd < 0)
		note_failure(mapped);
	else if (fstat(fd, &found))
		mapped->failed = errno;
	if (fd < 0 || mapped->failed)
		return NULL;
	if (found.st_dev != file->stat.st_dev || found.st_ino != file->stat.st_ino ||
	    !is_it(mapped, fd))
		return NULL;
	int there =
		mount_of_inode(mapped->collect, fd, ret_mount_id, &path, file->what, mapped->err);
	mapped->refused = there < 0;
	if (there > 0)
		return path;
	*ret_mount_id = 0;
	return there ? NULL : own_path_of(mapped, fd);
}

static const char *path_in_layers(struct mapped *mapped, const struct mount_line *line,
				  uint32_t *ret_mount_id)
{
	struct overlay_layers layers = { .arena = mapped->collect->arena };
	const struct live_namespace *home;
	const char *path = NULL;

	if (!overlay_layers_of(mapped->collect, line, &layers, &home))
		return NULL;
	for (size_t i = 0; i < layers.n && !path && !mapped->refused; i++)
		path = path_in_layer(mapped, home, &layers, i, ret_mount_id);
	mapped->failed = layers.failed ? layers.failed : mapped->failed;
	return path;
}

static const char *find_in_layer(struct mapped *mapped, uint32_t *ret_mount_id)
{
	const struct mount_survey *survey = survey_of_mounts(mapped->collect);
	const char *path = NULL;

	for (size_t i = 0; i < survey->n_namespaces && !path; i++) {
		const struct mount_table *table = &survey->namespaces[i].table;
		for (size_t k = 0; k < table->n_lines && !path && !mapped->refused; k++)
			path = path_in_layers(mapped, &table->lines[k], ret_mount_id);
	}
	for (size_t i = 0; i < survey->own.n_lines && !path && !mapped->refused; i++)
		path = path_in_layers(mapped, &survey->own.lines[i], ret_mount_id);
	return path;
}

/* ---- */

/* Is it on a mount that nobody has, of an overlay? 1, 0, or -1 with err. */
static int is_below(struct mapped *mapped, struct error *err)
{
	const struct open_file *file = mapped->file;
	const struct mount_survey *survey = survey_of_mounts(mapped->collect);

	if (!survey || strncmp(file->proc_name, "map_files/", strlen("map_files/")) != 0 ||
	    file->file_system != OVERLAYFS_SUPER_MAGIC || file->link[0] != '/' ||
	    !S_ISREG(file->stat.st_mode))
		return 0;
	if (survey_read_own(mapped->collect, err))
		return -1;
	autoclose int fd = target_open(file->target, file->proc_name, O_PATH);
	int64_t mount_id = fd < 0 ? -1 : survey_mount_id(fd);
	if (mount_id < 0 || statx(fd, "", AT_EMPTY_PATH, MAPPED_STATX, &mapped->shown))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot tell the mount of %s",
				  file->what);
	return !survey_is_own_mount(survey, mount_id) && !survey_find_mount(survey, mount_id, NULL);
}

int mount_of_mapped(const struct open_file *file, uint32_t *ret_mount_id, const char **ret_path,
		    struct error *err)
{
	struct mapped mapped = { .collect = file->target->collect, .file = file, .err = err };
	int below = is_below(&mapped, err);

	if (below <= 0)
		return below;
	const struct surveyed_namespace *met = survey_add_task(file->target, NAMESPACE_MNT, err);
	if (!met)
		return -1;
	*ret_mount_id = 0;
	*ret_path = find_on_overlay(&mapped, met, ret_mount_id);
	if (!*ret_path && !mapped.failed)
		*ret_path = find_in_layer(&mapped, ret_mount_id);
	if (mapped.refused)
		return -1;
	errno = mapped.failed;
	return *ret_path ? 1
	       : errno	 ? fail_errno(err, ERR_KERNEL_REFUSED, "cannot look for %s in overlays",
				      file->what)
			 : 0;
}
