// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Is there room for the unlinked files of a tree, on the file systems where they were? Looked at
 * before anything is made: without it a restore would fail when half of the tree is there.
 *
 * At dump nobody need ask: the file system that a file is on gets back what it takes when the tree
 * ends. What lies in a mount namespace of the tree has room there once that is made.
 */
#include "kinds/files/ghost.h"
#include "kinds/files/regular.h"
#include "kinds/opener.h"

#include "base/cleanup.h"
#include "base/table.h"
#include "images/images.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

struct file_system {
	struct file_system *next;
	dev_t device;
	uint64_t wanted, there;
};

/* Kept by the opener, by the address of `owner`. */
struct rooms {
	struct table seen; /* unlinked files, by number: several descriptions may lead to one */
	struct file_system *first;
};

static const char owner;

static struct rooms *rooms_of(struct file_opener *opener)
{
	void **state = opener_state(opener, &owner);

	if (!*state)
		*state = arena_new(opener->arena, struct rooms);
	return *state;
}

/* Of what remains of it: directories that are gone too are made on the file system above them. */
static int open_directory_above(const struct file_opener *opener, const char *name)
{
	char *path = arena_string(opener->arena, name);
	int fd;

	do {
		char *slash = strrchr(path, '/');
		*(slash ? slash : path) = '\0';
		fd = opener_open_path(opener, path, O_PATH | O_DIRECTORY);
	} while (fd < 0 && *path && (errno == ENOENT || errno == ENOTDIR));
	return fd;
}

/* NULL where it does not say. */
static struct file_system *find_file_system(struct file_opener *opener, int fd)
{
	struct rooms *rooms = rooms_of(opener);
	struct stat directory;
	struct statvfs fs;

	if (fstat(fd, &directory) < 0 || fstatvfs(fd, &fs) < 0 || fs.f_blocks == 0)
		return NULL;
	for (struct file_system *known = rooms->first; known; known = known->next)
		if (known->device == directory.st_dev)
			return known;
	struct file_system *found = arena_new(opener->arena, struct file_system);
	*found = (struct file_system){
		.next = rooms->first,
		.device = directory.st_dev,
		/* What is kept for root is for us, too. */
		.there = (geteuid() == 0 ? fs.f_bfree : fs.f_bavail) * fs.f_frsize,
	};
	rooms->first = found;
	return found;
}

/* Holes take no room: they are not in the image. */
static int content_size(const struct file_opener *opener, const struct record *ghost,
			uint64_t *ret_size, struct error *err)
{
	autoclose int fd = images_open_content(opener->images, IMAGE_GHOST_FILE, ghost->key, err);
	struct stat image;

	if (fd < 0)
		return -1;
	if (fstat(fd, &image) < 0)
		return fail_errno(err, ERR_IO, "cannot look at the content of an unlinked file");
	*ret_size = (uint64_t)image.st_size - ghost->content;
	return 0;
}

int ghost_verify(struct file_opener *opener, const FileEntry *entry, struct error *err)
{
	const struct record *ghost = ghost_of(opener->snapshot, entry);
	struct rooms *rooms = rooms_of(opener);
	uint64_t size = 0;

	if (!S_ISREG(ghost_entry(ghost)->mode) || regular_is_inside(opener->snapshot, entry->reg) ||
	    table_find(&rooms->seen, ghost->key))
		return 0;
	table_add(&rooms->seen, opener->arena, ghost->key, ghost->message);
	if (content_size(opener, ghost, &size, err))
		return -1;
	autoclose int fd = open_directory_above(opener, entry->reg->name);
	struct file_system *fs = fd < 0 ? NULL : find_file_system(opener, fd);
	/* What cannot be looked at is told when it is used. */
	if (!fs)
		return 0;
	fs->wanted += size;
	if (fs->wanted <= fs->there)
		return 0;
	fail(err, ERR_NO_ROOM,
	     "the file system of the unlinked file %s has %" PRIu64
	     " bytes left: its content and that of others there takes %" PRIu64,
	     entry->reg->name, fs->there, fs->wanted);
	return fail_hint(err, "make room there, or restore with --root below another directory");
}
