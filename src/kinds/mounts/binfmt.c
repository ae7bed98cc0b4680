// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * binfmt_misc: which interpreters programs have. There is one for each user namespace that has
 * mounted it (since 6.7), with formats of its own, which go with its last mount (bm_evict_inode).
 * They come back in their order, as the one that was registered last is asked first. Those of
 * nestor's own user namespace would be everybody's: if the tree alone has it mounted, and there are
 * any, it is refused.
 *
 * With flag F the interpreter was opened when the format was registered, and nothing shows by what
 * path or from which namespace. It is taken to be what the path leads to where it is mounted; where
 * there is no such program it is refused.
 *
 * All its files keep mode and owner where somebody has changed them.
 */
#include "kinds/mounts/kind.h"

#include "base/cleanup.h"
#include "base/listing.h"
#include "collect/collect.h"
#include "kernel/deputy.h"
#include "kinds/places.h"
#include "kinds/mounts/make.h"
#include "kinds/mounts/survey.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

/* BINPRM_BUF_SIZE; what a file tells of a format. */
enum { MAX_MAGIC = 256, FILE_ROOM = 8192 };

static bool is_format(const char *name)
{
	return strcmp(name, "register") != 0 && strcmp(name, "status") != 0;
}

/* ---- dump ---- */

/* 0, or -1 with errno; without the last end of a line. */
static int read_text(int dir_fd, const char *name, char text[FILE_ROOM])
{
	autoclose int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	ssize_t size = fd < 0 ? -1 : read(fd, text, FILE_ROOM - 1);

	if (size < 0)
		return -1;
	text[size > 0 && text[size - 1] == '\n' ? size - 1 : size] = '\0';
	return 0;
}

static ProtobufCBinaryData from_hex(struct arena *arena, const char *text)
{
	size_t n = strlen(text) / 2;
	ProtobufCBinaryData bytes = { n, arena_array(arena, uint8_t, n + 1) };
	unsigned byte;

	for (size_t i = 0; i < n && sscanf(text + 2 * i, "%2x", &byte) == 1; i++)
		bytes.data[i] = (uint8_t)byte;
	return bytes;
}

/* What follows the key, if the line begins with it. */
static const char *value_of(const char *line, const char *key)
{
	size_t length = strlen(key);

	return strncmp(line, key, length) == 0 ? line + length : NULL;
}

static void read_line(struct arena *arena, MntFormatEntry *format, const char *line)
{
	const char *value;

	if (strcmp(line, "enabled") == 0)
		format->enabled = true;
	else if ((value = value_of(line, "interpreter ")))
		format->interpreter = arena_string(arena, value);
	else if ((value = value_of(line, "flags: ")))
		format->flags = arena_string(arena, value);
	else if ((value = value_of(line, "extension .")))
		format->extension = (ProtobufCBinaryData){ strlen(value),
							   (uint8_t *)arena_string(arena, value) };
	else if ((value = value_of(line, "offset ")))
		format->offset = (uint32_t)strtoul(value, NULL, 10);
	else if ((value = value_of(line, "magic ")))
		format->magic = from_hex(arena, value);
	else if ((value = value_of(line, "mask ")))
		format->mask = from_hex(arena, value);
}

static int check_interpreter(const struct live_superblock *superblock, const MntFormatEntry *format,
			     struct error *err)
{
	struct stat stat;

	if (!strchr(format->flags, 'F'))
		return 0;
	autoclose int fd = survey_open_path(&superblock->mounts[0].namespace->table,
					    format->interpreter, O_PATH);
	if (fd < 0 ? errno_tells_nothing(errno) : fstat(fd, &stat) != 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "%s: cannot look at the interpreter of format %s",
				  superblock->what, format->name);
	if (fd >= 0 && S_ISREG(stat.st_mode) && stat.st_mode & 0111)
		return 0;
	return fail(err, ERR_UNSUPPORTED_MOUNT,
		    "%s: format %s has an open interpreter (F), which is not at %s any more",
		    superblock->what, format->name, format->interpreter);
}

static int read_format(const struct live_superblock *superblock, int dir_fd, const char *name,
		       MntFormatEntry **ret_format, struct error *err)
{
	struct snapshot *snapshot = superblock->collect->snapshot;
	MntFormatEntry *format = snapshot_new(snapshot, MNT_FORMAT_ENTRY, MntFormatEntry);
	char text[FILE_ROOM], *rest = text;

	if (read_text(dir_fd, name, text))
		return fail_errno(err, ERR_IO, "%s: cannot read format %s", superblock->what, name);
	format->name = arena_string(snapshot->arena, name);
	format->interpreter = format->flags = arena_string(snapshot->arena, "");
	for (char *line; (line = strsep(&rest, "\n"));)
		read_line(snapshot->arena, format, line);
	format->has_extension = format->extension.data != NULL;
	format->has_offset = format->has_magic = format->magic.data != NULL;
	format->has_mask = format->mask.data != NULL;
	*ret_format = format;
	return check_interpreter(superblock, format, err);
}

/* Directories in memory are listed from the last that was made to the first. */
static void turn_round(MntBinfmtEntry *binfmt)
{
	for (size_t i = 0; i < binfmt->n_formats / 2; i++) {
		MntFormatEntry *last = binfmt->formats[binfmt->n_formats - 1 - i];
		binfmt->formats[binfmt->n_formats - 1 - i] = binfmt->formats[i];
		binfmt->formats[i] = last;
	}
}

static int refuse_formats(const struct live_superblock *superblock, const MntEntry *entry,
			  const char *name, struct error *err)
{
	fail(err, ERR_UNSUPPORTED_MOUNT,
	     "%s has formats in it (%s), which go with it, and would be everybody's if they were "
	     "registered again",
	     superblock->what, name);
	return fail_hint(err,
			 "--external mnt[%s]:NAME has it given from outside; one that is mounted "
			 "where nestor runs keeps its formats",
			 entry->mountpoint);
}

static int list_formats(const struct live_superblock *superblock, int dir_fd, bool own,
			MntEntry *entry, struct error *err)
{
	struct arena *arena = superblock->collect->arena;
	MntBinfmtEntry *binfmt = entry->binfmt;
	autoclosedir DIR *dir = listing_open(dir_fd, ".");
	const char *name;

	if (!dir)
		return fail_errno(err, ERR_UNSUPPORTED_MOUNT, "%s: what is in it cannot be seen",
				  superblock->what);
	while (listing_next(dir, &name)) {
		if (!is_format(name))
			continue;
		if (own)
			return refuse_formats(superblock, entry, name, err);
		binfmt->formats = arena_grow(arena, binfmt->formats, binfmt->n_formats,
					     sizeof *binfmt->formats);
		if (read_format(superblock, dir_fd, name, &binfmt->formats[binfmt->n_formats++],
				err))
			return -1;
	}
	return errno ? fail_errno(err, ERR_UNSUPPORTED_MOUNT, "%s: what is in it cannot be seen",
				  superblock->what)
		     : 0;
}

static int collect_attributes(const struct live_superblock *superblock, int dir_fd, MntEntry *entry,
			      struct error *err)
{
	const struct usual_node root = { 0755, true }, file = { 0644, true },
				writable = { 0200, true };

	if (mount_node_collect(superblock, entry, dir_fd, "", &root, err) ||
	    mount_node_collect(superblock, entry, dir_fd, "status", &file, err) ||
	    mount_node_collect(superblock, entry, dir_fd, "register", &writable, err))
		return -1;
	for (size_t i = 0; i < entry->binfmt->n_formats; i++)
		if (mount_node_collect(superblock, entry, dir_fd, entry->binfmt->formats[i]->name,
				       &file, err))
			return -1;
	return 0;
}

static int collect(const struct live_superblock *superblock, MntEntry *entry, struct error *err)
{
	char status[FILE_ROOM];
	autoclose int fd = -1;

	/* Who only looks does not ask to whom it belongs. */
	int own = entry->has_userns_id ? 0 : mount_single_is_own(superblock, entry, err);
	if (own < 0 || (!own && !entry->has_userns_id && !superblock->collect->looking &&
			mount_single_collect(superblock, entry, err)))
		return -1;
	if (live_superblock_copy(superblock, &fd, err))
		return -1;
	entry->binfmt =
		snapshot_new(superblock->collect->snapshot, MNT_BINFMT_ENTRY, MntBinfmtEntry);
	if (read_text(fd, "status", status))
		return fail_errno(err, ERR_UNSUPPORTED_MOUNT, "%s: what is in it cannot be seen",
				  superblock->what);
	entry->binfmt->enabled = strcmp(status, "enabled") == 0;
	int result = list_formats(superblock, fd, own, entry, err);
	turn_round(entry->binfmt);
	if (!entry->has_userns_id)
		entry->binfmt = NULL;
	else if (!result)
		result = collect_attributes(superblock, fd, entry, err);
	return result;
}

/* ---- check ---- */

static bool is_plain(const MntFormatEntry *format)
{
	bool by_extension = format->has_extension && format->extension.len && !format->has_magic &&
			    !format->has_mask;
	bool by_magic = !format->has_extension && format->has_magic && format->magic.len &&
			format->magic.len <= MAX_MAGIC &&
			(!format->has_mask || format->mask.len == format->magic.len);

	return (by_extension || by_magic) && *format->name && is_format(format->name) &&
	       !strchr(format->name, '/') && *format->interpreter &&
	       strspn(format->flags, "POCF") == strlen(format->flags);
}

static int check(const struct snapshot *snapshot, const MntEntry *entry, struct error *err)
{
	const MntBinfmtEntry *binfmt = entry->binfmt;

	(void)snapshot;
	if (binfmt && !entry->has_userns_id)
		return fail(err, ERR_IMAGE_INVALID,
			    "mount %" PRIu32 " (%.200s) has formats, and belongs to nobody inside",
			    entry->mnt_id, entry->mountpoint);
	for (size_t i = 0; binfmt && i < binfmt->n_formats; i++)
		if (!is_plain(binfmt->formats[i]))
			return fail(err, ERR_IMAGE_INVALID,
				    "mount %" PRIu32 " (%.200s): format %.200s is none",
				    entry->mnt_id, entry->mountpoint, binfmt->formats[i]->name);
	return mount_nodes_check(entry, err);
}

/* ---- restore ---- */

static int make(const struct mount_maker *maker, const MntEntry *entry, struct error *err)
{
	autoclose int context_fd = fsopen("binfmt_misc", FSOPEN_CLOEXEC);

	(void)maker;
	if (context_fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot mount a binfmt_misc");
	/* It is to be filled, and then sealed. */
	MntEntry writable = *entry;
	if (entry->has_userns_id)
		writable.sb_flags &= ~(uint32_t)MS_RDONLY;
	return mount_finish(context_fd, &writable, err);
}

static bool has_byte(const MntFormatEntry *format, char byte)
{
	return strchr(format->name, byte) || strchr(format->interpreter, byte) ||
	       (format->has_extension &&
		memchr(format->extension.data, byte, format->extension.len));
}

/* One that is in none of its parts; a byte of the magic can be written otherwise. */
static char separator_of(const MntFormatEntry *format)
{
	for (const char *byte = ":|;,%@#!~^&+="; *byte; byte++)
		if (!has_byte(format, *byte))
			return *byte;
	return '\t';
}

static void put_bytes(FILE *text, const ProtobufCBinaryData *bytes, char separator)
{
	for (size_t i = 0; i < bytes->len; i++) {
		uint8_t byte = bytes->data[i];
		if (byte == '\0' || byte == '\\' || byte == (uint8_t)separator)
			fprintf(text, "\\x%02x", byte);
		else
			fputc(byte, text);
	}
}

static void put_format(FILE *text, const MntFormatEntry *format)
{
	char separator = separator_of(format);

	fprintf(text, "%c%s%c%c%c", separator, format->name, separator,
		format->has_magic ? 'M' : 'E', separator);
	if (format->has_magic)
		fprintf(text, "%" PRIu32, format->offset);
	fputc(separator, text);
	if (format->has_magic)
		put_bytes(text, &format->magic, separator);
	else
		fwrite(format->extension.data, 1, format->extension.len, text);
	fputc(separator, text);
	if (format->has_mask)
		put_bytes(text, &format->mask, separator);
	fprintf(text, "%c%s%c%s", separator, format->interpreter, separator, format->flags);
}

static int write_to(int dir_fd, const char *name, const void *text, size_t size)
{
	autoclose int fd = openat(dir_fd, name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);

	return fd >= 0 && write(fd, text, size) == (ssize_t)size ? 0 : -1;
}

static int register_one(int dir_fd, const MntFormatEntry *format, struct error *err)
{
	autofree char *text = NULL;
	size_t size = 0;
	FILE *file = open_memstream(&text, &size);

	if (file)
		put_format(file, format);
	if (!file || fclose(file))
		return fail_errno(err, ERR_OUT_OF_MEMORY, "cannot register a format");
	if (write_to(dir_fd, "register", text, size) ||
	    (!format->enabled && write_to(dir_fd, format->name, "0", 1)))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot register format %.200s (%.200s)",
				  format->name, format->interpreter);
	return 0;
}

struct registering {
	const MntEntry *entry;
	int dir_fd;
	int namespace_fd; /* where interpreters are opened */
};

static int register_all(void *data, struct error *err)
{
	const struct registering *registering = data;
	const MntBinfmtEntry *binfmt = registering->entry->binfmt;

	if (setns(registering->namespace_fd, CLONE_NEWNS))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot enter a mount namespace");
	for (size_t i = 0; i < binfmt->n_formats; i++)
		if (register_one(registering->dir_fd, binfmt->formats[i], err))
			return -1;
	if (!binfmt->enabled && write_to(registering->dir_fd, "status", "0", 1))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot disable a binfmt_misc");
	return 0;
}

static int namespace_of(const struct mount_maker *maker, const MntEntry *entry)
{
	const struct snapshot *snapshot = maker->snapshot;

	for (size_t i = 0; i < snapshot->n_mount_namespaces; i++)
		for (size_t k = 0; k < snapshot->mount_namespaces[i]->n_mounts; k++)
			if (snapshot->mount_namespaces[i]->mounts[k] == entry)
				return maker->opener->mounts->namespaces[i].fd;
	return -1;
}

static int seal(const struct mount_maker *maker, const MntEntry *entry, int root_fd,
		struct error *err)
{
	struct registering registering = { entry, root_fd, namespace_of(maker, entry) };

	if (!entry->binfmt)
		return 0;
	if (deputy_run(register_all, &registering, err))
		return fail_while(err, "mount %.200s", entry->mountpoint);
	if (mount_nodes_set(maker, entry, root_fd, err))
		return -1;
	if (entry->sb_flags & MS_RDONLY && mount_make_read_only(root_fd))
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "cannot make the binfmt_misc at %s read-only", entry->mountpoint);
	return 0;
}

const struct mount_kind binfmt_misc_mount_kind = {
	.type = "binfmt_misc",
	.fstype = FSTYPE__BINFMT_MISC,
	.owned = true,
	.single = true,
	.parts = true,
	.collect = collect,
	.check = check,
	.make = make,
	.seal = seal,
};
