// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Collecting open files whose last name is gone (regular files, directories, devices without a
 * state, and named pipes, whose content is a matter of fifo.c; symbolic links, and names of sockets
 * that are no more, which are open by path alone). Attributes (inode-attributes.h) and
 * content go into ghost-file-<id>.img, once per inode (ghost-content.c).
 * Each description of the file is remapped to it, and keeps the path it had.
 *
 * The inode is made again in the directory where it was, so that directory (or the nearest
 * ancestor that is left) has to be on the same mount: files that never had a name (memory files,
 * shared anonymous memory) and those of mounts that are gone are refused. A regular
 * file that is open by way of several mounts, as a library that was replaced while services with
 * mount namespaces of their own have it mapped, has to have had one name in one directory, or be on
 * a file system that opens files by their handles; so it can be made by another mount, too, if its
 * own is read-only.
 */
#include "kinds/files/ghost.h"
#include "kinds/files/ghost-names.h"
#include "kinds/files/kernel-log.h"
#include "kinds/files/linked.h"
#include "kinds/files/named-file.h"

#include "base/cleanup.h"
#include "base/table.h"
#include "collect/collect.h"
#include "images/images.h"
#include "kinds/inode-attributes.h"
#include "kinds/places.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

/* Bit of the remap target in images without a remap type. */
#define GHOST_BIT (UINT32_C(1) << 31)

struct known_ghost {
	struct known_ghost *next; /* of the same number, on another device */
	dev_t device;
	uint64_t mount; /* 0: it cannot be told */
	uint32_t id;
	const struct open_file *file; /* the first */
	const RegFileEntry *reg;
	GhostFileEntry *entry;
};

/* One whose content is to be written. */
struct pending_ghost {
	struct pending_ghost *next;
	const struct open_file *file;
	uint32_t id;
	GhostFileEntry *entry;
};

struct known_ghosts {
	struct table by_inode;
	uint32_t last_id;
	struct pending_ghost *pending;
};

static const char ghosts_owner = 0;

static struct known_ghosts *state_of(struct collect *collect)
{
	void **kept = collect_state(collect, &ghosts_owner);

	if (!*kept)
		*kept = arena_new(collect->arena, struct known_ghosts);
	return *kept;
}

static struct known_ghost *find_known(const struct known_ghosts *known, const struct stat *stat)
{
	struct known_ghost *ghost = table_find(&known->by_inode, stat->st_ino);

	while (ghost && ghost->device != stat->st_dev)
		ghost = ghost->next;
	return ghost;
}

static int mount_of(int fd, const char *name, uint64_t *ret_mount)
{
	struct statx attributes;

	if (statx(fd, name, AT_EMPTY_PATH, STATX_MNT_ID, &attributes) < 0)
		return -1;
	*ret_mount = attributes.stx_mnt_id;
	return 0;
}

/* Of the nearest directory above `path` that is still there. */
static int mount_above(const char *path, uint64_t *ret_mount)
{
	char directory[PATH_MAX];

	errno = ENAMETOOLONG;
	if (strlen(path) >= sizeof directory)
		return -1;
	strcpy(directory, path);
	for (;;) {
		char *slash = strrchr(directory, '/');
		errno = ENOENT;
		if (!slash)
			return -1;
		slash[slash == directory] = '\0';
		if (mount_of(AT_FDCWD, directory, ret_mount) == 0)
			return 0;
		if (errno != ENOENT && errno != ENOTDIR)
			return -1;
	}
}

static int fail_mount(const struct open_file *file, struct error *err)
{
	return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot tell on which mount it is",
			  file->what);
}

static int mount_of_description(const struct open_file *file, uint64_t *ret_mount,
				struct error *err)
{
	autoclose int fd = target_open(file->target, file->proc_name, O_PATH);

	*ret_mount = 0;
	if (fd >= 0 && mount_of(fd, "", ret_mount) == 0)
		return 0;
	return errno_tells_nothing(errno) ? fail_mount(file, err) : 0;
}

/*
 * In a mount namespace of the tree that has been looked at already (mount_of_removed_file), or on
 * its own mount.
 */
static int can_be_made_again(const struct open_file *file, const RegFileEntry *reg, uint64_t own,
			     struct error *err)
{
	uint64_t above;

	if (reg->mnt_id >= 0)
		return 1;
	if (!own)
		return 0;
	if (mount_above(reg->name, &above) == 0)
		return own == above;
	return errno_tells_nothing(errno) ? fail_mount(file, err) : 0;
}

/* Device numbers in images are the kernel's: 12 bits of major, 20 of minor. */
static uint32_t kernel_device(dev_t device)
{
	return (uint32_t)(major(device) << 20 | (minor(device) & 0xfffff));
}

static Timeval *new_time(struct snapshot *snapshot, const struct timespec *time)
{
	Timeval *value = snapshot_new(snapshot, TIMEVAL, Timeval);

	value->tv_sec = (uint64_t)time->tv_sec;
	value->tv_usec = (uint64_t)time->tv_nsec / 1000;
	return value;
}

static GhostFileEntry *new_record(struct snapshot *snapshot, const struct stat *stat)
{
	GhostFileEntry *entry = snapshot_new(snapshot, GHOST_FILE_ENTRY, GhostFileEntry);

	entry->uid = stat->st_uid;
	entry->gid = stat->st_gid;
	entry->mode = stat->st_mode;
	entry->has_rdev = S_ISCHR(stat->st_mode);
	entry->rdev = entry->has_rdev ? (uint32_t)stat->st_rdev : 0;
	entry->has_dev = true;
	entry->dev = kernel_device(stat->st_dev);
	entry->has_ino = true;
	entry->ino = stat->st_ino;
	entry->atim = new_time(snapshot, &stat->st_atim);
	entry->mtim = new_time(snapshot, &stat->st_mtim);
	return entry;
}

/* Where the file cannot be opened (a named pipe), its extended attributes are all. */
static int look_at_attributes(const struct open_file *file, int fd, GhostFileEntry *entry,
			      struct error *err)
{
	struct snapshot *snapshot = file->target->collect->snapshot;
	autoclose int named = fd < 0 ? target_open(file->target, file->proc_name, O_PATH) : -1;

	if (fd < 0 && named < 0)
		return fail_errno(err, ERR_IO, "%s: cannot find the unlinked file", file->what);
	return inode_attributes_collect(snapshot, fd < 0 ? named : fd, &entry->attributes,
					file->what, err);
}

static int write_content(const struct open_file *file, uint32_t id, GhostFileEntry *entry,
			 struct error *err)
{
	struct images_writer *images = file->target->collect->images;

	if (!images)
		return 0; /* somebody only looks (nestor tree) */
	/* A new description, for reading; the task's own may not allow it, and has a position. */
	autoclose int from = S_ISREG(entry->mode) ? target_open(file->target, file->proc_name,
								O_RDONLY | O_NONBLOCK | O_NOATIME)
						  : -1;
	if (S_ISREG(entry->mode) && from < 0)
		return fail_errno(err, ERR_IO, "%s: cannot open the unlinked file", file->what);
	if (from >= 0 &&
	    ghost_content_look(file->target->collect->snapshot, from, &file->stat, entry))
		return fail_errno(err, ERR_IO, "%s: cannot tell which parts of it have memory",
				  file->what);
	if (look_at_attributes(file, from, entry, err))
		return -1;
	autoclose int to = images_create_content(images, IMAGE_GHOST_FILE, id, entry, err);
	if (to < 0)
		return -1;
	if (from >= 0 && ghost_content_copy(to, from, entry))
		return fail_errno(err, ERR_IO, "%s: cannot copy the unlinked file", file->what);
	return 0;
}

static bool can_be_unlinked(mode_t mode, dev_t device)
{
	if (S_ISCHR(mode))
		return named_file_is_plain_device(device) && !kernel_log_is(device);
	return S_ISREG(mode) || S_ISDIR(mode) || S_ISFIFO(mode) || S_ISLNK(mode) || S_ISSOCK(mode);
}

/*
 * By its name, which leads to nobody but whoever is bound to that inode. Of datagrams, so that
 * nobody is told: 1, 0 or -1 with errno.
 */
static int has_socket(int path_fd)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	autoclose int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d", path_fd);
	if (fd < 0)
		return -1;
	if (connect(fd, (const struct sockaddr *)&address, sizeof address) == 0)
		return 1;
	return errno == ECONNREFUSED ? 0 : errno == EPROTOTYPE || errno == EPERM ? 1 : -1;
}

/* What is known by its name alone. */
static int look_at_name(const struct open_file *file, GhostFileEntry *entry, struct error *err)
{
	char target[PATH_MAX];

	if (!S_ISLNK(entry->mode) && !S_ISSOCK(entry->mode))
		return 0;
	autoclose int fd = target_open(file->target, file->proc_name, O_PATH);
	if (fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot look at %s", file->what);
	if (S_ISLNK(entry->mode)) {
		ssize_t length = readlinkat(fd, "", target, sizeof target);
		if (length <= 0 || length == sizeof target)
			return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot read the link",
					  file->what);
		entry->symlnk_target =
			arena_printf(file->target->collect->arena, "%.*s", (int)length, target);
		return 0;
	}
	int bound = has_socket(fd);
	if (bound < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "%s: cannot tell whether it is a socket's", file->what);
	return bound ? fail(err, ERR_UNSUPPORTED_FILE,
			    "%s: the removed name of a socket that is there, by which somebody "
			    "could "
			    "connect",
			    file->what)
		     : 0;
}

/* What is mounted in a user namespace has none that anybody could open. */
static int can_be_device(const struct open_file *file, struct error *err)
{
	if (!S_ISCHR(file->stat.st_mode) || file->target->collect->facts->in_initial_user_namespace)
		return 0;
	return fail(err, ERR_UNSUPPORTED_FILE,
		    "%s: a device that is unlinked, which can be made again from the initial user "
		    "namespace only",
		    file->what);
}

static const char *last_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* -1 with errno */
static int open_directory(const struct open_file *file, const RegFileEntry *reg)
{
	int length = (int)(last_name(reg->name) - reg->name);
	const char *path = arena_printf(file->target->collect->arena, "%.*s", length, reg->name);

	return reg->mnt_id >= 0 ? mount_open_beside(file, path)
				: open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

/* Made with O_TMPFILE, it has never had that name (d_tmpfile). */
static bool was_named(const struct open_file *file, const RegFileEntry *reg)
{
	char name[32];

	snprintf(name, sizeof name, "#%ju", (uintmax_t)file->stat.st_ino);
	return strcmp(last_name(reg->name), name) != 0;
}

/*
 * In the same directory by the same name, which then leads to it on both mounts, or in another one
 * where it can be linked: 1, 0, -1.
 */
static int can_have_name(const struct known_ghost *seen, const struct open_file *file,
			 const RegFileEntry *reg, struct error *err)
{
	struct stat one, other;
	bool same_name = strcmp(last_name(seen->reg->name), last_name(reg->name)) == 0;

	if (!was_named(file, reg))
		return 0;
	autoclose int one_fd = open_directory(seen->file, seen->reg);
	autoclose int other_fd = one_fd < 0 ? -1 : open_directory(file, reg);
	if (other_fd < 0 || fstat(one_fd, &one) < 0 || fstat(other_fd, &other) < 0)
		return errno_tells_nothing(errno) ? fail_mount(file, err) : 0;
	if (same_name && one.st_dev == other.st_dev && one.st_ino == other.st_ino)
		return 1;
	int possible = ghost_names_can_link(file, other_fd);
	return possible < 0 ? fail_mount(file, err) : possible;
}

/* A name on another mount cannot be linked to it (EXDEV), so it has to be there already. */
static int collect_on_other_mount(const struct known_ghost *seen, const struct open_file *file,
				  const RegFileEntry *reg, uint64_t mount, struct error *err)
{
	/* Mounts that map ids in different ways show different owners. */
	int possible = seen->mount && mount && S_ISREG(file->stat.st_mode) &&
				       seen->entry->uid == file->stat.st_uid &&
				       seen->entry->gid == file->stat.st_gid
			       ? can_have_name(seen, file, reg, err)
			       : 0;

	if (possible > 0)
		possible = can_be_made_again(file, reg, mount, err);
	if (possible < 0)
		return -1;
	if (!possible)
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "%s: an unlinked file that is open on several mounts, not by one name, "
			    "and its file system opens none by their handles",
			    file->what);
	seen->entry->has_on_several_mounts = seen->entry->on_several_mounts = true;
	return 0;
}

static void make_elsewhere(GhostFileEntry *entry, const RegFileEntry *reg, int64_t mount_id)
{
	if (mount_id < 0)
		return;
	entry->has_on_several_mounts = entry->on_several_mounts = true;
	entry->made_at = reg->name;
	entry->has_made_on = mount_id > 0;
	entry->made_on = (uint32_t)mount_id;
}

/* A mount of its own can be made of it by whatever mount it has its name on (alone.c). */
static int collect_alone(struct known_ghost *seen, const struct open_file *file,
			 const RegFileEntry *reg, int64_t made_on, uint64_t mount,
			 struct error *err)
{
	const RegFileEntry *named = reg->has_alone ? seen->reg : reg;

	seen->entry->has_on_several_mounts = seen->entry->on_several_mounts = true;
	if (named->has_alone || seen->entry->made_at)
		return 0;
	int possible = named == reg ? can_be_made_again(file, reg, mount, err) : 1;
	if (possible < 0)
		return -1;
	if (!possible)
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "%s: an unlinked file that never was at that path", file->what);
	make_elsewhere(seen->entry, named,
		       made_on >= 0	    ? made_on
		       : named->mnt_id >= 0 ? named->mnt_id
					    : 0);
	if (named != reg)
		return 0;
	seen->file = collect_keep_file(file);
	seen->reg = reg;
	seen->mount = mount;
	return 0;
}

static int check_size(const struct open_file *file, const struct stat *stat, struct error *err)
{
	autoclose int fd = target_open(file->target, file->proc_name, O_PATH);
	uint64_t size = (uint64_t)stat->st_blocks * 512;

	if (fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot look at %s", file->what);
	uint64_t limit = collect_ghost_limit(file->target->collect, fd);
	if (size <= limit)
		return 0;
	fail(err, ERR_UNSUPPORTED_FILE,
	     "%s: an unlinked file of %" PRIu64 " bytes; the limit is %" PRIu64 " (--ghost-limit)",
	     file->what, size, limit);
	return fail_hint(err, "raise it with --ghost-limit");
}

static int collect_inode(const struct open_file *file, const RegFileEntry *reg, int64_t made_on,
			 uint32_t *ret_id, struct error *err)
{
	struct collect *collect = file->target->collect;
	struct known_ghosts *known = state_of(collect);
	const struct stat *stat = &file->stat;
	struct known_ghost *seen = find_known(known, stat);
	uint64_t mount;

	if (mount_of_description(file, &mount, err))
		return -1;
	if (seen && seen->mount != mount &&
	    (reg->has_alone || seen->reg->has_alone
		     ? collect_alone(seen, file, reg, made_on, mount, err)
		     : collect_on_other_mount(seen, file, reg, mount, err)))
		return -1;
	if (seen) {
		*ret_id = seen->id;
		return 0;
	}
	if (mounts_carry_file(collect, stat))
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "%s: an unlinked file that is mounted, and open by another mount",
			    file->what);
	if (!can_be_unlinked(stat->st_mode, stat->st_rdev))
		return fail(err, ERR_UNSUPPORTED_FILE, "%s: a special file that is unlinked",
			    file->what);
	if (can_be_device(file, err))
		return -1;
	int again = can_be_made_again(file, reg, mount, err);
	if (again < 0)
		return -1;
	if (!again)
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "%s: an unlinked file that never was at that path", file->what);
	if (S_ISREG(stat->st_mode) && check_size(file, stat, err))
		return -1;
	struct known_ghost *ghost = arena_new(collect->arena, struct known_ghost);
	GhostFileEntry *entry = new_record(collect->snapshot, stat);
	if (look_at_name(file, entry, err))
		return -1;
	*ghost = (struct known_ghost){
		NULL, stat->st_dev, mount, ++known->last_id, collect_keep_file(file), reg, entry
	};
	if (!table_add(&known->by_inode, collect->arena, stat->st_ino, ghost)) {
		struct known_ghost *first = table_find(&known->by_inode, stat->st_ino);
		ghost->next = first->next;
		first->next = ghost;
	}
	make_elsewhere(entry, reg, made_on);
	snapshot_add_record(collect->snapshot, IMAGE_GHOST_FILE, ghost->id, entry);
	*ret_id = ghost->id;
	struct pending_ghost *pending = arena_new(collect->arena, struct pending_ghost);
	*pending = (struct pending_ghost){ known->pending, ghost->file, ghost->id, entry };
	known->pending = pending;
	return 0;
}

/* Whoever watches such a file, and has been looked at by now, is told that it is read. */
int ghosts_complete(struct collect *collect, struct error *err)
{
	for (const struct pending_ghost *at = state_of(collect)->pending; at; at = at->next)
		if (write_content(at->file, at->id, at->entry, err))
			return -1;
	return 0;
}

int ghost_collect(const struct open_file *file, const FileEntry *entry, int64_t made_on,
		  struct error *err)
{
	struct snapshot *snapshot = file->target->collect->snapshot;
	uint32_t id = 0;

	if (collect_inode(file, entry->reg, made_on, &id, err))
		return -1;
	RemapFilePathEntry *remap =
		snapshot_new(snapshot, REMAP_FILE_PATH_ENTRY, RemapFilePathEntry);
	remap->orig_id = file->id;
	remap->remap_id = id;
	remap->has_remap_type = true;
	remap->remap_type = REMAP_TYPE__GHOST;
	snapshot_add_record(snapshot, IMAGE_REMAP_FPATH, file->id, remap);
	return 0;
}

static bool is_ghost_remap(const RemapFilePathEntry *remap)
{
	return remap->has_remap_type ? remap->remap_type == REMAP_TYPE__GHOST
				     : (remap->remap_id & GHOST_BIT) != 0;
}

static const RemapFilePathEntry *remap_of(const struct snapshot *snapshot, const FileEntry *entry)
{
	const struct record *record = snapshot_record(snapshot, IMAGE_REMAP_FPATH, entry->id);

	return record ? record->message : NULL;
}

const struct record *ghost_of(const struct snapshot *snapshot, const FileEntry *entry)
{
	const RemapFilePathEntry *remap = remap_of(snapshot, entry);

	if (!remap || !is_ghost_remap(remap))
		return NULL;
	return snapshot_record(snapshot, IMAGE_GHOST_FILE,
			       remap->has_remap_type ? remap->remap_id
						     : remap->remap_id & ~GHOST_BIT);
}

/* All its descriptions are opened at once. */
bool ghost_is_late(const struct snapshot *snapshot, const FileEntry *entry)
{
	const struct record *ghost = ghost_of(snapshot, entry);

	return ghost && ghost_entry(ghost)->on_several_mounts;
}

static bool is_made_somewhere(const struct snapshot *snapshot, const GhostFileEntry *entry)
{
	if (!entry->made_at)
		return !entry->has_made_on;
	if (entry->has_made_on && !snapshot_mount(snapshot, entry->made_on, NULL, NULL))
		return false;
	return entry->made_at[0] == '/' && *last_name(entry->made_at) && entry->on_several_mounts;
}

int ghost_check(const struct snapshot *snapshot, const FileEntry *entry, struct error *err)
{
	const RemapFilePathEntry *remap = remap_of(snapshot, entry);

	if (!remap)
		return 0;
	if (linked_of(snapshot, entry))
		return 0;
	if (!is_ghost_remap(remap))
		return fail(err, ERR_IMAGE_UNSUPPORTED,
			    "%s (file %u) is remapped in a way that is not supported",
			    entry->reg->name, entry->id);
	const struct record *ghost = ghost_of(snapshot, entry);
	if (!ghost)
		return fail(err, ERR_IMAGE_MISSING, "the unlinked file %s (ghost %u) is not there",
			    entry->reg->name, remap->remap_id);
	mode_t mode = ghost_entry(ghost)->mode;
	if (!can_be_unlinked(mode, ghost_entry(ghost)->rdev))
		return fail(err, ERR_IMAGE_UNSUPPORTED, "the unlinked file %s is a special file",
			    entry->reg->name);
	const char *target = ghost_entry(ghost)->symlnk_target;
	if (S_ISLNK(mode) && (!target || !*target || strlen(target) >= PATH_MAX))
		return fail(err, ERR_IMAGE_INVALID, "the unlinked link %s leads nowhere",
			    entry->reg->name);
	if ((S_ISLNK(mode) || S_ISSOCK(mode)) && !(entry->reg->flags & O_PATH))
		return fail(err, ERR_IMAGE_INVALID, "the unlinked file %s cannot be opened",
			    entry->reg->name);
	if (entry->reg->name[strlen(entry->reg->name) - 1] == '/')
		return fail(err, ERR_IMAGE_INVALID, "the unlinked file %s has no usable name",
			    entry->reg->name);
	if (!is_made_somewhere(snapshot, ghost_entry(ghost)))
		return fail(err, ERR_IMAGE_INVALID, "the unlinked file %s is made nowhere",
			    entry->reg->name);
	return inode_attributes_check(ghost_entry(ghost)->attributes, entry->reg->name, err);
}
