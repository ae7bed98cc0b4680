// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Making what is in an archive; see archive.h. Every path is opened below the root, without
 * symbolic links; directories get their times and modes at the end, since making files in them
 * changes these.
 */
#include "kinds/mounts/archive.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/whole.h"
#include "kernel/huge-file.h"
#include "kinds/mounts/archive-entry.h"
#include "kinds/mounts/inode-numbers.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <zlib.h>

enum { COPY_SIZE = 4096 };

struct directory {
	struct directory *next;
	struct archive_entry entry;
};

/* Nothing may be done to it any more, so it comes last. */
struct flagged {
	struct flagged *next;
	const char *path;
	unsigned flags;
};

struct reading {
	struct archive_source source;
	int root_fd;
	struct directory *directories; /* the last first */
	struct flagged *flagged;       /* the same */
	struct inode_numbers numbers;
	const struct user_namespace *seen_by; /* or NULL */
};

/* ---- numbers of inodes ---- */

static mode_t mode_of(const struct archive_entry *entry)
{
	switch (entry->type) {
	case TAR_SYMBOLIC_LINK:
		return S_IFLNK;
	case TAR_CHARACTER_DEVICE:
		return S_IFCHR;
	case TAR_BLOCK_DEVICE:
		return S_IFBLK;
	case TAR_DIRECTORY:
		return S_IFDIR;
	case TAR_FIFO:
		return S_IFIFO;
	default:
		return entry->socket ? S_IFSOCK : S_IFREG;
	}
}

static void want_number(struct reading *reading, const struct archive_entry *entry)
{
	const struct numbered_inode inode = {
		.number = entry->inode,
		.type = mode_of(entry),
		.device = entry->device,
		.link = entry->link,
		.uid = (uid_t)entry->uid,
		.gid = (gid_t)entry->gid,
	};

	inode_numbers_add(&reading->numbers, &reading->source.arena, &inode);
}

/* It is read twice where it tells them, which the first entry shows. */
static int make_numbers(struct reading *reading, struct error *err)
{
	struct archive_entry entry;
	int found = archive_next(&reading->source, &entry, err);

	bool told = found > 0 && entry.inode;

	while (told && found > 0) {
		if (entry.inode)
			want_number(reading, &entry);
		if (archive_skip_content(&reading->source, &entry, err))
			return -1;
		found = archive_next(&reading->source, &entry, err);
	}
	if (found < 0)
		return -1;
	if (gzrewind(reading->source.file))
		return fail_errno(err, ERR_IO, "cannot read the content of %s",
				  reading->source.what);
	return inode_numbers_make(&reading->numbers, err);
}

/* ---- making ---- */

static int open_below(const struct reading *reading, const char *path, int flags)
{
	struct open_how how = {
		.flags = (uint64_t)(flags | O_CLOEXEC),
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS |
			   RESOLVE_NO_XDEV,
	};

	return (int)syscall(SYS_openat2, reading->root_fd, *path ? path : ".", &how, sizeof how);
}

/* Directories that nobody saw, above what is carried. */
static int make_parents(const struct reading *reading, char *path)
{
	for (char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		char *name = strrchr(path, '/');
		if (name)
			*name = '\0';
		autoclose int fd = open_below(reading, name ? path : ".", O_PATH | O_DIRECTORY);
		int made = fd < 0 ? -1 : mkdirat(fd, name ? name + 1 : path, 0755);
		if (name)
			*name = '/';
		*slash = '/';
		if (fd < 0 || (made && errno != EEXIST))
			return -1;
	}
	return 0;
}

/* The directory that a path is in, and its last name. */
static int open_parent(const struct reading *reading, const char *path, const char **ret_name)
{
	const char *slash = strrchr(path, '/');
	char parent[PATH_MAX];

	*ret_name = slash ? slash + 1 : path;
	if (!slash)
		return open_below(reading, ".", O_PATH | O_DIRECTORY);
	if ((size_t)(slash - path) + 1 >= sizeof parent) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(parent, path, (size_t)(slash - path));
	parent[slash - path] = '\0';
	int fd = open_below(reading, parent, O_PATH | O_DIRECTORY);
	if (fd >= 0 || errno != ENOENT)
		return fd;
	parent[slash - path] = '/';
	parent[slash - path + 1] = '\0';
	if (make_parents(reading, parent))
		return -1;
	parent[slash - path] = '\0';
	return open_below(reading, parent, O_PATH | O_DIRECTORY);
}

/* A file that is being filled. */
struct filling {
	int fd;
	bool huge;
	struct huge_writer writer;
};

static int begin_file(struct filling *filling, const struct archive_entry *entry, struct error *err)
{
	int huge = huge_file_page(filling->fd, &filling->writer.page);

	filling->writer.fd = filling->fd;
	filling->huge = huge > 0;
	if (huge < 0 || entry->size > INT64_MAX ||
	    (huge ? huge_file_resize(filling->fd, filling->writer.page, entry->size)
		  : ftruncate(filling->fd, (off_t)entry->size)))
		return fail_errno(err, ERR_IO, "cannot give %s its size", entry->path);
	return 0;
}

static bool write_part(struct filling *filling, const void *bytes, size_t size, uint64_t at)
{
	return filling->huge ? huge_writer_write(&filling->writer, bytes, size, at) == 0
			     : pwrite_whole(filling->fd, bytes, size, at) == 0;
}

/* Of what nothing was written, as it holds no data or only zeros. */
static int reserve_parts(struct reading *reading, const struct filling *filling,
			 const struct archive_entry *entry, struct error *err)
{
	for (const char *at = entry->memory; *at;) {
		char *end;
		uint64_t from = strtoull(at, &end, 10);
		uint64_t to = *end == '-' ? strtoull(end + 1, &end, 10) : 0;
		if ((*end && *end != ',') || to <= from || to > INT64_MAX)
			return archive_invalid(&reading->source, "a file has parts that are none",
					       err);
		if (fallocate(filling->fd, FALLOC_FL_KEEP_SIZE, (off_t)from, (off_t)(to - from)))
			return fail_errno(err, ERR_IO, "cannot reserve memory for %s", entry->path);
		at = *end ? end + 1 : end;
	}
	return 0;
}

/* Is there memory behind the page in which it ends? Parts are in order. */
static bool has_memory_behind(const struct archive_entry *entry)
{
	const char *last = strrchr(entry->memory, '-');

	return last && strtoull(last + 1, NULL, 10) >= entry->size + COPY_SIZE;
}

/* What is stored of it one after the other. `ret_left_out`: is something of it zeros? */
static int fill_segment(struct reading *reading, struct filling *filling,
			const struct archive_entry *entry, const struct tar_segment *segment,
			bool *ret_left_out, struct error *err)
{
	char buffer[COPY_SIZE];
	static const char zeros[COPY_SIZE];
	const uint64_t end = segment->at + segment->size;

	for (uint64_t at = segment->at; at < end;) {
		size_t size = end - at < sizeof buffer ? (size_t)(end - at) : sizeof buffer;
		if (archive_take(&reading->source, buffer, size, err))
			return -1;
		/* Holes stay holes. */
		bool hole = memcmp(buffer, zeros, size) == 0;
		if (!hole && !write_part(filling, buffer, size, at))
			return fail_errno(err, ERR_IO, "cannot write %s", entry->path);
		*ret_left_out |= hole;
		at += size;
	}
	return 0;
}

static int fill_content(struct reading *reading, struct filling *filling,
			const struct archive_entry *entry, struct error *err)
{
	const struct tar_segment whole = { 0, entry->size };
	bool sparse = entry->segments.sparse, left_out = sparse;
	const struct tar_segment *segments = sparse ? entry->segments.all : &whole;

	if (begin_file(filling, entry, err))
		return -1;
	for (size_t i = 0; i < (sparse ? entry->segments.n : 1); i++)
		if (fill_segment(reading, filling, entry, &segments[i], &left_out, err))
			return -1;
	if (entry->memory && (left_out || has_memory_behind(entry)) &&
	    reserve_parts(reading, filling, entry, err))
		return -1;
	return archive_skip_padding(&reading->source, entry->stored, err);
}

static int fill_file(struct reading *reading, int fd, const struct archive_entry *entry,
		     struct error *err)
{
	struct filling filling = { .fd = fd };
	int result = fill_content(reading, &filling, entry, err);

	huge_writer_close(&filling.writer);
	return result;
}

static int make_file(struct reading *reading, int dir_fd, const char *name,
		     const struct archive_entry *entry, bool placed, struct error *err)
{
	int create = placed ? 0 : O_CREAT | O_EXCL;
	autoclose int fd =
		openat(dir_fd, name, O_RDWR | create | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);

	return fd < 0 ? fail_errno(err, ERR_IO, "cannot make %s", entry->path)
		      : fill_file(reading, fd, entry, err);
}

static int make_link(struct reading *reading, int dir_fd, const char *name,
		     const struct archive_entry *entry, struct error *err)
{
	const char *link_name;
	const char *target = strncmp(entry->link, "./", 2) == 0 ? entry->link + 2 : entry->link;
	autoclose int from_fd = open_parent(reading, target, &link_name);

	if (from_fd < 0 || linkat(from_fd, link_name, dir_fd, name, 0))
		return fail_errno(err, ERR_IO, "cannot link %s to %s", entry->path, entry->link);
	return 0;
}

static int make_node(struct reading *reading, int dir_fd, const char *name,
		     const struct archive_entry *entry, struct error *err)
{
	int result = 0, placed = entry->inode ? inode_numbers_place(&reading->numbers, entry->inode,
								    dir_fd, name, err)
					      : 0;

	if (placed < 0)
		return fail_while(err, "%s", entry->path);
	if (archive_has_content(entry))
		return make_file(reading, dir_fd, name, entry, placed, err);
	if (placed)
		return 0;
	switch (entry->type) {
	case TAR_FILE:
	case TAR_OLD_FILE:
		result = mknodat(dir_fd, name, S_IFSOCK | 0600, 0);
		break;
	case TAR_HARD_LINK:
		return make_link(reading, dir_fd, name, entry, err);
	case TAR_SYMBOLIC_LINK:
		result = symlinkat(entry->link, dir_fd, name);
		break;
	case TAR_CHARACTER_DEVICE:
		result = mknodat(dir_fd, name, S_IFCHR | 0600, entry->device);
		break;
	case TAR_BLOCK_DEVICE:
		result = mknodat(dir_fd, name, S_IFBLK | 0600, entry->device);
		break;
	case TAR_FIFO:
		result = mknodat(dir_fd, name, S_IFIFO | 0600, 0);
		break;
	case TAR_DIRECTORY:
		result = mkdirat(dir_fd, name, 0700);
		if (result && errno == EEXIST)
			result = 0;
		break;
	default:
		return fail(err, ERR_IMAGE_UNSUPPORTED,
			    "the content of %s: %s is of type '%c', which is not supported",
			    reading->source.what, entry->path, entry->type);
	}
	return result ? fail_errno(err, ERR_IO, "cannot make %s", entry->path) : 0;
}

/* Ids before modes, as a change of them clears setuid; times last. */
static int dress(int dir_fd, const char *name, const struct archive_entry *entry, struct error *err)
{
	char place[64 + NAME_MAX];

	if (fchownat(dir_fd, name, (uid_t)entry->uid, (gid_t)entry->gid, AT_SYMLINK_NOFOLLOW))
		return fail_errno(err, ERR_IO, "cannot give %s to its owner", entry->path);
	if (entry->type != TAR_SYMBOLIC_LINK && fchmodat(dir_fd, name, entry->mode, 0))
		return fail_errno(err, ERR_IO, "cannot set the mode of %s", entry->path);
	snprintf(place, sizeof place, "/proc/self/fd/%d/%s", dir_fd, name);
	for (const struct archive_attribute *at = entry->attributes; at; at = at->next)
		if (lsetxattr(place, at->name, at->value, at->size, 0))
			return fail_errno(err, ERR_IO, "cannot set attribute %s of %s", at->name,
					  entry->path);
	if (utimensat(dir_fd, name, entry->times, AT_SYMLINK_NOFOLLOW))
		return fail_errno(err, ERR_IO, "cannot set the times of %s", entry->path);
	return 0;
}

static void remember_directory(struct reading *reading, const struct archive_entry *entry)
{
	struct directory *directory = arena_new(&reading->source.arena, struct directory);

	*directory = (struct directory){ reading->directories, *entry };
	reading->directories = directory;
}

static void remember_flags(struct reading *reading, const struct archive_entry *entry)
{
	struct flagged *flagged = arena_new(&reading->source.arena, struct flagged);

	*flagged = (struct flagged){ reading->flagged, entry->path, entry->flags };
	reading->flagged = flagged;
}

static bool is_opened_without_effect(const struct archive_entry *entry)
{
	return entry->type == TAR_DIRECTORY || archive_has_content(entry);
}

/* They replace all that there are, of which a new file has none. */
static int set_flags(const struct reading *reading, struct error *err)
{
	for (const struct flagged *at = reading->flagged; at; at = at->next) {
		autoclose int fd = open_below(reading, at->path, O_RDONLY | O_NOFOLLOW | O_NOATIME);
		if (fd < 0 || ioctl(fd, FS_IOC_SETFLAGS, &at->flags))
			return fail_errno(err, ERR_IO, "cannot set the flags of %s", at->path);
	}
	return 0;
}

static const char *plain_name(const char *path)
{
	while (strncmp(path, "./", 2) == 0)
		path += 2;
	return strcmp(path, ".") == 0 ? "" : path;
}

static int find_owner(const struct reading *reading, struct archive_entry *entry, struct error *err)
{
	uint32_t uid, gid;

	if (!reading->seen_by)
		return 0;
	if (!user_namespace_id_outside(reading->seen_by, false, (uint32_t)entry->uid, &uid) ||
	    !user_namespace_id_outside(reading->seen_by, true, (uint32_t)entry->gid, &gid))
		return archive_invalid(&reading->source,
				       "a file is of somebody who is nobody in its user namespace",
				       err);
	entry->uid = uid;
	entry->gid = gid;
	return 0;
}

static int make_entry(struct reading *reading, struct archive_entry *entry, struct error *err)
{
	char *path = arena_string(&reading->source.arena, plain_name(entry->path));
	size_t length = strlen(path);
	const char *name;

	while (length && path[length - 1] == '/')
		path[--length] = '\0';
	entry->path = path;
	if (find_owner(reading, entry, err))
		return -1;
	if (entry->type == TAR_DIRECTORY)
		remember_directory(reading, entry);
	if (entry->flags && is_opened_without_effect(entry))
		remember_flags(reading, entry);
	if (!*path)
		return 0;
	/* A file system of a user namespace lets nobody make files who has no number there. */
	syscall(SYS_setfsgid, entry->gid);
	syscall(SYS_setfsuid, entry->uid);
	autoclose int dir_fd = open_parent(reading, path, &name);
	if (dir_fd < 0)
		return fail_errno(err, ERR_IMAGE_INVALID, "the content of %s: no place for %s",
				  reading->source.what, path);
	if (strlen(name) > NAME_MAX || strcmp(name, "..") == 0 || strcmp(name, ".") == 0)
		return archive_invalid(&reading->source, "a file has a name that none can have",
				       err);
	if (make_node(reading, dir_fd, name, entry, err))
		return -1;
	return entry->type == TAR_DIRECTORY || entry->type == TAR_HARD_LINK
		       ? 0
		       : dress(dir_fd, name, entry, err);
}

static int make_all(struct reading *reading, int root_fd, struct error *err)
{
	struct archive_entry entry;
	int found;

	reading->root_fd = reading->numbers.root_fd = root_fd;
	if (make_numbers(reading, err))
		return -1;
	while ((found = archive_next(&reading->source, &entry, err)) > 0)
		if (make_entry(reading, &entry, err))
			return -1;
	if (found < 0)
		return -1;
	if (inode_numbers_clear(&reading->numbers, err))
		return -1;
	for (const struct directory *at = reading->directories; at; at = at->next) {
		autoclose int fd = open_below(reading, at->entry.path, O_RDONLY | O_DIRECTORY);
		if (fd < 0)
			return fail_errno(err, ERR_IO, "cannot open %s", at->entry.path);
		if (dress(fd, ".", &at->entry, err))
			return -1;
	}
	return set_flags(reading, err);
}

/* The same as dress, of what has no name; flags last, as nothing can be done to it then. */
static int dress_open(int fd, const struct archive_entry *entry, struct error *err)
{
	if (fchown(fd, (uid_t)entry->uid, (gid_t)entry->gid) || fchmod(fd, entry->mode))
		return fail_errno(err, ERR_IO, "cannot give %s its owner and mode", entry->path);
	for (const struct archive_attribute *at = entry->attributes; at; at = at->next)
		if (fsetxattr(fd, at->name, at->value, at->size, 0))
			return fail_errno(err, ERR_IO, "cannot set attribute %s of %s", at->name,
					  entry->path);
	if (futimens(fd, entry->times))
		return fail_errno(err, ERR_IO, "cannot set the times of %s", entry->path);
	if (entry->flags && ioctl(fd, FS_IOC_SETFLAGS, &entry->flags))
		return fail_errno(err, ERR_IO, "cannot set the flags of %s", entry->path);
	return 0;
}

static int fill_alone(struct reading *reading, int fd, struct error *err)
{
	struct archive_entry entry;
	int found = archive_next(&reading->source, &entry, err);

	if (found < 0)
		return -1;
	if (!found || entry.type != TAR_FILE || entry.socket)
		return archive_invalid(&reading->source, "there is no file in it", err);
	entry.path = reading->source.what;
	return fill_file(reading, fd, &entry, err) ? -1 : dress_open(fd, &entry, err);
}

static int read_archive(int file_fd, struct reading *reading,
			int (*read_it)(struct reading *reading, int fd, struct error *err), int fd,
			struct error *err)
{
	autoclose int copy = fcntl(file_fd, F_DUPFD_CLOEXEC, 0);

	reading->source.file = copy < 0 ? NULL : gzdopen(copy, "rb");
	if (!reading->source.file)
		return fail_errno(err, ERR_IO, "cannot read the content of %s",
				  reading->source.what);
	take_fd(&copy);
	arena_init(&reading->source.arena);
	int result = read_it(reading, fd, err);
	arena_done(&reading->source.arena);
	gzclose(reading->source.file);
	return result;
}

int archive_extract(int file_fd, int root_fd, const struct user_namespace *seen_by,
		    const char *what, struct error *err)
{
	struct reading reading = { .source.what = what, .seen_by = seen_by };

	return read_archive(file_fd, &reading, make_all, root_fd, err);
}

int archive_extract_alone(int file_fd, int fd, const char *what, struct error *err)
{
	struct reading reading = { .root_fd = -1, .source.what = what };

	return read_archive(file_fd, &reading, fill_alone, fd, err);
}
