// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * fanotify(7): a group and its marks, of inodes, mounts and file systems. Marks come when the tree
 * is complete, so that no work of the restore is reported.
 *
 * Mounts and file systems are found in nestor's own mount namespace, or in one of the tree.
 *
 * Events that nobody has read cannot be put back (where all of a mount or file system is watched,
 * they are soon there by what nestor itself opens): refused while there are any, unless they may be
 * lost (--force-lost), which nothing tells the group. Who waits for permission cannot be stopped.
 *
 * Refused: permission events of mounts and file systems, which nestor would wait for in vain while
 * who answers is stopped; and marks of mount namespaces.
 */
#include "kinds/files/files.h"
#include "kinds/opener.h"
#include "kinds/files/watched-inode.h"
#include "kinds/places.h"

#include "base/cleanup.h"
#include "base/procfs.h"
#include "collect/collect.h"
#include "collect/losses.h"
#include "kernel/made-as.h"
#include "kernel/mountinfo.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/sysmacros.h>
#include <sys/ioctl.h>
#include <unistd.h>

#ifndef FAN_MARK_EVICTABLE
#define FAN_MARK_EVICTABLE 0x200
#endif
#ifndef FAN_MARK_IGNORE
#define FAN_MARK_IGNORE 0x400
#endif
#ifndef FAN_OPEN_EXEC_PERM
#define FAN_OPEN_EXEC_PERM 0x40000
#endif

static const uint32_t permissions =
	FAN_OPEN_PERM | FAN_ACCESS_PERM | FAN_OPEN_EXEC_PERM | 0x100000 /* FAN_PRE_ACCESS, 6.14 */;
static const uint32_t mark_flags =
	FAN_MARK_IGNORED_SURV_MODIFY | FAN_MARK_EVICTABLE | FAN_MARK_IGNORE;

static bool fanotify_recognise(const struct open_file *file)
{
	return strcmp(file->link, "anon_inode:[fanotify]") == 0 && !(file->flags & O_PATH);
}

/* ---- Dump ---- */

static int check_unread(const struct open_file *file, struct error *err)
{
	autoclose int fd = collect_get_file(file, err);
	int size = 0;

	if (fd < 0)
		return -1;
	if (ioctl(fd, FIONREAD, &size) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot ask for unread events",
				  file->what);
	if (!size)
		return 0;
	if (loss_is_accepted(file->target->collect, LOSS_FANOTIFY_EVENTS)) {
		loss_add(file->target, file->target->living, LOSS_FANOTIFY_EVENTS,
			 "has not read them");
		return 0;
	}
	fail(err, ERR_UNSUPPORTED_FILE, "%s has events that nobody has read", file->what);
	fail_hint(err, "try again when the task has read them; --force-lost fanotify-events dumps "
		       "without, and nothing tells it");
	fail_option(err, "--force-lost", "fanotify-events");
	return fail_passing(err);
}

static dev_t device_of(uint32_t kernel_device)
{
	return makedev(kernel_device >> 20, kernel_device & 0xfffff);
}

/* Does its path lead to it, or is it hidden? Of a whole file system any mount does. */
static bool is_reached(const struct mount_line *mount, bool by_number)
{
	struct statx found;

	if (statx(AT_FDCWD, mount->mountpoint, AT_NO_AUTOMOUNT | AT_SYMLINK_NOFOLLOW, STATX_MNT_ID,
		  &found) < 0)
		return false;
	return by_number ? found.stx_mnt_id == mount->id
			 : makedev(found.stx_dev_major, found.stx_dev_minor) == mount->device;
}

/* In nestor's own namespace: a mount by its number, or any of a device; NULL: there is none. */
static int find_own_mount(struct collect *collect, uint32_t number, dev_t device,
			  const char **ret_path, struct error *err)
{
	struct mount_line *mounts;
	size_t n_mounts;
	char *text;

	*ret_path = NULL;
	if (procfs_read(collect->arena, AT_FDCWD, "/proc/self/mountinfo", &text) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot read /proc/self/mountinfo");
	if (mountinfo_parse(text, collect->arena, &mounts, &n_mounts, err))
		return -1;
	for (size_t i = 0; i < n_mounts && !*ret_path; i++)
		if ((number ? mounts[i].id == number : mounts[i].device == device) &&
		    is_reached(&mounts[i], number != 0))
			*ret_path = mounts[i].mountpoint;
	return 0;
}

/* A mount, or the whole of a file system, by any mount of it. */
static int read_mount(const struct open_file *file, uint32_t number, FanotifyMarkEntry *mark,
		      struct error *err)
{
	struct collect *collect = file->target->collect;
	dev_t device = device_of(mark->s_dev);
	uint32_t mount_id = number;
	const char *path;

	if (find_own_mount(collect, number, device, &path, err))
		return fail_while(err, "%s", file->what);
	if (!path && !mount_of_number(collect, number, device, &mount_id, &path))
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "%s watches a mount that is not to be seen from here", file->what);
	mark->me =
		snapshot_new(collect->snapshot, FANOTIFY_MOUNT_MARK_ENTRY, FanotifyMountMarkEntry);
	mark->me->mnt_id = mount_id;
	mark->me->path = arena_string(collect->arena, path);
	return 0;
}

static int read_place(const struct open_file *file, const char *line, FanotifyMarkEntry *mark,
		      struct error *err)
{
	struct collect *collect = file->target->collect;
	uint64_t inode = 0;
	uint32_t mount_id = 0;

	if (sscanf(line, "fanotify ino:%" SCNx64 " sdev:%" SCNx32, &inode, &mark->s_dev) == 2) {
		mark->type = MARK_TYPE__INODE;
		mark->ie = snapshot_new(collect->snapshot, FANOTIFY_INODE_MARK_ENTRY,
					FanotifyInodeMarkEntry);
		mark->ie->i_ino = inode;
		return watched_inode_collect(file, line, mark->s_dev, inode, &mark->ie->f_handle,
					     err);
	}
	if (sscanf(line, "fanotify mnt_id:%" SCNx32, &mount_id) == 1)
		mark->type = MARK_TYPE__MOUNT;
	else if (sscanf(line, "fanotify sdev:%" SCNx32, &mark->s_dev) == 1)
		mark->type = MARK_TYPE__FILESYSTEM;
	else
		return fail(err, ERR_UNSUPPORTED_FILE, "%s has a mark of an unknown type",
			    file->what);
	return read_mount(file, mount_id, mark, err);
}

static int add_mark(const struct open_file *file, const char *line, FanotifyFileEntry *record,
		    struct error *err)
{
	struct snapshot *snapshot = file->target->collect->snapshot;
	FanotifyMarkEntry *mark = snapshot_new(snapshot, FANOTIFY_MARK_ENTRY, FanotifyMarkEntry);
	const char *masks = strstr(line, "mflags:");

	mark->id = file->id;
	if (!masks || sscanf(masks, "mflags:%" SCNx32 " mask:%" SCNx32 " ignored_mask:%" SCNx32,
			     &mark->mflags, &mark->mask, &mark->ignored_mask) != 3)
		return fail(err, ERR_KERNEL_REFUSED, "%s: cannot read its marks", file->what);
	record->mark =
		arena_grow(snapshot->arena, record->mark, record->n_mark, sizeof *record->mark);
	record->mark[record->n_mark++] = mark;
	if (read_place(file, line, mark, err))
		return -1;
	if (mark->type != MARK_TYPE__INODE && mark->mask & permissions)
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "%s is asked for permission by a whole mount or file system",
			    file->what);
	return 0;
}

static int fanotify_collect(const struct open_file *file, FileEntry *entry, struct error *err)
{
	FanotifyFileEntry *record = snapshot_new(file->target->collect->snapshot,
						 FANOTIFY_FILE_ENTRY, FanotifyFileEntry);
	const char *line = strstr(file->fdinfo, "fanotify flags:");

	entry->ffy = record;
	record->id = file->id;
	record->flags = file->flags;
	if (!line || sscanf(line, "fanotify flags:%" SCNx32 " event-flags:%" SCNx32,
			    &record->faflags, &record->evflags) != 2)
		return fail(err, ERR_KERNEL_REFUSED, "%s: fdinfo does not show the group",
			    file->what);
	record->has_unprivileged = record->unprivileged = !target_has_capabilities(file->target);
	if (check_unread(file, err))
		return -1;
	while ((line = strstr(line + 1, "fanotify ")))
		if (add_mark(file, line, record, err))
			return -1;
	return 0;
}

/* ---- Restore ---- */

/* NULL: it is one of nestor's own namespace, with a path there. */
static const MntEntry *mount_in_tree(const struct snapshot *snapshot,
				     const FanotifyMountMarkEntry *mark)
{
	return snapshot_mount(snapshot, mark->mnt_id, NULL, NULL);
}

static int check_mark(const struct snapshot *snapshot, const FileEntry *entry,
		      const FanotifyMarkEntry *mark, struct error *err)
{
	if (mark->mflags & ~mark_flags)
		return fail(err, ERR_IMAGE_INVALID, "file %u: no mark has flags %#x", entry->id,
			    mark->mflags);
	if (mark->type == MARK_TYPE__INODE)
		return mark->ie ? watched_inode_check(snapshot, entry->id, mark->ie->f_handle, err)
				: fail(err, ERR_IMAGE_INVALID, "file %u has a mark of nothing",
				       entry->id);
	if (!mark->me || (!mark->me->path && !mount_in_tree(snapshot, mark->me)))
		return fail(err, ERR_IMAGE_UNSUPPORTED,
			    "file %u has a mark of a mount without path", entry->id);
	return 0;
}

static int fanotify_check(const struct snapshot *snapshot, const FileEntry *entry,
			  struct error *err)
{
	const FanotifyFileEntry *record = entry->ffy;

	if (!record || record->id != entry->id)
		return fail(err, ERR_IMAGE_INVALID, "file %u has no record of fanotify", entry->id);
	for (size_t i = 0; i < record->n_mark; i++)
		if (check_mark(snapshot, entry, record->mark[i], err))
			return -1;
	return 0;
}

/* Of a directory where nothing is mounted any more, what is around it would be watched. */
static int open_mount(const char *path, struct error *err)
{
	autoclose int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct statx found;

	if (fd < 0 || statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &found) < 0)
		return errno == ENOENT || errno == ENOTDIR
			       ? fail(err, ERR_FILE_MISSING, "%s, which is watched, is not there",
				      path)
			       : fail_errno(err, ERR_IO, "cannot look at %s", path);
	if (!(found.stx_attributes & STATX_ATTR_MOUNT_ROOT))
		return fail(err, ERR_FILE_CHANGED, "nothing is mounted at %s, which is watched",
			    path);
	return take_fd(&fd);
}

static bool is_outside(const struct snapshot *snapshot, const FanotifyMarkEntry *mark)
{
	return mark->type != MARK_TYPE__INODE && !mount_in_tree(snapshot, mark->me);
}

static int fanotify_verify(struct file_opener *opener, const FileEntry *entry, struct error *err)
{
	for (size_t i = 0; i < entry->ffy->n_mark; i++) {
		const FanotifyMarkEntry *mark = entry->ffy->mark[i];
		if (mark->ie && watched_inode_verify(opener, mark->ie->f_handle, err))
			return -1;
		bool outside = is_outside(opener->snapshot, mark);
		autoclose int fd = outside ? open_mount(mark->me->path, err) : -1;
		if (outside && fd < 0)
			return fail_while(err, "file %u", entry->id);
	}
	return 0;
}

/*
 * One that was made without CAP_SYS_ADMIN does not tell who others are (FANOTIFY_UNPRIV, 5.13),
 * which nothing shows. It is taken for such a one if its holder could have made it.
 */
static int make_group(const FanotifyFileEntry *record)
{
	if (record->unprivileged) {
		const struct made_as before = made_as_begin(geteuid(), getegid(), true);
		int fd = fanotify_init(record->faflags, record->evflags);
		made_as_end(&before);
		if (fd >= 0 || errno != EPERM)
			return fd;
	}
	return fanotify_init(record->faflags, record->evflags);
}

static int fanotify_open(struct file_opener *opener, const FileEntry *entry, struct error *err)
{
	/* FAN_CLOEXEC is what fdinfo tells ever after. */
	autoclose int fd = make_group(entry->ffy);

	(void)opener;
	if (fd < 0 && errno == EPERM)
		return fail_errno(err, ERR_NO_PRIVILEGE, "cannot make a fanotify group");
	if (fd < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ||
	    opener_set_flags(fd, entry->ffy->flags) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot make a fanotify group");
	return take_fd(&fd);
}

static int mark_path(int fd, const FanotifyMarkEntry *mark, const char *path)
{
	unsigned flags = FAN_MARK_ADD;
	unsigned ignore = mark->mflags & FAN_MARK_IGNORE ? FAN_MARK_IGNORE : FAN_MARK_IGNORED_MASK;

	if (mark->type == MARK_TYPE__MOUNT)
		flags |= FAN_MARK_MOUNT;
	if (mark->type == MARK_TYPE__FILESYSTEM)
		flags |= FAN_MARK_FILESYSTEM;
	flags |= mark->mflags & FAN_MARK_EVICTABLE;
	if (mark->mask && fanotify_mark(fd, flags, mark->mask, AT_FDCWD, path) < 0)
		return -1;
	flags |= mark->mflags & FAN_MARK_IGNORED_SURV_MODIFY;
	return mark->ignored_mask
		       ? fanotify_mark(fd, flags | ignore, mark->ignored_mask, AT_FDCWD, path)
		       : 0;
}

/* What it watches, opened so that nobody is told (O_PATH), and its name for people. */
static int open_marked(struct file_opener *opener, const FanotifyMarkEntry *mark,
		       const char **ret_name, struct error *err)
{
	const MntEntry *mount = mark->me ? mount_in_tree(opener->snapshot, mark->me) : NULL;
	char path[64];

	if (mark->type == MARK_TYPE__INODE) {
		*ret_name = mark->ie->f_handle->path ?: "a file without a name";
		return watched_inode_open(opener, mark->s_dev, mark->ie->f_handle, path, err);
	}
	*ret_name = mount ? mount->mountpoint : mark->me->path;
	if (!mount)
		return open_mount(mark->me->path, err);
	int fd = mounts_open(opener, mark->me->mnt_id, mount->mountpoint, O_PATH);
	return fd >= 0 ? fd : fail_errno(err, ERR_FILE_MISSING, "cannot open %s", *ret_name);
}

static int mark_again(struct file_opener *opener, int fd, const FanotifyMarkEntry *mark,
		      struct error *err)
{
	const char *name;
	char path[64];
	autoclose int watched = open_marked(opener, mark, &name, err);

	if (watched < 0)
		return -1;
	snprintf(path, sizeof path, "/proc/self/fd/%d", watched);
	return mark_path(fd, mark, path) < 0
		       ? fail_errno(err, ERR_KERNEL_REFUSED, "cannot mark %s", name)
		       : 0;
}

static int fanotify_connect(struct file_opener *opener, const FileEntry *entry, int fd,
			    struct error *err)
{
	for (size_t i = 0; i < entry->ffy->n_mark; i++)
		if (mark_again(opener, fd, entry->ffy->mark[i], err))
			return fail_while(err, "file %u", entry->id);
	return 0;
}

static void fanotify_describe(const FileEntry *entry, char *text, size_t room)
{
	snprintf(text, room, "fanotify group, %zu marks", entry->ffy->n_mark);
}

static struct file_fields fanotify_fields(FileEntry *entry)
{
	return (struct file_fields){ &entry->ffy->fown, &entry->ffy->flags };
}

const struct file_kind fanotify_kind = {
	.name = "fanotify",
	.type = FD_TYPES__FANOTIFY,
	.recognise = fanotify_recognise,
	.collect = fanotify_collect,
	.complete = watched_inode_complete,
	.check = fanotify_check,
	.verify = fanotify_verify,
	.open = fanotify_open,
	.connect = fanotify_connect,
	.describe = fanotify_describe,
	.fields = fanotify_fields,
};
