// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Where a file whose last name is gone can be made again: on the mount that it is open on, which
 * may be read-only, as /usr is for services; then by another that shows the same directory by the
 * same path, or by a copy of its own that is not read-only.
 */
#include "kinds/mounts/kind.h"

#include "base/cleanup.h"
#include "base/names.h"
#include "collect/collect.h"
#include "kernel/clone-mount.h"
#include "kinds/mounts/survey.h"
#include "kinds/places.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

/*
 * The nearest directory that is left on the way to `path`, if it is on that mount, and not below
 * another. 1, 0, or -1 with errno.
 */
static int find_left_above(const struct live_namespace *namespace, const struct mount_line *line,
			   const char *path, int *ret_fd)
{
	char directory[PATH_MAX];
	char *slash;

	if (strlen(path) >= sizeof directory)
		return 0;
	strcpy(directory, path);
	while ((slash = strrchr(directory, '/'))) {
		slash[slash == directory] = '\0';
		if (!path_below(directory, line->mountpoint))
			return 0;
		*ret_fd = survey_open_on_mount(namespace, line, directory);
		if (*ret_fd < 0 && errno_tells_nothing(errno))
			return -1;
		if (*ret_fd >= 0 || (errno != ENOENT && errno != ENOTDIR) || !directory[1])
			return *ret_fd >= 0;
	}
	return 0;
}

/*
 * Is this the directory, on a mount that can be written to, and with the same owner, so that both
 * mounts map ids alike, or none? 1 and the mount, 0, or -1.
 */
static int is_writable(const struct mount_table *table, const char *directory, int wanted_fd,
		       int64_t *ret_mount_id)
{
	struct statvfs fs;
	struct stat found, wanted;
	autoclose int fd = survey_open_path(table, directory, O_PATH | O_DIRECTORY);
	int same = fd < 0 ? -1 : survey_is_same(fd, wanted_fd);

	if (same < 0)
		return survey_is_absent(errno) ? 0 : -1;
	if (fstatvfs(fd, &fs) < 0 || fstat(fd, &found) < 0 || fstat(wanted_fd, &wanted) < 0)
		return -1;
	*ret_mount_id = survey_mount_id(fd);
	if (*ret_mount_id < 0)
		return -1;
	return same && !(fs.f_flag & ST_RDONLY) && found.st_uid == wanted.st_uid &&
	       found.st_gid == wanted.st_gid;
}

/* 1 and the mount of the tree, or 0 for nestor's own namespace; 0: there is none; -1 with errno. */
static int find_writable(const struct mount_survey *survey, const char *directory, int wanted_fd,
			 int64_t *ret_made_on)
{
	const struct live_namespace *namespace;
	int64_t mount_id;

	for (size_t i = 0; i < survey->n_namespaces; i++) {
		int found =
			is_writable(&survey->namespaces[i].table, directory, wanted_fd, &mount_id);
		const struct mount_line *line =
			found > 0 ? survey_find_mount(survey, mount_id, &namespace) : NULL;
		if (found < 0)
			return -1;
		if (!line || line->idmapped)
			continue;
		*ret_made_on = line->id;
		return 1;
	}
	*ret_made_on = 0;
	return is_writable(&survey->own, directory, wanted_fd, &mount_id);
}

/*
 * By a copy of the mount, which is tried. Not what was opened with O_TMPFILE: that is a description
 * of its own mount. 1, 0, or -1 with an error.
 */
static int can_be_copied(const struct open_file *file, const struct live_namespace *namespace,
			 const struct mount_line *line, int directory_fd, struct error *err)
{
	struct error why = { 0 };

	if (line->superblock_flags & MS_RDONLY || (file->flags & O_TMPFILE) == O_TMPFILE)
		return 0;
	autoclose int fd = clone_mount(namespace->fd, directory_fd, 0, MOUNT_ATTR_RDONLY,
				       line->mountpoint, &why);
	if (fd >= 0)
		return 1;
	if (!errno_tells_nothing(why.os_errno))
		return 0;
	*err = why;
	return -1;
}

static int find_elsewhere(const struct mount_survey *survey, const struct open_file *file,
			  const struct live_namespace *namespace, const struct mount_line *line,
			  const char *path, int left_fd, int64_t *ret_made_on, struct error *err)
{
	size_t length = (size_t)(strrchr(path, '/') - path);
	const char *directory =
		length ? arena_printf(file->target->collect->arena, "%.*s", (int)length, path)
		       : "/";
	autoclose int fd = survey_open_on_mount(namespace, line, directory);
	int found = fd >= 0 ? find_writable(survey, directory, fd, ret_made_on)
			    : -errno_tells_nothing(errno);

	if (found < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot look for the directory of %s",
				  file->what);
	int copied = found ? 0 : can_be_copied(file, namespace, line, left_fd, err);
	if (copied) {
		*ret_made_on = -1;
		return copied < 0 ? -1 : 0;
	}
	if (!found)
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "%s: an unlinked file on a mount that is read-only, where it cannot be "
			    "made again",
			    file->what);
	return 0;
}

int mount_of_removed_file(const struct open_file *file, const char *path, uint32_t *ret_mount_id,
			  int64_t *ret_made_on, struct error *err)
{
	const struct mount_survey *survey = survey_of_mounts(file->target->collect);
	const struct live_namespace *namespace;
	struct statvfs fs;

	*ret_made_on = -1;
	if (!survey || !survey->n_namespaces)
		return 0;
	autoclose int fd = target_open(file->target, file->proc_name, O_PATH);
	int64_t mount_id = fd < 0 ? -1 : survey_mount_id(fd);
	if (mount_id < 0 || fstatvfs(fd, &fs) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot tell the mount of %s",
				  file->what);
	const struct mount_line *line = survey_is_own_mount(survey, mount_id)
						? NULL
						: survey_find_mount(survey, mount_id, &namespace);
	if (!line)
		return 0;
	autoclose int left_fd = -1;
	int left = find_left_above(namespace, line, path, &left_fd);
	if (left < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot look for the directory of %s",
				  file->what);
	if (!left)
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "%s: an unlinked file that never was at that path", file->what);
	if (fs.f_flag & ST_RDONLY &&
	    find_elsewhere(survey, file, namespace, line, path, left_fd, ret_made_on, err))
		return -1;
	*ret_mount_id = line->id;
	return 1;
}

/* 1, 0, or -1 with errno. */
static int is_writable_directory(const struct live_namespace *namespace,
				 const struct mount_line *line)
{
	struct stat stat;

	/* One that maps ids would give it to somebody else. */
	if ((line->flags | line->superblock_flags) & MS_RDONLY || line->idmapped)
		return 0;
	autoclose int fd = survey_open_on_mount(namespace, line, line->mountpoint);
	if (fd < 0)
		return survey_is_absent(errno) ? 0 : -1;
	return fstat(fd, &stat) < 0 ? -1 : S_ISDIR(stat.st_mode);
}

int mount_of_left_file(const struct open_file *file, uint32_t *ret_mount_id,
		       const char **ret_directory, struct error *err)
{
	const struct mount_survey *survey = survey_of_mounts(file->target->collect);
	int64_t mount_id;
	int found = 0;

	if (mount_id_of_file(file, &mount_id, err) < 0)
		return -1;
	if (mount_id < 0 || survey_is_own_mount(survey, mount_id) ||
	    survey_find_mount(survey, mount_id, NULL))
		return 0;
	for (size_t i = 0; i < survey->n_namespaces && !found; i++) {
		const struct live_namespace *namespace = &survey->namespaces[i];
		for (size_t k = 0; k < namespace->table.n_lines && !found; k++) {
			const struct mount_line *line = &namespace->table.lines[k];
			found = line->device == file->stat.st_dev
					? is_writable_directory(namespace, line)
					: 0;
			*ret_mount_id = line->id;
			*ret_directory = line->mountpoint;
		}
	}
	return found < 0 ? fail_errno(err, ERR_KERNEL_REFUSED, "cannot look for a place for %s",
				      file->what)
			 : found;
}
