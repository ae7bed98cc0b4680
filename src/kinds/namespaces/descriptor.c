// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Open files of namespaces, as /proc/PID/ns and the nsfs ioctls give them. They have no state but
 * which namespace it is, and keep it alive: a user namespace may have no other reason to exist, and
 * is part of the tree for that. The ioctls leave O_LARGEFILE out of the flags that F_GETFL shows;
 * open(2), by which they come back, adds it.
 *
 * Namespaces that were made for the tree and whatever is nestor's own are opened before the tree is
 * made. Pid namespaces of the tree, that of level 0 among them, are there only once their init is:
 * they are opened late, by way of a process that is in there. What was opened by a mount of nsfs
 * comes back in these ways, too, since another namespace may be mounted there by then; but for a
 * mount of the tree, where it is found by its path (files/regular.c).
 */
#include "kinds/namespaces/descriptor.h"
#include "kinds/namespace-file.h"

#include "base/cleanup.h"
#include "collect/collect.h"
#include "collect/namespaces.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <linux/sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

/* What open(2) may be told and an open file shows; the C library's O_LARGEFILE is 0. */
enum {
	KERNEL_LARGEFILE = 0100000,
	OPEN_FLAGS = O_ACCMODE | KERNEL_LARGEFILE | O_PATH | O_NONBLOCK | O_APPEND | O_NOFOLLOW |
		     O_NOATIME,
};

/* ---- dump ---- */

/* By a mount of nsfs ("ip netns" makes such) the link is a path. Those of the tree are regular.c's. */
static bool is_by_mount(const struct open_file *file)
{
	return file->file_system == NSFS_MAGIC && file->link[0] == '/';
}

static bool recognise(const struct open_file *file)
{
	enum namespace_type type;

	return namespace_type_of_link(file->link, &type) || is_by_mount(file);
}

static int tell_type(const struct open_file *file, int fd, enum namespace_type *ret_type,
		     struct error *err)
{
	int flag = is_by_mount(file) ? ioctl(fd, NS_GET_NSTYPE) : 0;

	if (flag < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot tell its type", file->what);
	if (is_by_mount(file) ? namespace_type_of_flag((uint32_t)flag, ret_type)
			      : namespace_type_of_link(file->link, ret_type))
		return 0;
	return fail(err, ERR_UNSUPPORTED_FILE, "%s is of no known type of namespace", file->what);
}

static int collect(const struct open_file *file, FileEntry *file_entry, struct error *err)
{
	struct collect *collect = file->target->collect;
	NsFileEntry *entry = snapshot_new(collect->snapshot, NS_FILE_ENTRY, NsFileEntry);
	enum namespace_type type;
	autoclose int fd = target_open(file->target, file->proc_name, O_RDONLY);

	if (fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot open %s", file->what);
	if (tell_type(file, fd, &type, err))
		return -1;
	file_entry->nsf = entry;
	entry->id = file->id;
	entry->ns_cflag = namespace_types[type].flag;
	entry->flags = file->flags;
	/* Which pid namespaces are part of the tree is known when all tasks are. */
	if (type == NAMESPACE_PID)
		return survey_hold(collect, take_fd(&fd), file->what, entry, err);
	const struct surveyed_namespace *found = survey_add(collect, type, fd, file->what, err);
	if (!found)
		return -1;
	entry->ns_id = found->id;
	return 0;
}

/* ---- check ---- */

/* Is it one that the coordinator is in, whatever it was called where the dump was made? */
static bool is_own(const struct snapshot *snapshot, const NsFileEntry *entry)
{
	enum namespace_type type;

	if (entry->ns_cflag == CLONE_NEWUSER)
		return entry->ns_id == snapshot->user_namespaces[0]->base.id;
	if (entry->ns_cflag == CLONE_NEWPID && !snapshot->own_pid_namespace &&
	    entry->ns_id == snapshot->pid_namespaces[0]->base.id)
		return true;
	return namespace_type_of_flag(entry->ns_cflag, &type) &&
	       namespace_is_dumpers(snapshot, type, entry->ns_id);
}

/* Of a pid namespace of the tree; when that has ended, nobody else in it is alive. */
static const struct task *living_init(const struct snapshot *snapshot, uint32_t namespace_id)
{
	const struct task *init = snapshot_pid_namespace(snapshot, namespace_id)->init;

	return init && !task_is_zombie(init) ? init : NULL;
}

static bool is_pid_of_tree(const struct snapshot *snapshot, const NsFileEntry *entry)
{
	return entry->ns_cflag == CLONE_NEWPID && snapshot_pid_namespace(snapshot, entry->ns_id);
}

static bool is_level_0(const struct snapshot *snapshot, const NsFileEntry *entry)
{
	return entry->ns_id == snapshot->pid_namespaces[0]->base.id;
}

static enum file_way way(const struct snapshot *snapshot, const FileEntry *entry)
{
	const struct namespace *plain = snapshot_plain_namespace(snapshot, entry->nsf->ns_id);
	bool late = plain && namespace_types[plain->type].late;

	return late || is_pid_of_tree(snapshot, entry->nsf) ? FILE_LATE : FILE_EARLY;
}

/* Is it described, as one of its type? */
static bool is_of_tree(const struct snapshot *snapshot, enum namespace_type type, uint32_t id)
{
	if (type == NAMESPACE_USER)
		return snapshot_user_namespace(snapshot, id) != NULL;
	if (type == NAMESPACE_PID)
		return snapshot_pid_namespace(snapshot, id) != NULL;
	const struct namespace *found = snapshot_plain_namespace(snapshot, id);
	return found && found->type == type;
}

int namespace_file_check(const struct snapshot *snapshot, const NsFileEntry *entry,
			 const char *what, struct error *err)
{
	enum namespace_type type;

	if (!namespace_type_of_flag(entry->ns_cflag, &type))
		return fail(err, ERR_IMAGE_INVALID, "%s is of no known namespace", what);
	if (entry->flags & ~(uint32_t)OPEN_FLAGS)
		return fail(err, ERR_IMAGE_INVALID,
			    "%s: a namespace cannot be opened with flags %#" PRIx32, what,
			    entry->flags);
	if (is_pid_of_tree(snapshot, entry) && !is_level_0(snapshot, entry) &&
	    !living_init(snapshot, entry->ns_id))
		return fail(err, ERR_UNSUPPORTED_NAMESPACE,
			    "%s is of a pid namespace in which nobody is alive", what);
	if (is_own(snapshot, entry) || is_of_tree(snapshot, type, entry->ns_id))
		return 0;
	return fail(err, ERR_IMAGE_INVALID, "%s: its %s namespace, %" PRIu32 ", is not described",
		    what, namespace_types[type].words, entry->ns_id);
}

static int check(const struct snapshot *snapshot, const FileEntry *file_entry, struct error *err)
{
	char what[32];

	snprintf(what, sizeof what, "file %" PRIu32, file_entry->id);
	if (!file_entry->nsf)
		return fail(err, ERR_IMAGE_INVALID, "%s is of no known namespace", what);
	return namespace_file_check(snapshot, file_entry->nsf, what, err);
}

/* ---- restore ---- */

/* The coordinator's descriptor of a namespace that was made for the tree; -1: it is its own. */
static int made_namespace(const struct file_opener *opener, const NsFileEntry *entry)
{
	const struct snapshot *snapshot = opener->snapshot;

	for (size_t i = 1; i < snapshot->n_user_namespaces; i++)
		if (snapshot->user_namespaces[i]->base.id == entry->ns_id)
			return opener->user_namespaces[i];
	const struct namespace *plain = snapshot_plain_namespace(snapshot, entry->ns_id);
	return plain ? opener->plain_namespaces[plain->index] : -1;
}

int namespace_file_open(const struct file_opener *opener, const NsFileEntry *entry,
			struct error *err)
{
	const struct snapshot *snapshot = opener->snapshot;
	enum namespace_type type = NAMESPACE_TYPES;
	int made_fd = made_namespace(opener, entry);
	char path[64];

	namespace_type_of_flag(entry->ns_cflag, &type);
	snprintf(path, sizeof path, "/proc/self/%s", namespace_types[type].link);
	if (made_fd >= 0)
		snprintf(path, sizeof path, "/proc/self/fd/%d", made_fd);
	if (is_pid_of_tree(snapshot, entry)) {
		pid_t pid = is_level_0(snapshot, entry)
				    ? opener->level_0
				    : opener->pids[living_init(snapshot, entry->ns_id)->index];
		snprintf(path, sizeof path, "/proc/%d/ns/pid", (int)pid);
	}
	/* These are links. */
	int fd = open(path, ((int)entry->flags & ~O_NOFOLLOW) | O_CLOEXEC);
	return fd < 0 ? fail_errno(err, ERR_KERNEL_REFUSED, "cannot open %s", path) : fd;
}

static int open_namespace(struct file_opener *opener, const FileEntry *entry, struct error *err)
{
	return namespace_file_open(opener, entry->nsf, err);
}

static void describe(const FileEntry *entry, char *text, size_t room)
{
	enum namespace_type type;
	bool known = entry->nsf && namespace_type_of_flag(entry->nsf->ns_cflag, &type);

	snprintf(text, room, "%s namespace %" PRIu32,
		 known ? namespace_types[type].words : "unknown",
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
