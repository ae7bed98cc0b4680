// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Superblocks that are made again, each once, whatever mounts show it. One that belongs to somebody
 * inside is made by a deputy that enters the owner. What is in it is filled in with all rights of
 * the coordinator.
 */
#include "kinds/mounts/make.h"

#include "base/cleanup.h"
#include "base/names.h"
#include "kernel/deputy.h"
#include "kinds/mounts/kind.h"
#include "kinds/mounts/mounts.h"
#include "kinds/mounts/plan.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/openat2.h>
#include <linux/securebits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The kernel stacks file systems twice at most (FILESYSTEM_MAX_STACK_DEPTH). */
enum { DEEPEST = 4 };

struct founding {
	const struct mount_maker *maker;
	const struct mount_kind *kind;
	const MntEntry *mount;
	int mounts_fd; /* -1: nestor's own will do */
	int user_fd;   /* the same */
	int ret_fd;
};

/*
 * Who mounts some of them gives them their ids (shmem_init_fs_context), and need not have a number
 * in the user namespace; an option without one is refused (shmem_parse_one).
 */
static int take_ids(const struct mount_maker *maker, const MntEntry *mount, struct error *err)
{
	const struct user_namespace *owner =
		snapshot_user_namespace(maker->snapshot, mount->userns_id);
	autofree char *options = strdup(mount->options);
	char *rest = options;
	uint32_t inside;

	if (!options)
		return fail_errno(err, ERR_OUT_OF_MEMORY, "cannot set mount options");
	for (char *word; owner && (word = strsep(&rest, ","));) {
		bool user = strncmp(word, "uid=", 4) == 0, group = strncmp(word, "gid=", 4) == 0;
		uint32_t id = user || group ? (uint32_t)strtoul(word + 4, NULL, 10) : 0;
		if ((!user && !group) || user_namespace_id_inside(owner, group, id, &inside))
			continue;
		syscall(user ? SYS_setfsuid : SYS_setfsgid, id);
	}
	return 0;
}

/*
 * In a deputy: as root of the user namespace that it is in, or, where that has none, as the first
 * that it has. Who mounted the file system cannot be told; this one may do the same.
 */
static int become_root(const struct mount_maker *maker, const MntEntry *mount)
{
	const struct user_namespace *owner =
		snapshot_user_namespace(maker->snapshot, mount->userns_id);
	const UsernsEntry *maps = owner ? owner->base.entry->user_ext : NULL;
	uint32_t ignored;

	if (!maps || !maps->n_uid_map || !maps->n_gid_map)
		return 0;
	uint32_t uid =
		user_namespace_id_outside(owner, false, 0, &ignored) ? 0 : maps->uid_map[0]->first;
	uint32_t gid =
		user_namespace_id_outside(owner, true, 0, &ignored) ? 0 : maps->gid_map[0]->first;
	return syscall(SYS_setresgid, gid, gid, gid) || syscall(SYS_setresuid, uid, uid, uid) ? -1
											      : 0;
}

int mount_deputy_run(const struct mount_maker *maker, int (*work)(void *data, struct error *err),
		     void *data, struct error *err)
{
	return maker->workplace ? deputy_run_ending(work, data, &maker->workplace->ending, err)
				: deputy_run(work, data, err);
}

/*
 * In a deputy: where the mount namespace that its owner gets is a copy of. One with nothing in it
 * is copied and taken down quickly.
 */
static int enter_mounts(const struct founding *founding, struct error *err)
{
	struct mount_workplace *place = founding->maker->workplace;
	int fd = founding->mounts_fd;

	if (fd < 0 && place && founding->kind->apart) {
		if (place->bare_fd < 0)
			return (place->bare_fd = mount_enter_bare(err)) < 0 ? -1 : 0;
		fd = place->bare_fd;
	}
	return fd >= 0 && setns(fd, CLONE_NEWNS)
		       ? fail_errno(err, ERR_KERNEL_REFUSED, "cannot enter a mount namespace")
		       : 0;
}

/* What is made next gets the lowest number that is free: its own, if there are no holes. */
static int make_here(const struct mount_maker *maker, const struct mount_kind *kind,
		     const MntEntry *mount, struct error *err)
{
	if (!kind->lets_go)
		mounts_let_number_go(maker->opener, mount->root_dev);
	int fd = kind->make(maker, mount, err);
	if (fd >= 0)
		mounts_number_is_taken(maker->opener, fd, mount->root_dev);
	return fd;
}

/* In a deputy: the superblock belongs to the user namespace, and somebody has to mount it there. */
static int make_inside(void *data, struct error *err)
{
	struct founding *founding = data;

	if (enter_mounts(founding, err))
		return -1;
	if (founding->user_fd >= 0 && take_ids(founding->maker, founding->mount, err))
		return -1;
	if (founding->user_fd >= 0 &&
	    (deputy_enter_user(founding->user_fd, 0) || unshare(CLONE_NEWNS)))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot enter a user namespace");
	if (founding->user_fd >= 0 && founding->kind->acts &&
	    become_root(founding->maker, founding->mount))
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "cannot become root of a user namespace");
	founding->ret_fd = make_here(founding->maker, founding->kind, founding->mount, err);
	return founding->ret_fd < 0 ? -1 : 0;
}

int mount_owner_fd(const struct mount_maker *maker, const MntEntry *mount)
{
	for (size_t i = 1; mount->has_userns_id && i < maker->snapshot->n_user_namespaces; i++)
		if (maker->snapshot->user_namespaces[i]->base.id == mount->userns_id)
			return maker->user_namespaces[i];
	return -1;
}

/* Where the mounts are those of mounts_fd; -1: nestor's own. */
static int make_in(int mounts_fd, const struct mount_maker *maker, const struct mount_kind *kind,
		   const MntEntry *mount, struct error *err)
{
	int user_fd = kind->owned ? mount_owner_fd(maker, mount) : -1;
	struct founding founding = { maker, kind, mount, mounts_fd, user_fd, -1 };

	if (founding.user_fd < 0 && mounts_fd < 0)
		return make_here(maker, kind, mount, err);
	return mount_deputy_run(maker, make_inside, &founding, err) < 0 ? -1 : founding.ret_fd;
}

int mounts_make_superblock(const struct mount_maker *maker, const struct mount_kind *kind,
			   const MntEntry *mount, struct error *err)
{
	return make_in(-1, maker, kind, mount, err);
}

struct filling {
	const struct mount_maker *maker;
	const struct mount_kind *kind;
	const MntEntry *mount;
	int root_fd;
};

/*
 * In a deputy, as what is made belongs to whoever makes it, and the file system may have no number
 * for us: it takes the ids of each file, and keeps all rights.
 */
static int fill_inside(void *data, struct error *err)
{
	const struct filling *filling = data;
	int bits = prctl(PR_GET_SECUREBITS);

	if (bits < 0 || prctl(PR_SET_SECUREBITS, bits | SECBIT_NO_SETUID_FIXUP))
		return fail_errno(err, ERR_NO_PRIVILEGE, "cannot keep capabilities");
	return filling->kind->fill(filling->maker, filling->mount, filling->root_fd, err);
}

/* What is mounted again, and not copied, may have another source (mnt_devname) each time. */
static bool shows_source(const struct superblock *superblock, const MntEntry *mount)
{
	const struct mount_kind *kind = mount_kind_of_entry(mount);

	return superblock->mount == mount || !kind || !kind->single ||
	       strcmp(superblock->mount->source, mount->source) == 0;
}

const struct superblock *mount_superblock_made(const struct made_superblocks *superblocks,
					       const MntEntry *mount)
{
	for (size_t i = 0; i < superblocks->n; i++)
		if (superblocks->all[i].device == mount->root_dev &&
		    shows_source(&superblocks->all[i], mount))
			return &superblocks->all[i];
	return NULL;
}

static bool is_made(const struct made_superblocks *superblocks, const MntEntry *mount)
{
	return mount->bound_path || mount->ext_mount || mount->held ||
	       mount_superblock_made(superblocks, mount);
}

struct founder {
	struct file_opener *opener;
	const struct mount_maker *maker;
	struct made_superblocks *superblocks;
};

static int make_known(const struct founder *founder, const MntEntry *mount, unsigned depth,
		      struct error *err);

/* In a part of a namespace of the tree, for the moment: it is gone with its last descriptor. */
static int make_in_part(const struct founder *founder, const struct mount_kind *kind,
			const MntEntry *mount, const struct mount_namespace *part, unsigned depth,
			struct error *err)
{
	struct arena *arena = founder->opener->arena;
	bool *keeps_master = arena_array(arena, bool, part->n_mounts);
	struct made_mount_namespace made = { .fd = -1 };
	struct mount_plan plan;

	for (size_t i = 0; i < part->n_mounts; i++)
		if (make_known(founder, part->mounts[i], depth + 1, err))
			return -1;
	if (mount_plan_make(&plan, arena, part, err))
		return -1;
	int result = mount_make_one(founder->opener, founder->maker, founder->superblocks, part,
				    &plan, keeps_master, &made, err);
	int fd = result < 0 ? -1 : make_in(made.fd, founder->maker, kind, mount, err);
	mount_namespace_close(&made, part->n_mounts);
	return fd;
}

static int make_anywhere(const struct founder *founder, const struct mount_kind *kind,
			 const MntEntry *mount, unsigned depth, struct error *err)
{
	struct mount_namespace part;
	int fd = mounts_take_early(founder->opener, mount->root_dev);

	if (fd >= 0)
		return fd;
	int inside = kind->inside ? kind->inside(founder->maker->snapshot, mount,
						 founder->opener->arena, &part, err)
				  : 0;
	if (inside < 0)
		return -1;
	return inside ? make_in_part(founder, kind, mount, &part, depth, err)
		      : mounts_make_superblock(founder->maker, kind, mount, err);
}

static int make_needed(const struct founder *founder, const struct mount_kind *kind,
		       const MntEntry *mount, unsigned depth, struct error *err)
{
	const MntEntry *needed;
	int more = 1;

	for (size_t i = 0; kind->needs && more; i++) {
		more = kind->needs(founder->maker->snapshot, mount, i, &needed, err);
		if (more < 0 || (more && make_known(founder, needed, depth + 1, err)))
			return -1;
	}
	return 0;
}

/* Those that it needs come before it. */
static int make_known(const struct founder *founder, const MntEntry *mount, unsigned depth,
		      struct error *err)
{
	struct made_superblocks *superblocks = founder->superblocks;
	const struct mount_kind *kind = mount_kind_of_entry(mount);

	if (is_made(superblocks, mount) || !kind)
		return 0;
	if (depth > DEEPEST)
		return fail(err, ERR_IMAGE_INVALID,
			    "mount %" PRIu32 " (%.200s) is made of what is made of others too "
			    "often",
			    mount->mnt_id, mount->mountpoint);
	if (make_needed(founder, kind, mount, depth, err))
		return -1;
	int fd = make_anywhere(founder, kind, mount, depth, err);
	if (fd < 0)
		return -1;
	superblocks->all = arena_grow(founder->opener->arena, superblocks->all, superblocks->n,
				      sizeof *superblocks->all);
	superblocks->all[superblocks->n++] = (struct superblock){ mount->root_dev, fd, mount };
	struct filling filling = { founder->maker, kind, mount, fd };
	return kind->fill && deputy_run(fill_inside, &filling, err) ? -1 : 0;
}

static int make_each(const struct founder *founder, bool numbered, struct error *err)
{
	const struct snapshot *snapshot = founder->maker->snapshot;

	for (size_t i = 0; i < snapshot->n_mount_namespaces; i++) {
		const struct mount_namespace *namespace = snapshot->mount_namespaces[i];
		for (size_t k = 0; k < namespace->n_mounts; k++) {
			const struct mount_kind *kind = mount_kind_of_entry(namespace->mounts[k]);
			if (numbered && !(kind && kind->numbered))
				continue;
			if (make_known(founder, namespace->mounts[k], 0, err))
				return fail_while(err, "mount namespace %" PRIu32 ": mount %.200s",
						  namespace->id, namespace->mounts[k]->mountpoint);
		}
	}
	return 0;
}

/* Those that must have a number of their own come before others can have it. */
int mounts_make_superblocks(struct file_opener *opener, const struct mount_maker *maker,
			    struct made_superblocks *superblocks, struct error *err)
{
	const struct founder founder = { opener, maker, superblocks };

	int result = make_each(&founder, true, err);

	mounts_release_numbers(opener);
	if (result == 0) {
		mounts_fill_holes(opener);
		result = make_each(&founder, false, err);
	}
	mounts_release_numbers(opener);
	return result ? -1 : 0;
}

/*
 * By its former name first, as mountinfo shows that from then on; but something else may have it
 * by now, or its directory be gone (-1).
 */
static int remove_by_name(int root_fd, const char *name, int parent_fd, const char *former)
{
	if (parent_fd >= 0) {
		if (names_rename(root_fd, name, parent_fd, former, RENAME_NOREPLACE) == 0) {
			root_fd = parent_fd;
			name = former;
		} else if (errno != EEXIST && errno != ENOENT) {
			return -1;
		}
	}
	if (unlinkat(root_fd, name, 0) == 0)
		return 0;
	return errno == EISDIR ? unlinkat(root_fd, name, AT_REMOVEDIR) : -1;
}

/* Its directories keep their times. */
static int remove_one(int root_fd, const MntEntry *mount)
{
	struct open_how how = { .flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
				.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
					   RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV };
	const char *former = strrchr(mount->root, '/') + 1;
	char parent[PATH_MAX];
	struct stat root, above;

	snprintf(parent, sizeof parent, ".%.*s", (int)(former - mount->root), mount->root);
	autoclose int list_fd = openat(root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autoclose int found_fd = (int)syscall(SYS_openat2, root_fd, parent, &how, sizeof how);
	if (found_fd < 0 && errno != EXDEV && !names_lead_nowhere(errno))
		return -1;
	int above_fd = found_fd >= 0 ? found_fd : list_fd;
	if (list_fd < 0 || fstat(list_fd, &root) || fstat(above_fd, &above))
		return -1;
	if (faccessat(list_fd, mount->carried_as, F_OK, AT_SYMLINK_NOFOLLOW))
		return errno == ENOENT ? 0 : -1;
	if (remove_by_name(list_fd, mount->carried_as, found_fd, former))
		return -1;
	return futimens(list_fd, (struct timespec[]){ root.st_atim, root.st_mtim }) ||
			       futimens(above_fd,
					(struct timespec[]){ above.st_atim, above.st_mtim })
		       ? -1
		       : 0;
}

static int remove_removed(const struct snapshot *snapshot,
			  const struct made_superblocks *superblocks, struct error *err)
{
	for (size_t i = 0; i < snapshot->n_mount_namespaces; i++)
		for (size_t k = 0; k < snapshot->mount_namespaces[i]->n_mounts; k++) {
			const MntEntry *mount = snapshot->mount_namespaces[i]->mounts[k];
			bool named = mount->deleted && !mount_is_terminal(mount);
			for (size_t m = 0; named && m < superblocks->n; m++)
				if (superblocks->all[m].device == mount->root_dev &&
				    remove_one(superblocks->all[m].fd, mount))
					return fail_errno(err, ERR_KERNEL_REFUSED,
							  "cannot remove %.200s again",
							  mount->root);
		}
	return 0;
}

int mounts_settle_superblocks(const struct mount_maker *maker,
			      const struct made_superblocks *superblocks, struct error *err)
{
	if (remove_removed(maker->snapshot, superblocks, err))
		return -1;
	for (size_t i = 0; i < superblocks->n; i++) {
		const struct superblock *superblock = &superblocks->all[i];
		const struct mount_kind *kind = mount_kind_of_entry(superblock->mount);
		if (kind->seal && kind->seal(maker, superblock->mount, superblock->fd, err))
			return -1;
	}
	return 0;
}
