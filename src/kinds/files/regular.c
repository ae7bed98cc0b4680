// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Open file descriptions that a path leads to: regular files, directories, devices without a
 * state (/dev/null, /dev/zero, ..., /dev/autofs, /dev/loop-control) and, opened with O_PATH,
 * anything that has a name. The state is path, open flags and position. Files without a name are
 * carried by ghost.c.
 *
 * The path is what /proc shows, which is the file's name below our own root; it counts only if
 * the same inode is found there again. Refused: other devices and namespaces, and files of the
 * kernel that let their opener do more than who reads or writes (kallsyms, cgroup.procs to write),
 * which would be root's after a restore, or that keep what was written by each description
 * (memory.peak of cgroups, user_events_data, mtrr, files of SELinux). Files of processes in /proc:
 * process-file.c. What somebody outside has opened: given.c. Files of pressure (PSI), refused where
 * what they wait for cannot be seen: pressure.c. The kernel's log: kernel-log.c. A file whose name
 * is gone while a hard link remains: linked.c.
 * Of a FUSE whose driver is in the tree, directories and files come back by the handles that it
 * gave, with --enable-fs fuse, and what was polled by the numbers by which that wakes who waits;
 * refused where names are gone, where the kernel does not get rid of what was written (shared
 * memory of which nobody has a descriptor), where the driver alone knows of locks, and what has
 * been polled after a hundred thousand were opened: kinds/mounts/fuse-files.c, fuse-polled.c.
 * That /proc/swaps has changed since it was polled last is lost: who asks takes it away.
 * On restore the file has to have the recorded type and size; its content is the host's.
 */
#include "kinds/files/alone.h"
#include "kinds/files/files.h"
#include "kinds/files/ghost.h"
#include "kinds/files/given.h"
#include "kinds/files/gone-process.h"
#include "kinds/files/gone-process-file.h"
#include "kinds/files/kernel-log.h"
#include "kinds/opener.h"
#include "kinds/files/linked.h"
#include "kinds/files/named-file.h"
#include "kinds/files/opener-rights.h"
#include "kinds/files/pressure.h"
#include "kinds/files/process-file.h"
#include "kinds/files/regular.h"

#include "base/cleanup.h"
#include "base/names.h"
#include "collect/collect.h"
#include "kinds/places.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define DELETED_SUFFIX " (deleted)"

static bool has_process_component(const char *path)
{
	for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
		const char *component = slash + 1;
		size_t digits = strspn(component, "0123456789");
		/* " (deleted)" stands behind that of a process that is gone. */
		if (digits && (component[digits] == '/' || component[digits] == ' ' ||
			       component[digits] == '\0'))
			return true;
	}
	return false;
}

/* Names on some file systems mean something else later, or cannot be opened again. */
static bool is_on_special_file_system(const struct open_file *file)
{
	switch (file->file_system) {
	case NSFS_MAGIC: /* by its mount it is found again; others are descriptor.c's */
		return !mount_is_of_tree(file);
	case PROC_SUPER_MAGIC:
		return has_process_component(file->link);
	default:
		return false;
	}
}

static bool regular_recognise(const struct open_file *file)
{
	mode_t mode = file->stat.st_mode;

	if (given_is_named(file))
		return true;
	if (file->link[0] != '/' || strncmp(file->link, "/memfd:", 7) == 0 ||
	    file->file_system == SECRETMEM_MAGIC)
		return false;
	if (!(file->flags & O_PATH)) {
		bool plain = S_ISREG(mode) || S_ISDIR(mode) ||
			     (S_ISCHR(mode) && named_file_is_plain_device(file->stat.st_rdev));
		if (!plain)
			return false;
	}
	return !is_on_special_file_system(file) || gone_process_recognise(file) ||
	       process_file_recognise(file);
}

static bool is_same_file(const struct stat *one, const struct stat *other)
{
	return one->st_dev == other->st_dev && one->st_ino == other->st_ino;
}

/* A file that others append to may have grown, and that harms nobody (log files). */
static bool size_matters(uint32_t flags)
{
	return !((flags & O_APPEND) && (flags & O_ACCMODE) == O_WRONLY);
}

static RegFileEntry *new_record(const struct open_file *file)
{
	struct snapshot *snapshot = file->target->collect->snapshot;
	RegFileEntry *reg = snapshot_new(snapshot, REG_FILE_ENTRY, RegFileEntry);

	reg->id = file->id;
	reg->flags = file->flags;
	reg->pos = file->position;
	reg->has_mnt_id = true;
	reg->mnt_id = -1;
	reg->has_mode = true;
	reg->mode = file->stat.st_mode;
	reg->has_size = S_ISREG(file->stat.st_mode) && size_matters(file->flags);
	reg->size = reg->has_size ? (uint64_t)file->stat.st_size : 0;
	/* Those of /proc and /sys are of when they were first looked at; they occupy nothing. */
	reg->has_modified = S_ISREG(file->stat.st_mode) && file->stat.st_blocks > 0 &&
			    (file->flags & O_ACCMODE) == O_RDONLY;
	reg->modified = reg->has_modified ? named_file_time(&file->stat) : 0;
	return reg;
}

static bool ends_with_deleted(const char *link)
{
	size_t length = strlen(link), suffix = strlen(DELETED_SUFFIX);

	return length > suffix && strcmp(link + length - suffix, DELETED_SUFFIX) == 0;
}

/*
 * Whose name was removed in a mount namespace of the tree: 1; 0: it is something else. Anything may
 * be called "(deleted)", and files of processes are gone with these.
 */
static int collect_removed(const struct open_file *file, const FileEntry *entry, struct error *err)
{
	RegFileEntry *reg = entry->reg;
	bool linked = file->stat.st_nlink > 0;
	struct error not_found = { 0 };
	uint32_t mount_id;

	if (!ends_with_deleted(file->link) || process_file_recognise(file))
		return 0;
	char *path = arena_string(file->target->collect->arena, reg->name);
	path[strlen(path) - strlen(DELETED_SUFFIX)] = '\0';
	int of_root = mount_of_removed_root(file, path, &mount_id);
	if (of_root < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot tell the mount of %s",
				  file->what);
	if (of_root) {
		reg->name = path;
		reg->mnt_id = (int32_t)mount_id;
		return 1;
	}
	if (linked &&
	    (!S_ISREG(file->stat.st_mode) || mount_of_file(file, &mount_id, &not_found) >= 0))
		return 0;
	int64_t made_on = -1;
	int mounted = linked ? 1 : mount_of_removed_file(file, path, &mount_id, &made_on, err);
	if (mounted <= 0)
		return mounted < 0 ? -1 : alone_collect_removed(file, entry, err);
	reg->name = path;
	if (linked)
		return linked_collect(file, entry, err) ? -1 : 1;
	reg->mnt_id = (int32_t)mount_id;
	return ghost_collect(file, entry, made_on, err) ? -1 : 1;
}

/*
 * Names below /proc/PID/net are never found again: who looks for one gets a new one, and what was
 * open by the former is shown as deleted (proc_net_d_revalidate), as after an earlier dump.
 */
static int by_name(const struct open_file *file, int gone, struct open_file *ret_named,
		   struct error *err)
{
	*ret_named = *file;
	if (!gone && mount_path_of_left(file, &ret_named->link, err))
		return -1;
	if (!gone && ends_with_deleted(file->link) && process_file_recognise(file)) {
		char *link = arena_string(file->target->collect->arena, file->link);
		link[strlen(link) - strlen(DELETED_SUFFIX)] = '\0';
		ret_named->link = link;
	}
	return 0;
}

/* By whose path the same is mapped: 1; 0: it is something else. */
static int collect_mapped(const struct open_file *file, RegFileEntry *reg, struct error *err)
{
	const char *path;
	uint32_t mount_id;
	int found = mount_of_mapped(file, &mount_id, &path, err);

	if (found <= 0)
		return found;
	reg->name = arena_string(file->target->collect->arena, path);
	reg->mnt_id = mount_id ? (int32_t)mount_id : -1;
	return 1;
}

static int collect_named(const struct open_file *file, FileEntry *entry, int gone,
			 struct error *err)
{
	RegFileEntry *reg = entry->reg;
	struct stat named;
	uint32_t mount_id;
	int removed = gone ? 0 : collect_removed(file, entry, err);
	int alone = gone || removed ? 0 : alone_collect(file, reg, err);
	if (removed || alone)
		return removed < 0 || alone < 0 ? -1 : 0;
	int elsewhere =
		gone ? mount_of_gone(file, &mount_id, err) : mount_of_file(file, &mount_id, err);
	if (elsewhere < 0)
		return -1;
	if (elsewhere)
		reg->mnt_id = (int32_t)mount_id;
	bool deleted = ends_with_deleted(file->link);
	if (gone) {
		if (deleted)
			reg->name[strlen(reg->name) - strlen(DELETED_SUFFIX)] = '\0';
		return gone_process_collect(file, entry, err);
	}
	if (elsewhere) {
		mount_detached_hold(file, mount_id);
		return process_file_recognise(file) ? process_file_collect(file, reg, err) : 0;
	}
	if (collect_path_is_silent(file->target->collect, file->link))
		return fail(
			err, ERR_UNSUPPORTED_FILE,
			"%s: its path leads into a file system whose driver is in the tree (FUSE)",
			file->what);
	/* d_path resolves all, so a link at the end is the file itself (O_PATH|O_NOFOLLOW). */
	int failed = lstat(file->link, &named);
	if (failed && !names_lead_nowhere(errno) && errno != EACCES)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot look for %s", file->what);
	if (!failed && is_same_file(&named, &file->stat))
		return process_file_recognise(file) ? process_file_collect(file, reg, err) : 0;
	if (deleted)
		reg->name[strlen(reg->name) - strlen(DELETED_SUFFIX)] = '\0';
	if (!deleted)
		return fail(
			err, ERR_UNSUPPORTED_FILE,
			"%s: its path leads to another file or to none (mounted over, or outside "
			"of the root directory)",
			file->what);
	/* Some file systems (btrfs) leave a link count of 1 to directories, removed ones too. */
	if (file->stat.st_nlink > 0 && !S_ISDIR(file->stat.st_mode))
		return S_ISREG(file->stat.st_mode) || S_ISFIFO(file->stat.st_mode)
			       ? linked_collect(file, entry, err)
			       : fail(err, ERR_UNSUPPORTED_FILE,
				      "%s: the name is gone while the file has another (a hard "
				      "link)",
				      file->what);
	return ghost_collect(file, entry, -1, err);
}

static int regular_collect(const struct open_file *file, FileEntry *entry, struct error *err)
{
	RegFileEntry *reg = new_record(file);

	entry->reg = reg;
	if (given_is_named(file)) {
		reg->has_ext = reg->ext = true;
		reg->name = given_key(file);
		return 0;
	}
	int served = mount_served_collect(file, reg, err);
	entry->id = reg->id;
	if (served)
		return served < 0 ? -1 : 0;
	const char *kernel_path;
	if (kernel_file_path(file, &kernel_path, err) ||
	    opener_rights_check(file, kernel_path, err) ||
	    written_state_check(file, kernel_path, err) ||
	    pressure_collect(file, kernel_path, reg, err) || kernel_log_collect(file, reg, err))
		return -1;
	int gone = gone_process_look(file);
	if (gone < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "%s: cannot see whether its process is gone", file->what);
	int mapped = gone ? 0 : collect_mapped(file, reg, err);
	if (mapped)
		return mapped < 0 ? -1 : 0;
	struct open_file named;
	if (by_name(file, gone, &named, err))
		return -1;
	reg->name = arena_string(file->target->collect->arena, named.link);
	return collect_named(&named, entry, gone, err);
}

static int regular_check(const struct snapshot *snapshot, const FileEntry *entry, struct error *err)
{
	const RegFileEntry *reg = entry->reg;

	if (!reg)
		return fail(err, ERR_IMAGE_INVALID, "file %u has no record", entry->id);
	if (reg->id != entry->id)
		return fail(err, ERR_IMAGE_INVALID, "file %u has the record of file %u", entry->id,
			    reg->id);
	if (reg->name[0] == '\0' || strlen(reg->name) >= PATH_MAX)
		return fail(err, ERR_IMAGE_INVALID, "file %u has no usable name", entry->id);
	if (reg->pos > INT64_MAX)
		return fail(err, ERR_IMAGE_INVALID, "file %u (%s) has an impossible position",
			    entry->id, reg->name);
	if (reg->fuse)
		return mounts_served_check(snapshot, reg, err);
	if ((process_file_is(reg) && process_file_check(snapshot, reg, entry->id, err)) ||
	    alone_check(reg, ghost_of(snapshot, entry) != NULL, err) || pressure_check(reg, err))
		return -1;
	return gone_process_is(snapshot, entry) ? gone_process_check(snapshot, entry, err)
						: ghost_check(snapshot, entry, err);
}

/* What sockets have for a name is made with these, and is another inode then (bind(2)). */
static enum file_way regular_way(const struct snapshot *snapshot, const FileEntry *entry)
{
	if (process_file_is(entry->reg))
		return process_file_way(entry->reg);
	if (gone_process_is(snapshot, entry))
		return gone_process_way(entry);
	if (entry->reg->has_mode && S_ISSOCK(entry->reg->mode))
		return FILE_LAST;
	return regular_is_inside(snapshot, entry->reg) || ghost_is_late(snapshot, entry) ||
			       regular_is_inside(snapshot, linked_of(snapshot, entry))
		       ? FILE_LATE
		       : FILE_EARLY;
}

/* And by whoever has the same rights, where that matters. */
static int open_by_its_rights(struct file_opener *opener, const RegFileEntry *reg,
			      struct stat *ret_found, struct error *err)
{
	struct made_as before = { 0 };

	if (!reg->pressure)
		return named_file_open(opener, reg, ret_found, err);
	if (pressure_begin(reg, &before, err))
		return -1;
	autoclose int fd = named_file_open(opener, reg, ret_found, err);
	made_as_end(&before);
	return fd < 0 || pressure_give(reg, fd, err) ? -1 : take_fd(&fd);
}

static int regular_verify(struct file_opener *opener, const FileEntry *entry, struct error *err)
{
	const RegFileEntry *reg = entry->reg;

	if (reg->ext || externals_fd(opener->externals, reg->name) >= 0)
		return given_verify(opener, reg, err);
	if (ghost_of(opener->snapshot, entry))
		return ghost_verify(opener, entry, err);
	/* What lies in a namespace of the tree is looked at when that is made. */
	if (linked_of(opener->snapshot, entry) || gone_process_is(opener->snapshot, entry) ||
	    process_file_is(reg) || regular_is_inside(opener->snapshot, reg))
		return 0;
	return named_file_verify(opener, reg, err);
}

static int regular_open(struct file_opener *opener, const FileEntry *entry, struct error *err)
{
	const RegFileEntry *reg = entry->reg;
	struct stat found = { .st_mode = reg->has_mode ? reg->mode : 0 };
	bool unlinked = ghost_of(opener->snapshot, entry) != NULL;
	int given = given_open(opener, reg, err);

	if (given != -2)
		return given;
	if (regular_is_inside(opener->snapshot, reg) && reg->flags & O_PATH) {
		int taken = mounts_take_detached(opener, (uint32_t)reg->mnt_id, entry->id);
		if (taken >= 0)
			return taken;
	}
	autoclose int fd = reg->fuse  ? mounts_served_open(opener, reg, regular_open_flags, err)
			   : unlinked ? ghost_open(opener, entry, err)
			   : linked_of(opener->snapshot, entry) ? linked_open(opener, entry, err)
			   : gone_process_is(opener->snapshot, entry)
				   ? gone_process_open(opener, entry, err)
				   : open_by_its_rights(opener, reg, &found, err);
	if (fd < 0 || (process_file_is(reg) && process_file_opened(opener, reg, fd, err)) ||
	    (kernel_log_is(found.st_rdev) && !(reg->flags & O_PATH) &&
	     kernel_log_go_on(reg, fd, err)))
		return -1;
	/* Devices keep no position, and lseek on O_PATH gives EBADF. */
	if (reg->pos && !(reg->flags & O_PATH) && !S_ISCHR(found.st_mode) &&
	    lseek(fd, (off_t)reg->pos, SEEK_SET) < 0)
		return fail_errno(err, ERR_IO, "cannot set the position of %s to %" PRIu64,
				  reg->name, reg->pos);
	return take_fd(&fd);
}

static void regular_describe(const FileEntry *entry, char *text, size_t room)
{
	snprintf(text, room, "%s%s", entry->reg->name[0] == '/' ? "" : "/", entry->reg->name);
}

static struct file_fields regular_fields(FileEntry *entry)
{
	return (struct file_fields){ &entry->reg->fown, &entry->reg->flags };
}

static int regular_complete(struct collect *collect, struct error *err)
{
	process_files_complete(collect);
	gone_process_files_complete(collect);
	return ghosts_complete(collect, err);
}

static int regular_before_release(struct file_opener *opener, struct error *err)
{
	(void)err;
	process_files_find_again(opener);
	return 0;
}

int regular_collect_name(const struct open_file *file, uint32_t flags, uint32_t id,
			 struct error *err)
{
	struct snapshot *snapshot = file->target->collect->snapshot;
	FileEntry *named = snapshot_new(snapshot, FILE_ENTRY, FileEntry);
	struct open_file by_path = *file;

	named->type = FD_TYPES__REG;
	named->id = by_path.id = id;
	by_path.flags = flags;
	if (regular_collect(&by_path, named, err))
		return -1;
	named->reg->fown = snapshot_new(snapshot, FOWN_ENTRY, FownEntry);
	snapshot_add_file(snapshot, named);
	return 0;
}

const FileEntry *regular_named(const struct snapshot *snapshot, uint32_t id)
{
	const FileEntry *named = snapshot_file(snapshot, id);

	return named && named->type == FD_TYPES__REG ? named : NULL;
}

static struct file_cost regular_cost(const struct snapshot *snapshot, const FileEntry *entry)
{
	const struct record *ghost = ghost_of(snapshot, entry);
	uint32_t device;

	/* Numbers of ghosts are small. */
	if (mounts_served_together(snapshot, entry->reg, &device))
		return (struct file_cost){ .together = true, .object = ~device };
	return (struct file_cost){ .together = ghost, .object = ghost ? (uint32_t)ghost->key : 0 };
}

const struct file_kind regular_kind = {
	.name = "regular",
	.type = FD_TYPES__REG,
	.recognise = regular_recognise,
	.collect = regular_collect,
	.check = regular_check,
	.verify = regular_verify,
	.way = regular_way,
	.cost = regular_cost,
	.open = regular_open,
	.describe = regular_describe,
	.fields = regular_fields,
	.complete = regular_complete,
	.before_release = regular_before_release,
};
