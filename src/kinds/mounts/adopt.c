// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Mounts as CRIU writes them. The root of the tree is what the restore gives (--root), whatever it
 * is; all mounts of the same file system are bound from there. Whose a superblock is, and which
 * namespaces it shows, is not told, as there is but one of each type: that of the tree's root.
 */
#include "kinds/mounts/kind.h"

#include "kinds/mounts/mounts.h"
#include "model/mounts.h"
#include "model/namespaces.h"

#include <inttypes.h>
#include <string.h>

static MntNsesEntry *shown(struct snapshot *snapshot, MntEntry *mount)
{
	return mount->nses = snapshot_new(snapshot, MNT_NSES_ENTRY, MntNsesEntry);
}

/* Of nestor's own nothing is said. */
static void show_namespaces(struct snapshot *snapshot, MntEntry *mount,
			    const struct mount_kind *kind)
{
	const struct task *task = &snapshot->tasks[0];
	const struct namespace *net = thread_namespace(snapshot, task, 0, NAMESPACE_NET);
	const struct namespace *ipc = thread_namespace(snapshot, task, 0, NAMESPACE_IPC);
	MntNsesEntry *nses;

	if (kind == &proc_mount_kind) {
		nses = shown(snapshot, mount);
		nses->has_pidns_id = true;
		nses->pidns_id = task->pid_namespace->base.id;
	} else if (kind == &sysfs_mount_kind && net) {
		nses = shown(snapshot, mount);
		nses->has_netns_id = true;
		nses->netns_id = net->id;
	} else if (kind == &mqueue_mount_kind && ipc) {
		nses = shown(snapshot, mount);
		nses->has_ipcns_id = true;
		nses->ipcns_id = ipc->id;
	}
}

static void give_owner(const struct snapshot *snapshot, MntEntry *mount)
{
	const struct user_namespace *owner = snapshot->tasks[0].user_namespace;

	if (owner == snapshot->user_namespaces[0])
		return;
	mount->has_userns_id = true;
	mount->userns_id = owner->base.id;
}

static void bind_from_root(struct snapshot *snapshot, MntEntry *mount, const MntEntry *root)
{
	const char *below = path_below(mount->root, root->root);

	if (below)
		mount->bound_path = arena_printf(snapshot->arena, "/%s", below);
}

static int adopt_mount(struct snapshot *snapshot, MntEntry *mount, const MntEntry *root,
		       struct error *err)
{
	const struct mount_kind *kind = mount_kind_of_entry(mount);

	/* Those of newer versions have but the key. */
	if (mount->ext_key)
		mount->ext_mount = mount->has_ext_mount = true;
	if (mount->deleted && !mount->ext_mount)
		return fail(err, ERR_IMAGE_UNSUPPORTED,
			    "mount %" PRIu32 " (%.200s) is of something removed, which is read "
			    "from images of nestor only",
			    mount->mnt_id, mount->mountpoint);
	if (mount->ext_mount)
		return 0;
	if (mount->root_dev == root->root_dev && !root->ext_mount) {
		bind_from_root(snapshot, mount, root);
		return 0;
	}
	if (!kind)
		return 0;
	if (!mount->fsname)
		mount->fsname = arena_string(snapshot->arena, kind->type);
	if (kind->owned)
		give_owner(snapshot, mount);
	show_namespaces(snapshot, mount, kind);
	return 0;
}

int mounts_adopt(struct snapshot *snapshot, const struct images *images, struct error *err)
{
	(void)images;
	for (size_t i = 0; i < snapshot->n_mount_namespaces; i++) {
		const struct mount_namespace *namespace_ = snapshot->mount_namespaces[i];
		for (size_t k = 0; k < namespace_->n_mounts; k++)
			if (adopt_mount(snapshot, namespace_->mounts[k], namespace_->mounts[0],
					err))
				return -1;
	}
	return 0;
}
