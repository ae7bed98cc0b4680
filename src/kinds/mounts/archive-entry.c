// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What an archive tells of each file; see archive.h. Sizes are believed only as far as bytes come.
 */
#include "kinds/mounts/archive-entry.h"

#include "kinds/mounts/archive.h"

#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

enum { MAX_EXTENDED = 16 * 1024 * 1024 };

/* What is told before a header of what it is the header of. */
struct told_before {
	char *text;
	uint64_t size; /* of the records of an extended header */
	const char *name, *link;
};

struct told_sparse {
	bool is_one; /* its format */
	uint64_t size;
	const char *name;
};

int archive_invalid(const struct archive_source *source, const char *why, struct error *err)
{
	return fail(err, ERR_IMAGE_INVALID, "the content of %s: %s", source->what, why);
}

int archive_take(struct archive_source *source, void *bytes, size_t size, struct error *err)
{
	int got = size ? gzread(source->file, bytes, (unsigned)size) : 0, failure;

	if (got == (int)size)
		return 0;
	/* A failure may have come after some of it. */
	gzerror(source->file, &failure);
	if (failure == Z_ERRNO || failure == Z_MEM_ERROR)
		return fail_errno(err, ERR_IO, "cannot read the content of %s", source->what);
	return fail(err, ERR_IMAGE_TRUNCATED, "the content of %s ends too early", source->what);
}

int archive_skip_padding(struct archive_source *source, uint64_t size, struct error *err)
{
	char padding[TAR_BLOCK];

	return archive_take(source, padding, (size_t)(-size & (TAR_BLOCK - 1)), err);
}

static unsigned parse_flags(char *text)
{
	unsigned flags = 0;

	for (char *word; (word = strsep(&text, ","));)
		for (const struct archive_flag *flag = archive_flags; flag->name; flag++)
			if (strcmp(word, flag->name) == 0)
				flags |= flag->bit;
	return flags;
}

static void add_attribute(struct archive_source *source, struct archive_entry *entry,
			  const char *name, const char *value, size_t size)
{
	struct archive_attribute *attribute = arena_new(&source->arena, struct archive_attribute);

	*attribute = (struct archive_attribute){ entry->attributes, name, value, size };
	entry->attributes = attribute;
}

/* False: its value is none. */
static bool apply_record(struct archive_source *source, struct archive_entry *entry,
			 struct told_sparse *sparse, char *key, char *value, size_t size)
{
	if (strcmp(key, "uid") == 0)
		return tar_decimal(value, &entry->uid);
	if (strcmp(key, "gid") == 0)
		return tar_decimal(value, &entry->gid);
	if (strcmp(key, "size") == 0)
		return tar_decimal(value, &entry->size);
	if (strcmp(key, TAR_INODE) == 0)
		return tar_decimal(value, &entry->inode);
	if (strcmp(key, "atime") == 0)
		return tar_time(value, &entry->times[0]);
	if (strcmp(key, "mtime") == 0)
		return tar_time(value, &entry->times[1]);
	if (strcmp(key, TAR_SPARSE_SIZE) == 0)
		return tar_decimal(value, &sparse->size);
	if (strcmp(key, TAR_SPARSE_MAJOR) == 0)
		sparse->is_one = strcmp(value, "1") == 0;
	else if (strcmp(key, TAR_SPARSE_NAME) == 0)
		sparse->name = value;
	else if (strcmp(key, "path") == 0)
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
		add_attribute(source, entry, key + strlen(TAR_XATTR), value, size);
	return true;
}

/* The records of an extended header, which stays in the arena. */
static int parse_extended(struct archive_source *source, char *text, size_t size,
			  struct archive_entry *entry, struct told_sparse *sparse,
			  struct error *err)
{
	for (size_t at = 0; at < size;) {
		char *end;
		size_t length = strtoull(text + at, &end, 10);
		char *equals = memchr(text + at, '=', size - at);
		if (*end != ' ' || length == 0 || length > size - at || !equals ||
		    equals >= text + at + length || text[at + length - 1] != '\n')
			return archive_invalid(source, "an extended header is none", err);
		*equals = '\0';
		text[at + length - 1] = '\0';
		if (!apply_record(source, entry, sparse, end + 1, equals + 1,
				  (size_t)(text + at + length - 1 - (equals + 1))))
			return archive_invalid(source,
					       "an extended header has a number that is none", err);
		at += length;
	}
	return 0;
}

static int from_header(struct archive_source *source, const struct tar_header *header,
		       struct archive_entry *entry, struct error *err)
{
	uint64_t mode, seconds, major, minor;

	if (!tar_field(header->mode, sizeof header->mode, &mode) ||
	    !tar_field(header->uid, sizeof header->uid, &entry->uid) ||
	    !tar_field(header->gid, sizeof header->gid, &entry->gid) ||
	    !tar_field(header->size, sizeof header->size, &entry->size) ||
	    !tar_field(header->mtime, sizeof header->mtime, &seconds) ||
	    !tar_field(header->major, sizeof header->major, &major) ||
	    !tar_field(header->minor, sizeof header->minor, &minor))
		return archive_invalid(source, "a header has a number that is none", err);
	entry->type = (enum tar_type)header->type;
	entry->mode = (mode_t)mode & 07777;
	entry->times[1].tv_sec = (time_t)seconds;
	entry->times[0] = entry->times[1];
	entry->device = makedev((unsigned)major, (unsigned)minor);
	/* GNU tar's own format has other things in place of the prefix. */
	bool is_old = memcmp(header->magic, "ustar ", sizeof header->magic) == 0;
	entry->path = header->prefix[0] && !is_old
			      ? arena_printf(&source->arena, "%.155s/%.100s", header->prefix,
					     header->name)
			      : arena_printf(&source->arena, "%.100s", header->name);
	entry->link = arena_printf(&source->arena, "%.100s", header->link);
	return 0;
}

static bool is_told_before(const struct tar_header *header)
{
	return header->type == TAR_EXTENDED || header->type == TAR_GLOBAL ||
	       header->type == TAR_LONG_NAME || header->type == TAR_LONG_LINK;
}

static int read_told(struct archive_source *source, const struct tar_header *header,
		     struct told_before *told, struct error *err)
{
	uint64_t size;

	if (!tar_field(header->size, sizeof header->size, &size) || size > MAX_EXTENDED)
		return archive_invalid(source, "an extended header is too long", err);
	char *bytes = arena_alloc(&source->arena, (size_t)size + 1);
	if (archive_take(source, bytes, (size_t)size, err) ||
	    archive_skip_padding(source, size, err))
		return -1;
	bytes[size] = '\0';
	if (header->type == TAR_LONG_NAME)
		told->name = bytes;
	else if (header->type == TAR_LONG_LINK)
		told->link = bytes;
	else if (header->type == TAR_EXTENDED) {
		told->text = bytes;
		told->size = size;
	}
	return 0;
}

/* What is stored of it, and which parts of it these are. */
static int find_stored(struct archive_source *source, const struct tar_header *header,
		       const struct told_sparse *sparse, struct archive_entry *entry,
		       struct error *err)
{
	entry->stored = entry->size;
	if (header->type == TAR_SPARSE) {
		entry->type = TAR_FILE;
		return tar_read_old_segments(source, header, entry, err);
	}
	if (!sparse->is_one)
		return 0;
	if (!archive_has_content(entry))
		return archive_invalid(source, "what has no content has parts", err);
	entry->size = sparse->size;
	if (sparse->name)
		entry->path = sparse->name;
	return tar_read_segments(source, entry, err);
}

int archive_next(struct archive_source *source, struct archive_entry *ret_entry, struct error *err)
{
	struct tar_header header;
	struct told_before told = { 0 };
	struct told_sparse sparse = { 0 };

	for (;;) {
		if (archive_take(source, &header, sizeof header, err))
			return -1;
		if (header.name[0] == '\0')
			return 0;
		if (!is_told_before(&header))
			break;
		if (read_told(source, &header, &told, err))
			return -1;
	}
	*ret_entry = (struct archive_entry){ 0 };
	if (from_header(source, &header, ret_entry, err))
		return -1;
	ret_entry->path = told.name ? told.name : ret_entry->path;
	ret_entry->link = told.link ? told.link : ret_entry->link;
	if (told.text &&
	    parse_extended(source, told.text, (size_t)told.size, ret_entry, &sparse, err))
		return -1;
	/* (uid_t)-1 is nobody, and leaves the owner that it has. */
	if (ret_entry->uid >= UINT32_MAX || ret_entry->gid >= UINT32_MAX)
		return archive_invalid(source, "a file has an owner that there is not", err);
	return find_stored(source, &header, &sparse, ret_entry, err) ? -1 : 1;
}

bool archive_has_content(const struct archive_entry *entry)
{
	return (entry->type == TAR_FILE || entry->type == TAR_OLD_FILE) && !entry->socket;
}

int archive_skip_content(struct archive_source *source, const struct archive_entry *entry,
			 struct error *err)
{
	uint64_t padded = (entry->stored + TAR_BLOCK - 1) & ~(uint64_t)(TAR_BLOCK - 1);

	if (!archive_has_content(entry))
		return 0;
	if (padded < entry->stored || padded > INT64_MAX)
		return archive_invalid(source, "a file is too long", err);
	return gzseek(source->file, (z_off_t)padded, SEEK_CUR) < 0
		       ? fail_errno(err, ERR_IO, "cannot read the content of %s", source->what)
		       : 0;
}
