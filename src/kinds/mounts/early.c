// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A devpts that is there before the tree: a terminal that controls a session has to be taken by its
 * leader before that makes anybody, while mounts are made when all processes exist. It is the same
 * superblock that is mounted later. And what is to be there before a mount.
 */
#include "kinds/mounts/make.h"

#include "base/arena.h"
#include "kinds/mounts/kind.h"
#include "kinds/mounts/mounts.h"
#include "kinds/mounts/plan.h"

#include <string.h>
#include <unistd.h>

struct early_superblocks {
	struct superblock *made;
	size_t n;
};

static struct early_superblocks *early_of(struct file_opener *opener)
{
	static const char owner;
	void **state = opener_state(opener, &owner);

	if (!*state)
		*state = arena_new(opener->arena, struct early_superblocks);
	return *state;
}

const MntEntry *mounts_own_devpts(const struct snapshot *snapshot, uint32_t mount_id)
{
	struct mount_namespace *namespace;
	size_t index;
	const MntEntry *mount = snapshot_mount(snapshot, mount_id, &namespace, &index);

	for (size_t i = 0; mount && i < snapshot->n_mount_namespaces; i++)
		for (size_t k = 0; k < snapshot->mount_namespaces[i]->n_mounts; k++) {
			const MntEntry *other = snapshot->mount_namespaces[i]->mounts[k];
			if (other->root_dev == mount->root_dev && !other->bound_path &&
			    mount_kind_of_entry(other) == &devpts_mount_kind)
				return other;
		}
	return NULL;
}

static bool is_bound_devpts(const MntEntry *mount)
{
	return mount->bound_path && mount_kind_of_entry(mount) == &devpts_mount_kind;
}

const MntEntry *mounts_bound_devpts(const struct snapshot *snapshot, uint32_t mount_id,
				    const char *ptmx)
{
	struct mount_namespace *namespace;
	size_t index;
	const MntEntry *mount = snapshot_mount(snapshot, mount_id, &namespace, &index);
	const char *slash = ptmx ? strrchr(ptmx, '/') : NULL;
	const MntEntry *found = NULL;

	if (!mount || is_bound_devpts(mount))
		return mount;
	for (size_t i = 0; slash && i < namespace->n_mounts; i++) {
		size_t length = (size_t)(slash - ptmx);
		if (strncmp(namespace->mounts[i]->mountpoint, ptmx, length) == 0 &&
		    strcmp(namespace->mounts[i]->mountpoint + length, "/pts") == 0)
			found = namespace->mounts[i];
	}
	return found && is_bound_devpts(found) ? found : NULL;
}

bool mounts_show_file(const struct snapshot *snapshot, uint32_t device, const char *root)
{
	for (size_t i = 0; i < snapshot->n_mount_namespaces; i++)
		for (size_t k = 0; k < snapshot->mount_namespaces[i]->n_mounts; k++) {
			const MntEntry *mount = snapshot->mount_namespaces[i]->mounts[k];
			if (mount->root_dev == device && strcmp(mount->root, root) == 0)
				return true;
		}
	return false;
}

static const MntEntry *shown_in(const struct mount_namespace *namespace, const MntEntry *mount,
				const char *below)
{
	const char *root = strcmp(mount->root, "/") == 0 ? "" : mount->root;
	size_t length = strlen(root);

	for (size_t i = 0; i < namespace->n_mounts; i++) {
		const MntEntry *other = namespace->mounts[i];
		if (other->root_dev == mount->root_dev && strncmp(other->root, root, length) == 0 &&
		    other->root[length] == '/' && strcmp(other->root + length + 1, below) == 0)
			return other;
	}
	return NULL;
}

const MntEntry *mounts_show_before(const struct snapshot *snapshot, uint32_t mount_id,
				   const char *path)
{
	struct mount_namespace *namespace;
	const MntEntry *mount = snapshot_mount(snapshot, mount_id, &namespace, NULL), *found = NULL;
	const char *below = mount ? path_below(path, mount->mountpoint) : NULL;
	struct arena arena;
	bool shown = false;

	for (size_t i = 0; below && !shown && i < snapshot->n_mount_namespaces; i++)
		shown = shown_in(snapshot->mount_namespaces[i], mount, below);
	if (!shown)
		return NULL;
	arena_init(&arena);
	const size_t *order = mount_namespaces_in_order(snapshot, &arena);
	for (size_t i = 0; order && !found && i < snapshot->n_mount_namespaces; i++) {
		const struct mount_namespace *other = snapshot->mount_namespaces[order[i]];
		found = shown_in(other, mount, below);
		if (other == namespace)
			break;
	}
	arena_done(&arena);
	return found;
}

int mounts_early_devpts(struct file_opener *opener, const MntEntry *mount, struct error *err)
{
	struct early_superblocks *early = early_of(opener);
	const struct mount_maker maker = { .snapshot = opener->snapshot,
					   .opener = opener,
					   .user_namespaces = opener->user_namespaces,
					   .plain_namespaces = opener->plain_namespaces,
					   .images = opener->images };

	for (size_t i = 0; i < early->n; i++)
		if (early->made[i].device == mount->root_dev)
			return early->made[i].fd;
	int fd = mounts_make_superblock(&maker, &devpts_mount_kind, mount, err);
	if (fd < 0)
		return -1;
	early->made = arena_grow(opener->arena, early->made, early->n, sizeof *early->made);
	early->made[early->n++] = (struct superblock){ mount->root_dev, fd, mount };
	return fd;
}

int mounts_take_early(struct file_opener *opener, uint32_t device)
{
	struct early_superblocks *early = early_of(opener);

	for (size_t i = 0; i < early->n; i++)
		if (early->made[i].device == device) {
			int fd = early->made[i].fd;
			early->made[i].fd = -1;
			return fd;
		}
	return -1;
}

void mounts_close_early(struct file_opener *opener)
{
	struct early_superblocks *early = early_of(opener);

	for (size_t i = 0; i < early->n; i++)
		if (early->made[i].fd >= 0)
			close(early->made[i].fd);
	early->n = 0;
}
