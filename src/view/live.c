// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A live tree as /proc shows it. Nothing is stopped, so tasks may come and go meanwhile: what is
 * gone when its turn comes is left out, and so is what we have no right to see. All else that
 * cannot be read is a failure: less would be shown than there is.
 */
#include "view/view.h"

#include "base/cleanup.h"
#include "base/listing.h"
#include "base/procfs.h"
#include "base/text.h"
#include "collect/user-maps.h"
#include "kinds/kind.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/nsfs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

struct seen_process {
	pid_t pid, parent;
};

struct processes {
	struct seen_process *list;
	size_t count;
};

static bool is_left_out(int failure)
{
	return procfs_is_gone(failure) || failure == EACCES || failure == EPERM;
}

/* What has just failed: 0 if it is left out. */
static int judge(const char *what, pid_t pid, struct error *err)
{
	return is_left_out(errno)
		       ? 0
		       : fail_errno(err, ERR_IO, "cannot look at %s of process %d", what, (int)pid);
}

/* The same of what others have failed to do. */
static int judge_error(const struct error *failed, struct error *err)
{
	if (failed->os_errno && is_left_out(failed->os_errno))
		return 0;
	*err = *failed;
	return -1;
}

/* 0: it is gone. */
static int read_parent(int proc_fd, const char *pid, pid_t *ret_parent, struct error *err)
{
	char name[300], text[4096];
	uint64_t parent;

	snprintf(name, sizeof name, "%s/status", pid);
	ssize_t length = procfs_read_into(proc_fd, name, text, sizeof text);
	if (length < 0)
		return judge("the parent", atoi(pid), err);
	if (!procfs_number(text, "PPid:", 10, &parent))
		return 0;
	*ret_parent = (pid_t)parent;
	return 1;
}

static int list_processes(struct processes *processes, struct arena *arena, struct error *err)
{
	autoclosedir DIR *proc = listing_open(AT_FDCWD, "/proc");

	for (const char *name; listing_next(proc, &name);) {
		pid_t pid = atoi(name), parent = 0;
		int found = pid > 0 ? read_parent(dirfd(proc), name, &parent, err) : 0;
		if (found < 0)
			return -1;
		if (!found)
			continue;
		processes->list = arena_grow(arena, processes->list, processes->count,
					     sizeof *processes->list);
		processes->list[processes->count++] = (struct seen_process){ pid, parent };
	}
	return errno ? fail_errno(err, ERR_IO, "cannot list /proc") : 0;
}

static struct pid_vector read_vector(const char *status, const char *key)
{
	const char *field = procfs_field(status, key);
	uint64_t numbers[MAX_PID_LEVELS + 1];
	struct pid_vector vector = { 0 };

	if (field)
		vector.levels = procfs_numbers(field, 10, numbers, MAX_PID_LEVELS);
	for (size_t i = 0; i < vector.levels; i++)
		vector.pid[i] = (uint32_t)numbers[i];
	return vector;
}

static const char *state_name(char state)
{
	switch (state) {
	case 'R':
		return "running";
	case 'S':
		return "sleeping";
	case 'D':
		return "waiting";
	case 'T':
		return "stopped";
	case 't':
		return "traced";
	case 'Z':
		return "zombie";
	case 'I':
		return "idle";
	default:
		return "dead";
	}
}

static const char *read_line(struct arena *arena, const char *text)
{
	return arena_printf(arena, "%.*s", (int)strcspn(text, "\n"), text);
}

/* Id of the namespace behind a descriptor of it; 0 if it cannot be told. */
static uint64_t namespace_id(int fd)
{
	struct stat stat;

	return fd >= 0 && fstat(fd, &stat) == 0 ? stat.st_ino : 0;
}

static int read_content(struct tree_view *view, struct view_namespace *namespace, int fd,
			pid_t member, struct error *err)
{
	const struct namespace_kind *kind = kinds.namespaces[namespace->type];
	struct error failed = { 0 };
	struct text text;

	if (!kind || !kind->look)
		return 0;
	text_init(&text, view->arena);
	if (kind->look(fd, member, &text, &failed))
		return judge_error(&failed, err);
	namespace->content = text.length ? text.string : NULL;
	return 0;
}

/* One that the kernel tells of another: -1 in *ret_fd if it is left out. */
static int open_other(int fd, unsigned long request, pid_t member, int *ret_fd, struct error *err)
{
	*ret_fd = ioctl(fd, request);
	return *ret_fd < 0 ? judge("another namespace", member, err) : 0;
}

static int read_owner(struct view_namespace *namespace, int fd, pid_t member, struct error *err)
{
	uid_t uid;

	namespace->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (namespace->fd < 0)
		return judge("a user namespace", member, err);
	if (ioctl(fd, NS_GET_OWNER_UID, &uid) < 0)
		return judge("the owner of a user namespace", member, err);
	namespace->has_owner_uid = true;
	namespace->owner_uid = uid;
	return 0;
}

/* Of what is found: is it nestor's own? */
static int compare_own(struct view_namespace *namespace, pid_t member, struct error *err)
{
	struct stat mine;
	char own[64];

	snprintf(own, sizeof own, "/proc/self/ns/%s", namespace_types[namespace->type].name);
	if (stat(own, &mine) < 0)
		return judge("our own namespaces, for those", member, err);
	namespace->shared = mine.st_ino == namespace->id;
	return 0;
}

/*
 * A namespace between two of the tree may hold no task of it, so parents are followed until one
 * is known; except from the root task's pid namespace, whose parents lie outside of the tree.
 */
static int read_namespace(struct tree_view *view, enum namespace_type type, int fd, pid_t member,
			  struct error *err)
{
	const bool has_parents = type == NAMESPACE_PID || type == NAMESPACE_USER;
	autoclose int owner_fd = -1, parent_fd = -1;
	bool is_new;
	struct view_namespace *found = view_namespace(view, type, namespace_id(fd), &is_new);

	if (!is_new)
		return 0;
	if (open_other(fd, NS_GET_USERNS, member, &owner_fd, err) ||
	    (has_parents && open_other(fd, NS_GET_PARENT, member, &parent_fd, err)) ||
	    compare_own(found, member, err) ||
	    (!found->shared && read_content(view, found, fd, member, err)) ||
	    (type == NAMESPACE_USER && read_owner(found, fd, member, err)))
		return -1;
	found->owner = namespace_id(owner_fd);
	found->parent = namespace_id(parent_fd);
	bool is_outside = found->shared || (type == NAMESPACE_PID && view->n_tasks == 1);
	if (type == NAMESPACE_PID && owner_fd >= 0 && !found->shared &&
	    read_namespace(view, NAMESPACE_USER, owner_fd, member, err))
		return -1;
	return parent_fd >= 0 && !is_outside ? read_namespace(view, type, parent_fd, member, err)
					     : 0;
}

static int read_namespaces(struct tree_view *view, struct view_task *task, int dir_fd, pid_t pid,
			   struct error *err)
{
	for (int type = 0; type < NAMESPACE_TYPES; type++) {
		char name[32];

		snprintf(name, sizeof name, "ns/%s", namespace_types[type].name);
		autoclose int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
		uint64_t id = namespace_id(fd);
		if (fd < 0 && judge("a namespace", pid, err))
			return -1;
		if (!id)
			continue; /* a zombie has none left but the pid namespace */
		if (read_namespace(view, (enum namespace_type)type, fd, pid, err))
			return -1;
		view_namespace(view, (enum namespace_type)type, id, NULL)->n_tasks++;
		task->namespaces[type] = id;
	}
	return 0;
}

/* A folder of one of its threads that live, which is like that of a process; -1: there is none. */
static int open_living(int dir_fd, pid_t pid, int *ret_fd, struct error *err)
{
	autoclosedir DIR *threads = listing_open(dir_fd, "task");

	for (const char *name; listing_next(threads, &name);) {
		char path[300], text[4096];
		snprintf(path, sizeof path, "%s/status", name);
		if (procfs_read_into(dirfd(threads), path, text, sizeof text) < 0) {
			if (judge("a thread", pid, err))
				return -1;
			continue;
		}
		const char *state = procfs_field(text, "State:");
		if (!state || *state == 'Z' || *state == 'X')
			continue;
		snprintf(path, sizeof path, "/proc/%s", name);
		*ret_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		return *ret_fd < 0 ? judge("a thread", pid, err) : 0;
	}
	return errno ? judge("the threads", pid, err) : 0;
}

/* 1 if it is there, 0 if it is gone. */
static int read_task(struct tree_view *view, pid_t pid, size_t parent, struct error *err)
{
	autoclose int living_fd = -1;
	char path[32], *status;

	snprintf(path, sizeof path, "/proc/%d", (int)pid);
	autoclose int dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0 || procfs_read(view->arena, dir_fd, "status", &status) < 0)
		return judge("the status", pid, err);
	const char *name = procfs_field(status, "Name:"), *state = procfs_field(status, "State:");
	if (!name || !state)
		return 0;
	uint64_t n_threads = procfs_value(status, "Threads:", 10);
	struct view_task *task = view_add_task(view);
	if (view->n_tasks > 1)
		task->parent = parent;
	task->name = read_line(view->arena, name);
	/* The first thread has exited, others go on. */
	bool headless = *state == 'Z' && n_threads > 1;
	if (headless && open_living(dir_fd, pid, &living_fd, err))
		return -1;
	task->state = headless ? "headless" : state_name(*state);
	task->n_threads = n_threads;
	task->pids = read_vector(status, "NSpid:");
	task->groups = read_vector(status, "NSpgid:");
	task->sessions = read_vector(status, "NSsid:");
	return read_namespaces(view, task, living_fd >= 0 ? living_fd : dir_fd, pid, err) ? -1 : 1;
}

/* ---- maps ---- */

/* A folder of one of its tasks; -1 in *ret_fd: there is none that we may look at. */
static int open_member(const struct tree_view *view, uint64_t id, int *ret_fd, struct error *err)
{
	char path[32];

	for (size_t i = 0; i < view->n_tasks; i++) {
		const struct view_task *task = &view->tasks[i];
		if (task->namespaces[NAMESPACE_USER] != id || !task->pids.levels)
			continue;
		snprintf(path, sizeof path, "/proc/%" PRIu32, task->pids.pid[0]);
		*ret_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (*ret_fd >= 0)
			return 0;
		if (judge("the maps", (pid_t)task->pids.pid[0], err))
			return -1;
	}
	return 0;
}

static int read_map(struct tree_view *view, size_t which, struct user_maps *maps, bool *done,
		    struct error *err);

/* The map that it is relative to; *ret_known: is there none, or is it known? */
static int read_parent_map(struct tree_view *view, size_t which, struct user_maps *maps, bool *done,
			   const struct user_maps **ret_parent, bool *ret_known, struct error *err)
{
	*ret_known = true;
	for (size_t i = 0; i < view->n_namespaces; i++) {
		const struct view_namespace *other = &view->namespaces[i];
		if (other->type != NAMESPACE_USER || other->shared ||
		    other->id != view->namespaces[which].parent)
			continue;
		if (read_map(view, i, maps, done, err))
			return -1;
		*ret_known = view->namespaces[i].maps != NULL;
		*ret_parent = &maps[i];
	}
	return 0;
}

static int read_map(struct tree_view *view, size_t which, struct user_maps *maps, bool *done,
		    struct error *err)
{
	struct view_namespace *found = &view->namespaces[which];
	const struct user_maps *parent = NULL;
	autoclose int member_fd = -1;
	struct error failed = { 0 };
	bool is_known;

	if (done[which] || found->shared)
		return 0;
	done[which] = true;
	if (read_parent_map(view, which, maps, done, &parent, &is_known, err) ||
	    open_member(view, found->id, &member_fd, err))
		return -1;
	if (!is_known || (member_fd < 0 && found->fd < 0))
		return 0;
	if (member_fd >= 0 ? user_maps_read(&maps[which], view->arena, member_fd, parent, &failed)
			   : user_maps_visit(&maps[which], view->arena, found->fd, parent, &failed))
		return judge_error(&failed, err);
	found->maps = maps[which].entry;
	found->setgroups_denied = maps[which].setgroups_denied;
	return 0;
}

static int read_maps(struct tree_view *view, struct error *err)
{
	struct user_maps *maps = arena_array(view->arena, struct user_maps, view->n_namespaces);
	bool *done = arena_array(view->arena, bool, view->n_namespaces);
	int result = 0;

	for (size_t i = 0; i < view->n_namespaces && result == 0; i++)
		if (view->namespaces[i].type == NAMESPACE_USER)
			result = read_map(view, i, maps, done, err);
	return result;
}

/* ---- the tree ---- */

static int read_root(struct tree_view *view, pid_t root, struct error *err)
{
	int found = read_task(view, root, 0, err);

	if (found)
		return found < 0 ? -1 : 0;
	fail(err, ERR_NO_SUCH_TASK, "there is no process %d", (int)root);
	return fail_hint(err, "ids are those that this pid namespace shows");
}

static int read_children(struct tree_view *view, const struct processes *processes, pid_t root,
			 struct error *err)
{
	pid_t *pids = arena_grow(view->arena, (pid_t *)NULL, 0, sizeof *pids);

	pids[0] = root;
	for (size_t parent = 0; parent < view->n_tasks; parent++) {
		for (size_t i = 0; i < processes->count; i++) {
			const struct seen_process *seen = &processes->list[i];
			int found = seen->parent == pids[parent]
					    ? read_task(view, seen->pid, parent, err)
					    : 0;
			if (found < 0)
				return -1;
			if (!found)
				continue;
			pids = arena_grow(view->arena, pids, view->n_tasks - 1, sizeof *pids);
			pids[view->n_tasks - 1] = seen->pid;
		}
	}
	return 0;
}

int view_read_live(struct tree_view *view, pid_t root, struct error *err)
{
	struct processes processes = { 0 };
	int result = list_processes(&processes, view->arena, err) || read_root(view, root, err) ||
		     read_children(view, &processes, root, err) || read_maps(view, err);

	for (size_t i = 0; i < view->n_namespaces; i++)
		if (view->namespaces[i].fd >= 0)
			close(view->namespaces[i].fd);
	return result ? -1 : 0;
}
