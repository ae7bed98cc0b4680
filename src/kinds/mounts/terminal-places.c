// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Where terminals are in the mounts of a live tree: the ends of them that were opened on a mount
 * that is gone since, as LXC opens those of a container before its namespace leaves the outer /dev.
 *
 * A ptmx that is no devpts's own (a node of /dev) makes terminals of the devpts that is mounted at
 * "pts" beside it, ptmx(4). By such a one on a mount that is gone no way leads to that any more.
 */
#include "kinds/mounts/mounts.h"

#include "base/cleanup.h"
#include "kinds/mounts/kind.h"
#include "kinds/mounts/survey.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

enum { PTMX_MAJOR = 5, PTMX_MINOR = 2 };

/* 1 with a path; 0: it is another devpts, or its name is covered; -1 with errno. */
static int path_to_terminal(const struct open_file *file, const struct live_namespace *namespace,
			    const struct mount_line *line, const char *name, int fd,
			    const char **ret_path)
{
	struct arena *arena = file->target->collect->snapshot->arena;
	const char *at = strcmp(line->mountpoint, "/") == 0 ? "" : line->mountpoint;

	*ret_path = arena_printf(arena, "%s/%s", at, name);
	autoclose int found = survey_open_on_mount(namespace, line, *ret_path);
	if (found < 0)
		return survey_is_absent(errno) ? 0 : -1;
	return survey_is_same(fd, found);
}

static int find_terminal(const struct open_file *file, dev_t devpts, const char *name, int fd,
			 uint32_t *ret_mount_id, const char **ret_path)
{
	const struct mount_survey *survey = survey_of_mounts(file->target->collect);
	int found = 0;

	for (size_t i = 0; i < survey->n_namespaces && !found; i++)
		for (size_t k = 0; k < survey->namespaces[i].table.n_lines && !found; k++) {
			const struct mount_line *line = &survey->namespaces[i].table.lines[k];
			const char *path;
			if (line->device != devpts || strcmp(line->root, "/") != 0)
				continue;
			found = path_to_terminal(file, &survey->namespaces[i], line, name, fd,
						 &path);
			if (found <= 0)
				continue;
			*ret_path = path;
			*ret_mount_id = line->id;
		}
	return found;
}

static int makes_terminals(int fd)
{
	struct stat stat;

	if (fstat(fd, &stat))
		return -1;
	return S_ISCHR(stat.st_mode) && stat.st_rdev == makedev(PTMX_MAJOR, PTMX_MINOR);
}

/* 1 and its mount; 0: it leads to no such node; -1 with errno. */
static int leads_to_maker(const struct mount_table *table, const char *path, int64_t *ret_mount_id)
{
	autoclose int fd = survey_open_path(table, path, O_PATH | O_NOFOLLOW);

	if (fd < 0)
		return survey_is_absent(errno) ? 0 : -1;
	*ret_mount_id = survey_mount_id(fd);
	return *ret_mount_id < 0 ? -1 : makes_terminals(fd);
}

/* By which a restore makes one of this devpts: the node beside it, or its own. 1, 0 or -1. */
static int find_maker_at(const struct mount_table *table, const char *mountpoint,
			 struct arena *arena, const char **ret_path, int64_t *ret_mount_id)
{
	const char *at = strcmp(mountpoint, "/") == 0 ? "" : mountpoint;
	const char *name = strrchr(mountpoint, '/');
	int found = 0;

	if (name && strcmp(name, "/pts") == 0) {
		*ret_path = arena_printf(arena, "%.*s/ptmx", (int)(name - mountpoint), mountpoint);
		found = leads_to_maker(table, *ret_path, ret_mount_id);
	}
	if (found)
		return found;
	*ret_path = arena_printf(arena, "%s/ptmx", at);
	return leads_to_maker(table, *ret_path, ret_mount_id);
}

/* The root of a mount of a devpts that nothing hides; -1 with errno. */
static int open_devpts(const struct mount_table *table, const struct mount_line *line, dev_t devpts)
{
	errno = ENOENT;
	return line->device == devpts && strcmp(line->root, "/") == 0
		       ? survey_open_mount(table, line)
		       : -1;
}

/* Where another one hides it, terminals are made in that. 1, 0 or -1. */
static int find_maker(const struct mount_table *table, struct arena *arena, dev_t devpts,
		      const char **ret_path, int64_t *ret_mount_id)
{
	int found = 0;

	for (size_t i = 0; i < table->n_lines && !found; i++) {
		autoclose int fd = open_devpts(table, &table->lines[i], devpts);
		if (fd >= 0)
			found = find_maker_at(table, table->lines[i].mountpoint, arena, ret_path,
					      ret_mount_id);
		else if (!survey_is_absent(errno))
			found = -1;
	}
	return found;
}

/* 1 in a mount namespace of the tree, 0: in nestor's own, or -1. */
static int place_of_maker(const struct open_file *file, dev_t devpts, uint32_t *ret_mount_id,
			  const char **ret_path, struct error *err)
{
	struct collect *collect = file->target->collect;
	const struct mount_survey *survey = survey_of_mounts(collect);
	struct arena *arena = collect->snapshot->arena;
	int64_t id = -1;
	int found = 0;

	for (size_t i = 0; i < survey->n_namespaces && !found; i++)
		found = find_maker(&survey->namespaces[i].table, arena, devpts, ret_path, &id);
	*ret_mount_id = (uint32_t)id;
	int own = found ? 0 : find_maker(&survey->own, arena, devpts, ret_path, &id);
	if (found < 0 || own < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "%s: cannot look for the devpts that its terminal is of",
				  file->what);
	return found || own ? found
			    : fail(err, ERR_UNSUPPORTED_FILE,
				   "%s: nothing that can be seen from here makes terminals of the "
				   "devpts that its terminal is of",
				   file->what);
}

/* -1 with errno, ENOENT: it is not there. */
static int open_in(const struct mount_table *table, dev_t devpts, const char *name)
{
	for (size_t i = 0; i < table->n_lines; i++) {
		autoclose int root_fd = open_devpts(table, &table->lines[i], devpts);
		int fd = root_fd < 0 ? -1 : survey_open_beneath(root_fd, name, O_PATH);
		if (fd >= 0 || !survey_is_absent(errno))
			return fd;
	}
	errno = ENOENT;
	return -1;
}

int mount_open_terminal(struct collect *collect, dev_t devpts, const char *name, struct error *err)
{
	const struct mount_survey *survey = survey_of_mounts(collect);
	int fd = -1;

	if (survey_read_own(collect, err))
		return -1;
	errno = ENOENT;
	for (size_t i = 0; i < survey->n_namespaces && fd < 0 && errno == ENOENT; i++)
		fd = open_in(&survey->namespaces[i].table, devpts, name);
	return fd < 0 && errno == ENOENT ? open_in(&survey->own, devpts, name) : fd;
}

int mount_of_terminal(const struct open_file *file, dev_t devpts, const char *name,
		      uint32_t *ret_mount_id, const char **ret_path, struct error *err)
{
	const struct mount_survey *survey = survey_of_mounts(file->target->collect);
	const struct live_namespace *namespace;

	*ret_path = file->link;
	if (!survey)
		return mount_of_file(file, ret_mount_id, err);
	autoclose int fd = target_open(file->target, file->proc_name, O_PATH);
	int64_t mount_id = fd < 0 ? -1 : survey_mount_id(fd);
	if (mount_id < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot tell the mount of %s",
				  file->what);
	if (survey_is_own_mount(survey, mount_id) ||
	    survey_find_mount(survey, mount_id, &namespace))
		return mount_of_file(file, ret_mount_id, err);
	int found = find_terminal(file, devpts, name, fd, ret_mount_id, ret_path);
	if (found < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot look for %s in other mounts",
				  file->what);
	if (!found && file->stat.st_dev != devpts)
		return place_of_maker(file, devpts, ret_mount_id, ret_path, err);
	return found ? found : mount_of_file(file, ret_mount_id, err);
}
