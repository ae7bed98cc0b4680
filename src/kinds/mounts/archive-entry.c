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
static bool apply_record(struct archive_source *source, struct archive_entry *entry, char *key,
			 char *value, size_t size)
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
		add_attribute(source, entry, key + strlen(TAR_XATTR), value, size);
	return true;
}

/* The records of an extended header, which stays in the arena. */
static int parse_extended(struct archive_source *source, char *text, size_t size,
			  struct archive_entry *entry, struct error *err)
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
		if (!apply_record(source, entry, end + 1, equals + 1,
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
	entry->path = header->prefix[0] ? arena_printf(&source->arena, "%.155s/%.100s",
						       header->prefix, header->name)
					: arena_printf(&source->arena, "%.100s", header->name);
	entry->link = arena_printf(&source->arena, "%.100s", header->link);
	return 0;
}

int archive_next(struct archive_source *source, struct archive_entry *ret_entry, struct error *err)
{
	struct tar_header header;
	char *text = NULL;
	uint64_t text_size = 0, size;

	for (;;) {
		if (archive_take(source, &header, sizeof header, err))
			return -1;
		if (header.name[0] == '\0')
			return 0;
		if (header.type != TAR_EXTENDED && header.type != TAR_GLOBAL)
			break;
		if (!tar_field(header.size, sizeof header.size, &size) || size > MAX_EXTENDED)
			return archive_invalid(source, "an extended header is too long", err);
		char *bytes = arena_alloc(&source->arena, (size_t)size + 1);
		if (archive_take(source, bytes, (size_t)size, err) ||
		    archive_skip_padding(source, size, err))
			return -1;
		if (header.type == TAR_EXTENDED) {
			text = bytes;
			text_size = size;
		}
	}
	*ret_entry = (struct archive_entry){ 0 };
	if (from_header(source, &header, ret_entry, err) ||
	    (text && parse_extended(source, text, (size_t)text_size, ret_entry, err)))
		return -1;
	/* (uid_t)-1 is nobody, and leaves the owner that it has. */
	if (ret_entry->uid >= UINT32_MAX || ret_entry->gid >= UINT32_MAX)
		return archive_invalid(source, "a file has an owner that there is not", err);
	return 1;
}

bool archive_has_content(const struct archive_entry *entry)
{
	return (entry->type == TAR_FILE || entry->type == TAR_OLD_FILE) && !entry->socket;
}

int archive_skip_content(struct archive_source *source, const struct archive_entry *entry,
			 struct error *err)
{
	uint64_t padded = (entry->size + TAR_BLOCK - 1) & ~(uint64_t)(TAR_BLOCK - 1);

	if (!archive_has_content(entry))
		return 0;
	if (padded < entry->size || padded > INT64_MAX)
		return archive_invalid(source, "a file is too long", err);
	return gzseek(source->file, (z_off_t)padded, SEEK_CUR) < 0
		       ? fail_errno(err, ERR_IO, "cannot read the content of %s", source->what)
		       : 0;
}
