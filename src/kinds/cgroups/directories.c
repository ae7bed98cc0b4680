// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The directories of cgroups. Each hierarchy of v1 is mounted once, detached, so that it does not
 * matter where the host has it: an existing one is found by its controllers or its name
 * (cgroup1_get_tree, kernel/cgroup/cgroup-v1.c), and its root is that of our cgroup namespace.
 * Whoever may not mount takes that of /proc/self/mountinfo. That of v2 is taken from there first:
 * its options are the system's, and mounting it anew takes away those that are not given once more,
 * such as nsdelegate (apply_cgroup_root_flags, kernel/cgroup/cgroup.c), and waits for RCU.
 *
 * A new cgroup of the cpuset controller of v1 takes nobody before it has processors and memory:
 * those of the one above. What is made here is told to the keeper first (run/leftovers.c), which
 * removes it again if the restore fails or nestor is killed.
 */
#include "kinds/cgroups/cgroups.h"

#include "base/cleanup.h"
#include "base/listing.h"
#include "base/procfs.h"
#include "plan/plan.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

struct hierarchy {
	const char *name;
	int root_fd;
};

struct hierarchies {
	struct hierarchy *list;
	size_t count;
	const char **made; /* names and paths of what is made here, "cpu:/a" */
	size_t n_made;
};

static const char hierarchies_owner;

static struct hierarchies *hierarchies_of(struct file_opener *opener)
{
	struct hierarchies **state =
		(struct hierarchies **)opener_state(opener, &hierarchies_owner);

	if (!*state)
		*state = arena_new(opener->arena, struct hierarchies);
	return *state;
}

/* ---- hierarchies ---- */

static int set_flag(int context, const char *key, const char *value)
{
	return (int)syscall(SYS_fsconfig, context, value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG,
			    key, value, 0);
}

/* "cpu,cpuacct", or "name=systemd". */
static int set_options(struct arena *arena, int context, const char *name)
{
	const char *own_name = strncmp(name, "name=", 5) == 0 ? name + 5 : NULL;

	if (own_name)
		return set_flag(context, "none", NULL) || set_flag(context, "name", own_name);
	for (const char *at = name; *at; at += strspn(at, ",")) {
		size_t length = strcspn(at, ",");
		if (set_flag(context, arena_printf(arena, "%.*s", (int)length, at), NULL))
			return -1;
		at += length;
	}
	return 0;
}

static int mount_hierarchy(struct arena *arena, const char *name)
{
	autoclose int context =
		(int)syscall(SYS_fsopen, *name ? "cgroup" : "cgroup2", FSOPEN_CLOEXEC);

	if (context < 0 || set_options(arena, context, name) ||
	    syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		return -1;
	return (int)syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, 0);
}

static bool has_option(const char *options, const char *wanted, size_t length)
{
	for (const char *at = options; *at; at += strspn(at, ",")) {
		size_t here = strcspn(at, ",\n");
		if (here == length && strncmp(at, wanted, length) == 0)
			return true;
		at += here;
		if (*at == '\n')
			break;
	}
	return false;
}

/* The same controllers, in any order. */
static bool is_same_set(const char *one, const char *other)
{
	for (const char *at = one; *at; at += strspn(at, ",")) {
		size_t here = strcspn(at, ",");
		if (!has_option(other, at, here))
			return false;
		at += here;
	}
	return strlen(one) == strlen(other);
}

/* Is a line of mountinfo the whole of this hierarchy? "ID PARENT DEV ROOT POINT OPTIONS - ..." */
static const char *mount_point(struct arena *arena, const char *line, const char *name)
{
	char root[256], point[1024], type[32], options[1024];
	const char *dash = strstr(line, " - ");

	if (!dash || dash > line + strcspn(line, "\n") ||
	    sscanf(line, "%*s %*s %*s %255s %1023s", root, point) != 2 ||
	    sscanf(dash + 3, "%31s %*s %1023s", type, options) != 2 || strcmp(root, "/") != 0)
		return NULL;
	if (strcmp(type, *name ? "cgroup" : "cgroup2") != 0)
		return NULL;
	size_t first = strcspn(name, ",");
	return !*name || has_option(options, name, first) ? arena_string(arena, point) : NULL;
}

static int find_mounted(struct arena *arena, const char *name)
{
	char *text;

	if (procfs_read(arena, AT_FDCWD, "/proc/self/mountinfo", &text) < 0)
		return -1;
	for (const char *line = text; *line;) {
		const char *point = mount_point(arena, line, name);
		if (point)
			return open(point, O_PATH | O_DIRECTORY | O_CLOEXEC);
		line += strcspn(line, "\n");
		line += *line == '\n';
	}
	errno = ENOENT;
	return -1;
}

/* That which is found by its name may be covered by something else, or be mounted read-only. */
static int find_unified(struct arena *arena)
{
	autoclose int fd = find_mounted(arena, "");
	struct statfs about;

	if (fd < 0 || fstatfs(fd, &about) || about.f_type != CGROUP2_SUPER_MAGIC ||
	    about.f_flags & ST_RDONLY)
		return -1;
	return take_fd(&fd);
}

/* --cgroup-yard: a directory for each, called by its controllers in any order, or by its name. */
static int open_in_yard(struct arena *arena, const char *yard, const char *name)
{
	const char *own_name = strncmp(name, "name=", 5) == 0 ? name + 5 : name;
	autoclosedir DIR *dir = listing_open(AT_FDCWD, yard);
	const char *entry;

	while (listing_next(dir, &entry))
		if (entry[0] != '.' &&
		    (*name ? is_same_set(entry, own_name) : strcmp(entry, "unified") == 0))
			return open(arena_printf(arena, "%s/%s", yard, entry),
				    O_PATH | O_DIRECTORY | O_CLOEXEC);
	errno = errno ? errno : ENOENT;
	return -1;
}

int cgroup_hierarchy_open(struct arena *arena, const char *yard, const char *name)
{
	if (yard)
		return open_in_yard(arena, yard, name);
	int fd = *name ? -1 : find_unified(arena);
	if (fd < 0)
		fd = mount_hierarchy(arena, name);
	return fd < 0 ? find_mounted(arena, name) : fd;
}

static int open_hierarchy(struct file_opener *opener, const char *name, struct error *err)
{
	struct hierarchies *hierarchies = hierarchies_of(opener);
	const char *yard = opener->externals ? opener->externals->cgroups.yard : NULL;

	for (size_t i = 0; i < hierarchies->count; i++)
		if (strcmp(hierarchies->list[i].name, name) == 0)
			return hierarchies->list[i].root_fd;
	int fd = cgroup_hierarchy_open(opener->arena, yard, name);
	if (fd < 0)
		return fail_errno(err, ERR_CGROUP_MISSING,
				  "there is no hierarchy of cgroups \"%s\" here", name);
	/* Stays open: threads are moved and properties set when all that kinds keep is closed. */
	hierarchies->list = arena_grow(opener->arena, hierarchies->list, hierarchies->count,
				       sizeof *hierarchies->list);
	hierarchies->list[hierarchies->count++] = (struct hierarchy){ name, fd };
	return fd;
}

/* ---- directories ---- */

static void copy_setting(int parent_fd, int fd, const char *name)
{
	char text[4096];
	autoclose int from = openat(parent_fd, name, O_RDONLY | O_CLOEXEC);
	autoclose int to = from < 0 ? -1 : openat(fd, name, O_WRONLY | O_CLOEXEC);
	ssize_t length = to < 0 ? -1 : read(from, text, sizeof text);

	/* Where it does not come about, whoever moves there is refused. */
	if (length > 0 && write(to, text, (size_t)length) != length)
		return;
}

void cgroup_note_made(struct file_opener *opener, const char *name)
{
	struct hierarchies *hierarchies = hierarchies_of(opener);

	hierarchies->made = arena_grow(opener->arena, hierarchies->made, hierarchies->n_made,
				       sizeof *hierarchies->made);
	hierarchies->made[hierarchies->n_made++] = name;
}

const char *cgroup_next_made(struct file_opener *opener, size_t *at)
{
	const struct hierarchies *hierarchies = hierarchies_of(opener);

	return *at < hierarchies->n_made ? hierarchies->made[(*at)++] : NULL;
}

static int make_directory(struct file_opener *opener, int parent_fd, const char *name,
			  const char *path, struct error *err)
{
	if (opener->expect_leftover && opener->expect_leftover(opener, parent_fd, name, err))
		return -1;
	if (mkdirat(parent_fd, name, 0755) && errno != EEXIST)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot make the cgroup %s", path);
	cgroup_note_made(opener, path);
	int fd = openat(parent_fd, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot open the cgroup %s", path);
	copy_setting(parent_fd, fd, "cpuset.cpus");
	copy_setting(parent_fd, fd, "cpuset.mems");
	if (cgroup_properties_early(opener, fd, path, err)) {
		close(fd);
		return -1;
	}
	return fd;
}

static bool is_made_here(const struct hierarchies *hierarchies, const char *path)
{
	for (size_t i = 0; i < hierarchies->n_made; i++)
		if (strcmp(hierarchies->made[i], path) == 0)
			return true;
	return false;
}

bool cgroup_is_made_here(struct file_opener *opener, const char *hierarchy, const char *path)
{
	return is_made_here(hierarchies_of(opener),
			    arena_printf(opener->arena, "%s:%s", hierarchy, path));
}

static int fail_missing(const char *path, struct error *err)
{
	fail(err, ERR_CGROUP_MISSING, "the cgroup %s is not there", path);
	return fail_hint(err, "--manage-cgroups=soft makes it");
}

/* One step down; `path` is the whole way to there, with the hierarchy. */
static int step_down(struct file_opener *opener, int parent_fd, const char *name, const char *path,
		     bool last, enum cgroup_mode mode, struct error *err)
{
	int fd = openat(parent_fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd >= 0 && last && mode == CGROUPS_STRICT &&
	    !is_made_here(hierarchies_of(opener), path)) {
		close(fd);
		fail(err, ERR_CGROUP_EXISTS, "the cgroup %s is there already", path);
		return fail_hint(err, "--manage-cgroups=soft takes it as it is");
	}
	if (fd >= 0)
		return fd;
	if (errno != ENOENT)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot open the cgroup %s", path);
	return mode == CGROUPS_NONE || mode == CGROUPS_PROPS
		       ? fail_missing(path, err)
		       : make_directory(opener, parent_fd, name, path, err);
}

int cgroup_directory_open(struct file_opener *opener, const CgMemberEntry *member,
			  enum cgroup_mode mode, struct error *err)
{
	int root_fd = open_hierarchy(opener, member->name, err);
	const char *at = member->path + strspn(member->path, "/");

	if (root_fd < 0)
		return -1;
	autoclose int fd = fcntl(root_fd, F_DUPFD_CLOEXEC, 0);
	while (fd >= 0 && *at) {
		size_t length = strcspn(at, "/");
		const char *name = arena_printf(opener->arena, "%.*s", (int)length, at);
		const char *path = arena_printf(opener->arena, "%s:%.*s", member->name,
						(int)(at + length - member->path), member->path);
		at += length;
		at += strspn(at, "/");
		int next = step_down(opener, fd, name, path, !*at, mode, err);
		close(take_fd(&fd));
		if (next < 0)
			return -1;
		fd = next;
	}
	return fd < 0 ? fail_errno(err, ERR_KERNEL_REFUSED, "cannot duplicate a descriptor")
		      : take_fd(&fd);
}

int cgroup_open(struct file_opener *opener, const CgMemberEntry *member, enum cgroup_mode mode,
		struct error *err)
{
	autoclose int directory = cgroup_directory_open(opener, member, mode, err);
	if (directory < 0)
		return -1;
	if (freezer_check(directory, member->name, member->path, err))
		return -1;
	int fd = openat(directory, "cgroup.procs", O_WRONLY | O_CLOEXEC);
	return fd < 0 ? fail_errno(err, ERR_KERNEL_REFUSED, "cannot open cgroup.procs of %s:%s",
				   member->name, member->path)
		      : fd;
}

/* ---- threads ---- */

/* Our own path in a hierarchy. */
static const char *own_path(struct arena *arena, const char *name)
{
	char *text;
	size_t length = strlen(name);

	if (procfs_read(arena, AT_FDCWD, "/proc/self/cgroup", &text) < 0)
		return NULL;
	for (char *line = text; *line;) {
		char *colon = strchr(line, ':'), *end = line + strcspn(line, "\n");
		if (colon && strncmp(colon + 1, name, length) == 0 && colon[1 + length] == ':')
			return arena_printf(arena, "%.*s", (int)(end - colon - 2 - (long)length),
					    colon + 2 + length);
		line = end + (*end == '\n');
	}
	return NULL;
}

int cgroup_move_thread(struct file_opener *opener, const CgMemberEntry *member, bool own, pid_t tid,
		       struct error *err)
{
	CgMemberEntry there = *member;
	char text[16];

	if (!own)
		there.path = (char *)own_path(opener->arena, member->name);
	if (!there.path)
		return fail(err, ERR_CGROUP_MISSING, "there is no hierarchy of cgroups \"%s\" here",
			    member->name);
	autoclose int directory = cgroup_directory_open(opener, &there, CGROUPS_SOFT, err);
	if (directory < 0)
		return -1;
	autoclose int fd =
		openat(directory, *member->name ? "tasks" : "cgroup.threads", O_WRONLY | O_CLOEXEC);
	int length = snprintf(text, sizeof text, "%d", (int)tid);
	if (fd < 0 || write(fd, text, (size_t)length) != length)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "cannot move a thread to the cgroup %s:%s", member->name,
				  there.path);
	return 0;
}

static int open_cgroup(struct file_opener *opener, const struct plan *plan, uint64_t id,
		       struct error *err)
{
	return cgroup_open(opener, cgroup_by_number(opener->snapshot, id), plan->cgroup_mode, err);
}

const struct source_opener cgroup_source = { SOURCE_CGROUP, open_cgroup };
