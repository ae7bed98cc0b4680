// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Mounts that show their files as those of others (MOUNT_ATTR_IDMAP, mount_setattr(2)). The kernel
 * takes the maps from a user namespace and tells them by statmount (Linux 6.15). A restore makes a
 * user namespace that has just these maps, for the moment, and gives them to the mount before it is
 * attached: no other may get them, and none a second time. What is bound from one that is mapped is
 * so, too.
 *
 * What is in a file system is read by mounts that map nothing; where there is none it is refused.
 */
#include "kinds/mounts/make.h"

#include "base/cleanup.h"
#include "kernel/deputy.h"
#include "kernel/listmount.h"
#include "kernel/visit.h"
#include "kinds/mounts/survey.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MOST_EXTENTS = 340 }; /* UID_GID_MAP_MAX_EXTENTS */

/* ---- dump ---- */

static UidGidExtent **new_extents(struct snapshot *snapshot, const struct mount_extent *extents,
				  size_t n)
{
	UidGidExtent **list = arena_array(snapshot->arena, UidGidExtent *, n + 1);

	for (size_t i = 0; i < n; i++) {
		list[i] = snapshot_new(snapshot, UID_GID_EXTENT, UidGidExtent);
		list[i]->first = extents[i].first;
		list[i]->lower_first = extents[i].lower;
		list[i]->count = extents[i].count;
	}
	return list;
}

struct mapped_mount {
	int namespace_fd;
	int root_fd; /* -1: it is hidden */
	uint32_t id;
	struct arena *arena;
	struct mount_idmap *ret_map;
};

static int read_from(uint64_t namespace_number, const struct mapped_mount *mount)
{
	uint64_t unique;

	if (mount_find(namespace_number, mount->root_fd, mount->id, mount->arena, &unique))
		return -1;
	return mount_idmap_read(namespace_number, unique, mount->arena, mount->ret_map);
}

static int read_inside(void *data, struct error *err)
{
	const struct mapped_mount *mount = data;

	if (setns(mount->namespace_fd, CLONE_NEWNS) || read_from(0, mount))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot tell what a mount maps");
	return 0;
}

/*
 * From outside the kernel finds the root of a namespace only if it is older than what is mounted
 * there (Linux 6.18, grab_requested_root), and of one made of mounts that were there before it is
 * not: there it says ENOENT.
 */
static int read_map(struct mapped_mount *mount)
{
	struct error err = { 0 };
	uint64_t number;

	if (mount_namespace_number(mount->namespace_fd, &number))
		return -1;
	if (read_from(number, mount) == 0)
		return 0;
	if (errno != ENOENT)
		return -1;
	if (deputy_run(read_inside, mount, &err) == 0)
		return 0;
	errno = err.os_errno ? err.os_errno : EIO;
	return -1;
}

int mount_idmap_collect(const struct live_namespace *namespace_, const struct mount_line *line,
			int root_fd, MntEntry *entry, const char *what, struct error *err)
{
	struct snapshot *snapshot = namespace_->collect->snapshot;
	struct mount_idmap map;
	struct mapped_mount mapped = { namespace_->fd, root_fd, line->id, snapshot->arena, &map };

	if (!line->idmapped)
		return 0;
	int known = read_map(&mapped);
	if (known < 0 && errno_tells_nothing(errno))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot read the mapped ids of %s",
				  what);
	if (known < 0)
		return survey_refuse(what, "has mapped ids, and how they are cannot be seen", err);
	if (!map.n_uids || !map.n_gids)
		return survey_refuse(what, "has mapped ids that nestor has no numbers for", err);
	entry->idmap = snapshot_new(snapshot, USERNS_ENTRY, UsernsEntry);
	entry->idmap->n_uid_map = map.n_uids;
	entry->idmap->uid_map = new_extents(snapshot, map.uids, map.n_uids);
	entry->idmap->n_gid_map = map.n_gids;
	entry->idmap->gid_map = new_extents(snapshot, map.gids, map.n_gids);
	return 0;
}

/* ---- check ---- */

static bool is_extents(size_t n, UidGidExtent *const *extents)
{
	for (size_t i = 0; i < n; i++)
		if (!extents[i]->count || extents[i]->count > UINT32_MAX - extents[i]->first ||
		    extents[i]->count > UINT32_MAX - extents[i]->lower_first)
			return false;
	return n > 0 && n <= MOST_EXTENTS;
}

static int check_map(const struct snapshot *snapshot, const MntEntry *mount, const UsernsEntry *map,
		     struct error *err)
{
	if (!is_extents(map->n_uid_map, map->uid_map) || !is_extents(map->n_gid_map, map->gid_map))
		return fail(err, ERR_IMAGE_INVALID,
			    "mount %" PRIu32 " (%.200s) has mapped ids that are none",
			    mount->mnt_id, mount->mountpoint);
	/* Its numbers are of another user namespace then. */
	if (snapshot->base)
		return fail(err, ERR_NO_PRIVILEGE,
			    "mount %" PRIu32 " (%.200s) has mapped ids, which takes privileges "
			    "where nestor is",
			    mount->mnt_id, mount->mountpoint);
	return 0;
}

int mount_idmap_check(const struct snapshot *snapshot, const MntEntry *mount, struct error *err)
{
	for (size_t i = 0; i < mount->n_layers_ids; i++)
		if (check_map(snapshot, mount, mount->layers_ids[i]->idmap, err))
			return -1;
	return mount->idmap ? check_map(snapshot, mount, mount->idmap, err) : 0;
}

/* ---- restore ---- */

struct mapping {
	const MntEntry *mount;
	const UsernsEntry *map;
};

static int put_extents(int proc_fd, pid_t pid, const char *name, size_t n,
		       UidGidExtent *const *extents)
{
	char path[64], text[MOST_EXTENTS * 36];
	size_t length = 0;

	snprintf(path, sizeof path, "%d/%s", (int)pid, name);
	for (size_t i = 0; i < n; i++)
		length +=
			(size_t)snprintf(text + length, sizeof text - length,
					 "%" PRIu32 " %" PRIu32 " %" PRIu32 "\n", extents[i]->first,
					 extents[i]->lower_first, extents[i]->count);
	autoclose int fd = openat(proc_fd, path, O_WRONLY | O_CLOEXEC);
	return fd < 0 || write(fd, text, length) != (ssize_t)length ? -1 : 0;
}

static int write_maps(pid_t pid, void *data, struct error *err)
{
	const struct mapping *mapping = data;
	const UsernsEntry *map = mapping->map;
	autoclose int proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);

	return put_extents(proc_fd, pid, "uid_map", map->n_uid_map, map->uid_map) ||
			       put_extents(proc_fd, pid, "gid_map", map->n_gid_map, map->gid_map)
		       ? fail_errno(err, errno == EPERM ? ERR_NO_PRIVILEGE : ERR_KERNEL_REFUSED,
				    "cannot map the ids of mount %.200s",
				    mapping->mount->mountpoint)
		       : 0;
}

static int make_users(struct visitor *visitor, void *data, struct error *err)
{
	(void)data;
	if (unshare(CLONE_NEWUSER))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot make a user namespace");
	autoclose int fd = open("/proc/self/ns/user", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot open a user namespace");
	return visitor_hand_over(visitor, fd, err);
}

static bool is_same_extents(size_t n, UidGidExtent *const *one, size_t n_other,
			    UidGidExtent *const *other)
{
	for (size_t i = 0; n == n_other && i < n; i++)
		if (one[i]->first != other[i]->first || one[i]->count != other[i]->count ||
		    one[i]->lower_first != other[i]->lower_first)
			return false;
	return n == n_other;
}

static const struct made_idmap *find_made(const struct made_superblocks *made,
					  const UsernsEntry *map)
{
	for (size_t i = 0; i < made->n_idmaps; i++) {
		const UsernsEntry *other = made->idmaps[i].map;
		if (is_same_extents(map->n_uid_map, map->uid_map, other->n_uid_map,
				    other->uid_map) &&
		    is_same_extents(map->n_gid_map, map->gid_map, other->n_gid_map, other->gid_map))
			return &made->idmaps[i];
	}
	return NULL;
}

static int make_one(struct file_opener *opener, struct made_superblocks *made,
		    const MntEntry *mount, const UsernsEntry *map, struct error *err)
{
	struct mapping data = { mount, map };
	const struct visit going = {
		.what = "makes a user namespace for mapped ids",
		.function = make_users,
		.meanwhile = write_maps,
		.data = &data,
		.size = sizeof data,
	};
	int fd;

	if (!map || find_made(made, map))
		return 0;
	if (visit(&going, &fd, 1, err))
		return -1;
	made->idmaps =
		arena_grow(opener->arena, made->idmaps, made->n_idmaps, sizeof *made->idmaps);
	made->idmaps[made->n_idmaps++] = (struct made_idmap){ map, fd };
	return 0;
}

static int make_those_of(struct file_opener *opener, struct made_superblocks *made,
			 const MntEntry *mount, struct error *err)
{
	for (size_t i = 0; i < mount->n_layers_ids; i++)
		if (make_one(opener, made, mount, mount->layers_ids[i]->idmap, err))
			return -1;
	return make_one(opener, made, mount, mount->idmap, err);
}

int mount_idmap_users(const struct made_superblocks *made, const UsernsEntry *map)
{
	const struct made_idmap *idmap = made ? find_made(made, map) : NULL;

	return idmap ? idmap->fd : -1;
}

int mounts_make_idmaps(struct file_opener *opener, struct made_superblocks *made, struct error *err)
{
	const struct snapshot *snapshot = opener->snapshot;

	for (size_t i = 0; i < snapshot->n_mount_namespaces; i++)
		for (size_t k = 0; k < snapshot->mount_namespaces[i]->n_mounts; k++)
			if (make_those_of(opener, made, snapshot->mount_namespaces[i]->mounts[k],
					  err))
				return -1;
	return 0;
}

void mounts_close_idmaps(struct made_superblocks *made)
{
	for (size_t i = 0; i < made->n_idmaps; i++)
		cleanup_close(&made->idmaps[i].fd);
	made->n_idmaps = 0;
}

static bool is_same(size_t n, UidGidExtent *const *extents, size_t n_found,
		    const struct mount_extent *found)
{
	for (size_t i = 0; n == n_found && i < n; i++)
		if (extents[i]->first != found[i].first ||
		    extents[i]->lower_first != found[i].lower ||
		    extents[i]->count != found[i].count)
			return false;
	return n == n_found;
}

/* 1: what it was bound from has these maps, 0: it has none, -1: others. */
static int inherits(const struct file_opener *opener, const UsernsEntry *map, int origin_fd)
{
	struct mount_idmap found;

	if (origin_fd < 0 || mount_idmap_read(0, origin_fd, opener->arena, &found) || !found.n_uids)
		return 0;
	return is_same(map->n_uid_map, map->uid_map, found.n_uids, found.uids) &&
			       is_same(map->n_gid_map, map->gid_map, found.n_gids, found.gids)
		       ? 1
		       : -1;
}

int mount_set_idmap(const struct file_opener *opener, const struct made_superblocks *made,
		    const MntEntry *mount, int origin_fd, int fd, struct error *err)
{
	struct mount_attr attributes = { .attr_set = MOUNT_ATTR_IDMAP };
	int inherited = mount->idmap ? inherits(opener, mount->idmap, origin_fd) : 1;
	const struct made_idmap *idmap = mount->idmap ? find_made(made, mount->idmap) : NULL;

	if (inherited > 0)
		return 0;
	if (inherited < 0)
		return fail(err, ERR_FILE_CHANGED, "what mount %.200s is bound from maps other ids",
			    mount->mountpoint);
	attributes.userns_fd = idmap ? (uint64_t)idmap->fd : UINT64_MAX;
	return syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &attributes, sizeof attributes)
		       ? fail_errno(err, errno == EPERM ? ERR_NO_PRIVILEGE : ERR_KERNEL_REFUSED,
				    "cannot map the ids of mount %.200s", mount->mountpoint)
		       : 0;
}
