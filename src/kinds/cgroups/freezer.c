// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Frozen cgroups: freezer.state of v1, cgroup.freeze of v2. Who is frozen does not stop for a
 * tracer (v1), or does but cannot be asked anything (v2). So what freezes tasks of the tree is
 * thawed when all of them have been told to stop: nobody gets to run in between. It is frozen again
 * before they are let go, also if nestor is killed, by a child that waits for that. Only what
 * freezes nobody outside of the tree is thawed, unless it was named (--freeze-cgroup): then it is
 * frozen first, and a large tree stands at once.
 *
 * How a restored tree is frozen: freezer-restore.c.
 */
#include "kinds/cgroups/cgroups.h"
#include "kinds/cgroups/freezer.h"

#include "base/cleanup.h"
#include "base/listing.h"
#include "base/procfs.h"
#include "collect/collect.h"
#include "kernel/end-child.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { MOST_FROZEN = 64, PAUSE_NANOSECONDS = 1000 * 1000, MOST_PAUSES = 5000, MOST_CHAIN = 4096 };

struct freezer {
	struct frozen list[MOST_FROZEN];
	size_t count;
	pid_t guardian;
	int guardian_fd;
};

static void put_back(const struct freezer *freezer)
{
	for (size_t i = 0; i < freezer->count; i++)
		if (freezer_write(&freezer->list[i], !freezer->list[i].asked))
			continue; /* a cgroup that is gone has nobody in it */
}

/* ---- the guardian ---- */

__attribute__((noreturn)) static void be_guardian(const struct freezer *freezer, int fd)
{
	sigset_t all;
	char byte;
	ssize_t got;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	setsid();
	prctl(PR_SET_NAME, "nestor-freezer");
	while ((got = read(fd, &byte, 1)) < 0 && errno == EINTR)
		;
	if (got <= 0)
		put_back(freezer);
	_exit(0);
}

static int start_guardian(struct freezer *freezer, struct error *err)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot make a pair of sockets");
	pid_t pid = fork();
	if (pid == 0) {
		close(ends[1]);
		be_guardian(freezer, ends[0]);
	}
	close(ends[0]);
	if (pid < 0) {
		close(ends[1]);
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot fork");
	}
	freezer->guardian = pid;
	freezer->guardian_fd = ends[1];
	return 0;
}

/* ---- what is frozen ---- */

/* 1, 0, or -1 with errno. One without that file cannot be. */
static int is_frozen(int directory, bool v2)
{
	char text[32];

	/* Of v1, whether it is frozen by itself; one above has its own. */
	if (procfs_read_into(directory, v2 ? "cgroup.freeze" : "freezer.self_freezing", text,
			     sizeof text) < 0)
		return errno == ENOENT || errno == ENODEV ? 0 : -1;
	return text[0] == '1';
}

static bool is_known(const struct freezer *freezer, const char *hierarchy, const char *path)
{
	for (size_t i = 0; i < freezer->count; i++)
		if (strcmp(freezer->list[i].hierarchy, hierarchy) == 0 &&
		    strcmp(freezer->list[i].path, path) == 0)
			return true;
	return false;
}

static pid_t parent_of(pid_t pid)
{
	char path[64], text[4096];

	snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
	const char *field = procfs_read_into(AT_FDCWD, path, text, sizeof text) > 0
				    ? procfs_field(text, "PPid:")
				    : NULL;
	return field ? (pid_t)strtol(field, NULL, 10) : 0;
}

static bool is_of_tree(pid_t pid, pid_t root)
{
	for (int i = 0; pid > 0 && pid != root && i < MOST_CHAIN; i++)
		pid = parent_of(pid);
	return pid == root;
}

static int check_members(int directory, pid_t root, const char *path, struct error *err);

/* Only a cgroup that is gone has nobody in it. */
static int fail_members(const char *path, struct error *err)
{
	return errno == ENOENT ? 0
			       : fail_errno(err, ERR_KERNEL_REFUSED,
					    "cannot see who is in the frozen cgroup %s", path);
}

static int check_below(int directory, pid_t root, const char *path, struct error *err)
{
	autoclosedir DIR *dir = listing_open(directory, ".");
	const struct dirent *entry;

	while (listing_next_entry(dir, &entry)) {
		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		autoclose int below = openat(directory, entry->d_name,
					     O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (below < 0 ? fail_members(path, err) : check_members(below, root, path, err))
			return -1;
	}
	return errno ? fail_members(path, err) : 0;
}

static int fail_not_of_tree(const char *path, long pid, struct error *err)
{
	fail(err, ERR_UNSUPPORTED_TASK,
	     "the tree is frozen with the cgroup %s, and so is pid %ld, which is outside of it",
	     path, pid);
	return fail_hint(err, "--freeze-cgroup thaws it all the same");
}

/* Whoever else is in there would run as well. */
static int check_members(int directory, pid_t root, const char *path, struct error *err)
{
	int fd = openat(directory, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	autofclose FILE *list = fd < 0 ? NULL : fdopen(fd, "r");
	long pid;

	if (!list)
		return fail_members(path, err);
	while (fscanf(list, "%ld", &pid) == 1)
		if (!is_of_tree((pid_t)pid, root))
			return fail_not_of_tree(path, pid, err);
	/* Threaded ones (EOPNOTSUPP) name their processes further up. */
	if (ferror(list) && errno != ENODEV && errno != EOPNOTSUPP)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "cannot see who is in the frozen cgroup %s", path);
	return check_below(directory, root, path, err);
}

static int add_frozen(struct collect *collect, struct freezer *freezer, int directory,
		      const char *hierarchy, const char *path, bool v2, struct error *err)
{
	if (is_known(freezer, hierarchy, path))
		return 0;
	if (check_members(directory, collect->options->pid, path, err))
		return -1;
	if (freezer->count == MOST_FROZEN)
		return fail(err, ERR_UNSUPPORTED_TASK, "the tree is in too many frozen cgroups");
	int fd = openat(directory, freezer_file(v2), O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot open %s of the cgroup %s",
				  freezer_file(v2), path);
	freezer->list[freezer->count++] =
		(struct frozen){ arena_string(collect->arena, hierarchy),
				 arena_string(collect->arena, path), fd, v2, false };
	return 0;
}

/* Nobody can look there: it is not mounted here, or is not for us. */
static bool is_out_of_sight(int error)
{
	return error == ENOENT || error == EACCES || error == EPERM;
}

/* Along the way down. */
static int look_along(struct collect *collect, struct freezer *freezer, int root,
		      const CgMemberEntry *member, struct error *err)
{
	bool v2 = !*member->name;
	autoclose int fd = fcntl(root, F_DUPFD_CLOEXEC, 0);

	for (const char *at = member->path + strspn(member->path, "/"); fd >= 0 && *at;) {
		size_t length = strcspn(at, "/");
		const char *name = arena_printf(collect->arena, "%.*s", (int)length, at);
		int next = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		at += length;
		close(take_fd(&fd));
		fd = next;
		int frozen = fd < 0 ? 0 : is_frozen(fd, v2);
		if (frozen < 0)
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "cannot tell whether the cgroup %s is frozen",
					  member->path);
		if (frozen && add_frozen(collect, freezer, fd, member->name,
					 arena_printf(collect->arena, "%.*s",
						      (int)(at - member->path), member->path),
					 v2, err))
			return -1;
		at += strspn(at, "/");
	}
	return fd >= 0 || is_out_of_sight(errno)
		       ? 0
		       : fail_errno(err, ERR_KERNEL_REFUSED, "cannot look into the cgroup %s",
				    member->path);
}

struct roots {
	int v1, v2;
	const char *v1_name;
	const char *last; /* text of the last task, mostly that of the next one */
};

static int look_at_task(struct collect *collect, struct freezer *freezer, struct roots *roots,
			pid_t pid, struct error *err)
{
	char path[64], *text;

	snprintf(path, sizeof path, "/proc/%d/cgroup", (int)pid);
	/* One that is gone is found missing when the tree is stopped. */
	if (procfs_read(collect->arena, AT_FDCWD, path, &text) < 0)
		return procfs_is_gone(errno)
			       ? 0
			       : fail_errno(err, ERR_KERNEL_REFUSED, "cannot read %s", path);
	if (roots->last && strcmp(roots->last, text) == 0)
		return 0;
	roots->last = text;
	struct error ignored = { 0 };
	CgSetEntry *set = cgroup_parse_set(collect->snapshot, text, 0, &ignored);
	const char *yard = collect->options->externals->cgroups.yard;
	for (size_t i = 0; set && i < set->n_ctls; i++) {
		const CgMemberEntry *member = set->ctls[i];
		bool v2 = !*member->name;
		int *root = v2 ? &roots->v2 : &roots->v1;
		if ((!v2 && !cgroup_hierarchy_has(member->name, "freezer")) ||
		    !cgroup_is_path(member->path) || strcmp(member->path, "/") == 0)
			continue;
		if (*root == -1)
			*root = cgroup_hierarchy_open(collect->arena, yard, member->name);
		if (*root == -1 && !is_out_of_sight(errno))
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "cannot look into the cgroup hierarchy '%s'",
					  member->name);
		if (*root < 0)
			*root = -2;
		else if (look_along(collect, freezer, *root, member, err))
			return -1;
	}
	return 0;
}

struct look {
	struct freezer *freezer;
	struct roots *roots;
};

static int look_at(struct collect *collect, pid_t pid, void *data, struct error *err)
{
	struct look *look = data;

	return look_at_task(collect, look->freezer, look->roots, pid, err);
}

static int find_frozen(struct collect *collect, struct freezer *freezer, struct error *err)
{
	struct roots roots = { -1, -1, NULL, NULL };
	struct look look = { freezer, &roots };
	int result = collect_running_tasks(collect, look_at, &look, err);

	if (roots.v1 >= 0)
		close(roots.v1);
	if (roots.v2 >= 0)
		close(roots.v2);
	return result;
}

/* ---- --freeze-cgroup ---- */

static int freeze_named(struct freezer *freezer, const char *path, struct error *err)
{
	const struct timespec pause = { .tv_nsec = PAUSE_NANOSECONDS };
	autoclose int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool v2 = directory >= 0 && faccessat(directory, "cgroup.freeze", F_OK, 0) == 0;
	bool told = directory >= 0 && (v2 || !errno_tells_nothing(errno));
	int fd = told ? openat(directory, freezer_file(v2), O_RDWR | O_CLOEXEC) : -1;

	if (fd < 0 && errno_tells_nothing(errno))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot look at --freeze-cgroup %s",
				  path);
	if (fd < 0)
		return fail_errno(err, ERR_CGROUP_MISSING,
				  "--freeze-cgroup %s is no cgroup that can be frozen", path);
	freezer->list[freezer->count] =
		(struct frozen){ "", path, fd, v2, !freezer_stands(directory, v2) };
	const struct frozen *frozen = &freezer->list[freezer->count++];
	if (!frozen->asked)
		return start_guardian(freezer, err);
	/* Who is killed now leaves it as it was. */
	if (start_guardian(freezer, err))
		return -1;
	if (freezer_write(frozen, true))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot freeze the cgroup %s", path);
	for (int i = 0; !freezer_stands(directory, v2); i++) {
		if (i == MOST_PAUSES)
			return fail(err, ERR_STOP_TIMEOUT, "the cgroup %s does not freeze", path);
		nanosleep(&pause, NULL);
	}
	return 0;
}

/* ---- the dump ---- */

static int thaw(void *data, struct error *err)
{
	const struct freezer *freezer = data;

	for (size_t i = 0; i < freezer->count; i++)
		if (freezer_write(&freezer->list[i], false))
			return fail_errno(err, ERR_KERNEL_REFUSED, "cannot thaw the cgroup %s",
					  freezer->list[i].path);
	return 0;
}

static void restore(void *data)
{
	put_back(data);
}

static int freezer_begin(struct collect *collect, struct error *err)
{
	struct freezer *freezer = arena_new(collect->arena, struct freezer);
	const char *named = collect->options->externals->cgroups.freeze;

	collect->freezer.data = freezer;
	if (named ? freeze_named(freezer, named, err) : find_frozen(collect, freezer, err))
		return -1;
	if (!freezer->count)
		return 0;
	if (!named && start_guardian(freezer, err))
		return -1;
	collect->freezer.thaw = thaw;
	collect->freezer.restore = restore;
	return 0;
}

static void freezer_end(struct collect *collect, bool ended)
{
	struct freezer *freezer = collect->freezer.data;

	if (!freezer)
		return;
	if (!ended)
		put_back(freezer);
	if (freezer->guardian) {
		end_child(freezer->guardian);
		close(freezer->guardian_fd);
	}
	for (size_t i = 0; i < freezer->count; i++)
		close(freezer->list[i].fd);
	collect->freezer = (struct collect_freezer){ 0 };
}

/* What was frozen before the dump is so again. */
static bool has_property(const CgroupDirEntry *entry, const char *name)
{
	for (size_t i = 0; i < entry->n_properties; i++)
		if (strcmp(entry->properties[i]->name, name) == 0)
			return true;
	return false;
}

void freezer_record(const struct collect *collect, CgroupEntry *cgroups)
{
	const struct freezer *freezer = collect->freezer.data;

	for (size_t i = 0; freezer && i < freezer->count; i++) {
		const struct frozen *frozen = &freezer->list[i];
		const CgroupDirEntry *found =
			frozen->asked
				? NULL
				: cgroup_directory_of(cgroups, frozen->hierarchy, frozen->path);
		CgroupDirEntry *entry = (CgroupDirEntry *)(uintptr_t)found;
		if (!entry || has_property(entry, freezer_file(frozen->v2)))
			continue;
		CgroupPropEntry *property =
			snapshot_new(collect->snapshot, CGROUP_PROP_ENTRY, CgroupPropEntry);
		property->name = (char *)(uintptr_t)freezer_file(frozen->v2);
		property->value = frozen->v2 ? "1" : "FROZEN";
		entry->properties = arena_grow(collect->arena, entry->properties,
					       entry->n_properties, sizeof property);
		entry->properties[entry->n_properties++] = property;
	}
}

const struct tree_kind freezer_tree_kind = {
	.name = "freezer",
	.before_stop = freezer_begin,
	.end = freezer_end,
};
