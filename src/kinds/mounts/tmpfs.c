// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * tmpfs, ramfs and hugetlbfs: file systems in memory, which come back with all that is in them, as
 * an archive. Who owns the superblock may change its limits. Where no mount shows its root
 * directory, what mounts show is carried, and nobody can get at the rest.
 */
#include "kinds/mounts/kind.h"

#include "base/cleanup.h"
#include "images/images.h"
#include "collect/collect.h"
#include "kinds/mounts/archive.h"
#include "kinds/mounts/make.h"
#include "kinds/mounts/overlay-hidden.h"
#include "kinds/mounts/survey.h"
#include "model/records.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/quota.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* Is it shown by one that was there before? */
static bool is_shown(const struct live_superblock *superblock, size_t index)
{
	for (size_t i = 0; i < superblock->n_mounts; i++) {
		const char *above = superblock->mounts[i].line->root;
		const char *root = superblock->mounts[index].line->root;
		if (!superblock->mounts[i].line->removed && path_below(root, above) &&
		    (strcmp(above, root) != 0 || i < index))
			return true;
	}
	return false;
}

/* Of what is shown, each thing once; what is covered in one may be seen by way of another. */
struct shown {
	const char *root;
	int fd;
};

enum { NOT_TRIED = -2 };

struct showing {
	const struct live_superblock *superblock;
	struct error *failed; /* why something could not be looked at, which is not hidden then */
	int *copies;	      /* like its mounts */
	struct shown *shown;
	size_t n_shown;
};

static int copy_of(struct showing *showing, size_t index)
{
	int *copy = &showing->copies[index];

	if (*copy == NOT_TRIED)
		live_mount_copy(&showing->superblock->mounts[index], copy, showing->failed);
	return *copy;
}

/*
 * A copy of one of the mounts that show it. Others may be mounted for good in one and not in the
 * next, and which comes first is a matter of their numbers: so it is tried until nothing covers it.
 */
static int open_shown(struct showing *showing, const char *path)
{
	const struct live_superblock *superblock = showing->superblock;

	for (size_t i = 0; i < superblock->n_mounts; i++) {
		const struct mount_line *line = superblock->mounts[i].line;
		const char *below = line->removed ? NULL : path_below(path, line->root);
		int copy = below ? copy_of(showing, i) : -1;
		int fd = copy < 0 ? -1 : mount_open_on(copy, below, O_PATH | O_NOFOLLOW);
		if (fd >= 0)
			return fd;
		if (copy >= 0 && errno_tells_nothing(errno))
			fail_errno(showing->failed, ERR_KERNEL_REFUSED, "cannot look at %s", path);
	}
	return -1;
}

/* Is it to be added, now or later? */
static bool show(struct showing *showing, const char *root)
{
	struct arena *arena = showing->superblock->collect->arena;

	for (size_t i = 0; i < showing->n_shown; i++)
		if (strcmp(showing->shown[i].root, root) == 0)
			return true;
	int fd = open_shown(showing, root);
	if (fd < 0)
		return false;
	showing->shown =
		arena_grow(arena, showing->shown, showing->n_shown, sizeof *showing->shown);
	showing->shown[showing->n_shown++] = (struct shown){ root, fd };
	return true;
}

/* Another mount shows it, or parts of it. */
static bool show_covered(void *data, const char *path)
{
	struct showing *showing = data;
	const struct live_superblock *superblock = showing->superblock;
	const char *covered = arena_printf(superblock->collect->arena, "/%s", path);

	if (show(showing, covered))
		return true;
	for (size_t i = 0; i < superblock->n_mounts; i++) {
		const struct mount_line *line = superblock->mounts[i].line;
		if (!line->removed && path_below(line->root, covered))
			show(showing, line->root);
	}
	return false;
}

static int add_one(struct showing *showing, struct archive_writer *writer, size_t index,
		   struct error *err)
{
	const struct archive_tree tree = {
		.root_fd = showing->shown[index].fd,
		.prefix = showing->shown[index].root + 1,
		.covered = show_covered,
		.data = showing,
	};
	struct stat stat;

	if (fstat(tree.root_fd, &stat))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot look at what it shows");
	return S_ISDIR(stat.st_mode) ? archive_add_tree(writer, &tree, err)
				     : archive_add_alone(writer, tree.root_fd, tree.prefix, err);
}

/* No option shows them (Linux 6.6), nor what is left of them to each user. */
static int check_quotas(const struct live_superblock *superblock, int fd, struct error *err)
{
	uint32_t format;

	/* QCMD shifts bits out of an int. */
	for (unsigned type = USRQUOTA; type <= GRPQUOTA; type++)
		if (syscall(SYS_quotactl_fd, fd, (unsigned)Q_GETFMT << SUBCMDSHIFT | type, 0,
			    &format) == 0)
			return fail(err, ERR_UNSUPPORTED_MOUNT, "%s has quotas of users or groups",
				    superblock->what);
	return 0;
}

/* Of one that no mount shows what stands for it has nothing in it. */
static bool is_hidden_as_whole(const struct live_superblock *superblock)
{
	const struct live_mount *mount = &superblock->mounts[0];

	return mount->namespace->stands_in &&
	       overlay_hidden_memory(superblock->collect, mount->line->device);
}

static int add_all(struct showing *showing, struct archive_writer *writer, struct error *err)
{
	const struct live_superblock *superblock = showing->superblock;

	if (is_hidden_as_whole(superblock))
		return 0;

	for (size_t i = 0; i < superblock->n_mounts; i++)
		if (!superblock->mounts[i].line->removed && !is_shown(superblock, i) &&
		    !show(showing, superblock->mounts[i].line->root))
			return fail(err, ERR_UNSUPPORTED_MOUNT,
				    "%s is hidden by other mounts, so its content cannot be seen",
				    superblock->what);
	if (showing->n_shown && check_quotas(superblock, showing->shown[0].fd, err))
		return -1;
	/* What is added finds more. */
	for (size_t i = 0; i < showing->n_shown; i++)
		if (add_one(showing, writer, i, err))
			return -1;
	return showing->failed->name ? -1 : 0;
}

static int add_shown(const struct live_superblock *superblock, struct archive_writer *writer,
		     struct error *err)
{
	size_t n = superblock->n_mounts;
	struct showing showing = {
		.superblock = superblock,
		.failed = err,
		.copies = arena_array(superblock->collect->arena, int, n),
	};

	for (size_t i = 0; i < n; i++)
		showing.copies[i] = NOT_TRIED;
	int result = add_all(&showing, writer, err);
	for (size_t i = 0; i < showing.n_shown; i++)
		close(showing.shown[i].fd);
	for (size_t i = 0; i < n; i++)
		cleanup_close(&showing.copies[i]);
	return result;
}

/* Is it carried already? */
static bool is_carried(const struct live_superblock *superblock, const struct live_mount *mount)
{
	for (const struct live_mount *other = superblock->mounts; other < mount; other++)
		if (other->entry->carried_as &&
		    strcmp(other->entry->carried_as, mount->entry->carried_as) == 0)
			return true;
	return false;
}

/*
 * One that is hidden, and that its owner cannot get at, is a copy of one that was not: it shows
 * what others of that name show, if that is one thing.
 */
static int add_hidden(const struct live_superblock *superblock, const struct live_mount *mount,
		      struct error *err)
{
	const char *found = NULL;
	bool clear = true;

	for (size_t i = 0; i < superblock->n_mounts; i++) {
		const struct live_mount *other = &superblock->mounts[i];
		if (!other->line->removed || !other->entry->carried_as ||
		    strcmp(other->line->root, mount->line->root) != 0)
			continue;
		clear = clear && (!found || strcmp(found, other->entry->carried_as) == 0);
		found = other->entry->carried_as;
	}
	if (!found || !clear)
		return fail(err, ERR_UNSUPPORTED_MOUNT,
			    "mount %s shows something that was removed, and is hidden",
			    mount->line->mountpoint);
	mount->entry->carried_as = arena_string(superblock->collect->arena, found);
	return 0;
}

/*
 * What was removed and is still mounted is carried under a name in the root directory, and removed
 * again once it is mounted. Mounts of the same have the same name.
 */
static int add_removed(const struct live_superblock *superblock, struct archive_writer *writer,
		       struct error *err)
{
	for (size_t i = 0; i < superblock->n_mounts; i++) {
		const struct live_mount *mount = &superblock->mounts[i];
		struct stat stat;
		if (!mount->line->removed)
			continue;
		autoclose int fd = -1;
		if (live_mount_copy(mount, &fd, err))
			return -1;
		if (fd < 0)
			continue;
		if (fstat(fd, &stat))
			return fail_errno(err, ERR_KERNEL_REFUSED, "cannot look at what it shows");
		mount->entry->carried_as = arena_printf(
			superblock->collect->arena, ".nestor-removed-%ju", (uintmax_t)stat.st_ino);
		if (!is_carried(superblock, mount) &&
		    archive_add_alone(writer, fd, mount->entry->carried_as, err))
			return -1;
	}
	for (size_t i = 0; i < superblock->n_mounts; i++)
		if (superblock->mounts[i].line->removed &&
		    !superblock->mounts[i].entry->carried_as &&
		    add_hidden(superblock, &superblock->mounts[i], err))
			return -1;
	return 0;
}

/* Where nothing is written. */
static int name_removed(const struct live_superblock *superblock)
{
	for (size_t i = 0; i < superblock->n_mounts; i++)
		if (superblock->mounts[i].line->removed)
			superblock->mounts[i].entry->carried_as =
				arena_string(superblock->collect->arena, ".nestor-removed");
	return 0;
}

static bool has_removed(const struct live_superblock *superblock)
{
	for (size_t i = 0; i < superblock->n_mounts; i++)
		if (superblock->mounts[i].line->removed)
			return true;
	return false;
}

static int write_content(const struct live_superblock *superblock, MntEntry *entry,
			 struct error *err)
{
	if (superblock->collect->looking)
		return name_removed(superblock);
	autoclose int fd = images_create_raw(superblock->collect->images, IMAGE_TMPFS_DEV,
					     entry->root_dev, err);
	struct archive_writer *writer =
		fd < 0 ? NULL : archive_writer_new(fd, has_removed(superblock), err);
	if (!writer)
		return -1;
	struct error unused = { 0 };
	int result = overlay_hidden_add(superblock, writer, err) ||
		     add_shown(superblock, writer, err) || add_removed(superblock, writer, err);
	return archive_writer_end(writer, result ? &unused : err) || result
		       ? fail_while(err, "%s", superblock->what)
		       : 0;
}

static int make(const struct mount_maker *maker, const MntEntry *entry, struct error *err)
{
	autoclose int context_fd = fsopen(mount_kind_of_entry(entry)->type, FSOPEN_CLOEXEC);

	if (context_fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot mount a %s",
				  mount_kind_of_entry(entry)->type);
	if (mount_set_owned_options(context_fd, maker, entry, err))
		return -1;
	/* It is to be filled, and then sealed. */
	MntEntry writable = *entry;
	writable.sb_flags &= ~(uint32_t)MS_RDONLY;
	return mount_finish(context_fd, &writable, err);
}

static int fill(const struct mount_maker *maker, const MntEntry *entry, int root_fd,
		struct error *err)
{
	autoclose int fd =
		images_open_content(maker->images, IMAGE_TMPFS_DEV, entry->root_dev, err);

	/* CRIU has it packed by a program in there. */
	const struct user_namespace *seen_by =
		images_written_by_nestor(maker->images) || !entry->has_userns_id
			? NULL
			: snapshot_user_namespace(maker->snapshot, entry->userns_id);

	return fd < 0 ? -1 : archive_extract(fd, root_fd, seen_by, entry->mountpoint, err);
}

static int seal(const struct mount_maker *maker, const MntEntry *entry, int root_fd,
		struct error *err)
{
	(void)maker;
	if (entry->sb_flags & MS_RDONLY && mount_make_read_only(root_fd))
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "cannot make the file system at %s read-only", entry->mountpoint);
	return 0;
}

/* File systems whose files are nowhere but in memory. */
#define IN_MEMORY                                                                               \
	.owned = true, .parts = true, .removed = true, .apart = true, .content = write_content, \
	.make = make, .fill = fill, .seal = seal

const struct mount_kind tmpfs_mount_kind = {
	.type = "tmpfs",
	.fstype = FSTYPE__TMPFS,
	IN_MEMORY,
};

const struct mount_kind ramfs_mount_kind = {
	.type = "ramfs",
	.fstype = FSTYPE__AUTO,
	IN_MEMORY,
};

const struct mount_kind hugetlbfs_mount_kind = {
	.type = "hugetlbfs",
	.fstype = FSTYPE__AUTO,
	IN_MEMORY,
};
