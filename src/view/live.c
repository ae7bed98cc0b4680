// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A live tree as /proc shows it. Nothing is stopped, so tasks may come and go meanwhile: what is
 * gone when its turn comes is left out.
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

static pid_t parent_of(int proc_fd, const char *pid)
{
	char name[300], text[4096];
	uint64_t parent;

	snprintf(name, sizeof name, "%s/status", pid);
	if (procfs_read_into(proc_fd, name, text, sizeof text) <= 0)
		return -1;
	return procfs_number(text, "PPid:", 10, &parent) ? (pid_t)parent : -1;
}

static int list_processes(struct processes *processes, struct arena *arena, struct error *err)
{
	autoclosedir DIR *proc = listing_open(AT_FDCWD, "/proc");

	for (const char *name; listing_next(proc, &name);) {
		pid_t pid = atoi(name);
		pid_t parent = pid > 0 ? parent_of(dirfd(proc), name) : -1;
		if (parent < 0)
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

static const char *content_of(struct arena *arena, enum namespace_type type, int fd, pid_t member)
{
	const struct namespace_kind *kind = kinds.namespaces[type];
	struct text text;

	if (!kind || !kind->look)
		return NULL;
	text_init(&text, arena);
	kind->look(fd, member, &text);
	return text.length ? text.string : NULL;
}

/*
 * A namespace between two of the tree may hold no task of it, so parents are followed until one
 * is known; except from the root task's pid namespace, whose parents lie outside of the tree.
 */
static void read_namespace(struct tree_view *view, enum namespace_type type, int fd, pid_t member)
{
	autoclose int owner_fd = ioctl(fd, NS_GET_USERNS);
	autoclose int parent_fd = -1;
	bool is_new;
	char own[64];
	struct stat mine;
	uid_t uid;
	struct view_namespace *found = view_namespace(view, type, namespace_id(fd), &is_new);

	if (!is_new)
		return;
	found->owner = namespace_id(owner_fd);
	snprintf(own, sizeof own, "/proc/self/ns/%s", namespace_types[type].name);
	found->shared = stat(own, &mine) == 0 && mine.st_ino == found->id;
	if (!found->shared)
		found->content = content_of(view->arena, type, fd, member);
	if (type == NAMESPACE_USER)
		found->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (type == NAMESPACE_USER && ioctl(fd, NS_GET_OWNER_UID, &uid) == 0) {
		found->has_owner_uid = true;
		found->owner_uid = uid;
	}
	if (type == NAMESPACE_PID || type == NAMESPACE_USER)
		parent_fd = ioctl(fd, NS_GET_PARENT);
	found->parent = namespace_id(parent_fd);
	bool is_outside = found->shared || (type == NAMESPACE_PID && view->n_tasks == 1);
	if (type == NAMESPACE_PID && owner_fd >= 0 && !found->shared)
		read_namespace(view, NAMESPACE_USER, owner_fd, member);
	if (parent_fd >= 0 && !is_outside)
		read_namespace(view, type, parent_fd, member);
}

static void read_namespaces(struct tree_view *view, struct view_task *task, int dir_fd, pid_t pid)
{
	for (int type = 0; type < NAMESPACE_TYPES; type++) {
		char name[32];

		snprintf(name, sizeof name, "ns/%s", namespace_types[type].name);
		autoclose int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
		uint64_t id = namespace_id(fd);
		if (!id)
			continue; /* a zombie has none left but the pid namespace */
		read_namespace(view, (enum namespace_type)type, fd, pid);
		view_namespace(view, (enum namespace_type)type, id, NULL)->n_tasks++;
		task->namespaces[type] = id;
	}
}

/* A folder of one of its threads that live, which is like that of a process; -1: there is none. */
static int open_living(int dir_fd)
{
	autoclosedir DIR *threads = listing_open(dir_fd, "task");

	for (const char *name; listing_next(threads, &name);) {
		char path[300], text[4096];
		snprintf(path, sizeof path, "%s/status", name);
		if (procfs_read_into(dirfd(threads), path, text, sizeof text) <= 0)
			continue;
		const char *state = procfs_field(text, "State:");
		if (!state || *state == 'Z' || *state == 'X')
			continue;
		snprintf(path, sizeof path, "/proc/%s", name);
		return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	return -1;
}

/* False if the task is gone. */
static bool read_task(struct tree_view *view, pid_t pid, size_t parent)
{
	char path[32], *status;

	snprintf(path, sizeof path, "/proc/%d", (int)pid);
	autoclose int dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0 || procfs_read(view->arena, dir_fd, "status", &status) < 0)
		return false;
	const char *name = procfs_field(status, "Name:"), *state = procfs_field(status, "State:");
	if (!name || !state)
		return false;
	uint64_t n_threads = procfs_value(status, "Threads:", 10);
	struct view_task *task = view_add_task(view);
	if (view->n_tasks > 1)
		task->parent = parent;
	task->name = read_line(view->arena, name);
	/* The first thread has exited, others go on. */
	bool headless = *state == 'Z' && n_threads > 1;
	autoclose int living_fd = headless ? open_living(dir_fd) : -1;
	task->state = headless ? "headless" : state_name(*state);
	task->n_threads = n_threads;
	task->pids = read_vector(status, "NSpid:");
	task->groups = read_vector(status, "NSpgid:");
	task->sessions = read_vector(status, "NSsid:");
	read_namespaces(view, task, living_fd >= 0 ? living_fd : dir_fd, pid);
	return true;
}

/* ---- maps ---- */

static int open_member(const struct tree_view *view, uint64_t id)
{
	char path[32];

	for (size_t i = 0; i < view->n_tasks; i++) {
		const struct view_task *task = &view->tasks[i];
		if (task->namespaces[NAMESPACE_USER] != id || !task->pids.levels)
			continue;
		snprintf(path, sizeof path, "/proc/%" PRIu32, task->pids.pid[0]);
		int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd >= 0)
			return fd;
	}
	return -1;
}

/* What cannot be read (a privilege is missing) is not shown. */
static bool read_map(struct tree_view *view, size_t which, struct user_maps *maps, bool *done)
{
	struct view_namespace *found = &view->namespaces[which];
	const struct user_maps *parent = NULL;
	struct error err = { 0 };

	if (done[which] || found->shared)
		return found->maps != NULL;
	done[which] = true;
	for (size_t i = 0; i < view->n_namespaces; i++)
		if (view->namespaces[i].type == NAMESPACE_USER &&
		    view->namespaces[i].id == found->parent && !view->namespaces[i].shared) {
			if (!read_map(view, i, maps, done))
				return false;
			parent = &maps[i];
		}
	autoclose int member_fd = open_member(view, found->id);
	if (member_fd >= 0 ? user_maps_read(&maps[which], view->arena, member_fd, parent, &err)
			   : user_maps_visit(&maps[which], view->arena, found->fd, parent, &err))
		return false;
	found->maps = maps[which].entry;
	found->setgroups_denied = maps[which].setgroups_denied;
	return true;
}

static void read_maps(struct tree_view *view)
{
	struct user_maps *maps = arena_array(view->arena, struct user_maps, view->n_namespaces);
	bool *done = arena_array(view->arena, bool, view->n_namespaces);

	for (size_t i = 0; i < view->n_namespaces; i++)
		if (view->namespaces[i].type == NAMESPACE_USER)
			read_map(view, i, maps, done);
	for (size_t i = 0; i < view->n_namespaces; i++)
		if (view->namespaces[i].fd >= 0)
			close(view->namespaces[i].fd);
}

int view_read_live(struct tree_view *view, pid_t root, struct error *err)
{
	struct processes processes = { 0 };
	pid_t *pids = NULL;

	if (list_processes(&processes, view->arena, err))
		return -1;
	if (!read_task(view, root, 0)) {
		fail(err, ERR_NO_SUCH_TASK, "there is no process %d", (int)root);
		return fail_hint(err, "ids are those that this pid namespace shows");
	}
	pids = arena_grow(view->arena, pids, 0, sizeof *pids);
	pids[0] = root;
	for (size_t parent = 0; parent < view->n_tasks; parent++) {
		for (size_t i = 0; i < processes.count; i++) {
			if (processes.list[i].parent != pids[parent] ||
			    !read_task(view, processes.list[i].pid, parent))
				continue;
			pids = arena_grow(view->arena, pids, view->n_tasks - 1, sizeof *pids);
			pids[view->n_tasks - 1] = processes.list[i].pid;
		}
	}
	read_maps(view);
	return 0;
}
