// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Making mount namespaces. Each is made by a deputy of the coordinator, in a copy of its mount
 * namespace: nothing of what is done is ever seen outside, and all is gone with the last
 * descriptor. The deputy has all rights of the coordinator; only the copy that gets its owner, and
 * superblocks that belong to somebody inside, are made by another deputy that enters the owner.
 */
#include "kinds/mounts/mounts.h"

#include "base/cleanup.h"
#include "kernel/deputy.h"
#include "kinds/mounts/autofs.h"
#include "kinds/mounts/kind.h"
#include "kinds/mounts/make.h"
#include "kinds/mounts/plan.h"
#include "kinds/namespace-file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

struct making {
	const struct file_opener *opener;
	const struct mount_maker *maker;
	const struct mount_namespace *namespace;
	const struct mount_plan *plan;
	const struct made_superblocks *superblocks;
	const bool *keeps_master;
	int proc_fd;
	int base_fd; /* where paths of nestor's namespace start; in the copy of it */
	int stage_fd;
	uint32_t *peeled;    /* see peeled_at */
	const int *revealed; /* what is to be below the root, attached nowhere */
	int ret_namespace_fd;
	int *roots;   /* of each mount, at first attached nowhere */
	int *covered; /* see struct made_mounts */
};

static int fail_mount(const struct making *making, size_t index, const char *what,
		      struct error *err)
{
	const MntEntry *mount = making->namespace->mounts[index];
	int gone = errno == ENOENT || errno == ENOTDIR;

	return fail_errno(err,
			  gone		   ? ERR_FILE_MISSING
			  : errno == EPERM ? ERR_NO_PRIVILEGE
					   : ERR_KERNEL_REFUSED,
			  "mount namespace %" PRIu32 ": mount %.200s: %s", making->namespace->id,
			  mount->mountpoint, what);
}

/* ---- flags ---- */

int mount_set_flags(int fd, uint32_t flags)
{
	static const struct {
		uint32_t flag;
		uint64_t attribute;
	} plain[] = {
		{ MS_RDONLY, MOUNT_ATTR_RDONLY },
		{ MS_NOSUID, MOUNT_ATTR_NOSUID },
		{ MS_NODEV, MOUNT_ATTR_NODEV },
		{ MS_NOEXEC, MOUNT_ATTR_NOEXEC },
		{ MS_NODIRATIME, MOUNT_ATTR_NODIRATIME },
		{ MS_NOSYMFOLLOW, MOUNT_ATTR_NOSYMFOLLOW },
	};
	struct mount_attr attributes = {
		.attr_clr = MOUNT_ATTR__ATIME,
		.attr_set = flags & MS_NOATIME	  ? MOUNT_ATTR_NOATIME
			    : flags & MS_RELATIME ? MOUNT_ATTR_RELATIME
						  : MOUNT_ATTR_STRICTATIME,
	};

	for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
		if (flags & plain[i].flag)
			attributes.attr_set |= plain[i].attribute;
		else
			attributes.attr_clr |= plain[i].attribute;
	return (int)syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &attributes,
			    sizeof attributes);
}

/* Private, until all mounts are there, but for slaves of what is outside. */
static int set_propagation(const struct making *making, size_t index)
{
	struct mount_attr attributes = {
		.propagation = making->keeps_master[index] ? MS_SLAVE : MS_PRIVATE,
	};

	return (int)syscall(SYS_mount_setattr, making->roots[index], "", AT_EMPTY_PATH, &attributes,
			    sizeof attributes);
}

/* ---- steps ---- */

static int clone_mount(int fd, unsigned flags)
{
	return open_tree(fd, "", flags | AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
}

/* How many mounts were taken away from a place, kept with the first mount that is bound from it. */
static uint32_t *peeled_at(struct making *making, const char *path)
{
	size_t i = 0;

	while (!making->namespace->mounts[i]->bound_path ||
	       strcmp(making->namespace->mounts[i]->bound_path, path) != 0)
		i++;
	return &making->peeled[i];
}

/* Takes away what lies above, in our copy of the namespace. */
static int peel(struct making *making, const MntEntry *mount)
{
	uint32_t *peeled = peeled_at(making, mount->bound_path);

	for (; *peeled < mount->bound_depth; ++*peeled) {
		autoclose int top = mount_open_path(making->base_fd, mount->bound_path + 1, O_PATH,
						    RESOLVE_IN_ROOT);
		char self[64];
		snprintf(self, sizeof self, "/proc/self/fd/%d", top);
		if (top < 0 || umount2(self, MNT_DETACH))
			return -1;
	}
	return 0;
}

static int bind(struct making *making, size_t index, struct error *err)
{
	const MntEntry *mount = making->namespace->mounts[index];

	if (mount->bound_depth && peel(making, mount))
		return fail_mount(making, index, "what lies above its origin cannot be taken away",
				  err);
	making->roots[index] = mount_take_held(making->superblocks, mount);
	if (making->roots[index] >= 0)
		return mount_set_idmap(making->opener, making->superblocks, mount,
				       making->roots[index], making->roots[index], err);
	const char *path = mount_origin_path(making->superblocks, mount);
	autoclose int fd =
		mount_open_path(making->base_fd, path + 1, O_PATH | O_NOFOLLOW, RESOLVE_IN_ROOT);
	if (fd < 0)
		return fail_mount(making, index, path, err);
	if (mount_check_bound(making->opener->externals, mount, fd, err))
		return -1;
	making->roots[index] = clone_mount(fd, 0);
	if (making->roots[index] < 0)
		return fail_mount(making, index, "cannot be bound (open_tree)", err);
	return mount_set_idmap(making->opener, making->superblocks, mount, fd, making->roots[index],
			       err);
}

static int take_superblock(struct making *making, size_t index, struct error *err)
{
	const MntEntry *mount = making->namespace->mounts[index];
	const struct superblock *superblock = mount_superblock_made(making->superblocks, mount);
	const char *path = mount_is_terminal(mount)
				   ? mount_terminal_name(making->superblocks, mount)
			   : mount->deleted ? mount->carried_as
					    : mount->root + 1;
	bool is_fuse = mount_is_fuse(mount);

	errno = ENOENT;
	if (!superblock)
		return fail_mount(making, index, "has no file system", err);
	autoclose int fd = is_fuse ? mount_fuse_open(making->maker, mount, superblock->fd, err)
				   : mount_open_on(superblock->fd, path, O_PATH | O_NOFOLLOW);
	if (fd < 0)
		return is_fuse ? -1 : fail_mount(making, index, mount->root, err);
	making->roots[index] = clone_mount(fd, 0);
	if (making->roots[index] < 0 && errno == EINVAL)
		making->roots[index] =
			mount_shelf_copy(making->superblocks->shelf, superblock->fd, fd, err);
	else if (making->roots[index] < 0)
		return fail_mount(making, index, "cannot be copied (open_tree)", err);
	return making->roots[index] < 0 ? -1
					: mount_set_idmap(making->opener, making->superblocks,
							  mount, -1, making->roots[index], err);
}

static int open_held(const struct making *making, const NsFileEntry *held, struct error *err)
{
	const struct snapshot *snapshot = making->opener->snapshot;

	if (held->ns_cflag != CLONE_NEWNS)
		return namespace_file_open(making->opener, held, err);
	for (size_t i = 0; i < snapshot->n_mount_namespaces; i++)
		if (snapshot->mount_namespaces[i]->id == held->ns_id)
			return fcntl(making->opener->mounts->namespaces[i].fd, F_DUPFD_CLOEXEC, 0);
	errno = ENOENT;
	return -1;
}

/* The namespace that a mount of nsfs shows; there is no superblock to be made. */
static int take_held(struct making *making, size_t index, struct error *err)
{
	const MntEntry *mount = making->namespace->mounts[index];
	autoclose int fd = open_held(making, mount->held, err);

	if (fd < 0)
		return mount_is_late(mount)
			       ? fail_mount(making, index, "shows no namespace that is made", err)
			       : -1;
	making->roots[index] = clone_mount(fd, 0);
	return making->roots[index] < 0
		       ? fail_mount(making, index, "cannot be bound (open_tree)", err)
		       : 0;
}

static int take_origin(struct making *making, size_t index, struct error *err)
{
	const MntEntry *mount = making->namespace->mounts[index];

	if (mount->bound_path)
		return bind(making, index, err);
	return mount->held ? take_held(making, index, err) : take_superblock(making, index, err);
}

static int step_origin(struct making *making, size_t index, struct error *err)
{
	if (take_origin(making, index, err))
		return -1;
	return set_propagation(making, index)
		       ? fail_mount(making, index, "cannot change how it propagates", err)
		       : 0;
}

static int attach(int fd, int target_fd, const char *path)
{
	return move_mount(fd, "", target_fd, path,
			  MOVE_MOUNT_F_EMPTY_PATH | (*path ? 0 : MOVE_MOUNT_T_EMPTY_PATH));
}

/* Flags that are set in the staging namespace are locked by the copy. */
static int set_locked_flags(struct making *making, size_t index, struct error *err)
{
	enum { ATIME = MS_NOATIME | MS_NODIRATIME | MS_RELATIME };
	const MntEntry *mount = making->namespace->mounts[index];
	uint32_t flags = mount->locked_flags | (mount->flags & ATIME);

	return mount_set_flags(making->roots[index], flags)
		       ? fail_mount(making, index, "cannot set its flags", err)
		       : 0;
}

static void place_name(size_t index, char name[24])
{
	snprintf(name, 24, "%zu", index);
}

static int step_stage(struct making *making, size_t index, struct error *err)
{
	char name[24];
	struct stat stat = { .st_mode = S_IFDIR };

	place_name(index, name);
	/* A FUSE tells nothing to others than who mounted it, and has directories mounted only. */
	if (!mount_is_fuse(making->namespace->mounts[index]) && fstat(making->roots[index], &stat))
		return fail_mount(making, index, "cannot be looked at", err);
	if (S_ISDIR(stat.st_mode) ? mkdirat(making->stage_fd, name, 0700)
				  : mknodat(making->stage_fd, name, S_IFREG | 0600, 0))
		return fail_mount(making, index, "has no place for staging", err);
	if (set_locked_flags(making, index, err))
		return -1;
	return attach(making->roots[index], making->stage_fd, name)
		       ? fail_mount(making, index, "cannot be staged", err)
		       : 0;
}

static const char *path_from_parent(const struct mount_namespace *namespace, size_t index)
{
	return path_below(namespace->mounts[index]->mountpoint,
			  namespace->mounts[namespace->parents[index]]->mountpoint);
}

/* As the kernel has it that says EINVAL for this, too (do_move_mount, fs/namespace.c). */
static bool are_unlike(int one_fd, int other_fd)
{
	struct stat one, other;

	return !fstat(one_fd, &one) && !fstat(other_fd, &other) &&
	       S_ISDIR(one.st_mode) != S_ISDIR(other.st_mode);
}

static int fail_attach(const struct making *making, size_t index, int target, struct error *err)
{
	int problem = errno;

	if (problem == EINVAL && are_unlike(making->roots[index], target))
		return fail(err, ERR_FILE_CHANGED,
			    "mount namespace %" PRIu32
			    ": mount %.200s: of what is mounted and what "
			    "it is mounted on one is a directory, and the other is none",
			    making->namespace->id, making->namespace->mounts[index]->mountpoint);
	errno = problem;
	return fail_mount(making, index, "cannot be attached", err);
}

static int attach_below(struct making *making, size_t index, struct error *err)
{
	size_t parent = making->namespace->parents[index];
	const char *path = path_from_parent(making->namespace, index);
	autoclose int target =
		mount_is_autofs(making->namespace->mounts[parent])
			? autofs_open(making->roots[parent], path, O_PATH | O_NOFOLLOW)
			: mount_open_on(making->roots[parent], path, O_PATH | O_NOFOLLOW);

	if (target < 0)
		return fail_mount(making, index, "there is nothing to mount it on", err);
	if (attach(making->roots[index], target, ""))
		return fail_attach(making, index, target, err);
	if (making->namespace->mounts[index]->covers_open)
		making->covered[index] = take_fd(&target);
	return 0;
}

static int step_stage_below(struct making *making, size_t index, struct error *err)
{
	return set_locked_flags(making, index, err) || attach_below(making, index, err) ? -1 : 0;
}

/* In another deputy: the copy that belongs to the owner, with all locks. */
static int copy_for_owner(void *data, struct error *err)
{
	struct making *making = data;
	const struct snapshot *snapshot = making->opener->snapshot;

	for (size_t i = 0; i < snapshot->n_user_namespaces; i++)
		if (snapshot->user_namespaces[i] == making->namespace->owner &&
		    deputy_enter_user(making->maker->user_namespaces[i], 0))
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "cannot enter the owner of mount namespace %" PRIu32,
					  making->namespace->id);
	if (unshare(CLONE_NEWNS))
		return fail_errno(err, errno == ENOSPC ? ERR_LIMIT_TOO_LOW : ERR_KERNEL_REFUSED,
				  "cannot make mount namespace %" PRIu32, making->namespace->id);
	making->ret_namespace_fd = openat(making->proc_fd, "self/ns/mnt", O_RDONLY | O_CLOEXEC);
	return making->ret_namespace_fd < 0
		       ? fail_errno(err, ERR_KERNEL_REFUSED, "cannot open a mount namespace")
		       : 0;
}

static int step_enter_owner(struct making *making, struct error *err)
{
	if (mkdirat(making->stage_fd, "root", 0700))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot make a directory for staging");
	if (making->namespace->owner->depth) {
		if (deputy_run(copy_for_owner, making, err) < 0)
			return -1;
		if (setns(making->ret_namespace_fd, CLONE_NEWNS))
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "cannot enter mount namespace %" PRIu32,
					  making->namespace->id);
	} else {
		making->ret_namespace_fd =
			openat(making->proc_fd, "self/ns/mnt", O_RDONLY | O_CLOEXEC);
	}
	/* What was attached lies in the staging namespace, not in the copy. */
	for (size_t i = 1; i < making->namespace->n_mounts; i++)
		if (making->namespace->owner->depth && making->namespace->mounts[i]->locked) {
			close(making->roots[i]);
			making->roots[i] = -1;
		}
	close(making->stage_fd);
	making->stage_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return making->stage_fd < 0 || making->ret_namespace_fd < 0
		       ? fail_errno(err, ERR_KERNEL_REFUSED, "cannot open the staging directory")
		       : 0;
}

static int step_take(struct making *making, size_t index, struct error *err)
{
	char name[24];

	place_name(index, name);
	close(making->roots[index]);
	making->roots[index] = open_tree(making->stage_fd, name,
					 AT_RECURSIVE | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	return making->roots[index] < 0 ? fail_mount(making, index, "cannot be taken up", err) : 0;
}

static int set_final_flags(struct making *making, size_t index, struct error *err)
{
	return mount_set_flags(making->roots[index], making->namespace->mounts[index]->flags)
		       ? fail_mount(making, index, "cannot set its flags", err)
		       : 0;
}

static int step_attach(struct making *making, size_t index, struct error *err)
{
	if (set_final_flags(making, index, err))
		return -1;
	if (index > 0)
		return attach_below(making, index, err);
	return attach(making->roots[0], making->stage_fd, "root")
		       ? fail_mount(making, 0, "cannot be attached", err)
		       : 0;
}

/*
 * The way to a mount on top of others starts below all of them: a path leads to the top. Those
 * below it in its cluster nobody can get at.
 */
static int step_find(struct making *making, size_t index, struct error *err)
{
	const struct mount_namespace *namespace = making->namespace;
	const char *mountpoint = namespace->mounts[index]->mountpoint;
	size_t base = namespace->parents[index];

	while (base && strcmp(namespace->mounts[base]->mountpoint, mountpoint) == 0)
		base = namespace->parents[base];
	const char *path = path_below(mountpoint, namespace->mounts[base]->mountpoint);
	making->roots[index] =
		mount_open_path(making->roots[base], path, O_PATH | O_NOFOLLOW, RESOLVE_BENEATH);
	if (making->roots[index] < 0)
		return fail_mount(making, index, "is not where it was put", err);
	return set_final_flags(making, index, err);
}

static int step_pivot(struct making *making, struct error *err)
{
	autoclose int below_fd = -1;

	if (mount_revealed_attach(making->namespace, making->revealed, making->stage_fd,
				  making->roots[0], &below_fd, err))
		return fail_while(err, "mount namespace %" PRIu32, making->namespace->id);
	if (fchdir(below_fd < 0 ? making->roots[0] : below_fd) ||
	    syscall(SYS_pivot_root, ".", ".") || umount2(".", MNT_DETACH) || chdir("/"))
		return fail_mount(making, 0, "cannot become the root", err);
	return 0;
}

static int run_step(struct making *making, const struct mount_step *step, struct error *err)
{
	switch (step->kind) {
	case MOUNT_ORIGIN:
		return step_origin(making, step->mount, err);
	case MOUNT_STAGE:
		return step_stage(making, step->mount, err);
	case MOUNT_STAGE_BELOW:
		return step_stage_below(making, step->mount, err);
	case MOUNT_ENTER_OWNER:
		return step_enter_owner(making, err);
	case MOUNT_TAKE:
		return step_take(making, step->mount, err);
	case MOUNT_ATTACH:
		return step_attach(making, step->mount, err);
	case MOUNT_FIND:
		return step_find(making, step->mount, err);
	case MOUNT_PIVOT:
		return step_pivot(making, err);
	}
	return 0;
}

int mounts_leave_all(int *ret_fd, struct error *err)
{
	if ((*ret_fd = mount_new_tmpfs()) < 0 || attach(*ret_fd, AT_FDCWD, "/") ||
	    fchdir(*ret_fd) || syscall(SYS_pivot_root, ".", ".") || umount2(".", MNT_DETACH) ||
	    chdir("/"))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot make a place for staging");
	return 0;
}

/*
 * The working directory goes along into the copy of the namespace. As all is a slave there, nothing
 * that is done reaches anybody else, and what is bound can stay a slave of what is outside.
 */
static int enter_copy(struct making *making, struct error *err)
{
	int root_fd = making->opener->root_fd;

	if (root_fd == AT_FDCWD ? chdir("/") : fchdir(root_fd))
		return fail_errno(err, ERR_IO, "cannot enter the root directory");
	if (unshare(CLONE_NEWNS))
		return fail_errno(err, errno == EPERM ? ERR_NO_PRIVILEGE : ERR_KERNEL_REFUSED,
				  "cannot make a mount namespace");
	making->base_fd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return making->base_fd < 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL)
		       ? fail_errno(err, ERR_KERNEL_REFUSED, "cannot use a mount namespace")
		       : 0;
}

/*
 * Which of two is the older one is told by their numbers, and each CPU has a supply of its own of
 * these (gen_cookie_next). The deputy ends, and its affinity with it.
 */
static void stay_on_first_cpu(void)
{
	cpu_set_t all, first;

	CPU_ZERO(&first);
	for (int i = 0; sched_getaffinity(0, sizeof all, &all) == 0 && i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &all)) {
			CPU_SET(i, &first);
			sched_setaffinity(0, sizeof first, &first);
			return;
		}
}

static int make_namespace(void *data, struct error *err)
{
	struct making *making = data;
	size_t i = 0;

	if (making->opener->mounts->show_each_other)
		stay_on_first_cpu();
	if (enter_copy(making, err))
		return -1;
	for (; making->plan->steps[i].kind == MOUNT_ORIGIN; i++)
		if (run_step(making, &making->plan->steps[i], err))
			return -1;
	close(making->base_fd);
	/* Binds are taken by now. */
	if (mounts_leave_all(&making->stage_fd, err))
		return -1;
	for (; i < making->plan->n_steps; i++)
		if (run_step(making, &making->plan->steps[i], err))
			return -1;
	close(making->stage_fd);
	return 0;
}

static int close_revealed(int *fds)
{
	for (size_t i = 0; i < REVEALING; i++)
		cleanup_close(&fds[i]);
	return -1;
}

int mount_make_one(const struct file_opener *opener, const struct mount_maker *maker,
		   const struct made_superblocks *superblocks,
		   const struct mount_namespace *namespace, const struct mount_plan *plan,
		   const bool *keeps_master, struct made_mount_namespace *ret_made,
		   struct error *err)
{
	size_t n = namespace->n_mounts;
	int *both = arena_array(opener->arena, int, 2 * n);
	autoclose int proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (proc_fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot make a mount namespace");
	memset(both, -1, 2 * n * sizeof *both);
	int revealed[REVEALING];
	if (mount_revealed_prepare(maker, namespace, revealed, err))
		return close_revealed(revealed);
	struct making making = {
		.opener = opener,
		.maker = maker,
		.namespace = namespace,
		.plan = plan,
		.superblocks = superblocks,
		.keeps_master = keeps_master,
		.proc_fd = proc_fd,
		.ret_namespace_fd = -1,
		.roots = both,
		.covered = both + n,
		.peeled = arena_array(opener->arena, uint32_t, n),
		.revealed = revealed,
	};
	int result = mount_deputy_run(maker, make_namespace, &making, err);
	close_revealed(revealed);
	*ret_made = (struct made_mount_namespace){
		.fd = making.ret_namespace_fd,
		.roots = making.roots,
		.covered = making.covered,
	};
	return result;
}

/* ---- once all namespaces are there ---- */

static int attach_late(void *data, struct error *err)
{
	struct making *making = data;

	if (setns(making->ret_namespace_fd, CLONE_NEWNS))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot enter mount namespace %" PRIu32,
				  making->namespace->id);
	for (size_t i = 0; i < making->namespace->n_mounts; i++)
		if (mount_is_late(making->namespace->mounts[i]) &&
		    (step_origin(making, i, err) || set_final_flags(making, i, err) ||
		     attach_below(making, i, err)))
			return -1;
	return 0;
}

int mount_attach_late(const struct file_opener *opener, const struct mount_namespace *namespace,
		      const bool *keeps_master, struct made_mount_namespace *made,
		      struct error *err)
{
	struct making making = {
		.opener = opener,
		.namespace = namespace,
		.keeps_master = keeps_master,
		.ret_namespace_fd = made->fd,
		.roots = made->roots,
		.covered = made->covered,
	};

	return deputy_run(attach_late, &making, err);
}
