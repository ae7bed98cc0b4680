// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A name in a file system that a unix socket gets. The name of a socket outlives it, so what stands
 * there is mostly what the dump has left: it gives way to the new one, which is as good as the old
 * when the restore fails later on. Where none stands, none is to be left. Between the two the old
 * one has a name of its own, by which it is put back, by whomever (base/undo.h). The new one gets
 * its times.
 */
#include "kinds/sockets/unix.h"

#include "base/cleanup.h"
#include "base/names.h"
#include "base/undo.h"
#include "kinds/opener.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

struct given_name {
	struct undo_entry undo; /* the first member */
	int directory;
	const char *name;
	const char *aside;	  /* the old one meanwhile; NULL: none stood there */
	struct timespec times[2]; /* of the old one */
	dev_t device;
	ino_t inode; /* of the new one; 0: not known yet */
};

/* A directory that many names are in. */
struct name_directory {
	struct name_directory *next;
	dev_t device;
	ino_t inode;
	int fd;
};

static int put_back_name(const struct given_name *given)
{
	struct stat found;

	if (given->aside)
		return names_rename(given->directory, given->aside, given->directory, given->name,
				    0);
	if (fstatat(given->directory, given->name, &found, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -1;
	if (!S_ISSOCK(found.st_mode) ||
	    (given->inode && (found.st_ino != given->inode || found.st_dev != given->device)))
		return 0;
	return unlinkat(given->directory, given->name, 0);
}

static int put_back(const struct given_name *given)
{
	struct timespec times[2];

	return names_times(given->directory, times) < 0 || put_back_name(given) < 0
		       ? -1
		       : names_set_times(given->directory, times);
}

static void take_back(const struct undo_entry *entry)
{
	put_back((const struct given_name *)entry);
}

/* A descriptor that stays until the restore has come to its end; one for all names there. */
static int keep_directory(struct unix_world *world, int directory)
{
	struct stat found;

	if (fstat(directory, &found) < 0)
		return -1;
	for (const struct name_directory *known = world->directories; known; known = known->next)
		if (known->inode == found.st_ino && known->device == found.st_dev)
			return known->fd;
	int fd = fcntl(directory, F_DUPFD_CLOEXEC, 3);
	if (fd < 0)
		return -1;
	struct name_directory *more = arena_new(world->opener->arena, struct name_directory);
	*more = (struct name_directory){ world->directories, found.st_dev, found.st_ino, fd };
	world->directories = more;
	opener_hold(world->opener, fd);
	return fd;
}

struct given_name *given_name_take(struct unix_world *world, int directory, const char *name)
{
	struct arena *arena = world->opener->arena;
	struct given_name *given = arena_new(arena, struct given_name);
	struct stat old;
	uint64_t number[2];

	*given = (struct given_name){ .undo.undo = take_back,
				      .directory = keep_directory(world, directory),
				      .name = arena_string(arena, name) };
	if (given->directory < 0)
		return NULL;
	if (fstatat(given->directory, name, &old, AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno != ENOENT)
			return NULL;
		undo_add(world->opener->undo, &given->undo);
		return given;
	}
	if (getrandom(number, sizeof number, 0) != sizeof number)
		return NULL;
	given->times[0] = old.st_atim;
	given->times[1] = old.st_mtim;
	given->aside =
		arena_printf(arena, ".nestor-%016" PRIx64 "%016" PRIx64, number[0], number[1]);
	undo_add(world->opener->undo, &given->undo);
	if (names_rename(given->directory, name, given->directory, given->aside, 0) == 0)
		return given;
	undo_drop(&given->undo);
	return NULL;
}

int given_name_refuse(struct given_name *given)
{
	if (put_back(given) < 0)
		return -1;
	undo_drop(&given->undo);
	return 0;
}

int given_name_keep(struct given_name *given)
{
	struct stat made;

	if (fstatat(given->directory, given->name, &made, AT_SYMLINK_NOFOLLOW) < 0)
		return -1;
	if (given->aside) {
		if (utimensat(given->directory, given->name, given->times, AT_SYMLINK_NOFOLLOW) <
			    0 ||
		    unlinkat(given->directory, given->aside, 0) < 0)
			return -1;
		undo_drop(&given->undo);
		return 0;
	}
	given->device = made.st_dev;
	given->inode = made.st_ino;
	return 0;
}
