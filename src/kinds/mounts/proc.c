// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * proc: the processes of one pid namespace, whoever looks. Since 5.8 each mount is a superblock of
 * its own, with its own hidepid, gid and subset, owned by the user namespace of the pid namespace
 * (proc_init_fs_context). Which pid namespace it is, the file of its init tells. With `pidns=`
 * (6.18) the proc of any can be mounted by whoever has CAP_SYS_ADMIN over it; before, by a process
 * that is in it.
 */
#include "kinds/mounts/kind.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/procfs.h"
#include "collect/collect.h"
#include "collect/namespaces.h"
#include "kernel/deputy.h"
#include "kinds/mounts/make.h"
#include "kinds/mounts/survey.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

/* Pid namespaces get their ids when all tasks are read. */
struct held_proc {
	struct held_proc *next;
	MntNsesEntry *nses;
	const NsFileEntry *held;
};

/* -1 where it is hidden, or something is mounted on the way. */
static int open_uncovered(const struct live_mount *mount, const char *path)
{
	autoclose int mount_fd =
		mount->hidden ? -1 : survey_open_mount(&mount->namespace->table, mount->line);
	autoclose int found =
		mount_fd < 0 ? -1 : mount_open_on(mount_fd, path, O_PATH | O_NOFOLLOW);

	return found < 0 ? -1 : take_fd(&mount_fd);
}

/*
 * Who may not ask the init, as a security module keeps him from it: whether it is our own namespace
 * is shown by our numbers, from that of the mount on.
 */
static int open_own(struct arena *arena, int mount_fd)
{
	uint64_t numbers[2];
	char *text;

	if (procfs_read(arena, mount_fd, "self/status", &text) < 0)
		return -1;
	const char *field = procfs_field(text, "NSpid:");
	if (field && procfs_numbers(field, 10, numbers, 2) == 1)
		return open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
	errno = EACCES;
	return -1;
}

/* The namespace that its init is in: by the mount itself where that leads there, or by a copy. */
static int open_namespace(const struct live_mount *mount, const char *what, struct error *err)
{
	autoclose int mount_fd = open_uncovered(mount, "1/ns/pid");

	if (mount_fd < 0 && live_mount_copy(mount, &mount_fd, err))
		return -1;
	if (mount_fd < 0)
		return fail(err, ERR_UNSUPPORTED_MOUNT,
			    "%s is hidden by another mount, so its pid namespace cannot be seen",
			    what);
	int fd = openat(mount_fd, "1/ns/pid", O_RDONLY | O_CLOEXEC);
	if (fd < 0 && (errno == EACCES || errno == EPERM))
		fd = open_own(mount->namespace->collect->arena, mount_fd);
	return fd < 0 ? fail_errno(err, ERR_UNSUPPORTED_MOUNT,
				   "%s is of a pid namespace whose init cannot be seen", what)
		      : fd;
}

static size_t length_of_process(const char *root)
{
	return root[0] == '/' ? strspn(root + 1, "0123456789") : 0;
}

/*
 * A directory of a process stays mounted when that is gone, and is shown as removed only once
 * somebody has looked for it since.
 */
static int refuse_gone(const struct live_superblock *superblock, const struct live_mount *mount,
		       struct error *err)
{
	size_t length = length_of_process(mount->line->root);
	autoclose int root_fd = -1;
	char name[16];

	if (!length || length >= sizeof name)
		return 0;
	snprintf(name, sizeof name, "%.*s", (int)length, mount->line->root + 1);
	if (live_mount_copy(&superblock->mounts[0], &root_fd, err))
		return -1;
	if (root_fd < 0 || faccessat(root_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	const char *what = survey_name_mount(superblock->collect, mount->namespace, mount->line);
	return errno == ENOENT
		       ? fail(err, ERR_UNSUPPORTED_MOUNT, "%s shows a process that is gone", what)
		       : fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot look for its process",
				    what);
}

static int collect_proc(const struct live_superblock *superblock, MntEntry *entry,
			struct error *err)
{
	struct collect *all = superblock->collect;
	const char *what = superblock->what;

	for (size_t i = 0; i < superblock->n_mounts; i++)
		if (refuse_gone(superblock, &superblock->mounts[i], err))
			return -1;
	int fd = open_namespace(&superblock->mounts[0], what, err);
	if (fd < 0)
		return -1;
	struct held_proc *proc = arena_new(all->arena, struct held_proc);
	NsFileEntry *held = snapshot_new(all->snapshot, NS_FILE_ENTRY, NsFileEntry);
	entry->nses = snapshot_new(all->snapshot, MNT_NSES_ENTRY, MntNsesEntry);
	held->ns_cflag = CLONE_NEWPID;
	*proc = (struct held_proc){ *collect_state(all, &proc_mount_kind), entry->nses, held };
	*collect_state(all, &proc_mount_kind) = proc;
	return survey_hold(all, fd, what, held, err);
}

static void complete(struct collect *collect)
{
	struct held_proc *proc = *collect_state(collect, &proc_mount_kind);

	for (; proc; proc = proc->next) {
		proc->nses->has_pidns_id = true;
		proc->nses->pidns_id = proc->held->ns_id;
	}
}

/* That of nestor itself is there where the tree has one of its own. */
static bool is_of_nestor(const struct snapshot *snapshot, uint32_t id)
{
	const TaskKobjIdsEntry *ids = snapshot->inventory ? snapshot->inventory->root_ids : NULL;

	return ids && ids->has_pid_ns_id && ids->pid_ns_id == id;
}

static int check(const struct snapshot *snapshot, const MntEntry *entry, struct error *err)
{
	if (!entry->nses || !entry->nses->has_pidns_id ||
	    (!snapshot_pid_namespace(snapshot, entry->nses->pidns_id) &&
	     !is_of_nestor(snapshot, entry->nses->pidns_id)))
		return fail(err, ERR_IMAGE_INVALID,
			    "mount %" PRIu32 " (%.200s): its pid namespace is not described",
			    entry->mnt_id, entry->mountpoint);
	return 0;
}

struct founding {
	const MntEntry *entry;
	int ret_fd;
};

/* Where `pidns=` is not known, it is that of whoever mounts it. */
static int make_among(void *data, struct error *err)
{
	struct founding *founding = data;
	autoclose int context_fd = fsopen("proc", FSOPEN_CLOEXEC);

	if (context_fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot mount proc");
	if (mount_set_options(context_fd, founding->entry->options, err))
		return -1;
	founding->ret_fd = mount_finish(context_fd, founding->entry, err);
	return founding->ret_fd < 0 ? -1 : 0;
}

static int make(const struct mount_maker *maker, const MntEntry *entry, struct error *err)
{
	const struct snapshot *snapshot = maker->snapshot;
	struct founding founding = { entry, -1 };
	autoclose int context_fd = fsopen("proc", FSOPEN_CLOEXEC);
	int pid_namespace = -1;

	for (size_t i = 0; i < snapshot->n_pid_namespaces; i++)
		if (snapshot->pid_namespaces[i]->base.id == entry->nses->pidns_id)
			pid_namespace = maker->pid_namespaces[i];
	if (context_fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot mount proc");
	if (pid_namespace >= 0 &&
	    fsconfig(context_fd, FSCONFIG_SET_FD, "pidns", NULL, pid_namespace)) {
		if (errno == EINVAL)
			return deputy_run_among(pid_namespace, make_among, &founding, err) < 0
				       ? -1
				       : founding.ret_fd;
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "cannot mount the proc of pid namespace %" PRIu32,
				  entry->nses->pidns_id);
	}
	if (mount_set_options(context_fd, entry->options, err))
		return -1;
	return mount_finish(context_fd, entry, err);
}

const struct mount_kind proc_mount_kind = {
	.type = "proc",
	.fstype = FSTYPE__PROC,
	.collect = collect_proc,
	.complete = complete,
	.check = check,
	.make = make,
};
