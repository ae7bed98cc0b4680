// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Pid namespaces. A task's own is fixed at birth (/proc/PID/ns/pid); that of its next children is
 * a property of each thread (ns/pid_for_children), changed by unshare and setns. A namespace that
 * was unshared and never had an init has no link in /proc: the one of pid_for_children then reads
 * ENOENT, and PIDFD_GET_PID_FOR_CHILDREN_NAMESPACE (6.11) tells which it is.
 *
 * The planner makes the namespaces with their tasks (plan/); here is who is in which, and what a
 * namespace keeps apart from that: ns_last_pid, and since 6.14 pid_max. Both are written by the
 * init; a namespace starts with the kernel's largest pid_max. set_tid ignores the first and obeys
 * the second, so a tree with an id above the pid_max of its namespace (lowered later) is refused.
 */
#include "kinds/namespaces/pid.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "collect/collect.h"
#include "kernel/facts.h"
#include "kernel/pidfd.h"
#include "kernel/syscalls.h"
#include "kinds/namespaces/user.h"
#include "plan/plan.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/nsfs.h>
#include <linux/sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#ifndef NS_GET_PID_FROM_PIDNS
#define NS_GET_PID_FROM_PIDNS _IOR(0xb7, 0x6, int) /* linux/nsfs.h, 6.11 */
#endif

/* tasks.c numbers the namespaces that all tasks have in common from 2 on. */
enum { OWN_ID = 1 };
enum { PID_MAX_LIMIT = 4 * 1024 * 1024 };

struct known_namespace {
	dev_t device;
	ino_t inode;
	uint32_t id;
	size_t level; /* below the root's */
	NsEntry *entry;
	int fd;
	bool empty; /* without an init, or without it by now */
};

/* Kept over a dump. */
struct held_namespace {
	struct held_namespace *next;
	int fd;
	const char *what;
	NsFileEntry *entry;
};

struct survey {
	struct collect *collect;
	struct known_namespace *known; /* [0]: that of the root task */
	size_t n_known;
	struct stat own;
	bool shared; /* the root task is in the namespace of nestor */
};

static struct known_namespace *find_known(const struct survey *survey, const struct stat *stat)
{
	/* Tasks mostly come in the order in which their namespaces were met. */
	for (size_t i = survey->n_known; i-- > 0;)
		if (survey->known[i].inode == stat->st_ino &&
		    survey->known[i].device == stat->st_dev)
			return &survey->known[i];
	return NULL;
}

/*
 * Whom a namespace belongs to. That of nestor may belong to a user namespace above its own, which
 * the kernel does not tell; no restore makes it, so it does not matter.
 */
static int find_owner(const struct survey *survey, int fd, pid_t pid, uint32_t *ret_id,
		      struct error *err)
{
	char what[32];

	if (survey->n_known == 0 && survey->shared) {
		*ret_id = survey->collect->snapshot->inventory->root_ids->user_ns_id;
		return 0;
	}
	snprintf(what, sizeof what, "pid %d", pid);
	return user_namespace_owner_id(survey->collect, fd, what, ret_id, err);
}

static NsEntry *add_entry(struct survey *survey, uint32_t id, uint32_t parent_id, uint32_t owner_id)
{
	struct snapshot *snapshot = survey->collect->snapshot;
	NsEntry *entry = snapshot_new(snapshot, NS_ENTRY, NsEntry);

	entry->id = id;
	entry->ns_cflag = CLONE_NEWPID;
	entry->has_parent_id = parent_id != 0;
	entry->parent_id = parent_id;
	entry->has_userns_id = true;
	entry->userns_id = owner_id;
	snapshot_add_namespace(snapshot, entry);
	return entry;
}

static uint32_t add_known(struct survey *survey, int fd, const struct stat *stat,
			  const struct known_namespace *parent, uint32_t owner_id)
{
	uint32_t id = survey->n_known == 0 && survey->shared ? OWN_ID
							     : survey->collect->next_namespace_id++;
	struct known_namespace new = {
		.device = stat->st_dev,
		.inode = stat->st_ino,
		.id = id,
		.level = parent ? parent->level + 1 : 0,
		.fd = fd,
		.entry = add_entry(survey, id, parent ? parent->id : 0, owner_id),
	};

	survey->known =
		arena_grow(survey->collect->arena, survey->known, survey->n_known, sizeof new);
	survey->known[survey->n_known++] = new;
	return id;
}

/* Takes the descriptor. Parents outside of the tree cannot be: the walk up ends at the root's. */
static int add_namespace(struct survey *survey, int taken_fd, pid_t pid, uint32_t *ret_id,
			 struct error *err)
{
	autoclose int fd = taken_fd;
	struct stat stat;
	uint32_t owner_id;

	if (fstat(fd, &stat))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot read a pid namespace");
	const struct known_namespace *known = find_known(survey, &stat);
	if (known) {
		*ret_id = known->id;
		return 0;
	}
	if (find_owner(survey, fd, pid, &owner_id, err))
		return -1;
	if (survey->n_known == 0) {
		*ret_id = add_known(survey, take_fd(&fd), &stat, NULL, owner_id);
		return 0;
	}
	int parent_fd = ioctl(fd, NS_GET_PARENT);
	struct stat parent_stat;
	if (parent_fd < 0 ||
	    (stat.st_ino == survey->own.st_ino && stat.st_dev == survey->own.st_dev)) {
		if (parent_fd >= 0)
			close(parent_fd);
		return fail(err, ERR_UNSUPPORTED_NAMESPACE,
			    "pid %d is in a pid namespace that is not below that of the root task",
			    pid);
	}
	if (fstat(parent_fd, &parent_stat)) {
		close(parent_fd);
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot read a pid namespace");
	}
	if (add_namespace(survey, parent_fd, pid, ret_id, err))
		return -1;
	*ret_id =
		add_known(survey, take_fd(&fd), &stat, find_known(survey, &parent_stat), owner_id);
	return 0;
}

static int read_own_namespace(struct survey *survey, struct target *target, struct error *err)
{
	TaskKobjIdsEntry *ids = target->task->ids;
	struct stat stat;

	if (target_look(target, "ns/pid", &stat))
		return fail_errno(err, ERR_TREE_CHANGED, "cannot read /proc/%d/ns/pid",
				  target->pid);
	const struct known_namespace *known = find_known(survey, &stat);
	ids->has_pid_ns_id = true;
	if (known) {
		ids->pid_ns_id = known->id;
		return 0;
	}
	int fd = target_open(target, "ns/pid", O_RDONLY);
	if (fd < 0)
		return fail_errno(err, ERR_TREE_CHANGED, "cannot open /proc/%d/ns/pid",
				  target->pid);
	if (survey->n_known == 0)
		survey->shared =
			stat.st_ino == survey->own.st_ino && stat.st_dev == survey->own.st_dev;
	return add_namespace(survey, fd, target->pid, &ids->pid_ns_id, err);
}

/* ---- pid_for_children ---- */

/* Of a thread whose link in /proc reads ENOENT. */
static int read_empty_namespace(struct survey *survey, const struct target *target, size_t thread,
				uint32_t *ret_id, struct error *err)
{
	pid_t tid = target->threads[thread].tid;
	autoclose int pidfd = kernel_pidfd_open(tid, thread ? PIDFD_OF_THREAD : 0);
	int fd = pidfd < 0 ? -1 : ioctl(pidfd, PIDFD_PID_NAMESPACE_FOR_CHILDREN, 0);

	if (fd < 0)
		return fail_errno(err, ERR_KERNEL_TOO_OLD,
				  "thread %d of pid %d has unshared a pid namespace that has no "
				  "process yet, which this kernel does not show",
				  tid, target->pid);
	size_t before = survey->n_known;
	if (add_namespace(survey, fd, target->pid, ret_id, err))
		return -1;
	if (survey->n_known > before)
		survey->known[survey->n_known - 1].empty = true;
	return 0;
}

/* Of a link that leads to where no task of the tree is: nobody can be born there any more. */
static int read_ended_namespace(struct survey *survey, const struct target *target,
				const char *path, uint32_t *ret_id, struct error *err)
{
	int fd = target_open(target, path, O_RDONLY);

	if (fd < 0)
		return fail_errno(err, ERR_TREE_CHANGED, "cannot open /proc/%d/%s", target->pid,
				  path);
	if (ioctl(fd, NS_GET_PID_FROM_PIDNS, 1) >= 0 || errno != ESRCH) {
		close(fd);
		return fail(err, ERR_UNSUPPORTED_NAMESPACE,
			    "children of pid %d would be born in a pid namespace whose init is "
			    "outside of the tree",
			    target->pid);
	}
	if (add_namespace(survey, fd, target->pid, ret_id, err))
		return -1;
	struct known_namespace *known = &survey->known[survey->n_known - 1];
	known->empty = true;
	known->entry->has_ended = known->entry->ended = true;
	return 0;
}

static int read_for_children(struct survey *survey, const struct target *target, size_t thread,
			     uint32_t *ret_id, struct error *err)
{
	char path[64];
	struct stat stat;

	snprintf(path, sizeof path, "task/%d/ns/pid_for_children", target->threads[thread].tid);
	if (target_look(target, path, &stat)) {
		if (errno == ENOENT)
			return read_empty_namespace(survey, target, thread, ret_id, err);
		return fail_errno(err, ERR_TREE_CHANGED, "cannot read /proc/%d/%s", target->pid,
				  path);
	}
	const struct known_namespace *known = find_known(survey, &stat);
	if (!known)
		return read_ended_namespace(survey, target, path, ret_id, err);
	*ret_id = known->id;
	return 0;
}

static int read_threads(struct survey *survey, struct target *target, struct error *err)
{
	TaskKobjIdsEntry *ids = target->task->ids;

	for (size_t i = target->living; i < target->n_threads; i++) {
		ThreadCoreEntry *core = target->task->threads[i]->thread_core;
		uint32_t id;
		if (read_for_children(survey, target, i, &id, err))
			return -1;
		if (id == ids->pid_ns_id)
			continue;
		core->has_pid_for_children_ns_id = true;
		core->pid_for_children_ns_id = id;
		if (i == 0) {
			ids->has_pid_for_children_ns_id = true;
			ids->pid_for_children_ns_id = id;
		}
	}
	return 0;
}

/* ---- descriptors ---- */

/* What only a descriptor keeps: nobody is in it, and nobody is going to be born there. */
static int find_held(struct survey *survey, const struct held_namespace *held, struct error *err)
{
	struct stat stat;

	if (fstat(held->fd, &stat))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot read the namespace of %s",
				  held->what);
	const struct known_namespace *known = find_known(survey, &stat);
	if (known && !known->empty)
		held->entry->ns_id = known->id;
	else if (stat.st_ino == survey->own.st_ino && stat.st_dev == survey->own.st_dev)
		held->entry->ns_id = OWN_ID;
	else
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "%s is of a pid namespace that no task of the tree is in", held->what);
	return 0;
}

static int find_all_held(struct survey *survey, struct error *err)
{
	const struct held_namespace *held = *collect_state(survey->collect, &pid_namespace_kind);

	for (; held; held = held->next)
		if (find_held(survey, held, err))
			return -1;
	return 0;
}

int pid_namespace_hold(struct collect *collect, int fd, const char *what, NsFileEntry *entry,
		       struct error *err)
{
	struct held_namespace *held = arena_new(collect->arena, struct held_namespace);

	(void)err;
	*held = (struct held_namespace){ *collect_state(collect, &pid_namespace_kind), fd, what,
					 entry };
	*collect_state(collect, &pid_namespace_kind) = held;
	return 0;
}

void pid_namespaces_release(struct collect *collect)
{
	struct held_namespace *held = *collect_state(collect, &pid_namespace_kind);

	for (; held; held = held->next)
		close(held->fd);
	*collect_state(collect, &pid_namespace_kind) = NULL;
}

/* ---- limits ---- */

static int read_limits(struct survey *survey, struct error *err)
{
	size_t count = 0;
	struct pid_limits *limits =
		arena_array(survey->collect->arena, struct pid_limits, survey->n_known);
	NsEntry **entries = arena_array(survey->collect->arena, NsEntry *, survey->n_known);

	for (size_t i = 0; i < survey->n_known; i++) {
		const struct known_namespace *known = &survey->known[i];
		if (known->empty || (i == 0 && survey->shared))
			continue;
		entries[count] = known->entry;
		/* Level 0 of an unshared tree may lie any number of levels below us. */
		limits[count++] =
			(struct pid_limits){ .fd = known->fd,
					     .levels = known->level + (survey->shared ? 0 : 1) };
	}
	if (pid_limits_read(limits, count, err))
		return -1;
	for (size_t i = 0; i < count; i++) {
		if (!limits[i].known) {
			log_warning("collect", "pid namespace",
				    "%" PRIu32 ": its last pid cannot be read; a restore starts "
				    "counting anew",
				    entries[i]->id);
			continue;
		}
		/* -1 where all numbers were given by set_tid; it cannot be written. */
		entries[i]->has_last_pid = limits[i].last_pid != UINT32_MAX;
		entries[i]->last_pid = limits[i].last_pid;
		entries[i]->has_pid_max = survey->collect->facts->per_namespace_pid_max;
		entries[i]->pid_max = limits[i].pid_max;
	}
	return 0;
}

static int read_all(struct survey *survey, struct error *err)
{
	struct collect *collect = survey->collect;

	for (size_t i = 0; i < collect->n_targets; i++)
		if (read_own_namespace(survey, &collect->targets[i], err))
			return -1;
	for (size_t i = 0; i < collect->n_targets; i++)
		if (!collect->targets[i].zombie && read_threads(survey, &collect->targets[i], err))
			return -1;
	return find_all_held(survey, err) ? -1 : read_limits(survey, err);
}

int pid_namespaces_collect(struct collect *collect, struct error *err)
{
	struct survey survey = { .collect = collect };
	TaskKobjIdsEntry *own = collect->snapshot->inventory->root_ids;

	if (stat("/proc/self/ns/pid", &survey.own))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot read /proc/self/ns");
	own->has_pid_ns_id = true;
	own->pid_ns_id = OWN_ID;
	int result = read_all(&survey, err);
	for (size_t i = 0; i < survey.n_known; i++)
		close(survey.known[i].fd);
	return result;
}

/* ---- restore ---- */

static int check_numbers(const struct snapshot *snapshot, const struct task *task,
			 struct error *err)
{
	(void)snapshot;
	for (const struct pid_namespace *at = task->pid_namespace; at; at = at->parent) {
		if (!at->entry || !at->entry->has_pid_max)
			continue;
		for (size_t i = 0; i < task->n_threads; i++) {
			struct pid_vector tids = thread_pids(task, i);
			if (tids.pid[at->level] >= at->entry->pid_max)
				return fail(err, ERR_PID_OUT_OF_RANGE,
					    "task %s: id %" PRIu32 " is not below the limit of its "
					    "pid namespace, %" PRIu32,
					    task_name(task), tids.pid[at->level],
					    at->entry->pid_max);
		}
	}
	return 0;
}

static void plan_write(struct program *program, const char *path, uint32_t number)
{
	char text[16];
	int length = snprintf(text, sizeof text, "%" PRIu32, number);
	uint64_t slot = program_word(program->set, 0);

	op_store(program_call(program, SYS_openat, (uint64_t)AT_FDCWD,
			      program_data(program->set, path, strlen(path) + 1, 1),
			      O_WRONLY | O_CLOEXEC, 0),
		 slot);
	op_expect(op_argument_from(program_call(program, SYS_write, 0,
						program_data(program->set, text, (size_t)length, 1),
						(uint64_t)length),
				   0, slot),
		  length);
	op_argument_from(program_call(program, SYS_close, 0), 0, slot);
}

static int plan_limits(struct plan *plan, const struct task *task, size_t thread,
		       struct program *program, struct error *err)
{
	const struct pid_namespace *namespace = task->pid_namespace;

	(void)thread;
	(void)err;
	if (namespace->init != task || !namespace->entry)
		return 0;
	if (namespace->entry->has_pid_max && namespace->entry->pid_max != PID_MAX_LIMIT &&
	    plan->facts->per_namespace_pid_max)
		plan_write(program, "/proc/sys/kernel/pid_max", namespace->entry->pid_max);
	if (namespace->entry->has_last_pid)
		plan_write(program, "/proc/sys/kernel/ns_last_pid", namespace->entry->last_pid);
	return 0;
}

const struct task_kind pid_namespace_kind = {
	.name = "pid namespace",
	.check = check_numbers,
	.plan = plan_limits,
};
