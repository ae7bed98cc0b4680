// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Reading archives; see archive.h. Sizes are believed only as far as bytes come. Every path is
 * opened below the root, without symbolic links; directories get their times and modes at the end,
 * since making files in them changes these.
 */
#include "kinds/mounts/archive.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "kernel/huge-file.h"
#include "kinds/mounts/tar.h"

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

enum { COPY_SIZE = 4096, MAX_EXTENDED = 16 * 1024 * 1024 };

struct attribute {
	struct attribute *next;
	const char *name;
	const void *value;
	size_t size;
};

struct entry {
	enum tar_type type;
	const char *path, *link;
	mode_t mode;
	uint64_t uid, gid, size;
	struct timespec times[2]; /* accessed, changed */
	dev_t device;
	bool socket;
	unsigned flags;	    /* as chattr(1) sets them */
	const char *memory; /* parts that have memory; NULL: it is not told */
	struct attribute *attributes;
};

struct directory {
	struct directory *next;
	struct entry entry;
};

/* Nothing may be done to it any more, so it comes last. */
struct flagged {
	struct flagged *next;
	const char *path;
	unsigned flags;
};

struct reading {
	gzFile file;
	struct arena arena;
	int root_fd;
	const char *what;
	struct directory *directories; /* the last first */
	struct flagged *flagged;       /* the same */
};

static int invalid(const struct reading *reading, const char *why, struct error *err)
{
	return fail(err, ERR_IMAGE_INVALID, "the content of %s: %s", reading->what, why);
}

static int take(struct reading *reading, void *bytes, size_t size, struct error *err)
{
	int got = size ? gzread(reading->file, bytes, (unsigned)size) : 0, failure;

	if (got == (int)size)
		return 0;
	/* A failure may have come after some of it. */
	gzerror(reading->file, &failure);
	if (failure == Z_ERRNO || failure == Z_MEM_ERROR)
		return fail_errno(err, ERR_IO, "cannot read the content of %s", reading->what);
	return fail(err, ERR_IMAGE_TRUNCATED, "the content of %s ends too early", reading->what);
}

static int skip_padding(struct reading *reading, uint64_t size, struct error *err)
{
	char padding[TAR_BLOCK];

	return take(reading, padding, (size_t)(-size & (TAR_BLOCK - 1)), err);
}

/* ---- headers ---- */

static unsigned parse_flags(char *text)
{
	unsigned flags = 0;

	for (char *word; (word = strsep(&text, ","));)
		for (const struct archive_flag *flag = archive_flags; flag->name; flag++)
			if (strcmp(word, flag->name) == 0)
				flags |= flag->bit;
	return flags;
}

static void add_attribute(struct reading *reading, struct entry *entry, const char *name,
			  const char *value, size_t size)
{
	struct attribute *attribute = arena_new(&reading->arena, struct attribute);

	*attribute = (struct attribute){ entry->attributes, name, value, size };
	entry->attributes = attribute;
}

/* False: its value is none. */
static bool apply_record(struct reading *reading, struct entry *entry, char *key, char *value,
			 size_t size)
{
	if (strcmp(key, "uid") == 0)
		return tar_decimal(value, &entry->uid);
	if (strcmp(key, "gid") == 0)
		return tar_decimal(value, &entry->gid);
	if (strcmp(key, "size") == 0)
		return tar_decimal(value, &entry->size);
	if (strcmp(key, "atime") == 0)
		return tar_time(value, &entry->times[0]);
	if (strcmp(key, "mtime") == 0)
		return tar_time(value, &entry->times[1]);
	if (strcmp(key, "path") == 0)
		entry->path = value;
	else if (strcmp(key, "linkpath") == 0)
		entry->link = value;
	else if (strcmp(key, TAR_SOCKET) == 0)
		entry->socket = strcmp(value, "socket") == 0;
	else if (strcmp(key, TAR_FLAGS) == 0)
		entry->flags = parse_flags(value);
	else if (strcmp(key, TAR_MEMORY) == 0)
		entry->memory = value;
	else if (strncmp(key, TAR_XATTR, strlen(TAR_XATTR)) == 0)
		add_attribute(reading, entry, key + strlen(TAR_XATTR), value, size);
	return true;
}

/* The records of an extended header, which stays in the arena. */
static int parse_extended(struct reading *reading, char *text, size_t size, struct entry *entry,
			  struct error *err)
{
	for (size_t at = 0; at < size;) {
		char *end;
		size_t length = strtoull(text + at, &end, 10);
		char *equals = memchr(text + at, '=', size - at);
		if (*end != ' ' || length == 0 || length > size - at || !equals ||
		    equals >= text + at + length || text[at + length - 1] != '\n')
			return invalid(reading, "an extended header is none", err);
		*equals = '\0';
		text[at + length - 1] = '\0';
		if (!apply_record(reading, entry, end + 1, equals + 1,
				  (size_t)(text + at + length - 1 - (equals + 1))))
			return invalid(reading, "an extended header has a number that is none",
				       err);
		at += length;
	}
	return 0;
}

static int from_header(struct reading *reading, const struct tar_header *header,
		       struct entry *entry, struct error *err)
{
	uint64_t mode, seconds, major, minor;

	if (!tar_field(header->mode, sizeof header->mode, &mode) ||
	    !tar_field(header->uid, sizeof header->uid, &entry->uid) ||
	    !tar_field(header->gid, sizeof header->gid, &entry->gid) ||
	    !tar_field(header->size, sizeof header->size, &entry->size) ||
	    !tar_field(header->mtime, sizeof header->mtime, &seconds) ||
	    !tar_field(header->major, sizeof header->major, &major) ||
	    !tar_field(header->minor, sizeof header->minor, &minor))
		return invalid(reading, "a header has a number that is none", err);
	entry->type = (enum tar_type)header->type;
	entry->mode = (mode_t)mode & 07777;
	entry->times[1].tv_sec = (time_t)seconds;
	entry->times[0] = entry->times[1];
	entry->device = makedev((unsigned)major, (unsigned)minor);
	entry->path = header->prefix[0] ? arena_printf(&reading->arena, "%.155s/%.100s",
						       header->prefix, header->name)
					: arena_printf(&reading->arena, "%.100s", header->name);
	entry->link = arena_printf(&reading->arena, "%.100s", header->link);
	return 0;
}

/* 1: an entry, 0: the end. What is said of all that follow is none of their content. */
static int next_entry(struct reading *reading, struct entry *ret_entry, struct error *err)
{
	struct tar_header header;
	char *text = NULL;
	uint64_t text_size = 0, size;

	for (;;) {
		if (take(reading, &header, sizeof header, err))
			return -1;
		if (header.name[0] == '\0')
			return 0;
		if (header.type != TAR_EXTENDED && header.type != TAR_GLOBAL)
			break;
		if (!tar_field(header.size, sizeof header.size, &size) || size > MAX_EXTENDED)
			return invalid(reading, "an extended header is too long", err);
		char *bytes = arena_alloc(&reading->arena, (size_t)size + 1);
		if (take(reading, bytes, (size_t)size, err) || skip_padding(reading, size, err))
			return -1;
		if (header.type == TAR_EXTENDED) {
			text = bytes;
			text_size = size;
		}
	}
	*ret_entry = (struct entry){ 0 };
	if (from_header(reading, &header, ret_entry, err) ||
	    (text && parse_extended(reading, text, (size_t)text_size, ret_entry, err)))
		return -1;
	/* (uid_t)-1 is nobody, and leaves the owner that it has. */
	if (ret_entry->uid >= UINT32_MAX || ret_entry->gid >= UINT32_MAX)
		return invalid(reading, "a file has an owner that there is not", err);
	return 1;
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

static int begin_file(struct filling *filling, const struct entry *entry, struct error *err)
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
			     : pwrite(filling->fd, bytes, size, (off_t)at) == (ssize_t)size;
}

/* Of what nothing was written, as it holds no data or only zeros. */
static int reserve_parts(struct reading *reading, const struct filling *filling,
			 const struct entry *entry, struct error *err)
{
	for (const char *at = entry->memory; *at;) {
		char *end;
		uint64_t from = strtoull(at, &end, 10);
		uint64_t to = *end == '-' ? strtoull(end + 1, &end, 10) : 0;
		if ((*end && *end != ',') || to <= from || to > INT64_MAX)
			return invalid(reading, "a file has parts that are none", err);
		if (fallocate(filling->fd, FALLOC_FL_KEEP_SIZE, (off_t)from, (off_t)(to - from)))
			return fail_errno(err, ERR_IO, "cannot reserve memory for %s", entry->path);
		at = *end ? end + 1 : end;
	}
	return 0;
}

/* Is there memory behind the page in which it ends? Parts are in order. */
static bool has_memory_behind(const struct entry *entry)
{
	const char *last = strrchr(entry->memory, '-');

	return last && strtoull(last + 1, NULL, 10) >= entry->size + COPY_SIZE;
}

static int fill_content(struct reading *reading, struct filling *filling, const struct entry *entry,
			struct error *err)
{
	char buffer[COPY_SIZE];
	static const char zeros[COPY_SIZE];
	bool left_out = false;

	if (begin_file(filling, entry, err))
		return -1;
	for (uint64_t at = 0; at < entry->size;) {
		size_t size = entry->size - at < sizeof buffer ? (size_t)(entry->size - at)
							       : sizeof buffer;
		if (take(reading, buffer, size, err))
			return -1;
		/* Holes stay holes. */
		bool hole = memcmp(buffer, zeros, size) == 0;
		if (!hole && !write_part(filling, buffer, size, at))
			return fail_errno(err, ERR_IO, "cannot write %s", entry->path);
		left_out = left_out || hole;
		at += size;
	}
	if (entry->memory && (left_out || has_memory_behind(entry)) &&
	    reserve_parts(reading, filling, entry, err))
		return -1;
	return skip_padding(reading, entry->size, err);
}

static int fill_file(struct reading *reading, int fd, const struct entry *entry, struct error *err)
{
	struct filling filling = { .fd = fd };
	int result = fill_content(reading, &filling, entry, err);

	huge_writer_close(&filling.writer);
	return result;
}

static int make_file(struct reading *reading, int dir_fd, const char *name,
		     const struct entry *entry, struct error *err)
{
	autoclose int fd =
		openat(dir_fd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	return fd < 0 ? fail_errno(err, ERR_IO, "cannot make %s", entry->path)
		      : fill_file(reading, fd, entry, err);
}

static int make_link(struct reading *reading, int dir_fd, const char *name,
		     const struct entry *entry, struct error *err)
{
	const char *link_name;
	const char *target = strncmp(entry->link, "./", 2) == 0 ? entry->link + 2 : entry->link;
	autoclose int from_fd = open_parent(reading, target, &link_name);

	if (from_fd < 0 || linkat(from_fd, link_name, dir_fd, name, 0))
		return fail_errno(err, ERR_IO, "cannot link %s to %s", entry->path, entry->link);
	return 0;
}

static int make_node(struct reading *reading, int dir_fd, const char *name,
		     const struct entry *entry, struct error *err)
{
	int result = 0;

	switch (entry->type) {
	case TAR_FILE:
	case TAR_OLD_FILE:
		if (!entry->socket)
			return make_file(reading, dir_fd, name, entry, err);
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
			    reading->what, entry->path, entry->type);
	}
	return result ? fail_errno(err, ERR_IO, "cannot make %s", entry->path) : 0;
}

/* Ids before modes, as a change of them clears setuid; times last. */
static int dress(int dir_fd, const char *name, const struct entry *entry, struct error *err)
{
	char place[64 + NAME_MAX];

	if (fchownat(dir_fd, name, (uid_t)entry->uid, (gid_t)entry->gid, AT_SYMLINK_NOFOLLOW))
		return fail_errno(err, ERR_IO, "cannot give %s to its owner", entry->path);
	if (entry->type != TAR_SYMBOLIC_LINK && fchmodat(dir_fd, name, entry->mode, 0))
		return fail_errno(err, ERR_IO, "cannot set the mode of %s", entry->path);
	snprintf(place, sizeof place, "/proc/self/fd/%d/%s", dir_fd, name);
	for (const struct attribute *at = entry->attributes; at; at = at->next)
		if (lsetxattr(place, at->name, at->value, at->size, 0))
			return fail_errno(err, ERR_IO, "cannot set attribute %s of %s", at->name,
					  entry->path);
	if (utimensat(dir_fd, name, entry->times, AT_SYMLINK_NOFOLLOW))
		return fail_errno(err, ERR_IO, "cannot set the times of %s", entry->path);
	return 0;
}

static void remember_directory(struct reading *reading, const struct entry *entry)
{
	struct directory *directory = arena_new(&reading->arena, struct directory);

	*directory = (struct directory){ reading->directories, *entry };
	reading->directories = directory;
}

static void remember_flags(struct reading *reading, const struct entry *entry)
{
	struct flagged *flagged = arena_new(&reading->arena, struct flagged);

	*flagged = (struct flagged){ reading->flagged, entry->path, entry->flags };
	reading->flagged = flagged;
}

static bool is_opened_without_effect(const struct entry *entry)
{
	return entry->type == TAR_DIRECTORY ||
	       ((entry->type == TAR_FILE || entry->type == TAR_OLD_FILE) && !entry->socket);
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

static int make_entry(struct reading *reading, struct entry *entry, struct error *err)
{
	char *path = arena_string(&reading->arena, plain_name(entry->path));
	size_t length = strlen(path);
	const char *name;

	while (length && path[length - 1] == '/')
		path[--length] = '\0';
	entry->path = path;
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
				  reading->what, path);
	if (strlen(name) > NAME_MAX || strcmp(name, "..") == 0 || strcmp(name, ".") == 0)
		return invalid(reading, "a file has a name that none can have", err);
	if (make_node(reading, dir_fd, name, entry, err))
		return -1;
	return entry->type == TAR_DIRECTORY || entry->type == TAR_HARD_LINK
		       ? 0
		       : dress(dir_fd, name, entry, err);
}

static int make_all(struct reading *reading, int root_fd, struct error *err)
{
	struct entry entry;
	int found;

	reading->root_fd = root_fd;
	while ((found = next_entry(reading, &entry, err)) > 0)
		if (make_entry(reading, &entry, err))
			return -1;
	if (found < 0)
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
static int dress_open(int fd, const struct entry *entry, struct error *err)
{
	if (fchown(fd, (uid_t)entry->uid, (gid_t)entry->gid) || fchmod(fd, entry->mode))
		return fail_errno(err, ERR_IO, "cannot give %s its owner and mode", entry->path);
	for (const struct attribute *at = entry->attributes; at; at = at->next)
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
	struct entry entry;
	int found = next_entry(reading, &entry, err);

	if (found < 0)
		return -1;
	if (!found || entry.type != TAR_FILE || entry.socket)
		return invalid(reading, "there is no file in it", err);
	entry.path = reading->what;
	return fill_file(reading, fd, &entry, err) ? -1 : dress_open(fd, &entry, err);
}

static int read_archive(int file_fd, struct reading *reading,
			int (*read_it)(struct reading *reading, int fd, struct error *err), int fd,
			struct error *err)
{
	autoclose int copy = fcntl(file_fd, F_DUPFD_CLOEXEC, 0);

	reading->file = copy < 0 ? NULL : gzdopen(copy, "rb");
	if (!reading->file)
		return fail_errno(err, ERR_IO, "cannot read the content of %s", reading->what);
	take_fd(&copy);
	arena_init(&reading->arena);
	int result = read_it(reading, fd, err);
	arena_done(&reading->arena);
	gzclose(reading->file);
	return result;
}

int archive_extract(int file_fd, int root_fd, const char *what, struct error *err)
{
	struct reading reading = { .what = what };

	return read_archive(file_fd, &reading, make_all, root_fd, err);
}

int archive_extract_alone(int file_fd, int fd, const char *what, struct error *err)
{
	struct reading reading = { .root_fd = -1, .what = what };

	return read_archive(file_fd, &reading, fill_alone, fd, err);
}
