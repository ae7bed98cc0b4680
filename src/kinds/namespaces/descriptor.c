// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Open files of namespaces, as /proc/PID/ns and the nsfs ioctls give them. They have no state but
 * which namespace it is, and keep it alive: a user namespace may have no other reason to exist, and
 * is part of the tree for that. The ioctls leave O_LARGEFILE out of the flags that F_GETFL shows;
 * open(2), by which they come back, adds it.
 *
 * User namespaces of the tree and whatever is nestor's own are opened before the tree is made. Pid
 * namespaces of the tree, that of level 0 among them, are there only once their init is: they are
 * opened late, by way of a process that is in there.
 */
#include "kinds/namespaces/descriptor.h"

#include "base/cleanup.h"
#include "collect/collect.h"
#include "kinds/namespaces/pid.h"
#include "kinds/namespaces/user.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const struct namespace_type {
	const char *name;
	uint32_t flag;
	size_t has_offset, id_offset; /* in TaskKobjIdsEntry */
} types[] = {
#define TYPE(name, flag, field)                                      \
	{                                                            \
		name, flag, offsetof(TaskKobjIdsEntry, has_##field), \
			offsetof(TaskKobjIdsEntry, field)            \
	}
	TYPE("pid", CLONE_NEWPID, pid_ns_id),	       TYPE("user", CLONE_NEWUSER, user_ns_id),
	TYPE("net", CLONE_NEWNET, net_ns_id),	       TYPE("mnt", CLONE_NEWNS, mnt_ns_id),
	TYPE("uts", CLONE_NEWUTS, uts_ns_id),	       TYPE("ipc", CLONE_NEWIPC, ipc_ns_id),
	TYPE("cgroup", CLONE_NEWCGROUP, cgroup_ns_id), TYPE("time", CLONE_NEWTIME, time_ns_id),
#undef TYPE
};
enum { TYPES = sizeof types / sizeof *types };

/* What open(2) may be told and an open file shows; the C library's O_LARGEFILE is 0. */
enum {
	KERNEL_LARGEFILE = 0100000,
	OPEN_FLAGS = O_ACCMODE | KERNEL_LARGEFILE | O_PATH | O_NONBLOCK | O_APPEND | O_NOFOLLOW |
		     O_NOATIME,
};

static const struct namespace_type *type_of_link(const char *link)
{
	for (size_t i = 0; i < TYPES; i++) {
		size_t length = strlen(types[i].name);
		if (strncmp(link, types[i].name, length) == 0 &&
		    strncmp(link + length, ":[", 2) == 0)
			return &types[i];
	}
	return NULL;
}

static const struct namespace_type *type_of_entry(const NsFileEntry *entry)
{
	for (size_t i = 0; i < TYPES; i++)
		if (types[i].flag == entry->ns_cflag)
			return &types[i];
	return NULL;
}

/* ---- dump ---- */

static bool recognise(const struct open_file *file)
{
	return type_of_link(file->link) != NULL;
}

/* Nestor's own, of a type that the tree shares with it. */
static int collect_common(const struct open_file *file, const struct namespace_type *type,
			  NsFileEntry *entry, struct error *err)
{
	char path[32];
	struct stat own;

	snprintf(path, sizeof path, "/proc/self/ns/%s", type->name);
	if (stat(path, &own))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot read %s", path);
	if (own.st_ino != file->stat.st_ino || own.st_dev != file->stat.st_dev)
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "%s is of another %s namespace than nestor's", file->what, type->name);
	entry->ns_id = collect_common_namespace_id(path + strlen("/proc/self/"));
	return 0;
}

static int collect(const struct open_file *file, FileEntry *file_entry, struct error *err)
{
	struct collect *collect = file->target->collect;
	const struct namespace_type *type = type_of_link(file->link);
	NsFileEntry *entry = snapshot_new(collect->snapshot, NS_FILE_ENTRY, NsFileEntry);

	file_entry->nsf = entry;
	entry->id = file->id;
	entry->ns_cflag = type->flag;
	entry->flags = file->flags;
	if (type->flag != CLONE_NEWUSER && type->flag != CLONE_NEWPID)
		return collect_common(file, type, entry, err);
	autoclose int fd = target_open(file->target, file->proc_name, O_RDONLY);
	if (fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot open %s", file->what);
	if (type->flag == CLONE_NEWUSER)
		return user_namespace_id(collect, fd, file->what, &entry->ns_id, err);
	return pid_namespace_hold(collect, take_fd(&fd), file->what, entry, err);
}

/* ---- check ---- */

static uint32_t id_of_dumper(const struct snapshot *snapshot, const struct namespace_type *type)
{
	const char *ids = snapshot->inventory ? (const char *)snapshot->inventory->root_ids : NULL;

	if (!ids || !*(const protobuf_c_boolean *)(ids + type->has_offset))
		return 0;
	return *(const uint32_t *)(const void *)(ids + type->id_offset);
}

/* Is it one that the coordinator is in, whatever it was called where the dump was made? */
static bool is_own(const struct snapshot *snapshot, const NsFileEntry *entry)
{
	if (entry->ns_cflag == CLONE_NEWUSER)
		return entry->ns_id == snapshot->user_namespaces[0]->id;
	if (entry->ns_cflag == CLONE_NEWPID && !snapshot->own_pid_namespace &&
	    entry->ns_id == snapshot->pid_namespaces[0]->id)
		return true;
	return entry->ns_id && entry->ns_id == id_of_dumper(snapshot, type_of_entry(entry));
}

/* A member of a pid namespace; whether the others are alive does not matter. NULL: nobody is. */
static const struct task *find_member(const struct snapshot *snapshot, uint32_t namespace_id)
{
	for (size_t i = 0; i < snapshot->n_tasks; i++) {
		const struct task *task = &snapshot->tasks[i];
		if (task->pid_namespace && task->pid_namespace->id == namespace_id &&
		    !task_is_zombie(task))
			return task;
	}
	return NULL;
}

static bool is_of_tree(const struct snapshot *snapshot, const NsFileEntry *entry)
{
	return entry->ns_cflag == CLONE_NEWPID && snapshot_pid_namespace(snapshot, entry->ns_id);
}

static bool is_level_0(const struct snapshot *snapshot, const NsFileEntry *entry)
{
	return entry->ns_id == snapshot->pid_namespaces[0]->id;
}

static enum file_way way(const struct snapshot *snapshot, const FileEntry *entry)
{
	return is_of_tree(snapshot, entry->nsf) ? FILE_LATE : FILE_EARLY;
}

static int check(const struct snapshot *snapshot, const FileEntry *file_entry, struct error *err)
{
	const NsFileEntry *entry = file_entry->nsf;

	if (!entry || !type_of_entry(entry))
		return fail(err, ERR_IMAGE_INVALID, "file %" PRIu32 " is of no known namespace",
			    file_entry->id);
	if (entry->flags & ~(uint32_t)OPEN_FLAGS)
		return fail(err, ERR_IMAGE_INVALID,
			    "file %" PRIu32 ": a namespace cannot be opened with flags %#" PRIx32,
			    file_entry->id, entry->flags);
	if (is_of_tree(snapshot, entry) && !is_level_0(snapshot, entry) &&
	    !find_member(snapshot, entry->ns_id))
		return fail(err, ERR_UNSUPPORTED_NAMESPACE,
			    "file %" PRIu32 " is of a pid namespace in which nobody is alive",
			    file_entry->id);
	if (is_own(snapshot, entry) || is_of_tree(snapshot, entry) ||
	    (entry->ns_cflag == CLONE_NEWUSER && snapshot_user_namespace(snapshot, entry->ns_id)))
		return 0;
	return fail(err, ERR_IMAGE_INVALID,
		    "file %" PRIu32 ": its %s namespace, %" PRIu32 ", is not described",
		    file_entry->id, type_of_entry(entry)->name, entry->ns_id);
}

/* ---- restore ---- */

static int open_namespace(struct file_opener *opener, const FileEntry *file_entry,
			  struct error *err)
{
	const struct snapshot *snapshot = opener->snapshot;
	const NsFileEntry *entry = file_entry->nsf;
	char path[64];

	snprintf(path, sizeof path, "/proc/self/ns/%s", type_of_entry(entry)->name);
	if (is_of_tree(snapshot, entry)) {
		const struct task *member = find_member(snapshot, entry->ns_id);
		bool outermost = is_level_0(snapshot, entry);
		snprintf(path, sizeof path, "/proc/%d/ns/pid",
			 (int)(outermost ? opener->level_0 : opener->pids[member->index]));
	}
	for (size_t i = 1; entry->ns_cflag == CLONE_NEWUSER && i < snapshot->n_user_namespaces; i++)
		if (snapshot->user_namespaces[i]->id == entry->ns_id)
			snprintf(path, sizeof path, "/proc/self/fd/%d", opener->user_namespaces[i]);
	/* These are links. */
	int fd = open(path, ((int)entry->flags & ~O_NOFOLLOW) | O_CLOEXEC);
	return fd < 0 ? fail_errno(err, ERR_KERNEL_REFUSED, "cannot open %s", path) : fd;
}

static void describe(const FileEntry *entry, char *text, size_t room)
{
	const struct namespace_type *type = entry->nsf ? type_of_entry(entry->nsf) : NULL;

	snprintf(text, room, "%s namespace %" PRIu32, type ? type->name : "unknown",
		 entry->nsf ? entry->nsf->ns_id : 0);
}

const struct file_kind namespace_file_kind = {
	.name = "namespace",
	.type = FD_TYPES__NS,
	.recognise = recognise,
	.collect = collect,
	.check = check,
	.way = way,
	.open = open_namespace,
	.describe = describe,
};
