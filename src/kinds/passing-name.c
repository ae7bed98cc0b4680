// SPDX-License-Identifier: LGPL-2.1-or-later
/* See passing-name.h. What is new is made by a name of our own first, so that it is known. */
#include "kinds/passing-name.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/names.h"
#include "base/undo.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE (1U << 0)
#endif

enum { NEW_MODE = 0700 };

struct passing_name {
	struct undo_entry undo; /* the first member */
	int dir_fd;
	const char *name;
	bool directory;
	bool keeps_dir; /* dir_fd is its own */
	bool gone;	/* but these times are still to be set: */
	struct timespec times[2];
	bool own;    /* nobody else gives such a name; else: */
	bool known;  /* by these, else by its owner: */
	uid_t owner; /* as what we make there has it */
	dev_t device;
	ino_t inode;
};

/*
 * As it is made: nobody else makes one for us, and what is in it would keep it. Its group's bit may
 * be that of the directory it is in (S_ISGID).
 */
static bool is_new_directory(const struct stat *found, uid_t owner)
{
	return S_ISDIR(found->st_mode) && (found->st_mode & 07777 & ~S_ISGID) == NEW_MODE &&
	       found->st_uid == owner;
}

static bool is_ours(const struct passing_name *name)
{
	struct stat found;

	if (name->own)
		return true;
	if (fstatat(name->dir_fd, name->name, &found, AT_SYMLINK_NOFOLLOW))
		return false;
	return name->known ? found.st_dev == name->device && found.st_ino == name->inode
			   : is_new_directory(&found, name->owner);
}

/* It may be gone, and its directory not have its times yet. */
static int remove_it(struct passing_name *name)
{
	if (!name->gone &&
	    (names_times(name->dir_fd, name->times) < 0 ||
	     unlinkat(name->dir_fd, name->name, name->directory ? AT_REMOVEDIR : 0) < 0))
		return -1;
	name->gone = true;
	return names_set_times(name->dir_fd, name->times);
}

static void take_back(const struct undo_entry *entry)
{
	struct passing_name *name = (struct passing_name *)(uintptr_t)entry;

	if (name->gone || is_ours(name))
		remove_it(name);
	if (name->keeps_dir)
		close(name->dir_fd);
}

/* Whole before it is in the list, which somebody else may work off from then on. */
static struct passing_name *record(struct file_opener *opener, const struct passing_name *like)
{
	struct passing_name *passing = arena_new(opener->arena, struct passing_name);

	*passing = *like;
	passing->undo.undo = take_back;
	passing->name = arena_string(opener->arena, like->name);
	undo_add(opener->undo, &passing->undo);
	return passing;
}

static struct passing_name *add(struct file_opener *opener, int dir_fd, const char *name, int fd,
				bool directory)
{
	struct stat found = { 0 };

	if (fd >= 0 && fstat(fd, &found) < 0)
		return NULL;
	return record(opener, &(struct passing_name){ .dir_fd = dir_fd,
						      .name = name,
						      .directory = directory,
						      .own = fd < 0,
						      .known = true,
						      .device = found.st_dev,
						      .inode = found.st_ino });
}

/* One of our own, which is free. */
static struct passing_name *add_own(struct file_opener *opener, int dir_fd, bool directory)
{
	uint64_t number[2];
	char name[64];

	if (getrandom(number, sizeof number, 0) != sizeof number)
		return NULL;
	snprintf(name, sizeof name, ".nestor-%016" PRIx64 "%016" PRIx64, number[0], number[1]);
	return add(opener, dir_fd, name, -1, directory);
}

static struct passing_name *give_up(struct passing_name *name)
{
	undo_drop(&name->undo);
	return NULL;
}

/* The thing may be there, or may never have been made. */
static struct passing_name *remove_own(struct passing_name *own)
{
	int failure = errno;

	passing_remove(own);
	errno = failure;
	return NULL;
}

/* Whether or not the name was made: its directory has been changed. */
static struct passing_name *keep_times(int dir_fd, const struct timespec times[2],
				       struct passing_name *made)
{
	int failure = errno;
	bool kept = names_set_times(dir_fd, times) == 0;

	if (!kept && made) {
		failure = errno;
		made = remove_own(made);
		names_set_times(dir_fd, times);
	}
	errno = failure;
	return made;
}

struct passing_name *passing_link(struct file_opener *opener, int dir_fd, const char *name, int fd)
{
	struct timespec times[2];

	if (names_times(dir_fd, times) < 0)
		return NULL;
	struct passing_name *passing = add(opener, dir_fd, name, fd, false);
	if (!passing)
		return NULL;
	return names_link(fd, dir_fd, name) == 0 ? keep_times(dir_fd, times, passing)
						 : give_up(passing);
}

/* From a name of our own to the wanted one. */
static struct passing_name *rename_own(struct file_opener *opener, struct passing_name *own,
				       const char *name, int fd)
{
	struct passing_name *passing = add(opener, own->dir_fd, name, fd, own->directory);

	if (passing &&
	    names_rename(own->dir_fd, own->name, own->dir_fd, name, RENAME_NOREPLACE) == 0) {
		undo_drop(&own->undo);
		return passing;
	}
	if (passing)
		give_up(passing);
	return remove_own(own);
}

/* An overlay whose layers have no extended attributes renames no directory (EXDEV). */
static struct passing_name *make_directory(struct file_opener *opener, int dir_fd, const char *name,
					   uid_t owner, int *ret_fd)
{
	struct passing_name *made =
		record(opener,
		       &(struct passing_name){
			       .dir_fd = dir_fd, .name = name, .directory = true, .owner = owner });
	struct stat found;

	if (names_mkdir(dir_fd, name, NEW_MODE) < 0)
		return give_up(made);
	autoclose int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &found) < 0)
		return remove_own(made);
	/* Whoever may write there may have put another one in its place. */
	errno = ESTALE;
	if (!is_new_directory(&found, owner))
		return give_up(made);
	made->device = found.st_dev;
	made->inode = found.st_ino;
	made->known = true;
	*ret_fd = take_fd(&fd);
	return made;
}

/* By a name of its own first, where directories can be renamed. */
static struct passing_name *find_way(struct file_opener *opener, struct passing_name *own,
				     const char *name, int *ret_fd)
{
	const int dir_fd = own->dir_fd;
	autoclose int fd =
		openat(dir_fd, own->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat made;

	if (fd < 0 || fstat(fd, &made) < 0)
		return remove_own(own);
	struct passing_name *passing = rename_own(opener, own, name, fd);
	if (passing)
		*ret_fd = take_fd(&fd);
	return passing || errno != EXDEV
		       ? passing
		       : make_directory(opener, dir_fd, name, made.st_uid, ret_fd);
}

struct passing_name *passing_directory(struct file_opener *opener, int dir_fd, const char *name,
				       int *ret_fd)
{
	struct timespec times[2];

	if (names_times(dir_fd, times) < 0)
		return NULL;
	struct passing_name *own = add_own(opener, dir_fd, true);
	if (!own || names_mkdir(dir_fd, own->name, NEW_MODE) < 0)
		return own ? give_up(own) : NULL;
	return keep_times(dir_fd, times, find_way(opener, own, name, ret_fd));
}

/* What `create` makes. */
struct making {
	int (*make)(const struct making *making, int dir_fd, const char *name);
	dev_t device;
	const char *target;
};

static int create_file(const struct making *making, int dir_fd, const char *name)
{
	(void)making;
	return names_open(dir_fd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
}

static int create_fifo(const struct making *making, int dir_fd, const char *name)
{
	struct stat found;

	(void)making;
	if (names_mkfifo(dir_fd, name, 0600))
		return -1;
	autoclose int fd = openat(dir_fd, name, O_RDWR | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
	return fd >= 0 && fstat(fd, &found) == 0 && S_ISFIFO(found.st_mode) ? take_fd(&fd) : -1;
}

static int create_device(const struct making *making, int dir_fd, const char *name)
{
	const dev_t device = making->device;
	struct stat found;

	if (names_mknod(dir_fd, name, S_IFCHR | 0600, device))
		return -1;
	autoclose int fd =
		openat(dir_fd, name, O_RDWR | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW | O_CLOEXEC);
	return fd >= 0 && fstat(fd, &found) == 0 && S_ISCHR(found.st_mode) &&
			       found.st_rdev == device
		       ? take_fd(&fd)
		       : -1;
}

static int open_path(int dir_fd, const char *name, mode_t type)
{
	struct stat found;
	autoclose int fd = openat(dir_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	return fd >= 0 && fstat(fd, &found) == 0 && (found.st_mode & S_IFMT) == type ? take_fd(&fd)
										     : -1;
}

static int create_symlink(const struct making *making, int dir_fd, const char *name)
{
	return names_symlink(dir_fd, name, making->target) ? -1 : open_path(dir_fd, name, S_IFLNK);
}

static int create_socket(const struct making *making, int dir_fd, const char *name)
{
	(void)making;
	return names_mknod(dir_fd, name, S_IFSOCK | 0600, 0) ? -1
							     : open_path(dir_fd, name, S_IFSOCK);
}

static struct passing_name *create(struct file_opener *opener, int dir_fd, const char *name,
				   const struct making *making, int *ret_fd)
{
	struct timespec times[2];
	autoclose int fd = -1;

	if (names_times(dir_fd, times) < 0)
		return NULL;
	struct passing_name *own = add_own(opener, dir_fd, false);
	if (!own)
		return NULL;
	fd = making->make(making, dir_fd, own->name);
	struct passing_name *passing = keep_times(
		dir_fd, times, fd < 0 ? remove_own(own) : rename_own(opener, own, name, fd));
	if (passing)
		*ret_fd = take_fd(&fd);
	return passing;
}

struct passing_name *passing_file(struct file_opener *opener, int dir_fd, const char *name,
				  int *ret_fd)
{
	return create(opener, dir_fd, name, &(struct making){ create_file }, ret_fd);
}

struct passing_name *passing_fifo(struct file_opener *opener, int dir_fd, const char *name,
				  int *ret_fd)
{
	return create(opener, dir_fd, name, &(struct making){ create_fifo }, ret_fd);
}

struct passing_name *passing_device(struct file_opener *opener, int dir_fd, const char *name,
				    dev_t device, int *ret_fd)
{
	return create(opener, dir_fd, name, &(struct making){ create_device, .device = device },
		      ret_fd);
}

struct passing_name *passing_symlink(struct file_opener *opener, int dir_fd, const char *name,
				     const char *target, int *ret_fd)
{
	return create(opener, dir_fd, name, &(struct making){ create_symlink, .target = target },
		      ret_fd);
}

struct passing_name *passing_socket(struct file_opener *opener, int dir_fd, const char *name,
				    int *ret_fd)
{
	return create(opener, dir_fd, name, &(struct making){ create_socket }, ret_fd);
}

struct passing_name *passing_awaited(struct file_opener *opener, int dir_fd, const char *name)
{
	return add(opener, dir_fd, name, -1, false);
}

int passing_remove(struct passing_name *name)
{
	if (remove_it(name) == 0 || (!name->gone && errno == ENOENT)) {
		undo_drop(&name->undo);
		return 0;
	}
	/* It is tried again when all is undone, when the caller has closed the directory. */
	int failure = errno, dir_fd = fcntl(name->dir_fd, F_DUPFD_CLOEXEC, 0);
	if (dir_fd < 0)
		undo_drop(&name->undo);
	name->dir_fd = dir_fd;
	name->keeps_dir = dir_fd >= 0;
	errno = failure;
	return -1;
}
