/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The content of a file system in memory as a compressed tar archive, in the pax format of
 * POSIX.1-2001. What that has no place for is in records of the extended headers: extended
 * attributes as other tools write them (SCHILY.xattr.NAME), likewise what chattr(1) sets
 * (SCHILY.fflags=append,immutable), a socket as an empty file with NESTOR.type=socket, which
 * parts of a file have memory (NESTOR.memory=START-END,START-END; kernel/file-parts.h), and the
 * number of the inode where that can be had again (NESTOR.inode=NUMBER; inode-numbers.h). Holes of
 * files are left out, as GNU tar does (tar-sparse.c).
 */
#ifndef NESTOR_KINDS_MOUNTS_ARCHIVE_H
#define NESTOR_KINDS_MOUNTS_ARCHIVE_H

#include "base/error.h"
#include "model/snapshot.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

/* What chattr(1) sets, as the archive has it: a bit of FS_IOC_GETFLAGS, and its name. */
struct archive_flag {
	unsigned bit;
	const char *name;
};
extern const struct archive_flag archive_flags[]; /* ends with a name that is NULL */

struct archive_writer;

/* `file_fd` is borrowed; with_removed: what was removed will be added, too. NULL with err. */
struct archive_writer *archive_writer_new(int file_fd, bool with_removed, struct error *err);
/*
 * Adds a directory and all that is in it; `prefix` ("", "a/b") is where it is in the archive. What
 * other mounts cover cannot be looked at: `covered` is told of each such path, and says whether it
 * will be added in another way. Otherwise only that there is something is kept.
 */
struct archive_tree {
	int root_fd;
	const char *prefix;
	bool (*covered)(void *data, const char *path);
	void *data;
};
int archive_add_tree(struct archive_writer *writer, const struct archive_tree *tree,
		     struct error *err);
/*
 * Adds one thing under this name: what has no name any more (a directory that was removed is
 * empty), or is no directory.
 */
int archive_add_alone(struct archive_writer *writer, int path_fd, const char *path,
		      struct error *err);
/*
 * Adds one thing that no directory leads to, as it is told: what is in it, its flags and access
 * control lists are read by `fd` (O_PATH) of something that shows it; -1: it has none.
 */
struct archive_told_attribute {
	const char *name;
	const void *value;
	size_t size;
};
struct archive_attribute_list {
	struct archive_told_attribute *all;
	size_t n;
};
struct archive_told {
	const char *path; /* ".", "./a/b" */
	struct stat stat;
	int fd;
	struct archive_attribute_list attributes;
};
int archive_add_told(struct archive_writer *writer, const struct archive_told *told,
		     struct error *err);
/* Frees it; the archive is complete if this gives 0. */
int archive_writer_end(struct archive_writer *writer, struct error *err);

/*
 * Fills a directory from an archive that anybody may have written: nothing is followed or made
 * outside of it. Changes the ids by which the caller makes files. `seen_by` is the user namespace
 * in whose words it names owners (NULL: nestor's own); `what` is for messages.
 */
int archive_extract(int file_fd, int root_fd, const struct user_namespace *seen_by,
		    const char *what, struct error *err);
/* Fills a new file, open for reading and writing, from an archive of just that. */
int archive_extract_alone(int file_fd, int fd, const char *what, struct error *err);

#endif
