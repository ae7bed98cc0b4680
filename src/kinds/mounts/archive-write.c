// SPDX-License-Identifier: LGPL-2.1-or-later
/* Writing archives; see archive.h. */
#include "kinds/mounts/archive.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/listing.h"
#include "kernel/file-parts.h"
#include "kinds/mounts/inode-numbers.h"
#include "kinds/mounts/tar.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <zlib.h>

enum { COPY_SIZE = 64 * 1024, LINK_BUCKETS = 512 };

struct linked {
	struct linked *next;
	ino_t inode;
	const char *path;
};

struct archive_writer {
	gzFile file;
	struct arena arena;
	struct linked *links[LINK_BUCKETS];
	const struct archive_tree *tree; /* that is being added */
	uint64_t mount_id;		 /* of it */
	bool numbered;			 /* the numbers of inodes are kept */
	bool with_removed;		 /* other names of files are there, which do not count */
	struct tar_records records;	 /* of the extended header that is being made */
};

struct archive_writer *archive_writer_new(int file_fd, bool with_removed, struct error *err)
{
	autoclose int copy = fcntl(file_fd, F_DUPFD_CLOEXEC, 0);
	struct archive_writer *writer = calloc(1, sizeof *writer);

	if (writer && copy >= 0)
		writer->file = gzdopen(copy, "wb1");
	if (!writer || !writer->file) {
		free(writer);
		fail_errno(err, ERR_IO, "cannot start an archive");
		return NULL;
	}
	take_fd(&copy);
	writer->with_removed = with_removed;
	arena_init(&writer->arena);
	return writer;
}

static int put(struct archive_writer *writer, const void *bytes, size_t size, struct error *err)
{
	if (size && gzwrite(writer->file, bytes, (unsigned)size) != (int)size)
		return fail_errno(err, ERR_IO, "cannot write an archive");
	return 0;
}

static int pad(struct archive_writer *writer, uint64_t size, struct error *err)
{
	static const char zeros[TAR_BLOCK];

	return put(writer, zeros, (size_t)(-size & (TAR_BLOCK - 1)), err);
}

/* ---- headers ---- */

static void set_octal(char *field, size_t size, uint64_t value)
{
	char text[32];

	snprintf(text, sizeof text, "%0*" PRIo64, (int)size - 1, value);
	memcpy(field, text, size - 1);
}

static int put_header(struct archive_writer *writer, struct tar_header *header, struct error *err)
{
	unsigned sum = 0;

	memcpy(header->magic, "ustar", 6);
	memcpy(header->version, "00", 2);
	memset(header->checksum, ' ', sizeof header->checksum);
	for (size_t i = 0; i < sizeof *header; i++)
		sum += ((const unsigned char *)header)[i];
	snprintf(header->checksum, 8, "%06o", sum);
	header->checksum[7] = ' ';
	return put(writer, header, sizeof *header, err);
}

static int put_extended(struct archive_writer *writer, struct error *err)
{
	struct tar_header header = { .name = "././@PaxHeader", .type = TAR_EXTENDED };

	set_octal(header.mode, sizeof header.mode, 0644);
	set_octal(header.size, sizeof header.size, writer->records.length);
	return put_header(writer, &header, err) ||
			       put(writer, writer->records.bytes, writer->records.length, err) ||
			       pad(writer, writer->records.length, err)
		       ? -1
		       : 0;
}

static enum tar_type type_of(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFDIR:
		return TAR_DIRECTORY;
	case S_IFLNK:
		return TAR_SYMBOLIC_LINK;
	case S_IFCHR:
		return TAR_CHARACTER_DEVICE;
	case S_IFBLK:
		return TAR_BLOCK_DEVICE;
	case S_IFIFO:
		return TAR_FIFO;
	default:
		return TAR_FILE;
	}
}

struct entry {
	const char *path; /* in the archive */
	const char *link; /* NULL: none */
	enum tar_type type;
	struct stat stat;
	uint64_t size;
};

static int put_entry(struct archive_writer *writer, const struct entry *entry, struct error *err)
{
	const struct stat *stat = &entry->stat;
	struct tar_header header = { .type = (char)entry->type };

	tar_add_record(&writer->records, "path", entry->path, strlen(entry->path));
	if (entry->link)
		tar_add_record(&writer->records, "linkpath", entry->link, strlen(entry->link));
	tar_add_number(&writer->records, "uid", stat->st_uid);
	tar_add_number(&writer->records, "gid", stat->st_gid);
	tar_add_number(&writer->records, "size", entry->size);
	tar_add_time(&writer->records, "mtime", &stat->st_mtim);
	tar_add_time(&writer->records, "atime", &stat->st_atim);
	if (writer->numbered && entry->type != TAR_HARD_LINK)
		tar_add_number(&writer->records, TAR_INODE, stat->st_ino);
	if (S_ISSOCK(stat->st_mode) && entry->type == TAR_FILE)
		tar_add_record(&writer->records, TAR_SOCKET, "socket", strlen("socket"));
	if (put_extended(writer, err))
		return -1;
	snprintf(header.name, sizeof header.name, "%.99s", entry->path);
	set_octal(header.mode, sizeof header.mode, stat->st_mode & 07777);
	set_octal(header.uid, sizeof header.uid, stat->st_uid & 07777777);
	set_octal(header.gid, sizeof header.gid, stat->st_gid & 07777777);
	set_octal(header.size, sizeof header.size, entry->size & UINT64_C(077777777777));
	set_octal(header.mtime, sizeof header.mtime,
		  (uint64_t)stat->st_mtim.tv_sec & UINT64_C(077777777777));
	set_octal(header.major, sizeof header.major, major(stat->st_rdev));
	set_octal(header.minor, sizeof header.minor, minor(stat->st_rdev));
	if (entry->link)
		snprintf(header.link, sizeof header.link, "%.99s", entry->link);
	return put_header(writer, &header, err);
}

/* ---- files ---- */

static int put_segment(struct archive_writer *writer, int fd, const struct entry *entry,
		       const struct tar_segment *segment, struct error *err)
{
	char buffer[COPY_SIZE];

	for (uint64_t at = segment->at, end = at + segment->size; at < end;) {
		size_t room = end - at < sizeof buffer ? (size_t)(end - at) : sizeof buffer;
		ssize_t size = pread(fd, buffer, room, (off_t)at);
		if (size == 0)
			errno = ESTALE; /* cut by somebody outside */
		if (size <= 0)
			return fail_errno(err, ERR_IO, "cannot read %s", entry->path);
		if (put(writer, buffer, (size_t)size, err))
			return -1;
		at += (uint64_t)size;
	}
	return 0;
}

static int put_regular(struct archive_writer *writer, int fd, struct entry *entry,
		       struct error *err)
{
	struct tar_segments segments;
	uint64_t size = (uint64_t)entry->stat.st_size;
	const char *list = NULL;
	size_t length = 0;

	if (tar_find_segments(fd, size, &writer->arena, &segments))
		return fail_errno(err, ERR_IO, "cannot tell which parts of %s hold data",
				  entry->path);
	if (segments.sparse) {
		list = tar_segments_text(&segments, size, &writer->arena, &length);
		tar_add_number(&writer->records, TAR_SPARSE_MAJOR, 1);
		tar_add_number(&writer->records, TAR_SPARSE_MINOR, 0);
		tar_add_number(&writer->records, TAR_SPARSE_SIZE, size);
	}
	entry->size = length + segments.bytes;
	if (put_entry(writer, entry, err) || put(writer, list, length, err))
		return -1;
	for (size_t i = 0; i < segments.n; i++)
		if (put_segment(writer, fd, entry, &segments.all[i], err))
			return -1;
	return pad(writer, entry->size, err);
}

/* A regular file or a directory, whose flags are known once it is open. */
static int put_opened(struct archive_writer *writer, int fd, struct entry *entry, struct error *err)
{
	autoparts struct file_parts parts = { 0 };
	bool regular = S_ISREG(entry->stat.st_mode);

	if (tar_add_flags(&writer->records, fd, entry->path, err) ||
	    (regular && entry->stat.st_blocks &&
	     tar_add_parts(&writer->records, fd, entry->path, &parts, err)))
		return -1;
	return regular ? put_regular(writer, fd, entry, err) : put_entry(writer, entry, err);
}

/* The first name of a file that has several; NULL: this is it. */
static const char *earlier_name(struct archive_writer *writer, const struct entry *entry)
{
	struct linked **bucket = &writer->links[entry->stat.st_ino % LINK_BUCKETS];

	if (S_ISDIR(entry->stat.st_mode) || (entry->stat.st_nlink < 2 && !writer->with_removed))
		return NULL;
	for (const struct linked *linked = *bucket; linked; linked = linked->next)
		if (linked->inode == entry->stat.st_ino)
			return linked->path;
	struct linked *linked = arena_new(&writer->arena, struct linked);
	*linked = (struct linked){ *bucket, entry->stat.st_ino,
				   arena_string(&writer->arena, entry->path) };
	*bucket = linked;
	return NULL;
}

static int mount_id_at(int dir_fd, const char *name, const char *path, int flags,
		       uint64_t *ret_mount_id, struct error *err)
{
	struct statx found;

	if (statx(dir_fd, name, flags | AT_SYMLINK_NOFOLLOW, STATX_MNT_ID, &found))
		return fail_errno(err, ERR_IO, "cannot tell on which mount %s is", path);
	*ret_mount_id = found.stx_mnt_id;
	return 0;
}

/*
 * Below what is mounted there for good nobody can look, so only that there is something matters;
 * whether a directory or not, what is mounted tells.
 */
static int add_covered(struct archive_writer *writer, int dir_fd, const char *path,
		       struct stat *covering, struct error *err)
{
	struct entry entry = { .path = path };
	bool directory = S_ISDIR(covering->st_mode);

	covering->st_mode = S_IFREG;
	if (writer->tree->covered(writer->tree->data, path + strlen("./")))
		return 0;
	if (fstat(dir_fd, &entry.stat))
		return fail_errno(err, ERR_IO, "cannot look at %s", path);
	entry.stat.st_mode = directory ? S_IFDIR | 0755 : S_IFREG | 0644;
	entry.type = type_of(entry.stat.st_mode);
	writer->records.length = 0;
	return put_entry(writer, &entry, err);
}

static int add_one(struct archive_writer *writer, int dir_fd, const char *name, const char *path,
		   struct stat *ret_stat, struct error *err)
{
	struct entry entry = { .path = path };
	char target[PATH_MAX], place[64 + NAME_MAX];
	autoclose int fd = -1;
	uint64_t mount_id = 0;

	if (fstatat(dir_fd, name, &entry.stat, AT_SYMLINK_NOFOLLOW))
		return fail_errno(err, ERR_IO, "cannot look at %s", path);
	*ret_stat = entry.stat;
	if (mount_id_at(dir_fd, name, path, 0, &mount_id, err))
		return -1;
	if (mount_id != writer->mount_id)
		return add_covered(writer, dir_fd, path, ret_stat, err);
	entry.type = type_of(entry.stat.st_mode);
	entry.link = earlier_name(writer, &entry);
	writer->records.length = 0;
	if (entry.link) {
		entry.type = TAR_HARD_LINK;
		return put_entry(writer, &entry, err);
	}
	snprintf(place, sizeof place, "/proc/self/fd/%d/%s", dir_fd, name);
	if (tar_add_attributes(&writer->records, place, false, err))
		return fail_while(err, "%s", path);
	if (entry.type == TAR_SYMBOLIC_LINK) {
		ssize_t size = readlinkat(dir_fd, name, target, sizeof target - 1);
		if (size < 0)
			return fail_errno(err, ERR_IO, "cannot read the link %s", path);
		target[size] = '\0';
		entry.link = target;
	}
	if (!S_ISREG(entry.stat.st_mode) && !S_ISDIR(entry.stat.st_mode))
		return put_entry(writer, &entry, err);
	fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC);
	return fd < 0 ? fail_errno(err, ERR_IO, "cannot open %s", path)
		      : put_opened(writer, fd, &entry, err);
}

static int add_directory(struct archive_writer *writer, int dir_fd, const char *path,
			 struct error *err)
{
	autoclosedir DIR *dir = listing_of(dir_fd);

	for (const char *name; listing_next(dir, &name);) {
		struct stat stat;
		const char *below = arena_printf(&writer->arena, "%s/%s", path, name);
		if (add_one(writer, dir_fd, name, below, &stat, err))
			return -1;
		if (!S_ISDIR(stat.st_mode))
			continue;
		int fd = openat(dir_fd, name,
				O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC);
		if (fd < 0)
			return fail_errno(err, ERR_IO, "cannot open %s", below);
		if (add_directory(writer, fd, below, err))
			return -1;
	}
	return errno ? fail_errno(err, ERR_IO, "cannot list %s", path) : 0;
}

int archive_add_tree(struct archive_writer *writer, const struct archive_tree *tree,
		     struct error *err)
{
	const char *path = *tree->prefix ? arena_printf(&writer->arena, "./%s", tree->prefix) : ".";
	struct stat stat;

	writer->tree = tree;
	int numbered = inode_numbers_are_kept(tree->root_fd, err);
	writer->numbered = numbered > 0;
	if (numbered < 0 ||
	    mount_id_at(tree->root_fd, "", path, AT_EMPTY_PATH, &writer->mount_id, err) ||
	    add_one(writer, tree->root_fd, ".", path, &stat, err))
		return -1;
	int fd = openat(tree->root_fd, ".", O_RDONLY | O_DIRECTORY | O_NOATIME | O_CLOEXEC);
	return fd < 0 ? fail_errno(err, ERR_IO, "cannot open %s", path)
		      : add_directory(writer, fd, path, err);
}

static int add_file_alone(struct archive_writer *writer, const char *place, struct entry *entry,
			  struct error *err)
{
	/* Of anything else opening would not be without effect. */
	autoclose int fd = open(place, O_RDONLY | O_NOATIME | O_CLOEXEC);

	return fd < 0 ? fail_errno(err, ERR_IO, "cannot open %s", entry->path)
		      : put_opened(writer, fd, entry, err);
}

int archive_add_alone(struct archive_writer *writer, int path_fd, const char *path,
		      struct error *err)
{
	struct entry entry = { .path = arena_printf(&writer->arena, "./%s", path) };
	char place[64], target[PATH_MAX];

	if (fstat(path_fd, &entry.stat))
		return fail_errno(err, ERR_IO, "cannot look at %s", path);
	int numbered = inode_numbers_are_kept(path_fd, err);
	if (numbered < 0)
		return -1;
	writer->numbered = numbered > 0;
	entry.type = type_of(entry.stat.st_mode);
	entry.link = earlier_name(writer, &entry);
	writer->records.length = 0;
	if (entry.link) {
		entry.type = TAR_HARD_LINK;
		return put_entry(writer, &entry, err);
	}
	if (entry.type == TAR_SYMBOLIC_LINK) {
		ssize_t size = readlinkat(path_fd, "", target, sizeof target - 1);
		if (size < 0)
			return fail_errno(err, ERR_IO, "cannot read the link %s", path);
		target[size] = '\0';
		entry.link = target;
		return put_entry(writer, &entry, err);
	}
	snprintf(place, sizeof place, "/proc/self/fd/%d", path_fd);
	if (tar_add_attributes(&writer->records, place, true, err))
		return fail_while(err, "%s", path);
	return S_ISREG(entry.stat.st_mode) ? add_file_alone(writer, place, &entry, err)
					   : put_entry(writer, &entry, err);
}

/* ---- what is told ---- */

/* They are no attributes for the file system (simple_set_acl). */
static int add_lists(struct archive_writer *writer, const char *place, struct error *err)
{
	static const char *const names[] = { "system.posix_acl_access",
					     "system.posix_acl_default" };
	char value[XATTR_SIZE_MAX];

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		ssize_t size = getxattr(place, names[i], value, sizeof value);
		if (size < 0 && errno != ENODATA && errno != EOPNOTSUPP)
			return fail_errno(err, ERR_IO, "cannot read an access control list");
		if (size >= 0)
			tar_add_attribute(&writer->records, names[i], value, (size_t)size);
	}
	return 0;
}

static int put_told(struct archive_writer *writer, const struct archive_told *told,
		    const char *place, struct entry *entry, struct error *err)
{
	bool directory = S_ISDIR(entry->stat.st_mode);

	if (told->fd < 0 || (!directory && !S_ISREG(entry->stat.st_mode)))
		return put_entry(writer, entry, err);
	autoclose int fd =
		open(place, O_RDONLY | O_NOATIME | O_CLOEXEC | (directory ? O_DIRECTORY : 0));
	return fd < 0 ? fail_errno(err, ERR_IO, "cannot open %s", entry->path)
		      : put_opened(writer, fd, entry, err);
}

int archive_add_told(struct archive_writer *writer, const struct archive_told *told,
		     struct error *err)
{
	struct entry entry = { .path = told->path,
			       .stat = told->stat,
			       .type = type_of(told->stat.st_mode) };
	char place[64], target[PATH_MAX] = { 0 };

	writer->numbered = true;
	writer->records.file_system = TMPFS_MAGIC;
	writer->records.length = 0;
	entry.link = earlier_name(writer, &entry);
	if (entry.link) {
		entry.type = TAR_HARD_LINK;
		return put_entry(writer, &entry, err);
	}
	for (size_t i = 0; i < told->attributes.n; i++)
		tar_add_attribute(&writer->records, told->attributes.all[i].name,
				  told->attributes.all[i].value, told->attributes.all[i].size);
	snprintf(place, sizeof place, "/proc/self/fd/%d", told->fd);
	if (entry.type == TAR_SYMBOLIC_LINK) {
		if (told->fd >= 0 && readlinkat(told->fd, "", target, sizeof target - 1) < 0)
			return fail_errno(err, ERR_IO, "cannot read the link %s", told->path);
		entry.link = told->fd >= 0 ? target : ".";
	} else if (told->fd >= 0 && add_lists(writer, place, err)) {
		return -1;
	}
	return put_told(writer, told, place, &entry, err);
}

int archive_writer_end(struct archive_writer *writer, struct error *err)
{
	static const char zeros[2 * TAR_BLOCK];
	int result = put(writer, zeros, sizeof zeros, err);

	if (gzclose(writer->file) != Z_OK && !result)
		result = fail(err, ERR_IO, "cannot complete an archive");
	arena_done(&writer->arena);
	free(writer->records.bytes);
	free(writer);
	return result;
}
