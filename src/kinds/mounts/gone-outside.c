// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What was bound from nestor's own mount namespace, and is no more when it is restored: managers of
 * containers unmount what they have mounted for one when it has ended. The layers of an overlay
 * stay, so it is mounted once more, in the tree only. Of a tmpfs (podman's /dev/shm) nothing stays:
 * what is in it is carried for that, unless it is much, or what everybody has at the same path. As
 * they may be at it just then, what is still there is held while the tree is made.
 */
#include "kinds/mounts/kind.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "collect/collect.h"
#include "images/images.h"
#include "kinds/mounts/make.h"
#include "kinds/mounts/mounts.h"
#include "kinds/mounts/survey.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { CARRIED_AT_MOST = 64 << 20 }; /* as podman and docker make it, where nobody says anything */

static bool is_of_type(const MntEntry *mount, const char *type)
{
	return mount->fsname && strcmp(mount->fsname, type) == 0 && mount->bound_path &&
	       strcmp(mount->root, "/") == 0;
}

/* ---- dump ---- */

/* Made for the tree, as far as can be seen: it has it elsewhere. */
static bool is_own_memory(const MntEntry *mount)
{
	return is_of_type(mount, tmpfs_mount_kind.type) && !mount->ext_mount &&
	       strcmp(mount->bound_path, mount->mountpoint) != 0;
}

/* 1, 0, or -1 with an error */
static int is_small(const struct live_mount *mount, struct error *err)
{
	struct statfs fs;
	autoclose int fd = -1;

	if (live_mount_copy(mount, &fd, err))
		return -1;
	if (fd < 0)
		return 0;
	if (fstatfs(fd, &fs))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot look at what is mounted at %s",
				  mount->line->mountpoint);
	/* One without a limit tells nothing. */
	return fs.f_blocks &&
	       (uint64_t)(fs.f_blocks - fs.f_bfree) * (uint64_t)fs.f_bsize <= CARRIED_AT_MOST;
}

static void set_carried(const struct live_superblock *superblock, bool carried)
{
	const struct mount_survey *survey = survey_of_mounts(superblock->collect);
	const uint32_t device = superblock->mounts[0].entry->root_dev;

	for (size_t i = 0; i < survey->n_namespaces; i++)
		for (size_t k = 0; k < survey->namespaces[i].table.n_lines; k++) {
			MntEntry *entry = survey->namespaces[i].entries[k];
			if (entry->root_dev != device || !entry->bound_path)
				continue;
			entry->has_bound_carried = carried || is_own_memory(entry);
			entry->bound_carried = carried;
		}
}

/* What cannot be carried stays what somebody else has, who may change it meanwhile. */
static int write_content(const struct live_superblock *superblock, MntEntry *entry,
			 struct error *err)
{
	struct error failed = { 0 };

	if (superblock->collect->looking ||
	    tmpfs_mount_kind.content(superblock, entry, &failed) == 0)
		return 0;
	if (failed.name == ERR_UNSUPPORTED_MOUNT || survey_is_absent(failed.os_errno)) {
		images_drop_raw(superblock->collect->images, IMAGE_TMPFS_DEV, entry->root_dev);
		set_carried(superblock, false);
		return 0;
	}
	*err = failed;
	return -1;
}

static const struct mount_kind carried_kind = { .content = write_content };

/*
 * What is mounted outside may come and go: one that was there for one mount of a tmpfs, and was not
 * for another, is no place to bind it from.
 */
static int check_all_bound(const struct mount_survey *survey, const struct live_mount *mount,
			   struct error *err)
{
	for (size_t i = 0; i < survey->n_contents; i++)
		if (survey->contents[i].superblock.mounts[0].entry->root_dev ==
		    mount->entry->root_dev)
			return fail(err, ERR_TREE_CHANGED,
				    "what is mounted at %s was mounted outside, and was not, too",
				    mount->line->mountpoint);
	return 0;
}

static int collect_one(struct collect *collect, const struct live_namespace *namespace,
		       size_t index, struct error *err)
{
	struct mount_survey *survey = survey_of_mounts(collect);
	struct live_mount *mount = arena_new(collect->arena, struct live_mount);

	*mount = (struct live_mount){ namespace, &namespace->table.lines[index],
				      namespace->entries[index], false, NULL };
	if (mount->entry->has_bound_carried || !is_own_memory(mount->entry))
		return 0;
	int small = check_all_bound(survey, mount, err) ? -1 : is_small(mount, err);
	if (small < 0)
		return -1;
	const struct live_superblock superblock = {
		.collect = collect,
		.mounts = mount,
		.n_mounts = 1,
		.what = survey_name_mount(collect, namespace, mount->line),
	};
	set_carried(&superblock, small > 0);
	if (!small)
		return 0;
	survey->contents = arena_grow(collect->arena, survey->contents, survey->n_contents,
				      sizeof *survey->contents);
	survey->contents[survey->n_contents++] = (struct live_content){ superblock, &carried_kind };
	return 0;
}

int mount_gone_collect(struct collect *collect, struct error *err)
{
	const struct mount_survey *survey = survey_of_mounts(collect);

	for (size_t i = 0; i < survey->n_namespaces; i++)
		for (size_t k = 0; k < survey->namespaces[i].table.n_lines; k++)
			if (collect_one(collect, &survey->namespaces[i], k, err))
				return -1;
	return 0;
}

/* ---- restore ---- */

struct looking {
	const struct snapshot *snapshot;
	const struct externals *externals;
	int root_fd;
};

/* By a person, who may have another file system there. */
static bool is_given(const struct externals *externals, const MntEntry *mount)
{
	const char *key = mount->ext_key ? mount->ext_key : mount->mountpoint;
	const struct external *row = externals_find(externals, EXTERNAL_MNT, key);

	return mount->ext_mount || (row && *row->id && strcmp(row->value, mount->bound_path) == 0);
}

/* Another one is mounted there, or the directory below is there. 1, 0, or -1 with errno. */
static int is_another(const MntEntry *mount, int fd)
{
	struct statfs fs;

	if (fstatfs(fd, &fs))
		return -1;
	return fs.f_type !=
	       (is_of_type(mount, overlay_mount_kind.type) ? OVERLAYFS_SUPER_MAGIC : TMPFS_MAGIC);
}

/* What lies below others cannot be seen by its path. */
bool mount_may_go_outside(const MntEntry *mount)
{
	return (is_of_type(mount, overlay_mount_kind.type) ||
		(is_of_type(mount, tmpfs_mount_kind.type) && mount->has_bound_carried)) &&
	       !mount->bound_depth;
}

static bool may_go(const struct externals *externals, const MntEntry *mount)
{
	return mount_may_go_outside(mount) && !is_given(externals, mount);
}

static int is_gone(const struct looking *looking, const MntEntry *mount)
{
	autoclose int fd = mount_open_outside(looking->root_fd, mount->bound_path);

	if (fd < 0)
		return errno == ENOENT ? 1 : -1;
	return is_another(mount, fd);
}

/* It is made with the tree, whose own it is then. */
static void make_own(MntEntry *mount, Fstype fstype)
{
	mount->bound_path = NULL;
	mount->has_bound_depth = false;
	mount->bound_depth = 0;
	mount->fstype = fstype;
	if (mount->master_outside) {
		mount->has_master_id = false;
		mount->master_id = 0;
	}
	mount->has_master_outside = mount->master_outside = false;
	mount->has_shared_outside = mount->shared_outside = false;
	mount->origin = NULL;
}

/* All that shows it, parts of it included. */
static void make_memory(const struct looking *looking, const MntEntry *gone)
{
	log_warning("restore", gone->mountpoint,
		    "%s, from which it was mounted, is no tmpfs any more: the tree has one of its "
		    "own, with what was in it",
		    gone->bound_path);
	for (size_t i = 0; i < looking->snapshot->n_mount_namespaces; i++) {
		const struct mount_namespace *namespace_ = looking->snapshot->mount_namespaces[i];
		for (size_t k = 0; k < namespace_->n_mounts; k++)
			if (namespace_->mounts[k]->root_dev == gone->root_dev &&
			    namespace_->mounts[k]->bound_path &&
			    namespace_->mounts[k]->bound_carried)
				make_own(namespace_->mounts[k], FSTYPE__TMPFS);
	}
}

static int fail_memory(const MntEntry *mount, struct error *err)
{
	fail(err, ERR_FILE_CHANGED,
	     "%.200s is no tmpfs any more, which was mounted from there at %.200s, and what was in "
	     "it was too much to be carried",
	     mount->bound_path, mount->mountpoint);
	return fail_hint(err, "--external mnt[%s]:PATH mounts something else instead",
			 mount->mountpoint);
}

static int make_if_gone(const struct looking *looking, MntEntry *mount, struct error *err)
{
	bool overlay = is_of_type(mount, overlay_mount_kind.type);
	int gone = may_go(looking->externals, mount) ? is_gone(looking, mount) : 0;

	if (gone < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot tell the file system of %s",
				  mount->bound_path);
	if (gone && overlay)
		make_own(mount, FSTYPE__OVERLAYFS);
	else if (gone && mount->bound_carried)
		make_memory(looking, mount);
	else if (gone)
		return fail_memory(mount, err);
	return 0;
}

int mounts_find_gone(const struct snapshot *snapshot, const struct externals *externals,
		     int root_fd, struct error *err)
{
	const struct looking looking = { snapshot, externals, root_fd };

	for (size_t i = 0; i < snapshot->n_mount_namespaces; i++) {
		const struct mount_namespace *namespace_ = snapshot->mount_namespaces[i];
		for (size_t k = 0; k < namespace_->n_mounts; k++)
			if (make_if_gone(&looking, namespace_->mounts[k], err))
				return -1;
	}
	return 0;
}

/* ---- while it is made ---- */

static int fail_just_now(const MntEntry *mount, struct error *err)
{
	return fail(err, ERR_FILE_CHANGED,
		    "%.200s, from which %.200s is mounted, is being unmounted: try again",
		    mount->bound_path, mount->mountpoint);
}

/* Who may not copy it alone binds it later, by its path. */
static int hold_one(struct file_opener *opener, struct made_superblocks *made,
		    const MntEntry *mount, struct error *err)
{
	autoclose int fd = mount_open_outside(opener->root_fd, mount->bound_path);
	int another = fd < 0 ? errno != ENOENT : is_another(mount, fd);

	if (fd < 0 ? another : another < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot look at %s", mount->bound_path);
	if (fd < 0 || another)
		return fail_just_now(mount, err);
	int copy = open_tree(fd, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (copy < 0)
		return errno_tells_nothing(errno)
			       ? fail_errno(err, ERR_KERNEL_REFUSED, "cannot copy the mount %s",
					    mount->bound_path)
			       : 0;
	made->kept = arena_grow(opener->arena, made->kept, made->n_kept, sizeof *made->kept);
	made->kept[made->n_kept++] = (struct kept_mount){ mount, copy };
	return 0;
}

/* What has become the tree's own since the plan was made has not been checked as such. */
static int check_again(const struct snapshot *snapshot, struct error *err)
{
	for (size_t i = 0; i < snapshot->n_plain_namespaces; i++) {
		const struct namespace *namespace_ = snapshot->plain_namespaces[i];
		if (namespace_->type == NAMESPACE_MNT && !namespace_->entry->ext_key &&
		    mount_namespace_kind.check(snapshot, namespace_, err))
			return -1;
	}
	return 0;
}

int mounts_hold_outside(struct file_opener *opener, struct made_superblocks *made,
			struct error *err)
{
	const struct snapshot *snapshot = opener->snapshot;

	if (mounts_find_gone(snapshot, opener->externals, opener->root_fd, err) ||
	    check_again(snapshot, err))
		return -1;
	for (size_t i = 0; i < snapshot->n_mount_namespaces; i++) {
		const struct mount_namespace *namespace_ = snapshot->mount_namespaces[i];
		for (size_t k = 0; k < namespace_->n_mounts; k++)
			if (may_go(opener->externals, namespace_->mounts[k]) &&
			    hold_one(opener, made, namespace_->mounts[k], err))
				return -1;
	}
	return 0;
}

int mount_take_held(const struct made_superblocks *made, const MntEntry *mount)
{
	for (size_t i = 0; i < made->n_kept; i++)
		if (made->kept[i].mount == mount)
			return take_fd(&made->kept[i].fd);
	return -1;
}

void mounts_let_go_outside(struct made_superblocks *made)
{
	for (size_t i = 0; i < made->n_kept; i++)
		cleanup_close(&made->kept[i].fd);
}

int mount_check_bound(const struct externals *externals, const MntEntry *mount, int fd,
		      struct error *err)
{
	int another = may_go(externals, mount) ? is_another(mount, fd) : 0;

	if (another < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot tell the file system of %s",
				  mount->bound_path);
	return another ? fail_just_now(mount, err) : 0;
}
