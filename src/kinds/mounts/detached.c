// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Mounts that are attached nowhere, of open_tree(2) and fsmount(2): the kernel keeps them in a
 * mount namespace without a name (anonymous), which ends with the description that they gave. No
 * list shows what is in it, but it can be copied (Linux 6.15), and a copy keeps all that there is:
 * flags, locks, propagation. So a dump makes a namespace of its own of the copy and reads that, as
 * it reads those of tasks.
 *
 * Who may copy it is told by the namespace in which the mounts were copied (seq_origin,
 * fs/namespace.c); those of fsmount may be copied by anybody. An unbindable mount is in no copy: at
 * the root that is refused, and below it too, if it is found among the first directories there.
 *
 * Paths of such files begin at the root of the mounts, so a link of "/" is where to look.
 */
#include "kinds/mounts/mounts.h"

#include "base/cleanup.h"
#include "base/listing.h"
#include "collect/collect.h"
#include "collect/namespaces.h"
#include "kernel/deputy.h"
#include "kernel/listmount.h"
#include "kinds/mounts/kind.h"
#include "kinds/mounts/survey.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef STATX_MNT_ID_UNIQUE
#define STATX_MNT_ID_UNIQUE 0x4000U
#endif

struct copying {
	int fd;			    /* the descriptor of the tree */
	int namespace_fd, owner_fd; /* where it may be copied; -1: nestor's own */
	int proc_fd;
	int ret_fd;
	bool ret_anywhere;
};

static int clone_tree(int fd)
{
	return open_tree(fd, "",
			 AT_EMPTY_PATH | AT_RECURSIVE | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
}

int mount_become_root(int copy_fd)
{
	autoclose int stage_fd = mount_new_tmpfs();

	return stage_fd < 0 || move_mount(stage_fd, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) ||
			       fchdir(stage_fd) || syscall(SYS_pivot_root, ".", ".") ||
			       umount2(".", MNT_DETACH) || chdir("/")
		       ? -1
		       : move_mount(copy_fd, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH);
}

/* What was tried is not allowed, and gives nothing: 0. */
static int judge_copy(const char *what, struct error *err)
{
	return errno_tells_nothing(errno)
		       ? fail_errno(err, ERR_KERNEL_REFUSED, "%s detached mounts", what)
		       : 0;
}

/* It matters to nobody but us: what may not be done gives nothing, and the file is refused. */
static int copy_tree(void *data, struct error *err)
{
	struct copying *copying = data;

	if (copying->namespace_fd >= 0 && setns(copying->namespace_fd, CLONE_NEWNS))
		return judge_copy("cannot enter where somebody has", err);
	autoclose int copy_fd = clone_tree(copying->fd);
	if (copy_fd < 0 || (copying->owner_fd >= 0 && deputy_enter_user(copying->owner_fd, 0)) ||
	    unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return judge_copy("cannot copy", err);
	/* This is another namespace already. */
	autoclose int other_fd = clone_tree(copying->fd);
	if (other_fd < 0 && judge_copy("cannot copy", err))
		return -1;
	copying->ret_anywhere = other_fd >= 0;
	if (mount_become_root(copy_fd))
		return judge_copy("cannot attach", err);
	copying->ret_fd = openat(copying->proc_fd, "self/ns/mnt", O_RDONLY | O_CLOEXEC);
	return copying->ret_fd < 0 ? judge_copy("cannot hold the namespace of", err) : 0;
}

enum copied { IS_NOT_COPIED, IS_COPIED, IS_ATTACHED };

/* Is the mount of `fd` attached there? Older kernels cannot be asked. */
static int is_attached(struct arena *arena, int fd, int namespace_fd, bool *ret, struct error *err)
{
	struct mount_status status;
	struct statx found;
	uint64_t number;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID_UNIQUE, &found))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot tell detached mounts by number");
	*ret = mount_namespace_number(namespace_fd, &number) == 0 &&
	       mount_stat(number, found.stx_mnt_id, arena, &status) == 0;
	return *ret ? 0 : judge_copy("cannot tell from others", err);
}

static int copy_from(struct arena *arena, int fd, const struct surveyed_namespace *from,
		     struct copying *copying, enum copied *ret, struct error *err)
{
	autoclose int proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	autoclose int own_fd = openat(proc_fd, "self/ns/mnt", O_RDONLY | O_CLOEXEC);
	bool attached;

	if (own_fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot open our mount namespace");
	if (is_attached(arena, fd, from->own ? own_fd : from->fd, &attached, err))
		return -1;
	*ret = IS_ATTACHED;
	if (attached)
		return 0;
	*copying = (struct copying){
		.fd = fd,
		.namespace_fd = from->own ? -1 : from->fd,
		.owner_fd = from->own || from->owner->own ? -1 : from->owner->fd,
		.proc_fd = proc_fd,
		.ret_fd = -1,
	};
	if (deputy_run(copy_tree, copying, err) < 0)
		return -1;
	*ret = copying->ret_fd >= 0 ? IS_COPIED : IS_NOT_COPIED;
	return 0;
}

static bool is_known(const struct mount_survey *survey, int64_t id)
{
	for (size_t i = 0; i < survey->own.n_lines; i++)
		if (survey->own.lines[i].id == id)
			return true;
	return survey_find_mount(survey, id, NULL) != NULL;
}

/* What files in it were opened on, as far as it can be seen. */
static int find_originals(struct live_namespace *namespace_, int fd)
{
	const struct mount_table *table = &namespace_->table;
	const struct mount_table original = { .root_fd = fd, .collect = namespace_->collect };

	namespace_->originals = arena_array(namespace_->collect->arena, int64_t, table->n_lines);
	for (size_t i = 0; i < table->n_lines; i++) {
		const struct mount_line *line = &table->lines[i];
		autoclose int copy_fd = survey_open_mount(table, line);
		autoclose int original_fd = copy_fd < 0
						    ? -1
						    : survey_open_path(&original, line->mountpoint,
								       O_PATH | O_NOFOLLOW);
		namespace_->originals[i] = original_fd < 0 ? -1 : survey_mount_id(original_fd);
		if (namespace_->originals[i] < 0 &&
		    (original_fd >= 0 || errno_tells_nothing(errno)))
			return -1;
	}
	return 0;
}

/* ---- what no copy has ---- */

enum { MOST_DIRECTORIES = 2048 };

struct walk {
	const struct live_namespace *namespace_;
	struct arena arena;
	int fd;	      /* the root of the mounts */
	char **paths; /* from there, of directories */
	size_t n, at;
	const char *found;
	int failure; /* which tells nothing */
};

static bool is_copied(const struct live_namespace *namespace_, uint64_t mount_id)
{
	for (size_t i = 0; i < namespace_->table.n_lines; i++)
		if (namespace_->originals[i] == (int64_t)mount_id)
			return true;
	return false;
}

static void look_at_entry(struct walk *walk, const char *path, const char *name)
{
	const char *below = arena_printf(&walk->arena, "%s%s%s", path, *path ? "/" : "", name);
	struct statx found;

	if (statx(walk->fd, below, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_TYPE | STATX_MNT_ID,
		  &found)) {
		/* Where nestor's rights do not suffice to look, nothing is found. */
		walk->failure = survey_is_absent(errno) || errno == EACCES ? walk->failure : errno;
		return;
	}
	if (!is_copied(walk->namespace_, found.stx_mnt_id))
		walk->found = below;
	if (!S_ISDIR(found.stx_mode) || walk->n == MOST_DIRECTORIES)
		return;
	walk->paths = arena_grow(&walk->arena, walk->paths, walk->n, sizeof *walk->paths);
	walk->paths[walk->n++] = (char *)below;
}

static void look_at_directory(struct walk *walk, const char *path)
{
	autoclosedir DIR *dir =
		listing_of(openat(walk->fd, *path ? path : ".",
				  O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC));
	const char *name;

	while (!walk->found && !walk->failure && listing_next(dir, &name))
		look_at_entry(walk, path, name);
	if (!walk->found && !walk->failure && errno_tells_nothing(errno))
		walk->failure = errno;
}

int mount_find_uncopied(const struct live_namespace *namespace_, int fd, const char **ret_path)
{
	struct walk walk = { .namespace_ = namespace_, .fd = fd };

	arena_init(&walk.arena);
	for (look_at_directory(&walk, ""); walk.at < walk.n && !walk.found && !walk.failure;
	     walk.at++)
		look_at_directory(&walk, walk.paths[walk.at]);
	*ret_path = walk.found ? arena_string(namespace_->collect->arena, walk.found) : NULL;
	arena_done(&walk.arena);
	errno = walk.failure;
	return walk.failure ? -1 : 0;
}

/* That of the holder comes first. */
static int find_copy(struct target *target, int fd, struct copying *copying,
		     const struct surveyed_namespace **ret_from, enum copied *ret,
		     struct error *err)
{
	struct collect *collect = target->collect;
	const struct mount_survey *survey = survey_of_mounts(collect);
	const struct survey *all = survey_of(collect, err);
	const struct surveyed_namespace *from = survey_add_task(target, NAMESPACE_MNT, err);

	if (!all || !from)
		return -1;
	*ret_from = from;
	if (copy_from(collect->arena, fd, from, copying, ret, err))
		return -1;
	for (size_t i = 0; i <= survey->n_namespaces && *ret == IS_NOT_COPIED; i++) {
		*ret_from = i < survey->n_namespaces ? survey->namespaces[i].met
						     : all->own[NAMESPACE_MNT];
		if (*ret_from && *ret_from != from &&
		    copy_from(collect->arena, fd, *ret_from, copying, ret, err))
			return -1;
	}
	return 0;
}

static int collect_tree(struct collect *collect, struct target *target, uint32_t number,
			mount_found *found, struct error *err)
{
	struct mount_survey *survey = survey_of_mounts(collect);
	const struct surveyed_namespace *from;
	autoclose int fd =
		target_open(target, arena_printf(collect->arena, "fd/%" PRIu32, number), O_PATH);

	if (fd < 0)
		return judge_copy("cannot look at", err);
	int64_t id = survey_mount_id(fd);
	if (id < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot look at detached mounts");
	if (is_known(survey, id))
		return 0;
	struct copying copying = { .ret_fd = -1 };
	enum copied copied;
	if (find_copy(target, fd, &copying, &from, &copied, err))
		return -1;
	autoclose int copy_fd = copying.ret_fd;
	survey->strange |= copied != IS_COPIED;
	if (copied != IS_COPIED)
		return 0;
	size_t before = survey->n_namespaces;
	const char *what = arena_printf(
		collect->arena, "descriptor %" PRIu32 " of pid %d (detached)", number, target->pid);
	if (found(collect, copy_fd, what, err))
		return -1;
	survey->strange |= survey->n_namespaces == before;
	for (; before < survey->n_namespaces; before++) {
		struct live_namespace *namespace_ = &survey->namespaces[before];
		namespace_->detached =
			snapshot_new(collect->snapshot, MNT_DETACHED_ENTRY, MntDetachedEntry);
		namespace_->detached->from_ns_id = from->own ? 0 : from->id;
		namespace_->detached->has_from_ns_id = !from->own;
		namespace_->detached->has_anywhere = namespace_->detached->anywhere =
			copying.ret_anywhere;
		const char *uncopied;
		if (find_originals(namespace_, fd) ||
		    mount_find_uncopied(namespace_, fd, &uncopied))
			return fail_errno(err, ERR_KERNEL_REFUSED, "cannot look into %s", what);
		if (uncopied &&
		    fail(err, ERR_UNSUPPORTED_MOUNT,
			 "%s has a mount in it, at /%s, that cannot be copied (unbindable)", what,
			 uncopied) &&
		    collect_pass(collect, err))
			return -1;
	}
	return 0;
}

void mount_detached_meet(struct target *target, uint32_t number)
{
	struct collect *collect = target->collect;
	struct mount_survey *survey = survey_of_mounts(collect);

	survey->at_roots = arena_grow(collect->arena, survey->at_roots, survey->n_at_roots,
				      sizeof *survey->at_roots);
	survey->at_roots[survey->n_at_roots++] = (struct at_root){ target, number };
}

int mount_detached_find(struct collect *collect, mount_found *found, struct error *err)
{
	struct mount_survey *survey = survey_of_mounts(collect);

	if (survey->n_at_roots && survey_read_own(collect, err))
		return -1;
	for (size_t i = 0; i < survey->n_at_roots; i++)
		if (collect_tree(collect, survey->at_roots[i].target, survey->at_roots[i].number,
				 found, err))
			return -1;
	return 0;
}

/* The call gives one that is nothing but O_PATH; which of several it was, nothing tells. */
void mount_detached_hold(const struct open_file *file, uint32_t mount_id)
{
	const struct mount_survey *survey = survey_of_mounts(file->target->collect);
	const struct live_namespace *namespace_;
	const struct mount_line *line = survey_find_mount(survey, mount_id, &namespace_);

	if (!line || !namespace_->detached || namespace_->detached->unmounted ||
	    namespace_->detached->has_file_id || namespace_->order.mounts[0]->mnt_id != line->id ||
	    strcmp(file->link, "/") != 0 || (file->flags & ~(uint32_t)O_CLOEXEC) != O_PATH)
		return;
	namespace_->detached->has_file_id = true;
	namespace_->detached->file_id = file->id;
}
