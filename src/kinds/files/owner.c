// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Who gets a signal when something happens to an open file (F_SETOWN, F_SETOWN_EX), which one
 * (F_SETSIG), and whether one is sent when it is ready (O_ASYNC). The kernel keeps a process,
 * thread or group, and the user ids of whoever set it, by which it decides whether the signal may
 * be sent (F_GETOWNER_UIDS tells them). An owner that is gone reads as 0, and nobody gets anything.
 *
 * F_SETOWN takes a number that its caller sees and the caller's ids, so it comes when all processes
 * are there, from a process that has taken these ids. O_ASYNC wants the object's
 * list to know the number of a descriptor (si_fd): the lowest by which the tree has the file, as
 * that of the task which set it is not to be seen.
 *
 * Refused: an owner outside of the tree, which would get signals of another file than it had; and a
 * directory with an owner, as F_NOTIFY gives it one (fcntl_dirnotify) and nothing else tells of it.
 */
#include "kinds/files/files.h"

#include "base/cleanup.h"
#include "collect/collect.h"
#include "kernel/syscalls.h"
#include "kernel/visit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MOST_SECONDS = 30 };

#ifndef F_GETOWNER_UIDS
#define F_GETOWNER_UIDS 17
#endif

/* ---- Dump ---- */

/* An owner by our numbers, until all tasks are known by those of the tree. */
struct owned {
	struct owned *next;
	FownEntry *owner;
	const char *what;
};

static int read_owner(const struct open_file *file, int fd, FownEntry *owner, struct error *err)
{
	struct f_owner_ex found;
	uint32_t uids[2];
	int signal_number = fcntl(fd, F_GETSIG);

	if (signal_number < 0 || fcntl(fd, F_GETOWN_EX, &found) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "%s: cannot read its owner (F_GETOWN_EX)", file->what);
	owner->signum = (uint32_t)signal_number;
	if (!found.pid)
		return 0;
	if (fcntl(fd, F_GETOWNER_UIDS, uids) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "%s: cannot read who set its owner (F_GETOWNER_UIDS)",
				  file->what);
	owner->uid = uids[0];
	owner->euid = uids[1];
	owner->pid_type = (uint32_t)found.type;
	owner->pid = (uint32_t)found.pid;
	return 0;
}

static int owner_collect(const struct open_file *file, FileEntry *entry, struct error *err)
{
	struct collect *collect = file->target->collect;
	struct file_fields fields = fields_of_file(&kinds, entry);

	if (!fields.owner || (file->flags & O_PATH) || collect_is_ownerless(file))
		return 0;
	/* Has none, and whoever closes it would ask somebody who stands still. */
	if (entry->type == FD_TYPES__REG && entry->reg->fuse)
		return 0;
	int fd = collect_borrow_file(file, err);
	if (fd < 0)
		return -1;
	FownEntry *owner = *fields.owner;
	if (read_owner(file, fd, owner, err))
		return -1;
	if (owner->pid && S_ISDIR(file->stat.st_mode))
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "%s is a directory with an owner, which is told of changes (F_NOTIFY)",
			    file->what);
	if (owner->pid) {
		void **kept = collect_state(collect, &owner_aspect);
		struct owned *owned = arena_new(collect->arena, struct owned);
		*owned = (struct owned){ *kept, owner, file->what };
		*kept = owned;
	}
	return 0;
}

/* Field 5 of stat, as we see it. */
enum { STAT_GROUP = 5 };

static bool is_thread_of(const struct target *target, pid_t tid, uint32_t *ret_number)
{
	for (size_t i = 0; i < target->n_threads; i++)
		if (target->threads[i].tid == tid) {
			*ret_number = thread_pids(target->task, i).pid[0];
			return true;
		}
	return false;
}

static bool find_owner(const struct target *target, const FownEntry *owner, uint32_t *ret_number)
{
	pid_t pid = (pid_t)owner->pid;

	switch (owner->pid_type) {
	case F_OWNER_TID:
		return is_thread_of(target, pid, ret_number);
	case F_OWNER_PID:
		*ret_number = task_pids(target->task).pid[0];
		return target->pid == pid;
	default:
		*ret_number = task_groups(target->task).pid[0];
		return *ret_number && (pid_t)target_stat_field(target, STAT_GROUP) == pid;
	}
}

static int owner_complete(struct collect *collect, struct error *err)
{
	const struct owned *owned = *collect_state(collect, &owner_aspect);

	(void)err;
	for (; owned; owned = owned->next) {
		bool found = false;
		uint32_t number = 0;
		for (size_t i = 0; i < collect->n_targets && !found; i++)
			found = find_owner(&collect->targets[i], owned->owner, &number);
		if (!found)
			collect_refuse_file(collect,
					    "%s sends signals to process or group %u, which is "
					    "outside of the tree",
					    owned->what, owned->owner->pid);
		owned->owner->pid = number;
	}
	return 0;
}

/* ---- Restore ---- */

static bool is_in_tree(const struct snapshot *snapshot, const FownEntry *owner)
{
	for (size_t i = 0; i < snapshot->n_tasks; i++) {
		const struct task *task = &snapshot->tasks[i];
		if (owner->pid_type == F_OWNER_PGRP && task_groups(task).pid[0] == owner->pid)
			return true;
		if (owner->pid_type == F_OWNER_PID && task_pids(task).pid[0] == owner->pid)
			return true;
		for (size_t k = 0; owner->pid_type == F_OWNER_TID && k < task->n_threads; k++)
			if (thread_pids(task, k).pid[0] == owner->pid)
				return true;
	}
	return false;
}

static int owner_check(const struct snapshot *snapshot, const FileEntry *entry, struct error *err)
{
	struct file_fields fields = fields_of_file(&kinds, entry);
	const FownEntry *owner = fields.owner ? *fields.owner : NULL;

	if (!owner)
		return 0;
	if (owner->signum > (uint32_t)SIGRTMAX || owner->pid_type > F_OWNER_PGRP)
		return fail(err, ERR_IMAGE_INVALID,
			    "file %u: signal %u or owner of type %u cannot be", entry->id,
			    owner->signum, owner->pid_type);
	if (owner->pid && !is_in_tree(snapshot, owner))
		return fail(err, ERR_IMAGE_UNSUPPORTED,
			    "file %u sends signals to %u, which is no process, thread or group of "
			    "the tree",
			    entry->id, owner->pid);
	return 0;
}

/* A group may have lost its leader: any member tells its number. */
static pid_t group_of_ours(const struct file_opener *opener, uint32_t number)
{
	const struct snapshot *snapshot = opener->snapshot;

	for (size_t i = 0; i < snapshot->n_tasks; i++)
		if (task_groups(&snapshot->tasks[i]).pid[0] == number) {
			pid_t pid = opener->pid(opener, task_pids(&snapshot->tasks[i]).pid[0]);
			return pid < 0 ? -1 : getpgid(pid);
		}
	errno = ESRCH;
	return -1;
}

struct setting {
	const FownEntry *owner;
	struct f_owner_ex wanted;
	int fd;
	uint32_t number, flags;
};

/* The kernel keeps the number, not whose table it was in: what stands there is put back. */
static int set_async(const struct setting *setting)
{
	int number = (int)setting->number, former = fcntl(number, F_DUPFD_CLOEXEC, 0);

	if (setting->fd != number && dup2(setting->fd, number) < 0)
		return -1;
	int present = fcntl(number, F_GETFL);
	if (present < 0 || fcntl(number, F_SETFL, present | O_ASYNC) < 0)
		return -1;
	return former < 0 || dup2(former, number) >= 0 ? 0 : -1;
}

/* In a process whose table and ids are its own. */
static int set_there(struct visitor *visitor, void *data, struct error *err)
{
	const struct setting *setting = data;
	const FownEntry *owner = setting->owner;
	bool takes_ids = setting->wanted.pid && (owner->uid || owner->euid);

	(void)visitor;
	if ((takes_ids && syscall(SYS_setresuid, owner->uid, owner->euid, -1) < 0) ||
	    (setting->wanted.pid && fcntl(setting->fd, F_SETOWN_EX, &setting->wanted) < 0) ||
	    (setting->flags & O_ASYNC && set_async(setting) < 0))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot set who gets its signals");
	return 0;
}

static uint32_t lowest_number(const struct snapshot *snapshot, uint32_t file_id)
{
	uint32_t lowest = UINT32_MAX;

	for (size_t i = 0; i < snapshot->n_tables; i++) {
		const struct descriptor_table *table = snapshot->tables[i];
		for (size_t k = 0; k < table->n_descriptors; k++)
			if (table->descriptors[k]->id == file_id &&
			    table->descriptors[k]->fd < lowest)
				lowest = table->descriptors[k]->fd;
	}
	return lowest;
}

static int set_owner(const struct file_opener *opener, const FileEntry *entry,
		     const FownEntry *owner, uint32_t flags, int fd, struct error *err)
{
	struct setting setting = {
		.owner = owner,
		.wanted.type = (int)owner->pid_type,
		.fd = fd,
		.number = flags & O_ASYNC ? lowest_number(opener->snapshot, entry->id) : 0,
		.flags = flags,
	};
	const struct visit visit_ = {
		.what = "sets who gets the signals of a file",
		.function = set_there,
		.data = &setting,
		.size = sizeof setting,
		.timeout_seconds = MOST_SECONDS,
	};

	if (owner->pid)
		setting.wanted.pid = owner->pid_type == F_OWNER_PGRP
					     ? group_of_ours(opener, owner->pid)
					     : opener->pid(opener, owner->pid);
	if (setting.wanted.pid < 0)
		return fail_errno(err, ERR_TASK_DIED, "file %u: its owner %u is not there",
				  entry->id, owner->pid);
	return visit(&visit_, NULL, 0, err) ? fail_while(err, "file %u", entry->id) : 0;
}

static bool owner_is_there(const FileEntry *entry)
{
	struct file_fields fields = fields_of_file(&kinds, entry);
	uint32_t flags = fields.flags ? *fields.flags : 0;

	if (!fields.owner || !*fields.owner || (flags & O_PATH))
		return false;
	return (*fields.owner)->pid || (*fields.owner)->signum || (flags & O_ASYNC);
}

static int owner_connect(struct file_opener *opener, const FileEntry *entry, int fd,
			 struct error *err)
{
	struct file_fields fields = fields_of_file(&kinds, entry);
	const FownEntry *owner = *fields.owner;
	uint32_t flags = fields.flags ? *fields.flags : 0;

	if (owner->signum && fcntl(fd, F_SETSIG, (int)owner->signum) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "file %u: cannot set its signal",
				  entry->id);
	if (!owner->pid && !(flags & O_ASYNC))
		return 0;
	return set_owner(opener, entry, owner, flags, fd, err);
}

const struct file_aspect owner_aspect = {
	.name = "who gets its signals",
	.collect = owner_collect,
	.complete = owner_complete,
	.check = owner_check,
	.is_there = owner_is_there,
	.connect = owner_connect,
};
