// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The maps of a user namespace are files of a process that is inside (/proc/PID/uid_map). What
 * they show on the outer side are ids as the reader's namespace has them. They are recorded in
 * numbers of the parent: the kernel writes an extent only if one extent of the parent has all of
 * it (map_id_range_down, kernel/user_namespace.c), so it is moved as a whole.
 */
#include "kinds/namespaces/user-maps.h"

#include "base/cleanup.h"
#include "base/procfs.h"
#include "kernel/end-child.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

struct map {
	size_t n_extents;
	UidGidExtent **extents;
	uint32_t *outer;
};

/* The number that an id of the caller's namespace has in one with this map. */
static bool number_inside(const struct map *map, uint32_t id, uint32_t *ret_number)
{
	for (size_t i = 0; i < map->n_extents; i++) {
		if (id < map->outer[i] || id - map->outer[i] >= map->extents[i]->count)
			continue;
		*ret_number = map->extents[i]->first + (id - map->outer[i]);
		return true;
	}
	return false;
}

static void add_extent(struct map *map, struct arena *arena, const uint64_t numbers[3])
{
	UidGidExtent *extent =
		arena_copy(arena, &(UidGidExtent)UID_GID_EXTENT__INIT, sizeof *extent);

	extent->first = (uint32_t)numbers[0];
	extent->lower_first = (uint32_t)numbers[1];
	extent->count = (uint32_t)numbers[2];
	map->extents = arena_grow(arena, map->extents, map->n_extents, sizeof(void *));
	map->outer = arena_grow(arena, map->outer, map->n_extents, sizeof *map->outer);
	map->extents[map->n_extents] = extent;
	map->outer[map->n_extents++] = extent->lower_first;
}

static int read_map(struct map *map, struct arena *arena, int proc_fd, const char *name,
		    const struct map *parent, struct error *err)
{
	uint64_t numbers[3];
	char *text;

	if (procfs_read(arena, proc_fd, name, &text) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot read %s", name);
	for (const char *line = text; procfs_numbers(line, 10, numbers, 3) == 3;
	     line += strcspn(line, "\n") + 1) {
		add_extent(map, arena, numbers);
		UidGidExtent *extent = map->extents[map->n_extents - 1];
		if (parent && !number_inside(parent, extent->lower_first, &extent->lower_first))
			return fail(err, ERR_KERNEL_REFUSED,
				    "%s gives %" PRIu64 ", which its parent does not have", name,
				    numbers[1]);
		if (!strchr(line, '\n'))
			break;
	}
	return 0;
}

int user_maps_read(struct user_maps *maps, struct arena *arena, int proc_fd,
		   const struct user_maps *parent, struct error *err)
{
	struct map uids = { 0 }, gids = { 0 }, parent_uids, parent_gids;
	char *setgroups, *projects;

	if (parent) {
		parent_uids = (struct map){ parent->entry->n_uid_map, parent->entry->uid_map,
					    parent->outer_uids };
		parent_gids = (struct map){ parent->entry->n_gid_map, parent->entry->gid_map,
					    parent->outer_gids };
	}
	if (read_map(&uids, arena, proc_fd, "uid_map", parent ? &parent_uids : NULL, err) ||
	    read_map(&gids, arena, proc_fd, "gid_map", parent ? &parent_gids : NULL, err))
		return -1;
	if (procfs_read(arena, proc_fd, "setgroups", &setgroups) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot read setgroups");
	ssize_t projects_length = procfs_read(arena, proc_fd, "projid_map", &projects);
	if (projects_length < 0 && errno != ENOENT)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot read projid_map");
	*maps = (struct user_maps){
		.entry = arena_copy(arena, &(UsernsEntry)USERNS_ENTRY__INIT, sizeof(UsernsEntry)),
		.setgroups_denied = strncmp(setgroups, "deny", 4) == 0,
		.has_projects = projects_length > 0,
		.outer_uids = uids.outer,
		.outer_gids = gids.outer,
	};
	maps->entry->n_uid_map = uids.n_extents;
	maps->entry->uid_map = uids.extents;
	maps->entry->n_gid_map = gids.n_extents;
	maps->entry->gid_map = gids.extents;
	return 0;
}

/* ---- namespaces that nobody is in whom we know ---- */

/* In a process of its own, which says how it went and waits to be killed. */
static void visit(int fd, int report_fd)
{
	int result = setns(fd, CLONE_NEWUSER) ? errno : 0;

	/* Once more: a change of credentials clears it. Who is dead by now does not read. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (write(report_fd, &result, sizeof result) < 0)
		_exit(1);
	for (;;)
		pause();
}

static int wait_for_visitor(int report_fd)
{
	int result;
	ssize_t length;

	do
		length = read(report_fd, &result, sizeof result);
	while (length < 0 && errno == EINTR);
	errno = length == sizeof result ? result : ECHILD;
	return errno ? -1 : 0;
}

static int read_visited(struct user_maps *maps, struct arena *arena, pid_t visitor, int report_fd,
			const struct user_maps *parent, struct error *err)
{
	char path[32];

	if (wait_for_visitor(report_fd)) {
		fail_errno(err, errno == EPERM ? ERR_NO_PRIVILEGE : ERR_KERNEL_REFUSED,
			   "cannot enter the user namespace");
		return fail_hint(err, "no task of the tree is in it; reading its maps takes "
				      "CAP_SYS_ADMIN there");
	}
	snprintf(path, sizeof path, "/proc/%d", (int)visitor);
	autoclose int proc_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (proc_fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot open %s", path);
	return user_maps_read(maps, arena, proc_fd, parent, err);
}

int user_maps_visit(struct user_maps *maps, struct arena *arena, int namespace_fd,
		    const struct user_maps *parent, struct error *err)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot make a pipe");
	autoclose int report_fd = ends[0];
	pid_t visitor = fork();
	if (visitor == 0) {
		close(report_fd);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		visit(namespace_fd, ends[1]);
	}
	close(ends[1]);
	if (visitor < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot fork");
	int result = read_visited(maps, arena, visitor, report_fd, parent, err);
	end_child(visitor);
	return result;
}
