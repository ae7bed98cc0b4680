// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A file that was opened by a name that is gone, and has another one: who writes a file and gives
 * it its name by link and unlink, as sem_open(3) does. The other name is looked for where the first
 * one was, or in the nearest directory above that is left, as a link is where it is easily made,
 * and then by the handle of the file, on any mount that shows its file system; nothing is added to
 * the file system for a dump. Found nowhere there, it is refused. What was removed in an overlay,
 * and has but the links that it has in a lower layer, has none: it is carried (ghost.c).
 *
 * In the images the description has its first name, and is remapped (LINKED) to a file record of
 * the other. At a restore the file gets the first name again for the moment in which it is opened,
 * so that it shows as what it was, and so do directories on the way that are gone; if somebody has
 * taken that, the other one has to do.
 */
#include "kinds/files/linked.h"

#include "base/cleanup.h"
#include "base/listing.h"
#include "base/log.h"
#include "base/names.h"
#include "collect/collect.h"
#include "kinds/files/ghost.h"
#include "kinds/files/ghost-names.h"
#include "kinds/opener.h"
#include "kinds/passing-name.h"
#include "kinds/files/regular.h"
#include "kinds/places.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- Dump ---- */

static DIR *open_on_mount(const struct open_file *file, const char *path, RegFileEntry *reg)
{
	uint32_t mount_id;
	char self[64];
	autoclose int fd = mount_open_directory(file, path, &mount_id);

	if (fd < 0)
		return NULL;
	reg->mnt_id = (int32_t)mount_id;
	snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
	return listing_open(AT_FDCWD, self);
}

static DIR *open_here(const struct open_file *file, const char *path, RegFileEntry *reg)
{
	(void)file;
	(void)reg;
	return listing_open(AT_FDCWD, path);
}

static char *above(struct arena *arena, const char *path)
{
	char *directory = arena_string(arena, path);
	char *slash = strrchr(directory, '/');

	slash[slash == directory] = '\0';
	return directory;
}

/*
 * The directory of the name, or the nearest above that is left. In a mount namespace of the tree it
 * is looked for on the mount that the file is on.
 */
static DIR *open_nearest(const struct open_file *file, RegFileEntry *reg, char **ret_directory)
{
	struct arena *arena = file->target->collect->arena;
	DIR *(*const open_it[])(const struct open_file *, const char *,
				RegFileEntry *) = { open_on_mount, open_here };

	for (int way = 0; way < 2; way++) {
		*ret_directory = above(arena, reg->name);
		for (;;) {
			DIR *entries = open_it[way](file, *ret_directory, reg);
			if (entries || errno_tells_nothing(errno))
				return entries;
			if (!(*ret_directory)[1])
				break;
			*ret_directory = above(arena, *ret_directory);
		}
	}
	return NULL;
}

/*
 * A directory entry that is the inode; NULL with errno, which is 0 if there is none. One that
 * cannot be looked at may be it, unless it is gone.
 */
static char *find_name(struct arena *arena, DIR *entries, const char *directory,
		       const struct stat *wanted)
{
	const struct dirent *entry;
	struct stat found;

	while (listing_next_entry(entries, &entry)) {
		if (entry->d_ino != wanted->st_ino)
			continue;
		if (fstatat(dirfd(entries), entry->d_name, &found, AT_SYMLINK_NOFOLLOW) < 0) {
			if (errno != ENOENT)
				return NULL;
		} else if (found.st_ino == wanted->st_ino && found.st_dev == wanted->st_dev) {
			return arena_printf(arena, "%s/%s", directory[1] ? directory : "",
					    entry->d_name);
		}
	}
	return NULL;
}

/*
 * Where its handle leads, if that is a name, and if the first one can be linked to it from there,
 * on its own mount: 1, its path and mount; 0; -1 with an error.
 */
static int find_elsewhere(const struct open_file *file, int directory_fd, char **ret_path,
			  int32_t *ret_mount_id, struct error *err)
{
	struct collect *collect = file->target->collect;
	union {
		struct file_handle handle;
		char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} own = { .handle.handle_bytes = MAX_HANDLE_SZ };
	struct watched_place place = { file->stat.st_dev, file->stat.st_ino, &own.handle, 0 };
	uint32_t mount_id = 0;
	int unused, can_link = ghost_names_can_link(file, directory_fd);
	autoclose int fd = target_open(file->target, file->proc_name, O_PATH);

	if (can_link < 0 || fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot look for %s", file->what);
	if (!can_link)
		return 0;
	if (name_to_handle_at(fd, "", &own.handle, &unused, AT_EMPTY_PATH) < 0)
		return errno_tells_nothing(errno) ? fail_errno(err, ERR_KERNEL_REFUSED,
							       "cannot look for %s", file->what)
						  : 0;
	*ret_path = mount_path_of_inode(collect, &place, &mount_id);
	*ret_mount_id = *ret_path ? (int32_t)mount_id : -1;
	if (!*ret_path && !place.failed && mount_own_paths_of_inode(collect, &place, ret_path, err))
		return -1;
	errno = place.failed;
	return !*ret_path && place.failed
		       ? fail_errno(err, ERR_KERNEL_REFUSED, "cannot look for %s", file->what)
		       : *ret_path != NULL;
}

int linked_collect(const struct open_file *file, const FileEntry *entry, struct error *err)
{
	struct collect *collect = file->target->collect;
	struct snapshot *snapshot = collect->snapshot;
	char *directory;
	autoclosedir DIR *entries = open_nearest(file, entry->reg, &directory);

	if (!entries)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot look for another name of it",
				  file->what);
	char *name = find_name(collect->arena, entries, directory, &file->stat);
	if (!name && errno && errno != ENOENT)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "%s: cannot look for another name of it in %s", file->what,
				  directory);
	int lower = name ? 0 : mount_of_lower_removed(file, entry->reg->name);
	if (lower < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot look for it in layers",
				  file->what);
	if (lower)
		return ghost_collect(file, entry, -1, err);
	int32_t mount_id = entry->reg->mnt_id;
	int found = name ? 1 : find_elsewhere(file, dirfd(entries), &name, &mount_id, err);
	if (found < 0)
		return -1;
	if (!found)
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "%s: the name is gone while the file has another (a hard link), which "
			    "is not in the same directory, and to which its handle does not lead",
			    file->what);
	FileEntry *other = snapshot_new(snapshot, FILE_ENTRY, FileEntry);
	other->type = FD_TYPES__REG;
	other->id = ++collect->next_file_id;
	other->reg = snapshot_new(snapshot, REG_FILE_ENTRY, RegFileEntry);
	*other->reg = *entry->reg;
	other->reg->id = other->id;
	other->reg->name = name;
	other->reg->mnt_id = mount_id;
	other->reg->pos = 0;
	other->reg->fown = snapshot_new(snapshot, FOWN_ENTRY, FownEntry);
	snapshot_add_file(snapshot, other);
	RemapFilePathEntry *remap =
		snapshot_new(snapshot, REMAP_FILE_PATH_ENTRY, RemapFilePathEntry);
	remap->orig_id = file->id;
	remap->remap_id = other->id;
	remap->has_remap_type = true;
	remap->remap_type = REMAP_TYPE__LINKED;
	snapshot_add_record(snapshot, IMAGE_REMAP_FPATH, file->id, remap);
	return 0;
}

/* ---- Restore ---- */

const RegFileEntry *linked_of(const struct snapshot *snapshot, const FileEntry *entry)
{
	const struct record *record = snapshot_record(snapshot, IMAGE_REMAP_FPATH, entry->id);
	const RemapFilePathEntry *remap = record ? record->message : NULL;

	if (!remap || !remap->has_remap_type || remap->remap_type != REMAP_TYPE__LINKED)
		return NULL;
	const FileEntry *other = snapshot_file(snapshot, remap->remap_id);
	return other && other->type == FD_TYPES__REG ? other->reg : NULL;
}

/* A directory that was made for the moment. */
struct made {
	struct made *next; /* made before this one */
	struct passing_name *name;
	int parent_fd;
};

static int open_directory(struct file_opener *opener, const RegFileEntry *reg,
			  const char **ret_name, struct made **made);

static int make_directory(struct file_opener *opener, const RegFileEntry *reg, struct made **made)
{
	struct error unknown = { 0 };
	struct stat there, found;
	const char *name;
	autoclose int parent_fd = open_directory(opener, reg, &name, made);
	autoclose int write_fd =
		parent_fd < 0 ? -1 : ghost_names_place(opener, reg, parent_fd, &unknown);
	autoclose int own_fd = -1;

	if (write_fd < 0)
		return -1;
	struct passing_name *taken = passing_directory(opener, write_fd, name, &own_fd);
	if (!taken)
		return -1;
	struct made *new = arena_new(opener->arena, struct made);
	*new = (struct made){ *made, taken, take_fd(&write_fd) };
	*made = new;
	autoclose int fd = openat(parent_fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &found) < 0 || fstat(own_fd, &there) < 0)
		return -1;
	errno = EEXIST;
	return found.st_ino == there.st_ino && found.st_dev == there.st_dev ? take_fd(&fd) : -1;
}

/* The last made one first; -1 with errno of the first that stays. */
static int remove_made(struct made *made)
{
	int failure = 0;

	for (; made; made = made->next) {
		if (passing_remove(made->name) < 0 && !failure)
			failure = errno;
		close(made->parent_fd);
	}
	errno = failure;
	return failure ? -1 : 0;
}

/* Of the name; what is not there is made. -1 with errno. */
static int open_directory(struct file_opener *opener, const RegFileEntry *reg,
			  const char **ret_name, struct made **made)
{
	RegFileEntry above_it = *reg;
	char *slash = strrchr(reg->name, '/');

	*ret_name = slash ? slash + 1 : reg->name;
	above_it.name = arena_printf(opener->arena, "/%.*s", slash ? (int)(slash - reg->name) : 0,
				     reg->name);
	above_it.name += above_it.name[1] == '/';
	int fd = regular_open_path(opener, &above_it, O_PATH | O_DIRECTORY);
	return fd < 0 && errno == ENOENT && above_it.name[1]
		       ? make_directory(opener, &above_it, made)
		       : fd;
}

/* ENOENT: it is another one. */
static int expect_inode(int fd, int other)
{
	struct stat a, b;

	if (fstat(fd, &a) < 0 || fstat(other, &b) < 0)
		return -1;
	errno = ENOENT;
	return a.st_ino == b.st_ino && a.st_dev == b.st_dev ? 0 : -1;
}

/* Somebody may have put something else there meanwhile, which is not to be opened: ENOENT. */
static int open_named(int dir_fd, const char *name, int flags, int other_fd)
{
	autoclose int found = openat(dir_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	if (found < 0 || expect_inode(found, other_fd))
		return -1;
	autoclose int fd = flags & O_NOFOLLOW ? openat(dir_fd, name, flags | O_CLOEXEC)
					      : opener_reopen(found, flags);
	return fd >= 0 && expect_inode(fd, other_fd) == 0 ? take_fd(&fd) : -1;
}

/* What may stand in the way of a link, and is no shortage. */
static bool is_no_place(int failure)
{
	return failure == EEXIST || failure == EPERM || failure == EACCES || failure == EROFS ||
	       failure == EXDEV || failure == EMLINK;
}

static int link_and_open(struct file_opener *opener, const RegFileEntry *reg, int flags,
			 int other_fd, struct made **made, int *ret_fd, struct error *err)
{
	const char *name;
	autoclose int dir_fd = open_directory(opener, reg, &name, made);

	if (dir_fd < 0)
		return errno == ENOENT || errno == ENOTDIR || is_no_place(errno)
			       ? 1
			       : fail_errno(err, ERR_IO, "cannot open the directory of %s",
					    reg->name);
	autoclose int write_fd = ghost_names_place(opener, reg, dir_fd, err);
	if (write_fd < 0)
		return -1;
	struct passing_name *taken = passing_link(opener, write_fd, name, other_fd);
	if (!taken && errno == EXDEV)
		taken = ghost_names_link(opener, write_fd, name, other_fd);
	if (!taken)
		return is_no_place(errno) ? 1
					  : fail_errno(err, ERR_IO, "cannot link %s", reg->name);
	autoclose int fd = open_named(dir_fd, name, flags, other_fd);
	int failure = errno;
	if (passing_remove(taken) < 0)
		return fail_errno(err, ERR_IO, "cannot unlink %s again", reg->name);
	errno = failure;
	if (fd < 0)
		return errno == ENOENT ? 1 : fail_errno(err, ERR_IO, "cannot open %s", reg->name);
	*ret_fd = take_fd(&fd);
	return 0;
}

/* 1 where it cannot have that name. */
static int open_by_first_name(struct file_opener *opener, const RegFileEntry *reg, int flags,
			      int other_fd, int *ret_fd, struct error *err)
{
	struct made *made = NULL;
	int failed = link_and_open(opener, reg, flags, other_fd, &made, ret_fd, err);

	if (remove_made(made) < 0 && failed >= 0)
		return fail_errno(err, ERR_IO, "cannot remove the directory of %s again",
				  reg->name);
	return failed;
}

/* Of other records it is not known. */
static bool is_of_type(const RegFileEntry *reg, mode_t mode)
{
	return S_ISREG(mode) || (S_ISFIFO(mode) && reg->has_mode && S_ISFIFO((mode_t)reg->mode));
}

/* Packets (O_DIRECT) are a matter of fcntl only. */
static int flags_of(const RegFileEntry *reg, mode_t mode)
{
	return (regular_open_flags(reg) & ~(S_ISFIFO(mode) ? O_DIRECT : 0)) | O_NONBLOCK;
}

int linked_open(struct file_opener *opener, const FileEntry *entry, struct error *err)
{
	const RegFileEntry *reg = entry->reg, *other = linked_of(opener->snapshot, entry);
	char self[64];
	struct stat found;

	autoclose int other_fd = regular_open_path(opener, other, O_PATH | O_NOFOLLOW);
	if (other_fd < 0 || fstat(other_fd, &found) < 0)
		return fail_errno(err, errno == ENOENT ? ERR_FILE_MISSING : ERR_IO,
				  "%s, another name of a file that the tree has open", other->name);
	if (!is_of_type(reg, found.st_mode) ||
	    (reg->has_size && reg->size != (uint64_t)found.st_size))
		return fail(err, ERR_FILE_CHANGED, "%s is another file, or has another size",
			    other->name);
	autoclose int fd = -1;
	int failed =
		open_by_first_name(opener, reg, flags_of(reg, found.st_mode), other_fd, &fd, err);
	if (failed < 0)
		return -1;
	/* On another mount it would be another description. */
	if (failed && reg->mnt_id != other->mnt_id)
		return fail(err, ERR_KERNEL_REFUSED,
			    "%s cannot be linked there for the moment, and %s is on another mount",
			    reg->name, other->name);
	if (failed) {
		log_warning("restore", reg->name,
			    "cannot have this name for the moment, opened as %s", other->name);
		snprintf(self, sizeof self, "/proc/self/fd/%d", other_fd);
		fd = open(self, flags_of(reg, found.st_mode) | O_CLOEXEC);
	}
	if (fd < 0)
		return fail_errno(err, ERR_IO, "cannot open %s", other->name);
	/* A regular file does not mind, but shows the flag. */
	if (!(reg->flags & (O_NONBLOCK | O_PATH)) && opener_set_flags(fd, reg->flags) < 0)
		return fail_errno(err, ERR_IO, "cannot set the flags of %s", other->name);
	return take_fd(&fd);
}
