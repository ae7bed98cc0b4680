/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * listmount(2) and statmount(2) (Linux 6.8; of another mount namespace 6.11): mounts one by one,
 * also those below the root of a namespace, which mountinfo does not show.
 */
#ifndef NESTOR_KERNEL_LISTMOUNT_H
#define NESTOR_KERNEL_LISTMOUNT_H

#include "base/arena.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* As mountinfo has it; ids are those of mountinfo, too. */
struct mount_status {
	uint32_t id, parent_id;
	dev_t device;
	uint32_t flags; /* MS_* of the mount */
	uint32_t superblock_flags;
	uint32_t shared_id, master_id; /* 0: none */
	bool unbindable, idmapped;
	const char *type, *options;    /* of the superblock; "" where that cannot be asked (6.11) */
	const char *root, *mountpoint; /* NULL: none that is to be seen */
};

/* The number by which the kernel knows a mount namespace; -1 with errno. */
int mount_namespace_number(int namespace_fd, uint64_t *ret_number);
/*
 * Unique ids of all of its mounts; -1 with errno. From outside the kernel finds the root of a
 * namespace only if it is older than what is mounted there (Linux 6.18, grab_requested_root), and
 * says ENOENT otherwise.
 */
int mount_list(uint64_t namespace_number, struct arena *arena, uint64_t **ret_ids, size_t *ret_n);
/* The same of our own namespace, in which the mount of `fd` is, but for the first of all. */
int mount_list_own(int fd, struct arena *arena, uint64_t **ret_ids, size_t *ret_n);
/* Of a mount in that namespace (0: our own). -1 with errno. */
int mount_stat(uint64_t namespace_number, uint64_t id, struct arena *arena,
	       struct mount_status *ret_status);

/*
 * The unique id of the mount of `fd`, or where that is -1 of the one that mountinfo shows by the
 * number `id`, as of one that is hidden by others; -1 with errno, ENOENT where there is none.
 */
int mount_find(uint64_t namespace_number, int fd, uint32_t id, struct arena *arena,
	       uint64_t *ret_unique);

/* An extent of the map of a mount: ids that it shows, and those that its file system has. */
struct mount_extent {
	uint32_t first, lower, count;
};

struct mount_idmap {
	struct mount_extent *uids, *gids;
	size_t n_uids, n_gids; /* 0: it has none */
};

/*
 * Of a mount, by its unique id, in that namespace (0: our own); in our numbers (Linux 6.15). -1
 * with errno, EOPNOTSUPP where the kernel does not tell.
 */
int mount_idmap_read(uint64_t namespace_number, uint64_t id, struct arena *arena,
		     struct mount_idmap *ret_idmap);
bool mount_idmap_is_same(const struct mount_idmap *one, const struct mount_idmap *other);

#endif
