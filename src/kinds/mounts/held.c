// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What keeps namespaces alive besides tasks: mounts of nsfs, as `ip netns add` and `unshare
 * --net=FILE` make them of files of /proc/PID/ns, and descriptors of mount namespaces. A restore
 * binds the file of the namespace that has taken the place of the former one.
 *
 * A mount namespace can be bound only in one that is older (mnt_ns_loop, fs/namespace.c), so others
 * are bound there when all have been made (order.c). Copies of namespaces leave such mounts out, so
 * they are never locked (CL_COPY_MNT_NS_FILE).
 */
#include "kinds/mounts/kind.h"

#include "base/cleanup.h"
#include "base/listing.h"
#include "base/procfs.h"
#include "collect/collect.h"
#include "collect/namespaces.h"
#include "collect/read-ahead.h"
#include "kinds/mounts/plan.h"
#include "kinds/mounts/survey.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- dump ---- */

static bool is_of_nsfs(const struct mount_line *line)
{
	return strcmp(line->type, "nsfs") == 0;
}

/* One that can be read; -1 with errno. */
static int reopen(int path_fd)
{
	char self[64];

	if (path_fd < 0)
		return -1;
	snprintf(self, sizeof self, "/proc/self/fd/%d", path_fd);
	return open(self, O_RDONLY | O_CLOEXEC);
}

/* Of what is seen there; where something hides it, by another mount of the same. */
static int open_file(struct collect *collect, const struct live_namespace *namespace,
		     const struct mount_line *line)
{
	const struct mount_survey *survey = survey_of_mounts(collect);
	autoclose int path_fd = survey_open_mount(&namespace->table, line);

	for (size_t i = 0; i < survey->n_namespaces && path_fd < 0; i++) {
		const struct mount_table *table = &survey->namespaces[i].table;
		for (size_t k = 0; k < table->n_lines && path_fd < 0; k++)
			if (!survey_is_absent(errno))
				return -1;
			else if (is_of_nsfs(&table->lines[k]) &&
				 strcmp(table->lines[k].root, line->root) == 0)
				path_fd = survey_open_mount(table, &table->lines[k]);
	}
	return reopen(path_fd);
}

/* Is a task of the tree in it? Its link has the text that mountinfo has for the root. */
static bool is_of_task(struct collect *collect, enum namespace_type type, const char *link)
{
	char text[64];

	for (size_t i = 0; i < collect->n_targets; i++) {
		struct target *target = &collect->targets[i];
		if (target->zombie)
			continue;
		ssize_t length =
			read_ahead_link(target, namespace_types[type].link, text, sizeof text - 1);
		text[length > 0 ? length : 0] = '\0';
		if (strcmp(text, link) == 0)
			return true;
	}
	return false;
}

/* Whoever has bound it where nestor is keeps it, and it is bound from there. */
static bool is_outside(struct collect *collect, enum namespace_type type,
		       const struct mount_line *line)
{
	const struct mount_survey *survey = survey_of_mounts(collect);

	for (size_t i = 0; i < survey->own.n_lines; i++)
		if (survey->own.lines[i].device == line->device &&
		    strcmp(survey->own.lines[i].root, line->root) == 0)
			return !is_of_task(collect, type, line->root);
	return false;
}

static int fail_open(const char *what, struct error *err)
{
	return fail_errno(err, ERR_UNSUPPORTED_MOUNT,
			  "%s: the namespace that it shows cannot be opened", what);
}

static int record(struct collect *collect, int fd, enum namespace_type type, MntEntry *entry,
		  const char *what, struct error *err)
{
	autoclose int held_fd = fd;

	entry->held->ns_cflag = namespace_types[type].flag;
	/* Which pid namespaces are part of the tree is known when all tasks are. */
	if (type == NAMESPACE_PID)
		return survey_hold(collect, take_fd(&held_fd), what, entry->held, err) ? -1 : 1;
	const struct surveyed_namespace *found = survey_add(collect, type, fd, what, err);
	if (!found)
		return -1;
	if (found->own && type == NAMESPACE_MNT)
		return fail(err, ERR_UNSUPPORTED_MOUNT, "%s shows nestor's own mount namespace",
			    what);
	entry->held->ns_id = found->id;
	return 1;
}

/* What others hide is looked at again once all mounts are known: mount_held_is_hidden. */
int mount_held_collect(struct collect *collect, const struct live_namespace *namespace,
		       const struct mount_line *line, MntEntry *entry, const char *what,
		       struct error *err)
{
	enum namespace_type type;

	if (!is_of_nsfs(line))
		return 0;
	if (!namespace_type_of_link(line->root, &type))
		return fail(err, ERR_UNSUPPORTED_MOUNT, "%s is of no known type of namespaces",
			    what);
	if (is_outside(collect, type, line))
		return 0;
	entry->held = snapshot_new(collect->snapshot, NS_FILE_ENTRY, NsFileEntry);
	autoclose int fd = open_file(collect, namespace, line);
	if (fd < 0)
		return survey_is_absent(errno) ? 1 : fail_open(what, err);
	return record(collect, take_fd(&fd), type, entry, what, err);
}

bool mount_held_is_hidden(const MntEntry *entry)
{
	return entry->held && !entry->held->ns_cflag;
}

int mount_held_collect_hidden(struct collect *collect, const struct live_namespace *namespace,
			      const struct mount_line *line, MntEntry *entry, const char *what,
			      struct error *err)
{
	const struct live_mount mount = { namespace, line, entry, true, NULL };
	const char *number = strchr(line->root, '[');
	enum namespace_type type;
	autoclose int copy_fd = -1;
	struct stat stat_;

	if (live_mount_copy(&mount, &copy_fd, err))
		return -1;
	autoclose int fd = reopen(copy_fd);
	if (copy_fd >= 0 && (fd < 0 || fstat(fd, &stat_)))
		return fail_open(what, err);
	/* Copies leave those of mount namespaces out, and so may show what is below. */
	if (fd < 0 || !namespace_type_of_link(line->root, &type) ||
	    strtoull(number + 1, NULL, 10) != stat_.st_ino)
		return fail(err, ERR_UNSUPPORTED_MOUNT,
			    "%s is hidden by other mounts, so the namespace that it shows cannot "
			    "be seen",
			    what);
	return record(collect, take_fd(&fd), type, entry, what, err);
}

static int find_descriptors(struct target *target, mount_found *found, struct error *err)
{
	autoleave folder = NULL;
	const uint32_t *numbers;
	char text[64], name[32];
	size_t count;

	if (target_descriptors(target, &numbers, &count, err)) {
		bool later = err->name == ERR_TREE_CHANGED || err->os_errno == EACCES ||
			     err->os_errno == EPERM;
		/* Collecting its descriptors will say so, of the task alone: target_descriptors. */
		if (later)
			*err = (struct error){ 0 };
		return later ? 0 : -1;
	}
	for (size_t i = 0; i < count; i++) {
		enum namespace_type type;
		struct error ignored = { 0 };
		/* Parents come first. What cannot be compared is said when it is collected. */
		if (target_inherits(target, i, &ignored) > 0)
			continue;
		if (!folder)
			folder = target_enter(target);
		snprintf(name, sizeof name, "fd/%" PRIu32, numbers[i]);
		ssize_t length = read_ahead_link(target, name, text, sizeof text - 1);
		text[length > 0 ? length : 0] = '\0';
		if (strcmp(text, "/") == 0)
			mount_detached_meet(target, numbers[i]);
		if (!namespace_type_of_link(text, &type) || type != NAMESPACE_MNT)
			continue;
		autoclose int fd = target_open(target, name, O_RDONLY);
		const char *what =
			arena_printf(target->collect->arena, "descriptor %" PRIu32 " of pid %d",
				     numbers[i], target->pid);
		if (fd < 0 && errno_tells_nothing(errno))
			return fail_errno(err, ERR_KERNEL_REFUSED, "cannot open %s", what);
		if (fd >= 0 && found(target->collect, fd, what, err))
			return -1;
	}
	return 0;
}

/* More may come while these are looked at. */
static int find_mounts(struct collect *collect, mount_found *found, struct error *err)
{
	const struct mount_survey *survey = survey_of_mounts(collect);

	for (size_t i = 0; i < survey->n_namespaces; i++) {
		const struct live_namespace namespace = survey->namespaces[i];
		for (size_t k = 0; k < namespace.table.n_lines; k++) {
			const struct mount_line *line = &namespace.table.lines[k];
			enum namespace_type type;
			if (!is_of_nsfs(line) || !namespace_type_of_link(line->root, &type) ||
			    type != NAMESPACE_MNT || is_outside(collect, type, line))
				continue;
			autoclose int fd = open_file(collect, &namespace, line);
			const char *what = arena_printf(collect->arena, "mount %s of %s",
							line->mountpoint, namespace.what);
			if (fd < 0 && errno_tells_nothing(errno))
				return fail_errno(err, ERR_KERNEL_REFUSED, "cannot open %s", what);
			if (fd >= 0 && found(collect, fd, what, err))
				return -1;
		}
	}
	return 0;
}

int mount_held_namespaces(struct collect *collect, mount_found *found, struct error *err)
{
	for (size_t i = 0; i < collect->n_targets; i++)
		if (!collect->targets[i].zombie &&
		    find_descriptors(&collect->targets[i], found, err))
			return -1;
	if (find_mounts(collect, found, err))
		return -1;
	return mount_detached_find(collect, found, err);
}
