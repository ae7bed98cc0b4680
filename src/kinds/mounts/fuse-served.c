// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Which file systems (FUSE) are served by a task of the tree: while that stands still, nobody else
 * answers for what is in them, and whoever asks waits for ever. Found before anybody looks at
 * files, in nestor's own mount namespace too.
 */
#include "kinds/mounts/fuse.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/listing.h"
#include "base/names.h"
#include "base/procfs.h"
#include "collect/collect.h"
#include "kinds/mounts/mounts.h"
#include "kinds/mounts/survey.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

struct served {
	uint64_t *connections; /* like devices */
	dev_t *devices;
	size_t n;
};

static struct served *served_of(struct collect *collect)
{
	static const char owner;
	void **kept = collect_state(collect, &owner);

	if (!*kept)
		*kept = arena_new(collect->arena, struct served);
	return *kept;
}

bool fuse_is_served(struct collect *collect, uint64_t connection)
{
	const struct served *served = served_of(collect);

	for (size_t i = 0; i < served->n; i++)
		if (served->connections[i] == connection)
			return true;
	return false;
}

static void add(struct collect *collect, uint64_t connection, uint32_t device)
{
	struct served *served = served_of(collect);

	if (!connection || fuse_is_served(collect, connection))
		return;
	served->connections = arena_grow(collect->arena, served->connections, served->n,
					 sizeof *served->connections);
	served->devices =
		arena_grow(collect->arena, served->devices, served->n, sizeof *served->devices);
	served->connections[served->n] = connection;
	/* As st_dev has them: 12 bits of the minor number stand above the major one. */
	served->devices[served->n++] = makedev(0, (device & 0xff) | (device >> 12 & ~0xffU));
}

/*
 * Only what the kernel itself answers is asked; what somebody else may not see is no device. 1, 0,
 * or -1 with errno: taken for none, its files would be asked for.
 */
static int is_device(const struct target *target, const char *name)
{
	struct statx found;
	autoclose int fd = target_open(target, name, O_PATH);

	if (fd < 0)
		return errno == ENOENT ? 0 : -1;
	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &found))
		return errno == EACCES ? 0 : -1;
	return S_ISCHR(found.stx_mode) &&
	       fuse_device_is(found.stx_rdev_major, found.stx_rdev_minor);
}

static int look_at_descriptor(struct target *target, const char *number, struct error *err)
{
	char name[32];
	uint64_t connection;
	uint32_t device;

	snprintf(name, sizeof name, "fd/%.16s", number);
	int device_found = is_device(target, name);
	if (device_found <= 0)
		return device_found < 0 ? fail_errno(err, procfs_error(errno),
						     "cannot look at descriptor %s of pid %d",
						     number, target->pid)
					: 0;
	autoclose int fd = target_get_fd(target, (uint32_t)strtoul(number, NULL, 10));
	if (fd < 0 || fuse_device_connection(target->collect, fd, &connection, &device)) {
		if (errno == EBADF)
			return 0;
		target->collect->may_wait = true;
		return fail_errno(err, ERR_UNSUPPORTED_FILE,
				  "pid %d: descriptor %s serves a FUSE, and only the kernel's "
				  "memory tells which",
				  target->pid, number);
	}
	add(target->collect, connection, device);
	return 0;
}

static int look_at(struct target *target, struct error *err)
{
	autoleave folder = target_enter(target);
	autoclosedir DIR *dir = listing_of(target_open(target, "fdinfo", O_RDONLY | O_DIRECTORY));
	const char *number;

	while (listing_next(dir, &number)) {
		if (look_at_descriptor(target, number, err) == 0)
			continue;
		/* What it serves is not known: nobody may look for anything any more. */
		bool ends = target->collect->may_wait && !target->collect->looking;
		if (ends || collect_pass(target->collect, err))
			return -1;
	}
	return errno ? fail_errno(err, procfs_error(errno), "cannot read /proc/%d/fd", target->pid)
		     : 0;
}

static bool is_any_of(const struct mount_table *table)
{
	for (size_t i = 0; i < table->n_lines; i++)
		if (mount_type_is_served(table->lines[i].type))
			return true;
	return false;
}

/* 1, 0, or -1. */
static int is_any(struct collect *collect, struct error *err)
{
	const struct mount_survey *survey = survey_of_mounts(collect);
	autofree char *own = NULL;

	for (size_t i = 0; i < survey->n_namespaces; i++)
		if (is_any_of(&survey->namespaces[i].table))
			return 1;
	if (procfs_read_new(AT_FDCWD, "/proc/self/mountinfo", &own) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot read the mounts of nestor");
	return strstr(own, " - fuse") != NULL;
}

/* In nestor's own mount namespace, where what the tree has is found by its path. */
static int find_paths(struct collect *collect, struct error *err)
{
	struct mount_survey *survey = survey_of_mounts(collect);
	struct silent *silent = &collect->silent;

	if (survey_read_own(collect, err))
		return -1;
	for (size_t i = 0; i < survey->own.n_lines; i++) {
		if (!collect_is_silent(collect, survey->own.lines[i].device))
			continue;
		silent->paths = arena_grow(collect->arena, silent->paths, silent->n_paths,
					   sizeof *silent->paths);
		silent->paths[silent->n_paths++] = survey->own.lines[i].mountpoint;
	}
	return 0;
}

/* On a directory there that is not the root: a path leads to it by way of the driver. */
static bool is_below(const struct collect *collect, const struct mount_table *table,
		     const struct mount_line *line)
{
	for (size_t i = 0; i < table->n_lines; i++)
		if (table->lines[i].id == line->parent_id &&
		    collect_is_silent(collect, table->lines[i].device))
			return strcmp(table->lines[i].mountpoint, line->mountpoint) != 0;
	return false;
}

static const struct mount_line *find_line(const struct mount_table *table, uint32_t id)
{
	for (size_t i = 0; i < table->n_lines; i++)
		if (table->lines[i].id == id)
			return &table->lines[i];
	return NULL;
}

/* What `line`, or what it is mounted on, and so on, is mounted on `below`; NULL: nothing. */
static const struct mount_line *step_above(const struct mount_table *table,
					   const struct mount_line *line,
					   const struct mount_line *below)
{
	for (size_t i = 0; line && i < table->n_lines; i++) {
		if (line->parent_id == below->id && line != below)
			return line;
		line = find_line(table, line->parent_id);
	}
	return NULL;
}

static bool is_strictly_below(const char *path, const char *directory)
{
	return strcmp(path, directory) != 0 && path_below(path, directory);
}

/* Does its path, by which it was mounted before, lead into this one by now? */
static bool is_hidden_by(const struct mount_table *table, const struct mount_line *line,
			 const struct mount_line *silent)
{
	if (line == silent || !is_strictly_below(line->mountpoint, silent->mountpoint))
		return false;
	for (size_t i = 0; i < table->n_lines; i++) {
		const struct mount_line *common = &table->lines[i];
		const struct mount_line *own = step_above(table, line, common);
		const struct mount_line *other = step_above(table, silent, common);
		if (own && other && own != other)
			return is_strictly_below(own->mountpoint, other->mountpoint);
	}
	return false;
}

static bool is_hidden(const struct collect *collect, const struct mount_table *table,
		      const struct mount_line *line)
{
	for (size_t i = 0; i < table->n_lines; i++)
		if (collect_is_silent(collect, table->lines[i].device) &&
		    is_hidden_by(table, line, &table->lines[i]))
			return true;
	return false;
}

/* What the dump of a tree that stands still cannot go on with. */
static int check_mountpoints(struct collect *collect, const struct live_namespace *namespace,
			     struct error *err)
{
	for (size_t i = 0; i < namespace->table.n_lines; i++) {
		const struct mount_line *line = &namespace->table.lines[i];
		bool below = is_below(collect, &namespace->table, line);
		if (!below && !is_hidden(collect, &namespace->table, line))
			continue;
		survey_refuse(survey_name_mount(collect, namespace, line),
			      below ? "lies in a file system whose driver is in the tree (FUSE)"
				    : "is hidden by a file system whose driver is in the tree "
				      "(FUSE)",
			      err);
		if (!collect->looking || collect_pass(collect, err))
			return -1;
	}
	return 0;
}

int fuse_find_served(struct collect *collect, struct error *err)
{
	int any = is_any(collect, err);

	for (size_t i = 0; any > 0 && i < collect->n_targets; i++)
		if (!collect->targets[i].zombie && look_at(&collect->targets[i], err))
			return -1;
	if (any <= 0)
		return any;
	const struct served *served = served_of(collect);
	const struct mount_survey *survey = survey_of_mounts(collect);
	collect->silent = (struct silent){
		.devices = served->devices,
		.n = served->n,
		.look = fuse_look,
	};
	if (find_paths(collect, err))
		return -1;
	for (size_t i = 0; i < survey->n_namespaces; i++)
		if (check_mountpoints(collect, &survey->namespaces[i], err))
			return -1;
	return 0;
}
