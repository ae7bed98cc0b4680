// SPDX-License-Identifier: LGPL-2.1-or-later
/* linux/mount.h of 6.11 and later, as headers of older distributions lack it. */
#include "kernel/listmount.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum {
	NR_STATMOUNT = 457,
	NR_LISTMOUNT = 458,
	BATCH = 1024,
	TEXT_SIZE = 3 * 4096,
	/* STATMOUNT_* */
	SUPERBLOCK = 1,
	MOUNT = 2,
	ROOT = 8,
	MOUNTPOINT = 16,
	TYPE = 32,
	OPTIONS = 0x80,
	UIDMAP = 0x2000,
	GIDMAP = 0x4000,
	ALL = SUPERBLOCK | MOUNT | ROOT | MOUNTPOINT | TYPE | OPTIONS,
};

#ifndef STATX_MNT_ID_UNIQUE
#define STATX_MNT_ID_UNIQUE 0x4000U
#endif

#define LIST_OF_ALL  UINT64_MAX /* LSMT_ROOT */
#define GET_MNTNS_ID _IOR(0xb7, 0x5, uint64_t)

struct mount_request {
	uint32_t size, spare;
	uint64_t id, parameter, namespace_number;
};

struct mount_answer {
	uint32_t size, options;
	uint64_t mask;
	uint32_t major, minor;
	uint64_t magic;
	uint32_t superblock_flags, type;
	uint64_t id, parent_id;
	uint32_t old_id, old_parent_id;
	uint64_t attributes, propagation, shared_id, master_id, propagated_from;
	uint32_t root, mountpoint;
	uint64_t namespace_number;
	uint32_t subtype, source, n_options, options_array, n_secure, secure_array;
	uint64_t supported;
	uint32_t n_uids, uids, n_gids, gids;
	uint32_t later[86];
	char text[];
};
_Static_assert(sizeof(struct mount_answer) == 512, "struct statmount");

int mount_namespace_number(int namespace_fd, uint64_t *ret_number)
{
	return ioctl(namespace_fd, GET_MNTNS_ID, ret_number);
}

static int list_below(uint64_t namespace_number, uint64_t top, struct arena *arena,
		      uint64_t **ret_ids, size_t *ret_n)
{
	struct mount_request request = { sizeof request, 0, top, 0, namespace_number };
	uint64_t batch[BATCH];

	*ret_ids = NULL;
	*ret_n = 0;
	for (;;) {
		long n = syscall(NR_LISTMOUNT, &request, batch, BATCH, 0);
		if (n < 0)
			return -1;
		for (long i = 0; i < n; i++) {
			*ret_ids = arena_grow(arena, *ret_ids, *ret_n, sizeof **ret_ids);
			(*ret_ids)[(*ret_n)++] = batch[i];
		}
		if (n < BATCH)
			return 0;
		request.parameter = batch[n - 1];
	}
}

int mount_list(uint64_t namespace_number, struct arena *arena, uint64_t **ret_ids, size_t *ret_n)
{
	return list_below(namespace_number, LIST_OF_ALL, arena, ret_ids, ret_n);
}

static uint32_t flags_of(uint64_t attributes)
{
	static const struct {
		uint64_t attribute;
		uint32_t flag;
	} plain[] = {
		{ MOUNT_ATTR_RDONLY, MS_RDONLY },
		{ MOUNT_ATTR_NOSUID, MS_NOSUID },
		{ MOUNT_ATTR_NODEV, MS_NODEV },
		{ MOUNT_ATTR_NOEXEC, MS_NOEXEC },
		{ MOUNT_ATTR_NODIRATIME, MS_NODIRATIME },
		{ MOUNT_ATTR_NOSYMFOLLOW, MS_NOSYMFOLLOW },
	};
	uint64_t atime = attributes & MOUNT_ATTR__ATIME;
	uint32_t flags = atime == MOUNT_ATTR_NOATIME	? MS_NOATIME
			 : atime == MOUNT_ATTR_RELATIME ? MS_RELATIME
							: 0;

	for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
		if (attributes & plain[i].attribute)
			flags |= plain[i].flag;
	return flags;
}

static void convert(const struct mount_answer *answer, struct arena *arena,
		    struct mount_status *status)
{
	*status = (struct mount_status){
		.id = answer->old_id,
		.parent_id = answer->old_parent_id,
		.device = makedev(answer->major, answer->minor),
		.flags = flags_of(answer->attributes),
		.superblock_flags = answer->superblock_flags,
		.shared_id = (uint32_t)answer->shared_id,
		.master_id = (uint32_t)answer->master_id,
		.unbindable = answer->propagation & MS_UNBINDABLE,
		.idmapped = answer->attributes & MOUNT_ATTR_IDMAP,
		.type = arena_string(arena, answer->mask & TYPE ? answer->text + answer->type : ""),
	};
	status->options =
		arena_string(arena, answer->mask & OPTIONS ? answer->text + answer->options : "");
	if (answer->mask & ROOT)
		status->root = arena_string(arena, answer->text + answer->root);
	if (answer->mask & MOUNTPOINT && answer->text[answer->mountpoint])
		status->mountpoint = arena_string(arena, answer->text + answer->mountpoint);
}

/* Freed by the caller; NULL with errno. */
static struct mount_answer *ask(uint64_t namespace_number, uint64_t id, uint64_t mask)
{
	struct mount_request request = { sizeof request, 0, id, mask, namespace_number };

	for (size_t size = sizeof(struct mount_answer) + TEXT_SIZE; size < (1U << 24); size *= 2) {
		autofree struct mount_answer *answer = calloc(1, size);
		if (!answer)
			return NULL;
		if (syscall(NR_STATMOUNT, &request, answer, size, 0) == 0)
			return take_ptr(answer);
		if (errno != EOVERFLOW)
			return NULL;
	}
	return NULL;
}

int mount_stat(uint64_t namespace_number, uint64_t id, struct arena *arena,
	       struct mount_status *ret_status)
{
	autofree struct mount_answer *answer = ask(namespace_number, id, ALL);

	if (!answer)
		return -1;
	convert(answer, arena, ret_status);
	return 0;
}

/* The first mount of a namespace is its own parent. */
static int find_first(int fd, uint64_t *ret_id)
{
	struct statx found;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID_UNIQUE, &found))
		return -1;
	for (*ret_id = found.stx_mnt_id;;) {
		autofree struct mount_answer *answer = ask(0, *ret_id, MOUNT);
		if (!answer)
			return -1;
		if (answer->parent_id == *ret_id)
			return 0;
		*ret_id = answer->parent_id;
	}
}

int mount_list_own(int fd, struct arena *arena, uint64_t **ret_ids, size_t *ret_n)
{
	uint64_t first;

	return find_first(fd, &first) ? -1 : list_below(0, first, arena, ret_ids, ret_n);
}

/* ---- mapped ids ---- */

/* Texts one after the other, "0 100000 65536". */
static int parse(const char *text, size_t n, struct arena *arena, struct mount_extent **ret)
{
	*ret = arena_array(arena, struct mount_extent, n + 1);
	for (size_t i = 0; i < n; i++, text += strlen(text) + 1)
		if (sscanf(text, "%" SCNu32 " %" SCNu32 " %" SCNu32, &(*ret)[i].first,
			   &(*ret)[i].lower, &(*ret)[i].count) != 3)
			return -1;
	return 0;
}

int mount_find(uint64_t namespace_number, int fd, uint32_t id, struct arena *arena,
	       uint64_t *ret_unique)
{
	struct mount_status status;
	struct statx found;
	uint64_t *all;
	size_t n;

	if (fd >= 0 && statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID_UNIQUE, &found))
		return -1;
	if (fd >= 0) {
		*ret_unique = found.stx_mnt_id;
		return 0;
	}
	if (mount_list(namespace_number, arena, &all, &n))
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (mount_stat(namespace_number, all[i], arena, &status)) {
			if (errno == ENOENT) /* unmounted meanwhile */
				continue;
			return -1;
		}
		*ret_unique = all[i];
		if (status.id == id)
			return 0;
	}
	errno = ENOENT;
	return -1;
}

int mount_idmap_read(uint64_t namespace_number, uint64_t id, struct arena *arena,
		     struct mount_idmap *ret_idmap)
{
	*ret_idmap = (struct mount_idmap){ 0 };
	autofree struct mount_answer *answer = ask(namespace_number, id, MOUNT | UIDMAP | GIDMAP);
	if (!answer)
		return -1;
	if (!(answer->attributes & MOUNT_ATTR_IDMAP))
		return 0;
	errno = EOPNOTSUPP;
	if ((answer->mask & (UIDMAP | GIDMAP)) != (UIDMAP | GIDMAP))
		return -1;
	ret_idmap->n_uids = answer->n_uids;
	ret_idmap->n_gids = answer->n_gids;
	return parse(answer->text + answer->uids, answer->n_uids, arena, &ret_idmap->uids) ||
			       parse(answer->text + answer->gids, answer->n_gids, arena,
				     &ret_idmap->gids)
		       ? -1
		       : 0;
}

bool mount_idmap_is_same(const struct mount_idmap *one, const struct mount_idmap *other)
{
	return one->n_uids == other->n_uids && one->n_gids == other->n_gids &&
	       (!one->n_uids ||
		memcmp(one->uids, other->uids, one->n_uids * sizeof *one->uids) == 0) &&
	       (!one->n_gids ||
		memcmp(one->gids, other->gids, one->n_gids * sizeof *one->gids) == 0);
}
