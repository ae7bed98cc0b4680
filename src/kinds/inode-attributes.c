// SPDX-License-Identifier: LGPL-2.1-or-later
/* See inode-attributes.h. */
#include "kinds/inode-attributes.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>

#ifndef F_GET_RW_HINT
#define F_GET_RW_HINT 1035
#define F_SET_RW_HINT 1036
#endif

enum {
	FLAGS = FS_APPEND_FL | FS_IMMUTABLE_FL | FS_NODUMP_FL | FS_NOATIME_FL,
	LAST_HINT = 5, /* RWH_WRITE_LIFE_EXTREME */
	PATH_ROOM = 32,
};

/* Of other names the file system is the author. */
static bool is_kept(const char *name)
{
	static const char *const prefixes[] = { "user.", "trusted.", "security.",
						"system.posix_acl_" };

	if (strcmp(name, "security.ima") == 0 || strcmp(name, "security.evm") == 0)
		return false;
	for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
		if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	return false;
}

/* So that O_PATH is enough. */
static void path_of(int fd, char path[PATH_ROOM])
{
	snprintf(path, PATH_ROOM, "/proc/self/fd/%d", fd);
}

/* ---- Dump ---- */

static InodeAttributesEntry *entry_of(struct snapshot *snapshot, InodeAttributesEntry **ret)
{
	if (!*ret)
		*ret = snapshot_new(snapshot, INODE_ATTRIBUTES_ENTRY, InodeAttributesEntry);
	return *ret;
}

static int add_extended(struct snapshot *snapshot, const char *path, const char *name,
			InodeAttributesEntry *entry)
{
	ssize_t size = getxattr(path, name, NULL, 0);
	uint8_t *value = size < 0 ? NULL : arena_alloc(snapshot->arena, (size_t)size + 1);

	if (!value || getxattr(path, name, value, (size_t)size) != size)
		return -1;
	ExtendedAttributeEntry *extended =
		snapshot_new(snapshot, EXTENDED_ATTRIBUTE_ENTRY, ExtendedAttributeEntry);
	extended->name = arena_string(snapshot->arena, name);
	extended->value = (ProtobufCBinaryData){ (size_t)size, value };
	entry->extended = arena_grow(snapshot->arena, entry->extended, entry->n_extended,
				     sizeof *entry->extended);
	entry->extended[entry->n_extended++] = extended;
	return 0;
}

/* -1 with errno */
static int collect_extended(struct snapshot *snapshot, int fd, InodeAttributesEntry **ret)
{
	char path[PATH_ROOM];
	autofree char *names = malloc(XATTR_LIST_MAX);

	path_of(fd, path);
	if (!names)
		return -1;
	ssize_t size = listxattr(path, names, XATTR_LIST_MAX);
	if (size < 0)
		return errno == ENOTSUP ? 0 : -1;
	for (const char *name = names; name < names + size; name += strlen(name) + 1)
		if (is_kept(name) && add_extended(snapshot, path, name, entry_of(snapshot, ret)))
			return -1;
	return 0;
}

static bool is_unknown_request(void)
{
	return errno == ENOTTY || errno == EOPNOTSUPP || errno == EINVAL;
}

/* -1 with errno */
static int collect_rest(struct snapshot *snapshot, int fd, InodeAttributesEntry **ret)
{
	unsigned flags = 0;
	uint64_t hint = 0;

	if (ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0 && !is_unknown_request())
		return -1;
	if (fcntl(fd, F_GET_RW_HINT, &hint) < 0 && !is_unknown_request())
		return -1;
	if (flags & FLAGS) {
		entry_of(snapshot, ret)->has_flags = true;
		entry_of(snapshot, ret)->flags = flags & FLAGS;
	}
	if (hint) {
		entry_of(snapshot, ret)->has_write_hint = true;
		entry_of(snapshot, ret)->write_hint = hint;
	}
	return 0;
}

int inode_attributes_collect(struct snapshot *snapshot, int fd, InodeAttributesEntry **ret,
			     const char *what, struct error *err)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || collect_extended(snapshot, fd, ret) < 0 ||
	    (!(flags & O_PATH) && collect_rest(snapshot, fd, ret) < 0))
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot read its attributes", what);
	return 0;
}

/* ---- Restore ---- */

int inode_attributes_check(const InodeAttributesEntry *entry, const char *what, struct error *err)
{
	if (!entry)
		return 0;
	for (size_t i = 0; i < entry->n_extended; i++)
		if (!is_kept(entry->extended[i]->name) ||
		    strlen(entry->extended[i]->name) > XATTR_NAME_MAX ||
		    entry->extended[i]->value.len > XATTR_SIZE_MAX)
			return fail(err, ERR_IMAGE_INVALID, "%s: no file has the attribute %s",
				    what, entry->extended[i]->name);
	if (entry->flags & ~(unsigned)FLAGS || entry->write_hint > LAST_HINT)
		return fail(err, ERR_IMAGE_INVALID, "%s: no file has such attributes", what);
	return 0;
}

static int fail_set(const char *what, const char *name, struct error *err)
{
	return fail_errno(err, errno == EPERM ? ERR_NO_PRIVILEGE : ERR_KERNEL_REFUSED,
			  "%s: cannot set %s", what, name);
}

static bool has_already(const char *path, const ExtendedAttributeEntry *extended)
{
	autofree uint8_t *value = malloc(extended->value.len + 1);
	ssize_t size = value ? getxattr(path, extended->name, value, extended->value.len + 1) : -1;

	return size >= 0 && (size_t)size == extended->value.len &&
	       memcmp(value, extended->value.data, extended->value.len) == 0;
}

int inode_attributes_set(const InodeAttributesEntry *entry, int fd, const char *what,
			 struct error *err)
{
	char path[PATH_ROOM];

	path_of(fd, path);
	for (size_t i = 0; entry && i < entry->n_extended; i++) {
		const ExtendedAttributeEntry *extended = entry->extended[i];
		if (!has_already(path, extended) &&
		    setxattr(path, extended->name, extended->value.data, extended->value.len, 0) <
			    0)
			return fail_set(what, extended->name, err);
	}
	if (!entry || !entry->write_hint)
		return 0;
	return fcntl(fd, F_SET_RW_HINT, &entry->write_hint) < 0
		       ? fail_set(what, "how long lives what is written (F_SET_RW_HINT)", err)
		       : 0;
}

int inode_attributes_set_flags(const InodeAttributesEntry *entry, int fd, const char *what,
			       struct error *err)
{
	unsigned flags = 0;

	if (!entry || !entry->flags)
		return 0;
	if (ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0)
		return fail_set(what, "what chattr(1) sets", err);
	flags |= entry->flags;
	return ioctl(fd, FS_IOC_SETFLAGS, &flags) < 0 ? fail_set(what, "what chattr(1) sets", err)
						      : 0;
}
