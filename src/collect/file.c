// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * One open file, from outside: what /proc tells of it, and the kind that recognises it. What is
 * refused gets no entry.
 */
#include "collect/file.h"

#include "collect/collect.h"
#include "collect/descriptions.h"
#include "collect/file-words.h"
#include "collect/read-ahead.h"

#include "base/cleanup.h"
#include "base/message.h"
#include "base/procfs.h"
#include "kinds/kind.h"
#include "kinds/places.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { MAX_LINK = PATH_MAX + sizeof " (deleted)" };

void collect_refuse_file(struct collect *collect, const char *format, ...)
{
	struct error refused = { 0 };
	char text[sizeof refused.text];
	va_list args;

	va_start(args, format);
	message_format(text, sizeof text, format, args);
	va_end(args);
	fail_text(&refused, ERR_UNSUPPORTED_FILE, text);
	collect_pass(collect, &refused);
}

static int fail_gone(const struct target *target, const char *name, struct error *err)
{
	return fail_errno(err, procfs_error(errno), "cannot read /proc/%d/%s", target->pid, name);
}

int open_file_read_link(struct open_file *file, struct error *err)
{
	struct target *target = file->target;
	const struct descriptor_ahead *ahead = read_ahead_descriptor(target, file->number);
	char link[MAX_LINK];
	ssize_t length;

	if (strncmp(file->proc_name, BELOW_ROOT, strlen(BELOW_ROOT)) == 0)
		length = snprintf(link, sizeof link, "/%s", file->proc_name + strlen(BELOW_ROOT));
	else
		length = read_ahead_link(target, file->proc_name, link, sizeof link - 1);
	if (ahead && ahead->has_stat)
		file->stat = ahead->stat;
	if (length < 0 ||
	    (!(ahead && ahead->has_stat) && target_look(target, file->proc_name, &file->stat) < 0))
		return fail_gone(target, file->proc_name, err);
	link[length] = '\0';
	file->link = arena_string(target->collect->arena, link);
	return 0;
}

/* The kernel writes the text when it is first read: a read that leaves room has all of it. */
const char *open_file_read_fdinfo(struct target *target, uint32_t number, char *buffer, size_t size,
				  struct error *err)
{
	const struct descriptor_ahead *ahead = read_ahead_descriptor(target, number);
	autofree char *text = NULL;
	char name[32];

	if (ahead && ahead->has_fdinfo)
		return ahead->fdinfo;
	snprintf(name, sizeof name, "fdinfo/%u", number);
	autoclose int fd = target_open(target, name, O_RDONLY);
	ssize_t length = fd < 0 ? -1 : read(fd, buffer, size);
	if (length >= 0 && (size_t)length < size) {
		buffer[length] = '\0';
		return buffer;
	}
	if (length < 0 || (length = target_text(target, name, &text)) < 0) {
		fail_gone(target, name, err);
		return NULL;
	}
	return arena_copy(target->collect->arena, text, (size_t)length + 1);
}

static int collect_aspects(const struct open_file *file, FileEntry *entry, struct error *err)
{
	const struct file_fields fields = fields_of_file(&kinds, entry);

	if (fields.owner)
		*fields.owner =
			snapshot_new(file->target->collect->snapshot, FOWN_ENTRY, FownEntry);
	if (file->number == UINT32_MAX)
		return 0;
	for (const struct file_aspect *const *aspect = kinds.aspects; *aspect; aspect++)
		if ((*aspect)->collect && (*aspect)->collect(file, entry, err))
			return -1;
	return 0;
}

static FileEntry *new_entry(struct collect *collect, const struct file_kind *kind, uint32_t id)
{
	FileEntry *entry = snapshot_new(collect->snapshot, FILE_ENTRY, FileEntry);

	entry->type = kind->type;
	entry->id = id;
	return entry;
}

/* A failure here would be taken for another file system by those who recognise theirs. */
static int find_file_system(struct open_file *file, struct error *err)
{
	const struct descriptor_ahead *ahead;
	struct statfs fs;

	file->file_system = 0;
	if (file->link[0] != '/' || major(file->stat.st_dev) != 0)
		return 0;
	if (collect_is_silent(file->target->collect, file->stat.st_dev)) {
		file->file_system = FUSE_SUPER_MAGIC;
		return 0;
	}
	ahead = read_ahead_descriptor(file->target, file->number);
	if (ahead && ahead->has_file_system) {
		file->file_system = ahead->file_system;
		return 0;
	}
	autoclose int fd = target_open(file->target, file->proc_name, O_PATH);
	if (fd < 0 || fstatfs(fd, &fs) < 0)
		return fail_errno(err, procfs_error(errno), "%s: cannot tell its file system",
				  file->what);
	file->file_system = (long)fs.f_type;
	return 0;
}

/* The same of sockets and their families. */
static int find_family(struct open_file *file, struct error *err)
{
	socklen_t length = sizeof file->family;

	file->family = 0;
	if (!S_ISSOCK(file->stat.st_mode) || strncmp(file->link, "socket:[", 8) != 0)
		return 0;
	int fd = collect_borrow_file(file, err);
	if (fd < 0)
		return -1;
	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &file->family, &length) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot tell its family",
				  file->what);
	return 0;
}

/* Where the kind says that it has recorded the same before, that is what it is. */
static int collect_as(struct open_file *file, const struct file_kind *kind,
		      struct description *description, struct error *err)
{
	struct collect *collect = file->target->collect;

	file->id = collect->next_file_id;
	FileEntry *entry = new_entry(collect, kind, file->id);
	if (kind->collect(file, entry, err))
		return -1;
	bool known = entry->id != file->id;
	if (known)
		entry = snapshot_file(collect->snapshot, entry->id);
	if (!entry)
		return fail(err, ERR_UNSUPPORTED_FILE, "%s was refused before", file->what);
	if (!(known && file->number == UINT32_MAX) && collect_aspects(file, entry, err))
		return -1;
	if (!known) {
		collect->next_file_id++;
		snapshot_add_file(collect->snapshot, entry);
	}
	description->id = entry->id;
	description->type = entry->type; /* that of what has taken its place, if it is lost */
	return 0;
}

int open_file_collect(struct open_file *file, struct description *description, struct error *err)
{
	if (find_file_system(file, err) || find_family(file, err))
		return -1;
	for (const struct file_kind *const *kind = kinds.files; *kind; kind++) {
		if (!(*kind)->recognise(file))
			continue;
		return collect_as(file, *kind, description, err);
	}
	if (file->link[0] == '/' && file->number != UINT32_MAX)
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "%s is %s: allow it with --external file[%" PRIx64 ":%jx]", file->what,
			    file_in_words(file), (uint64_t)file->mount_id,
			    (uintmax_t)file->stat.st_ino);
	fail(err, ERR_UNSUPPORTED_FILE, "%s is %s", file->what, file_in_words(file));
	const char *hint = file_hint(file);
	return hint ? fail_hint(err, "%s", hint) : -1;
}
