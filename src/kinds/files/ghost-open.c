// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Making unlinked files again. The inode is made without a name (O_TMPFILE), filled, given its
 * attributes, then linked where it was, opened for all its descriptions and unlinked, so
 * /proc/PID/fd and maps show "PATH (deleted)" as before. It has a name for some microseconds
 * only; directories on the way that are gone too are made and removed with it. Where the name is
 * taken by another file, the description shows a temporary name instead.
 *
 * A file that had been opened with O_TMPFILE, and so can still be given a name, is made so again.
 *
 * On a mount that is read-only by now names are made by a copy of it that is not (ghost-names.c).
 * Nothing is linked from one mount to another (EXDEV); where directories of a file system are shown
 * by different mounts only, the inode is opened on the other one by its handle.
 */
#include "kinds/files/alone.h"
#include "kinds/files/ghost.h"
#include "kinds/files/ghost-names.h"
#include "kinds/files/files.h"
#include "kinds/inode-attributes.h"
#include "kinds/opener.h"
#include "kinds/passing-name.h"
#include "kinds/files/regular.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/names.h"
#include "base/table.h"
#include "images/images.h"
#include "kinds/places.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* A directory that was made for the moment. */
struct made_directory {
	struct made_directory *next; /* made before this one */
	int parent_fd;
	struct passing_name *name;
};

/* A name that the file has for the moment, on the mount of a description. */
struct link {
	struct link *next;
	const RegFileEntry *reg;
	const char *path; /* as recorded */
	int dir_fd;
	int write_fd; /* the same directory, where names can be made */
	dev_t device; /* of the directory */
	ino_t inode;
	const char *name;
	struct passing_name *taken; /* NULL: it has only its directory, or another's name */
};

/* An inode being made. */
struct making {
	struct file_opener *opener;
	const struct record *ghost;
	struct user *users;
	const RegFileEntry *reg; /* where it is made */
	const char *path;	 /* for messages */
	int fd; /* the inode, read-write (a directory: read); no open of a named pipe waits */
	struct made_directory *directories;
	struct link *links;
	/* Made with O_TMPFILE by the tree: nothing may take a name, or linkat would fail. */
	bool stays_linkable;
	int tmpfile_fd; /* the description that made it, until taken */
};

/* A description of an unlinked file. */
struct user {
	struct user *next; /* of the same file */
	const FileEntry *entry;
	bool opened;  /* and not asked for yet: */
	size_t place; /* opener_take */
};

/* Kept by the opener. */
struct unlinked_files {
	struct table users;    /* by file id */
	struct table users_of; /* the first of each, by number of the unlinked file */
};

/* ---- Names for the moment ---- */

static int open_directory(struct making *making, const RegFileEntry *reg, char *path,
			  struct error *err);

/* What was made as `made_fd`, on the mount of the directory that is given up. */
static int same_on_mount(const struct making *making, int parent_fd, const char *name, int made_fd,
			 struct error *err)
{
	struct stat made, found;
	autoclose int above_fd = parent_fd, own_fd = made_fd;
	autoclose int fd = openat(above_fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 || fstat(own_fd, &made) < 0 || fstat(fd, &found) < 0)
		return fail_errno(err, ERR_IO, "cannot open the directory of the unlinked file %s",
				  making->path);
	if (made.st_dev != found.st_dev || made.st_ino != found.st_ino)
		return fail(err, ERR_FILE_CHANGED,
			    "the directory of the unlinked file %s was replaced while it was made",
			    making->path);
	return take_fd(&fd);
}

static int make_directory(struct making *making, const RegFileEntry *reg, char *path,
			  struct error *err)
{
	struct arena *arena = making->opener->arena;
	char *slash = strrchr(path, '/');
	const char *name = arena_string(arena, slash + 1);

	*slash = '\0';
	int parent_fd = open_directory(making, reg, path, err);
	*slash = '/';
	if (parent_fd < 0)
		return -1;
	int write_fd = ghost_names_place(making->opener, reg, parent_fd, err), fd = -1;
	if (write_fd < 0) {
		close(parent_fd);
		return -1;
	}
	struct passing_name *taken = passing_directory(making->opener, write_fd, name, &fd);
	if (!taken) {
		fail_errno(err, ERR_IO, "cannot make the directory of the unlinked file %s",
			   making->path);
		close(write_fd);
		close(parent_fd);
		return -1;
	}
	struct made_directory *made = arena_new(arena, struct made_directory);
	*made = (struct made_directory){ making->directories, write_fd, taken };
	making->directories = made;
	return same_on_mount(making, parent_fd, name, fd, err);
}

/* On the mount that the description is on, in a mount namespace of the tree or in ours.
 * `path` has a leading slash (or is empty: the root) and is changed and restored on the way. */
static int open_directory(struct making *making, const RegFileEntry *reg, char *path,
			  struct error *err)
{
	int flags = O_PATH | O_DIRECTORY;
	int fd = regular_is_inside(making->opener->snapshot, reg)
			 ? mounts_open(making->opener, (uint32_t)reg->mnt_id, *path ? path : "/",
				       flags)
			 : opener_open_path(making->opener, path, flags);

	if (fd >= 0)
		return fd;
	if (errno != ENOENT || !*path)
		return fail_errno(err, ERR_IO, "cannot open the directory of the unlinked file %s",
				  making->path);
	return make_directory(making, reg, path, err);
}

/* All of them, whatever fails; the first failure is told. */
static int remove_names(struct making *making, struct error *err)
{
	const char *left = NULL;
	int failure = 0;

	for (struct link *link = making->links; link; link = link->next) {
		if (link->taken && passing_remove(link->taken) < 0 && !left) {
			left = link->path;
			failure = errno;
		}
		close(link->dir_fd);
		close(link->write_fd);
	}
	for (struct made_directory *made = making->directories; made; made = made->next) {
		if (passing_remove(made->name) < 0 && !left) {
			left = making->path;
			failure = errno;
		}
		close(made->parent_fd);
	}
	making->links = NULL;
	making->directories = NULL;
	errno = failure;
	return left ? fail_errno(err, ERR_IO, "cannot unlink %s again", left) : 0;
}

/* Takes a name in the link's directory with `take`; a temporary one if it is not free. */
static int take_name(struct making *making, struct link *link,
		     struct passing_name *(*take)(struct making *making, int dir_fd,
						  const char *name),
		     const char *name, struct error *err)
{
	link->name = name;
	link->taken = take(making, link->write_fd, name);
	for (unsigned attempt = 0; !link->taken && errno == EEXIST && attempt < 100; attempt++) {
		link->name = arena_printf(making->opener->arena, ".nestor-ghost-%x-%u",
					  (unsigned)making->ghost->key, attempt);
		link->taken = take(making, link->write_fd, link->name);
		if (link->taken)
			log_warning("restore", link->path,
				    "the name of the unlinked file is taken, using %s", link->name);
	}
	return link->taken ? 0
			   : fail_errno(err, errno == EPERM ? ERR_NO_PRIVILEGE : ERR_IO,
					"cannot make the unlinked file %s", link->path);
}

static struct link *new_link(struct making *making, const RegFileEntry *reg, const char **ret_name,
			     struct error *err)
{
	const char *path = reg->name;
	struct arena *arena = making->opener->arena;
	char *directory = arena_printf(arena, "%s%s", path[0] == '/' ? "" : "/", path);
	char *slash = strrchr(directory, '/');
	struct stat stat;

	*ret_name = arena_string(arena, slash + 1);
	*slash = '\0';
	autoclose int found_fd = open_directory(making, reg, directory, err);
	if (found_fd < 0)
		return NULL;
	if (fstat(found_fd, &stat) < 0) {
		fail_errno(err, ERR_IO, "cannot look at the directory of %s", path);
		return NULL;
	}
	int write_fd = ghost_names_place(making->opener, reg, found_fd, err);
	if (write_fd < 0)
		return NULL;
	struct link *link = arena_new(arena, struct link);
	*link = (struct link){ .next = making->links,
			       .reg = reg,
			       .path = path,
			       .dir_fd = take_fd(&found_fd),
			       .write_fd = write_fd,
			       .device = stat.st_dev,
			       .inode = stat.st_ino,
			       .name = "" };
	making->links = link;
	return link;
}

/* ---- The inode ---- */

static struct passing_name *take_by_mkdir(struct making *making, int dir_fd, const char *name)
{
	return passing_directory(making->opener, dir_fd, name, &making->fd);
}

static struct passing_name *take_by_create(struct making *making, int dir_fd, const char *name)
{
	return passing_file(making->opener, dir_fd, name, &making->fd);
}

static struct passing_name *take_by_mkfifo(struct making *making, int dir_fd, const char *name)
{
	return passing_fifo(making->opener, dir_fd, name, &making->fd);
}

static struct passing_name *take_by_mknod(struct making *making, int dir_fd, const char *name)
{
	return passing_device(making->opener, dir_fd, name, ghost_entry(making->ghost)->rdev,
			      &making->fd);
}

static struct passing_name *take_by_symlink(struct making *making, int dir_fd, const char *name)
{
	return passing_symlink(making->opener, dir_fd, name,
			       ghost_entry(making->ghost)->symlnk_target, &making->fd);
}

static struct passing_name *take_by_socket(struct making *making, int dir_fd, const char *name)
{
	return passing_socket(making->opener, dir_fd, name, &making->fd);
}

static struct passing_name *take_by_link(struct making *making, int dir_fd, const char *name)
{
	struct passing_name *taken = passing_link(making->opener, dir_fd, name, making->fd);

	return taken || errno != EXDEV ? taken
				       : ghost_names_link(making->opener, dir_fd, name, making->fd);
}

/* The description that was opened with O_TMPFILE; NULL if the file had a name once. */
static const FileEntry *find_maker(const struct making *making)
{
	for (const struct user *user = making->users; user; user = user->next)
		if (user->entry->reg->flags & TMPFILE_FLAG)
			return user->entry;
	return NULL;
}

static int make_linkable(struct making *making, const struct link *link, const RegFileEntry *reg,
			 struct error *err)
{
	char self[64];

	making->stays_linkable = true;
	making->tmpfile_fd = names_open(link->dir_fd, ".",
					regular_open_flags(reg) | O_TMPFILE | O_CLOEXEC, 0600);
	if (making->tmpfile_fd >= 0) {
		/* Another one to fill it: that of the task may be write-only or append. */
		snprintf(self, sizeof self, "/proc/self/fd/%d", making->tmpfile_fd);
		making->fd = open(self, O_RDWR | O_CLOEXEC);
	}
	if (making->fd < 0)
		return fail_errno(err, ERR_IO, "cannot make the temporary file %s", making->path);
	return 0;
}

static int make_inode(struct making *making, struct error *err)
{
	const char *name;
	struct link *link = new_link(making, making->reg, &name, err);

	if (!link)
		return -1;
	if (S_ISDIR(ghost_entry(making->ghost)->mode))
		return take_name(making, link, take_by_mkdir, name, err);
	if (S_ISFIFO(ghost_entry(making->ghost)->mode))
		return take_name(making, link, take_by_mkfifo, name, err);
	if (S_ISCHR(ghost_entry(making->ghost)->mode))
		return take_name(making, link, take_by_mknod, name, err);
	if (S_ISLNK(ghost_entry(making->ghost)->mode))
		return take_name(making, link, take_by_symlink, name, err);
	if (S_ISSOCK(ghost_entry(making->ghost)->mode))
		return take_name(making, link, take_by_socket, name, err);
	const FileEntry *maker = find_maker(making);
	if (maker)
		return make_linkable(making, link, maker->reg, err);
	making->fd = names_open(link->write_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (making->fd >= 0)
		return 0;
	/* Not all file systems have O_TMPFILE (EOPNOTSUPP; ENOENT or EISDIR of older ones). */
	return take_name(making, link, take_by_create, name, err);
}

/* Also by a name alone, which fchmod(2) does not take. */
static int change_mode(int fd, mode_t mode)
{
	char self[64];

	snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
	return chmod(self, mode);
}

static int set_attributes(struct making *making, struct error *err)
{
	const GhostFileEntry *entry = ghost_entry(making->ghost);

	/* The owner first: a change of it clears the set-id bits (chown(2)). */
	if (fchownat(making->fd, "", entry->uid, entry->gid, AT_EMPTY_PATH) < 0 ||
	    (!S_ISLNK(entry->mode) && change_mode(making->fd, entry->mode & 07777) < 0))
		return fail_errno(err, ERR_IO, "cannot set owner and mode of the unlinked file %s",
				  making->path);
	return inode_attributes_set(entry->attributes, making->fd, making->path, err);
}

/* Last of all, since filling and unlinking change them. */
static int set_times(struct making *making, struct error *err)
{
	const GhostFileEntry *entry = ghost_entry(making->ghost);

	if (!entry->atim || !entry->mtim)
		return inode_attributes_set_flags(entry->attributes, making->fd, making->path, err);
	struct timespec times[2] = {
		{ (time_t)entry->atim->tv_sec, (long)(entry->atim->tv_usec % 1000000) * 1000 },
		{ (time_t)entry->mtim->tv_sec, (long)(entry->mtim->tv_usec % 1000000) * 1000 },
	};
	if (utimensat(making->fd, "", times, AT_EMPTY_PATH) < 0)
		return fail_errno(err, ERR_IO, "cannot set the times of the unlinked file %s",
				  making->path);
	return inode_attributes_set_flags(entry->attributes, making->fd, making->path, err);
}

/* ---- Its descriptions ---- */

static bool are_on_one_mount(const struct making *making, const RegFileEntry *one,
			     const RegFileEntry *other)
{
	bool inside = regular_is_inside(making->opener->snapshot, one);

	return inside == regular_is_inside(making->opener->snapshot, other) &&
	       (!inside || one->mnt_id == other->mnt_id);
}

static struct link *link_at(struct making *making, const RegFileEntry *reg, struct error *err);

static const char *last_name(const RegFileEntry *reg)
{
	const char *slash = strrchr(reg->name, '/');

	return slash ? slash + 1 : reg->name;
}

/* Another mount shows the same directory, and so the name that the file has there; or NULL. */
static const struct link *find_name(const struct making *making, const struct link *link,
				    const char *name)
{
	const struct link *other = making->links;

	while (other && (!*other->name || other->device != link->device ||
			 other->inode != link->inode || strcmp(last_name(other->reg), name) != 0))
		other = other->next;
	return other;
}

/* By another mount of the file system: there has to be a name by which the inode is found. */
static int take_elsewhere(struct making *making, struct link *link, const char *name,
			  struct error *err)
{
	const struct link *first = link_at(making, making->reg, err);

	if (!first)
		return -1;
	if (first->device != link->device)
		return fail(err, ERR_FILE_CHANGED,
			    "%s, which is unlinked, was open on several mounts, which show "
			    "different file systems there now",
			    link->path);
	const struct link *other = find_name(making, link, name);
	if (!other)
		return take_name(making, link, take_by_link, name, err);
	link->name = other->name;
	return 0;
}

static struct link *link_at(struct making *making, const RegFileEntry *reg, struct error *err)
{
	const char *name;
	struct link *link = making->links;
	bool is_first = are_on_one_mount(making, reg, making->reg);

	while (link &&
	       (strcmp(link->path, reg->name) != 0 || !are_on_one_mount(making, link->reg, reg)))
		link = link->next;
	/* The first link of a regular file made without a name has only its directory yet. */
	if (link && *link->name)
		return link;
	if (link)
		name = last_name(reg);
	else
		link = new_link(making, reg, &name, err);
	if (!link)
		return NULL;
	const struct link *other = find_name(making, link, name);
	if (other)
		link->name = other->name;
	else if (is_first ? take_name(making, link, take_by_link, name, err)
			  : take_elsewhere(making, link, name, err))
		return NULL;
	return link;
}

/* The description that made the file, or, for others, one more through it: no name is needed. */
static int open_unnamed(struct making *making, const RegFileEntry *reg)
{
	char self[64];

	if ((reg->flags & TMPFILE_FLAG) && making->tmpfile_fd >= 0)
		return take_fd(&making->tmpfile_fd);
	snprintf(self, sizeof self, "/proc/self/fd/%d", making->fd);
	return open(self, regular_open_flags(reg) | O_CLOEXEC);
}

static int be_alone(const struct making *making, const RegFileEntry *reg, int *fd,
		    struct error *err)
{
	int alone =
		alone_open(reg,
			   making->reg->mnt_id >= 0
				   ? mounts_namespace(making->opener, (uint32_t)making->reg->mnt_id)
				   : -1,
			   *fd, err);

	if (alone < 0)
		return -1;
	close(*fd);
	*fd = alone;
	return 0;
}

static int reopen_path(int path_fd, int flags)
{
	char self[64];

	snprintf(self, sizeof self, "/proc/self/fd/%d", path_fd);
	return open(self, flags | O_CLOEXEC);
}

static int open_description(struct making *making, const RegFileEntry *reg, struct error *err)
{
	struct stat inode, found;

	if (making->stays_linkable) {
		int unnamed = open_unnamed(making, reg);
		return unnamed >= 0 ? unnamed
				    : fail_errno(err, ERR_IO, "cannot open the unlinked file %s",
						 reg->name);
	}
	const struct link *link = link_at(making, reg->has_alone ? making->reg : reg, err);
	if (!link)
		return -1;
	int flags = regular_open_flags(reg);
	bool is_link = S_ISLNK(ghost_entry(making->ghost)->mode);
	if (S_ISFIFO(ghost_entry(making->ghost)->mode))
		flags &= ~O_DIRECT; /* packets: set by fcntl only */
	autoclose int named =
		openat(link->dir_fd, link->name,
		       (flags & O_PATH && !is_link ? flags : O_PATH | O_NOFOLLOW) | O_CLOEXEC);
	if (named < 0 || fstat(named, &found) < 0 || fstat(making->fd, &inode) < 0)
		return fail_errno(err, ERR_IO, "cannot open the unlinked file %s", reg->name);
	/* In a directory that others may write to, the name may have become theirs. */
	if (found.st_dev != inode.st_dev || found.st_ino != inode.st_ino)
		return fail(err, ERR_FILE_CHANGED,
			    "%s was replaced while the unlinked file was made again", reg->name);
	if (reg->has_alone && be_alone(making, reg, &named, err))
		return -1;
	/* By what leads to it, a symbolic link is not followed without being told so either. */
	if (flags & O_PATH)
		return is_link && !(flags & O_NOFOLLOW) ? reopen_path(named, flags)
							: take_fd(&named);
	autoclose int fd =
		flags & O_NOFOLLOW && !reg->has_alone
			? openat(link->dir_fd, link->name, flags | O_NONBLOCK | O_CLOEXEC)
			: opener_reopen(named, flags);
	if (fd < 0 || opener_settle(fd, flags, &inode) < 0)
		return fail_errno(err, ERR_IO, "cannot open the unlinked file %s", reg->name);
	return take_fd(&fd);
}

static int open_descriptions(struct making *making, struct error *err)
{
	for (struct user *user = making->users; user; user = user->next) {
		int fd = open_description(making, user->entry->reg, err);
		if (fd < 0)
			return -1;
		user->place = opener_keep(making->opener, fd);
		user->opened = true;
	}
	return 0;
}

static int make_ghost(struct file_opener *opener, const struct record *ghost, struct user *users,
		      const RegFileEntry *reg, struct error *err)
{
	const GhostFileEntry *wanted = ghost_entry(ghost);
	RegFileEntry place = REG_FILE_ENTRY__INIT;

	if (wanted->made_at) {
		place.name = wanted->made_at;
		place.mnt_id = wanted->has_made_on ? (int32_t)wanted->made_on : -1;
		reg = &place;
	}
	struct making making = { .opener = opener,
				 .ghost = ghost,
				 .users = users,
				 .reg = reg,
				 .path = reg->name,
				 .fd = -1,
				 .tmpfile_fd = -1 };

	int failed = make_inode(&making, err);
	if (!failed && S_ISREG(ghost_entry(ghost)->mode))
		failed = ghost_fill(opener, ghost, making.fd, making.path, err);
	if (!failed)
		failed = set_attributes(&making, err);
	if (!failed)
		failed = open_descriptions(&making, err);
	struct error ignored = { 0 };
	if (remove_names(&making, failed ? &ignored : err))
		failed = -1;
	if (!failed)
		failed = set_times(&making, err);
	if (making.tmpfile_fd >= 0)
		close(making.tmpfile_fd);
	if (making.fd >= 0)
		close(making.fd);
	return failed;
}

/* Who leads to which unlinked file, in the order of the snapshot. */
static void list_users(const struct file_opener *opener, struct unlinked_files *files)
{
	const struct snapshot *snapshot = opener->snapshot;

	for (size_t i = snapshot->n_files; i-- > 0;) {
		const FileEntry *entry = snapshot->files[i];
		const struct record *ghost =
			entry->type == FD_TYPES__REG ? ghost_of(snapshot, entry) : NULL;
		if (!ghost)
			continue;
		struct user *user = arena_new(opener->arena, struct user);
		struct user **first = table_find(&files->users_of, ghost->key);
		if (!first) {
			first = arena_new(opener->arena, struct user *);
			table_add(&files->users_of, opener->arena, ghost->key, first);
		}
		*user = (struct user){ .next = *first, .entry = entry };
		*first = user;
		table_add(&files->users, opener->arena, entry->id, user);
	}
}

static struct unlinked_files *unlinked_files(struct file_opener *opener)
{
	void **state = opener_state(opener, &regular_kind);

	if (!*state) {
		*state = arena_new(opener->arena, struct unlinked_files);
		list_users(opener, *state);
	}
	return *state;
}

int ghost_open(struct file_opener *opener, const FileEntry *entry, struct error *err)
{
	struct unlinked_files *files = unlinked_files(opener);
	const struct record *ghost = ghost_of(opener->snapshot, entry);
	struct user *user = table_find(&files->users, entry->id);

	if (!user->opened) {
		struct user **first = table_find(&files->users_of, ghost->key);
		if (make_ghost(opener, ghost, *first, entry->reg, err))
			return -1;
	}
	user->opened = false;
	return opener_take(opener, user->place);
}
