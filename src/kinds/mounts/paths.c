// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Paths in the mount namespaces of a live tree, and which of its mounts a file was opened on.
 *
 * A restore opens a file through the root of its mount, so that what is mounted later does not
 * matter; a dump looks in the same way whether it is found there.
 */
#include "kinds/mounts/mounts.h"

#include "base/cleanup.h"
#include "base/names.h"
#include "kinds/mounts/kind.h"
#include "kinds/mounts/survey.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

static int open_resolved(int fd, const char *path, int flags, uint64_t resolve)
{
	struct open_how how = { .flags = (uint64_t)(flags | O_CLOEXEC),
				.resolve = resolve | RESOLVE_NO_MAGICLINKS };

	path += strspn(path, "/");
	return (int)syscall(SYS_openat2, fd, *path ? path : ".", &how, sizeof how);
}

bool survey_is_absent(int problem)
{
	/* Out of the mount or the root; a server that knows it no more, or is gone. */
	return names_lead_nowhere(problem) || problem == EXDEV || problem == ESTALE ||
	       problem == ENOTCONN;
}

static int open_unasked(const struct mount_table *table, const char *path, int flags, int allowed)
{
	int silent = collect_way_is_silent(table->collect, table->root_fd, table->root_fd, path,
					   !(flags & O_NOFOLLOW));

	if (silent > allowed)
		errno = ENOENT;
	return silent < 0 || silent > allowed
		       ? -1
		       : open_resolved(table->root_fd, path, flags, RESOLVE_IN_ROOT);
}

int survey_open_path(const struct mount_table *table, const char *path, int flags)
{
	return open_unasked(table, path, flags, 0);
}

int survey_open_beneath(int fd, const char *path, int flags)
{
	return open_resolved(fd, path, flags | O_NOFOLLOW,
			     RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS);
}

/*
 * Told whatever is asked for (vfs_statx, 5.8), also of a fuse of somebody else, who alone may ask
 * for anything (fuse_getattr); and whose server need not be asked.
 */
int64_t survey_mount_id(int fd)
{
	struct statx statx_;

	return statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, 0, &statx_)
		       ? -1
		       : (int64_t)statx_.stx_mnt_id;
}

int survey_is_same(int one_fd, int other_fd)
{
	struct stat one, other;

	if (fstat(one_fd, &one) || fstat(other_fd, &other))
		return -1;
	return one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

char *survey_path_on(const struct mount_line *line, const char *path, struct arena *arena)
{
	const char *below = path ? path_below(path, line->root) : NULL;

	if (!below)
		return NULL;
	return *below ? arena_printf(arena, "%s/%s",
				     strcmp(line->mountpoint, "/") == 0 ? "" : line->mountpoint,
				     below)
		      : arena_string(arena, line->mountpoint);
}

int survey_open_mount(const struct mount_table *table, const struct mount_line *line)
{
	autoclose int fd =
		open_unasked(table, line->mountpoint, O_PATH | O_NOFOLLOW, WAY_TO_SILENT);

	int64_t found = fd < 0 ? -1 : survey_mount_id(fd);

	if (found >= 0 && found != line->id)
		errno = ENOENT;
	return found == line->id ? take_fd(&fd) : -1;
}

static size_t index_of(const struct live_namespace *namespace, const struct mount_line *line)
{
	size_t i = 0;

	while (namespace->order.mounts[i]->mnt_id != line->id)
		i++;
	return i;
}

/* -1 with errno, ENOENT where it is hidden. */
static int copy_of(const struct live_mount *mount)
{
	struct error error = { 0 };
	int fd, failed = live_mount_copy(mount, &fd, &error);

	errno = !failed ? ENOENT : error.os_errno ? error.os_errno : EIO;
	return fd;
}

/* Where a copy is taken, nothing is mounted; a restore has to keep what is covered then. */
int survey_open_on_mount(const struct live_namespace *namespace, const struct mount_line *line,
			 const char *path)
{
	const char *below = path_below(path, line->mountpoint);
	const struct live_mount mount = { namespace, line, NULL, true };

	if (!below) {
		errno = ENOENT;
		return -1;
	}
	size_t covering = mount_covering(&namespace->order, index_of(namespace, line), path);
	autoclose int root_fd =
		covering == SIZE_MAX ? survey_open_mount(&namespace->table, line) : -1;
	/* What is hidden, or where we may not go. */
	if (root_fd < 0 && (covering != SIZE_MAX || survey_is_absent(errno) || errno == EACCES))
		root_fd = copy_of(&mount);
	if (root_fd < 0 || !*below)
		return take_fd(&root_fd);
	int fd = survey_open_beneath(root_fd, below, O_PATH);
	if (fd >= 0 && covering != SIZE_MAX) {
		MntEntry *entry = namespace->order.mounts[covering];
		entry->has_covers_open = entry->covers_open = true;
	}
	return fd;
}

/* ---- files ---- */

const struct mount_line *survey_find_mount(const struct mount_survey *survey, int64_t mount_id,
					   const struct live_namespace **ret_namespace)
{
	for (size_t i = 0; i < survey->n_namespaces; i++) {
		const struct live_namespace *namespace = &survey->namespaces[i];
		for (size_t k = 0; k < namespace->table.n_lines; k++) {
			if (namespace->table.lines[k].id != mount_id &&
			    (!namespace->originals || namespace->originals[k] != mount_id))
				continue;
			if (ret_namespace)
				*ret_namespace = namespace;
			return &namespace->table.lines[k];
		}
	}
	return NULL;
}

bool survey_is_own_mount(const struct mount_survey *survey, int64_t mount_id)
{
	for (size_t i = 0; i < survey->own.n_lines; i++)
		if (survey->own.lines[i].id == mount_id)
			return true;
	return false;
}

bool mount_is_of_tree(const struct open_file *file)
{
	const struct mount_survey *survey = survey_of_mounts(file->target->collect);

	return survey && file->mount_id >= 0 && !survey_is_own_mount(survey, file->mount_id) &&
	       survey_find_mount(survey, file->mount_id, NULL);
}

int mount_id_of_file(const struct open_file *file, int64_t *ret_mount_id, struct error *err)
{
	const struct mount_survey *survey = survey_of_mounts(file->target->collect);

	*ret_mount_id = -1;
	if (!survey || !survey->n_namespaces)
		return 0;
	autoclose int fd = target_open(file->target, file->proc_name, O_PATH);
	if (fd < 0 || (*ret_mount_id = survey_mount_id(fd)) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot tell the mount of %s",
				  file->link);
	return 0;
}

/*
 * There its path leads to it, on a mount that allows and forbids the same, and maps no ids else. 1,
 * 0, or -1 with errno; where nobody may go it is not to be had.
 */
static int is_there(const struct open_file *file, int fd, const struct mount_table *table,
		    int64_t *ret_mount_id)
{
	struct statvfs left, copy;
	struct stat stat;
	autoclose int found = survey_open_path(table, file->link, O_PATH | O_NOFOLLOW);

	int same = found < 0 ? -1 : survey_is_same(fd, found);
	if (same <= 0)
		return found < 0 && (survey_is_absent(errno) || errno == EACCES) ? 0 : same;
	if (fstatvfs(fd, &left) || fstatvfs(found, &copy) || fstat(found, &stat))
		return -1;
	if (left.f_flag != copy.f_flag || stat.st_uid != file->stat.st_uid ||
	    stat.st_gid != file->stat.st_gid)
		return 0;
	*ret_mount_id = survey_mount_id(found);
	return *ret_mount_id < 0 ? -1 : 1;
}

static int find_in_others(const struct mount_survey *survey, const struct open_file *file, int fd,
			  const struct mount_line **ret_line,
			  const struct live_namespace **ret_namespace)
{
	int64_t id;

	for (size_t i = 0; i < survey->n_namespaces && !*ret_line; i++) {
		int there = is_there(file, fd, &survey->namespaces[i].table, &id);
		if (there < 0)
			return -1;
		if (there)
			*ret_line = survey_find_mount(survey, id, ret_namespace);
	}
	return 0;
}

/*
 * A mount namespace ends with the last task in it, its mounts with the last file: what starts as
 * `unshare -m` does keeps its program open on a mount that no table has. The namespace that it is
 * in has a copy of that mount. Who has left all that there was behind (pivot_root and a lazy
 * umount) has it no more, but others may: from there comes a file, which leads nowhere else as a
 * directory would. No line: not there, or what may be done there differs; -1 with errno.
 */
static int find_successor(const struct mount_survey *survey, const struct open_file *file, int fd,
			  const struct mount_line **ret_line,
			  const struct live_namespace **ret_namespace)
{
	struct error why = { 0 };
	const struct surveyed_namespace *met = survey_add_task(file->target, NAMESPACE_MNT, &why);
	int64_t id;

	errno = why.os_errno;
	if (!met && errno_tells_nothing(errno))
		return -1;
	for (size_t i = 0; met && i < survey->n_namespaces; i++) {
		const struct live_namespace *namespace = &survey->namespaces[i];
		int there = namespace->met == met ? is_there(file, fd, &namespace->table, &id) : 0;
		if (there < 0)
			return -1;
		*ret_line = there ? survey_find_mount(survey, id, ret_namespace) : NULL;
		if (there)
			return 0;
	}
	return S_ISDIR(file->stat.st_mode)
		       ? 0
		       : find_in_others(survey, file, fd, ret_line, ret_namespace);
}

/* Its path, if this mount shows what the one that was left did: 1, 0, or -1 with errno. */
static int path_by(const struct open_file *file, const struct live_namespace *namespace,
		   const struct mount_line *line, int fd, const char **ret_path)
{
	struct arena *arena = file->target->collect->snapshot->arena;
	const char *at = strcmp(line->mountpoint, "/") == 0 ? "" : line->mountpoint;
	struct open_file named = *file;
	int64_t id;

	named.link = strcmp(file->link, "/") == 0 && *at
			     ? line->mountpoint
			     : arena_printf(arena, "%s%s", at, file->link);
	*ret_path = named.link;
	return is_there(&named, fd, &namespace->table, &id);
}

static int path_in(const struct open_file *file, const struct live_namespace *namespace, int fd,
		   const char **ret_path)
{
	int found = 0;

	for (size_t i = 0; i < namespace->table.n_lines && !found; i++)
		if (namespace->table.lines[i].device == file->stat.st_dev)
			found = path_by(file, namespace, &namespace->table.lines[i], fd, ret_path);
	return found;
}

static bool is_known(const struct mount_survey *survey, int64_t mount_id)
{
	return survey_is_own_mount(survey, mount_id) || survey_find_mount(survey, mount_id, NULL);
}

/* 1, 0, or -1 with errno. */
static int find_left(const struct mount_survey *survey, const struct open_file *file, int fd,
		     const char **ret_path)
{
	struct error ignored = { 0 };
	const struct surveyed_namespace *met =
		survey_add_task(file->target, NAMESPACE_MNT, &ignored);
	int found = 0;

	for (int own = 1; own >= 0; own--)
		for (size_t i = 0; i < survey->n_namespaces && !found; i++)
			if ((survey->namespaces[i].met == met) == own &&
			    (own || !S_ISDIR(file->stat.st_mode)))
				found = path_in(file, &survey->namespaces[i], fd, ret_path);
	return found;
}

int survey_has_place(const struct mount_survey *survey, const struct open_file *file, int fd)
{
	const struct live_namespace *namespace;
	const struct mount_line *line = NULL;
	const char *path;
	int64_t id;
	int found = find_successor(survey, file, fd, &line, &namespace) ? -1 : line != NULL;

	if (found || S_ISDIR(file->stat.st_mode))
		return found;
	found = is_there(file, fd, &survey->own, &id);
	return found ? found : find_left(survey, file, fd, &path);
}

int mount_path_of_left(const struct open_file *file, const char **ret_path, struct error *err)
{
	const struct mount_survey *survey = survey_of_mounts(file->target->collect);
	const char *path = file->link;

	*ret_path = file->link;
	if (!survey || !survey->n_namespaces || file->link[0] != '/')
		return 0;
	if (file->mount_id >= 0 && is_known(survey, file->mount_id))
		return 0;
	autoclose int fd = target_open(file->target, file->proc_name, O_PATH);
	int64_t mount_id = fd < 0 ? -1 : survey_mount_id(fd);
	int found = mount_id < 0 ? -1 : is_known(survey, mount_id) ? 0 : 1;
	if (found > 0)
		found = find_left(survey, file, fd, &path);
	if (found < 0 && (fd >= 0 || !survey_is_absent(errno)))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot tell the mount of %s",
				  file->what);
	*ret_path = found > 0 ? path : file->link;
	return 0;
}

int mount_of_file(const struct open_file *file, uint32_t *ret_mount_id, struct error *err)
{
	const struct mount_survey *survey = survey_of_mounts(file->target->collect);
	const struct live_namespace *namespace;

	if (!survey || (!survey->n_namespaces && !survey->strange))
		return 0;
	autoclose int fd = target_open(file->target, file->proc_name, O_PATH);
	int64_t mount_id = fd < 0 ? -1 : survey_mount_id(fd);
	if (mount_id < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot tell the mount of %s",
				  file->what);
	if (survey_is_own_mount(survey, mount_id))
		return 0;
	const struct mount_line *line = survey_find_mount(survey, mount_id, &namespace);
	int failed = line ? 0 : find_successor(survey, file, fd, &line, &namespace);
	int here = failed || line || S_ISDIR(file->stat.st_mode)
			   ? failed
			   : is_there(file, fd, &survey->own, &mount_id);
	if (here < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot look for %s in other mounts",
				  file->what);
	if (here > 0)
		return 0;
	if (!line)
		return fail(err, ERR_UNSUPPORTED_FILE, "%s is on a mount that %s", file->what,
			    mount_unmounted_why(survey, mount_id));
	autoclose int found = survey_open_on_mount(namespace, line, file->link);
	int same = found < 0 ? -1 : survey_is_same(fd, found);
	if (same < 0 && !survey_is_absent(errno))
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "cannot look for %s in its mount namespace", file->what);
	if (same <= 0)
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "%s: in its mount namespace its path leads to another file or to none",
			    file->what);
	*ret_mount_id = line->id;
	return 1;
}

int mount_open_beside(const struct open_file *file, const char *path)
{
	const struct mount_survey *survey = survey_of_mounts(file->target->collect);
	const struct live_namespace *namespace;
	struct error unknown = { 0 };
	int64_t mount_id;

	int failed = mount_id_of_file(file, &mount_id, &unknown) < 0;
	errno = failed && unknown.os_errno ? unknown.os_errno : ENOENT;
	if (failed || mount_id < 0)
		return -1;
	const struct mount_line *line = survey_find_mount(survey, mount_id, &namespace);
	return line ? survey_open_on_mount(namespace, line, path) : -1;
}

int mount_of_gone(const struct open_file *file, uint32_t *ret_mount_id, struct error *err)
{
	const struct mount_survey *survey = survey_of_mounts(file->target->collect);
	int64_t mount_id;

	if (mount_id_of_file(file, &mount_id, err) < 0)
		return -1;
	if (mount_id < 0 || survey_is_own_mount(survey, mount_id))
		return 0;
	const struct mount_line *line = survey_find_mount(survey, mount_id, NULL);
	if (!line)
		return fail(err, ERR_UNSUPPORTED_FILE, "%s is on a mount that %s", file->what,
			    mount_unmounted_why(survey, mount_id));
	*ret_mount_id = line->id;
	return 1;
}

int mount_of_removed_root(const struct open_file *file, const char *path, uint32_t *ret_mount_id)
{
	const struct mount_survey *survey = survey_of_mounts(file->target->collect);
	const struct live_namespace *namespace;
	autoclose int fd = survey ? target_open(file->target, file->proc_name, O_PATH) : -1;
	int64_t mount_id = fd < 0 ? -1 : survey_mount_id(fd);
	const struct mount_line *line =
		mount_id < 0 ? NULL : survey_find_mount(survey, mount_id, &namespace);

	if (survey && mount_id < 0)
		return -1;
	if (!line || strcmp(path, line->mountpoint) != 0)
		return 0;
	autoclose int root_fd = survey_open_on_mount(namespace, line, path);
	if (root_fd < 0)
		return errno_tells_nothing(errno) ? -1 : 0;
	*ret_mount_id = line->id;
	return survey_is_same(fd, root_fd);
}

int mount_open_directory(const struct open_file *file, const char *path, uint32_t *ret_mount_id)
{
	const struct mount_survey *survey = survey_of_mounts(file->target->collect);
	const struct live_namespace *namespace;
	autoclose int fd = target_open(file->target, file->proc_name, O_PATH);
	int64_t mount_id = fd < 0 ? -1 : survey_mount_id(fd);
	const struct mount_line *line =
		survey && mount_id >= 0 && !survey_is_own_mount(survey, mount_id)
			? survey_find_mount(survey, mount_id, &namespace)
			: NULL;

	if (!line) {
		errno = survey && mount_id < 0 ? errno : ENOENT;
		return -1;
	}
	*ret_mount_id = line->id;
	return survey_open_on_mount(namespace, line, path);
}
