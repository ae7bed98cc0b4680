// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The extended header of a file in an archive, being made: times, attributes, and all numbers that
 * are too large for the header that follows.
 */
#include "kinds/mounts/archive.h"
#include "kinds/mounts/tar.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "kernel/file-parts.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

enum { MAX_PARTS = 200000 };

static void append(struct tar_records *records, const void *bytes, size_t size)
{
	while (size > records->room - records->length) {
		records->room = records->room ? records->room * 2 : 4096;
		records->bytes = realloc(records->bytes, records->room);
		if (!records->bytes)
			abort();
	}
	memcpy(records->bytes + records->length, bytes, size);
	records->length += size;
}

/* "LENGTH key=value\n", where the length counts itself. */
void tar_add_record(struct tar_records *records, const char *key, const void *value, size_t size)
{
	char number[24];
	size_t rest = strlen(key) + size + 3, digits = 1;

	while ((size_t)snprintf(number, sizeof number, "%zu", rest + digits) != digits)
		digits++;
	append(records, number, digits);
	append(records, " ", 1);
	append(records, key, strlen(key));
	append(records, "=", 1);
	append(records, value, size);
	append(records, "\n", 1);
}

void tar_add_number(struct tar_records *records, const char *key, uint64_t value)
{
	char text[24];

	tar_add_record(records, key, text, (size_t)snprintf(text, sizeof text, "%" PRIu64, value));
}

void tar_add_time(struct tar_records *records, const char *key, const struct timespec *time)
{
	char text[48];

	tar_add_record(records, key, text,
		       (size_t)snprintf(text, sizeof text, "%jd.%09ld", (intmax_t)time->tv_sec,
					time->tv_nsec));
}

void tar_add_attribute(struct tar_records *records, const char *name, const void *value,
		       size_t size)
{
	char key[sizeof TAR_XATTR + XATTR_NAME_MAX + 1];

	snprintf(key, sizeof key, TAR_XATTR "%s", name);
	tar_add_record(records, key, value, size);
}

/* Of the file itself; or, by way of a descriptor in /proc, of what it refers to. */
int tar_add_attributes(struct tar_records *records, const char *path, bool follow,
		       struct error *err)
{
	ssize_t (*list)(const char *, char *, size_t) = follow ? listxattr : llistxattr;
	ssize_t (*get)(const char *, const char *, void *, size_t) = follow ? getxattr : lgetxattr;
	ssize_t size = list(path, NULL, 0);
	autofree char *names = size > 0 ? malloc((size_t)size) : NULL;

	if (size <= 0)
		return size == 0 || errno == ENOTSUP
			       ? 0
			       : fail_errno(err, ERR_IO, "cannot list extended attributes");
	size = names ? list(path, names, (size_t)size) : -1;
	if (size < 0)
		return fail_errno(err, ERR_IO, "cannot list extended attributes");
	for (const char *name = names; size > 0 && name < names + size; name += strlen(name) + 1) {
		ssize_t length = get(path, name, NULL, 0);
		autofree char *value = length >= 0 ? malloc((size_t)length + 1) : NULL;
		if (!value || get(path, name, value, (size_t)length) != length)
			return fail_errno(err, ERR_IO, "cannot read extended attribute %s", name);
		tar_add_attribute(records, name, value, (size_t)length);
	}
	return 0;
}

const struct archive_flag archive_flags[] = {
	{ FS_APPEND_FL, "append" },
	{ FS_IMMUTABLE_FL, "immutable" },
	{ FS_NODUMP_FL, "nodump" },
	{ FS_NOATIME_FL, "noatime" },
	{ 0, NULL },
};

/* Where names are the same in any case, they would have to be made so before there are any. */
int tar_add_flags(struct tar_records *records, int fd, const char *path, struct error *err)
{
	char text[64] = "";
	size_t length = 0;
	unsigned flags;

	if (ioctl(fd, FS_IOC_GETFLAGS, &flags))
		return errno == ENOTTY || errno == EOPNOTSUPP
			       ? 0
			       : fail_errno(err, ERR_IO, "cannot read the flags of %s", path);
	if (flags & FS_CASEFOLD_FL)
		return fail(err, ERR_UNSUPPORTED_MOUNT,
			    "%s is a directory where names are the same in any case (casefold)",
			    path);
	for (const struct archive_flag *flag = archive_flags; flag->name; flag++)
		if (flags & flag->bit)
			length += (size_t)snprintf(text + length, sizeof text - length, "%s%s",
						   length ? "," : "", flag->name);
	if (length)
		tar_add_record(records, TAR_FLAGS, text, length);
	return 0;
}

/*
 * So that what was reserved stays so, and what was not takes no more than it did. A list that no
 * reader would take is left out: what is data comes back all the same.
 */
int tar_add_parts(struct tar_records *records, int fd, const char *path,
		  struct file_parts *ret_parts, struct error *err)
{
	struct statfs fs;

	if (!records->file_system) {
		if (fstatfs(fd, &fs))
			return fail_errno(err, ERR_IO, "cannot tell the file system of %s", path);
		records->file_system = (long)fs.f_type;
	}
	if (!file_parts_told(records->file_system))
		return 0;
	if (file_parts_read(fd, ret_parts))
		return fail_errno(err, ERR_IO, "cannot tell which parts of %s have memory", path);
	if (ret_parts->n > MAX_PARTS) {
		log_warning("dump", path,
			    "what is reserved of it is not kept: it has too many parts");
		return 0;
	}
	autofree char *text = malloc(ret_parts->n * 44 + 1);
	size_t length = 0;
	if (!text)
		return fail_errno(err, ERR_OUT_OF_MEMORY, "cannot list the parts of %s", path);
	for (size_t i = 0; i < ret_parts->n; i++)
		length += (size_t)sprintf(text + length, "%s%" PRIu64 "-%" PRIu64, i ? "," : "",
					  ret_parts->parts[i].start, ret_parts->parts[i].end);
	if (length)
		tar_add_record(records, TAR_MEMORY, text, length);
	return 0;
}
