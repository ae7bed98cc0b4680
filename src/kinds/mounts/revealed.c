// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Who may mount a proc or sysfs inside of a user namespace: only where its mount namespace has one
 * in which nothing is covered for good (mount_too_revealing, fs/namespace.c), wherever it is. That
 * of a container whose own ones are covered in part is below its root: what was moved or mounted
 * onto "/" (MS_MOVE, as by systemd-nspawn) stays on top of all that there was, and mountinfo does not
 * show that.
 *
 * Of what is below the root nobody inside sees anything but this; so a dump tries whether they may,
 * and a restore puts a directory below the root in which there is a proc of the tree's own pid
 * namespace, and a sysfs of its net namespace: with their flags, as these bind whoever mounts.
 */
#include "kinds/mounts/survey.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "kernel/deputy.h"
#include "kernel/listmount.h"
#include "kinds/mounts/kind.h"
#include "kinds/mounts/make.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const revealing[] = { "proc", "sysfs" };
_Static_assert(sizeof revealing / sizeof *revealing == REVEALING, "one descriptor for each");

static size_t index_of_type(const char *type)
{
	size_t i = 0;

	while (i < REVEALING && strcmp(revealing[i], type) != 0)
		i++;
	return i;
}

/* Among the first ones. */
static bool is_known(const MntEntry *root, size_t n, const char *type)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(root->revealed[i]->type, type) == 0)
			return true;
	return false;
}

/* ---- dump ---- */

struct attempt {
	const struct live_namespace *namespace_;
	const char *type;
	uint32_t flags;
};

static int mount_one(const struct attempt *attempt)
{
	autoclose int context_fd = fsopen(attempt->type, FSOPEN_CLOEXEC);
	unsigned attributes = 0;

	if (attempt->flags & MS_RDONLY)
		attributes |= MOUNT_ATTR_RDONLY;
	if (attempt->flags & MS_NOATIME)
		attributes |= MOUNT_ATTR_NOATIME;
	else if (!(attempt->flags & MS_RELATIME))
		attributes |= MOUNT_ATTR_STRICTATIME;
	if (attempt->flags & MS_NODIRATIME)
		attributes |= MOUNT_ATTR_NODIRATIME;
	if (context_fd < 0 || fsconfig(context_fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		return -1;
	autoclose int fd = fsmount(context_fd, FSMOUNT_CLOEXEC, attributes);
	return fd < 0 ? -1 : 0;
}

enum { MAY_NOT, MAY, NOBODY, NO_NAMESPACE };
enum { MOUNTED, REFUSED, FAILED }; /* exit codes of whoever tries */

/* EPERM is the answer that it may not (mount_too_revealing); others tell nothing. */
static int try_one(const struct attempt *attempt)
{
	return mount_one(attempt) == 0 ? MOUNTED : errno == EPERM ? REFUSED : FAILED;
}

/* The first that there is in our user namespace, by a map of /proc; -1 with errno, 0: none. */
static int read_first_id(const char *path, uid_t *ret_id)
{
	char text[32];
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);

	if (length <= 0)
		return (int)length;
	text[length] = '\0';
	*ret_id = (uid_t)strtoul(text, NULL, 10);
	return 1;
}

/* Who makes a user namespace needs ids that the one above has numbers for. 1; 0: there are none. */
static int become_somebody(uid_t uid, uid_t gid)
{
	if (!syscall(SYS_setresgid, gid, gid, gid) && !syscall(SYS_setresuid, uid, uid, uid))
		return 1;
	return errno == EINVAL ? 0 : -1;
}

/* In the namespaces that there are, as somebody whom these know: 1, 0: nobody, or -1 with errno. */
static int enter(const struct surveyed_namespace *owner, int mounts_fd)
{
	uid_t uid, gid;

	if (owner->own)
		return setns(mounts_fd, CLONE_NEWNS) ? -1 : 1;
	if (deputy_enter_user(owner->fd, 0))
		return -1;
	int known = read_first_id("/proc/self/uid_map", &uid);
	if (known > 0)
		known = read_first_id("/proc/self/gid_map", &gid);
	if (known < 0 || setns(mounts_fd, CLONE_NEWNS))
		return -1;
	return known ? become_somebody(uid, gid) : 0;
}

/* As anybody inside could: proc is that of whoever mounts it, so that has to be in a new one. */
static int try_to_mount(void *data, struct error *err)
{
	const struct attempt *attempt = data;
	int entered = enter(attempt->namespace_->met->owner, attempt->namespace_->fd), status;

	if (entered < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "cannot tell whether a %s may be mounted inside", attempt->type);
	if (!entered)
		return NOBODY;
	bool is_apart = !unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET);
	/* Nobody inside has more than their limits allow (namespaces(7)), as flatpak sets them. */
	if (!is_apart && errno == ENOSPC)
		return NO_NAMESPACE;
	if (!is_apart)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "cannot tell whether a %s may be mounted inside", attempt->type);
	/* A deputy has one thread of many: no lock may be asked for that another held (fork(3)). */
	pid_t pid = _Fork();
	if (pid == 0)
		_exit(try_one(attempt));
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot fork");
	if (!WIFEXITED(status) || WEXITSTATUS(status) == FAILED)
		return fail(err, ERR_KERNEL_REFUSED,
			    "cannot tell whether a %s may be mounted inside", attempt->type);
	return WEXITSTATUS(status) == MOUNTED ? MAY : MAY_NOT;
}

static void add_revealed(struct snapshot *snapshot, MntEntry *root,
			 const struct mount_status *found)
{
	MntRevealedEntry *revealed = snapshot_new(snapshot, MNT_REVEALED_ENTRY, MntRevealedEntry);

	revealed->type = arena_string(snapshot->arena, found->type);
	revealed->flags = found->flags;
	root->revealed = arena_grow(snapshot->arena, root->revealed, root->n_revealed,
				    sizeof *root->revealed);
	root->revealed[root->n_revealed++] = revealed;
}

static bool is_in_table(const struct mount_table *table, uint32_t id)
{
	for (size_t i = 0; i < table->n_lines; i++)
		if (table->lines[i].id == id)
			return true;
	return false;
}

/* One of each that is there is enough, the first through which they may. */
static int collect_one(const struct live_namespace *namespace_, const struct mount_status *found,
		       struct error *err)
{
	struct collect *collect = namespace_->collect;
	MntEntry *root = namespace_->order.mounts[0];

	if (index_of_type(found->type) == REVEALING || !found->root ||
	    strcmp(found->root, "/") != 0 || is_known(root, root->n_revealed, found->type) ||
	    is_in_table(&namespace_->table, found->id))
		return 0;
	struct attempt attempt = { namespace_, found->type, found->flags };
	int may = deputy_run_apart(try_to_mount, &attempt, err);
	if (may == NO_NAMESPACE)
		log_info("dump", namespace_->what,
			 "no namespaces can be made inside in which a %s could be mounted",
			 found->type);
	if (may == NOBODY)
		log_info("dump", namespace_->what,
			 "there is nobody inside who could mount a %s in a user namespace",
			 found->type);
	if (may == MAY)
		add_revealed(collect->snapshot, root, found);
	return may < 0 ? -1 : 0;
}

int mount_revealed_collect(struct live_namespace *namespace_, const struct mount_status *all,
			   size_t n, struct error *err)
{
	/* With less than a directory and a mount in it more there is nothing of that below. */
	if (namespace_->collect->looking || n < namespace_->table.n_lines + 2)
		return 0;
	for (size_t i = 0; i < n; i++)
		if (collect_one(namespace_, &all[i], err))
			return -1;
	return 0;
}

/* ---- restore ---- */

int mount_revealed_check(const MntEntry *mount, struct error *err)
{
	enum {
		FLAGS = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME | MS_NODIRATIME |
			MS_RELATIME | MS_NOSYMFOLLOW
	};

	for (size_t i = 0; i < mount->n_revealed; i++)
		if (index_of_type(mount->revealed[i]->type) == REVEALING ||
		    mount->revealed[i]->flags & ~(uint32_t)FLAGS ||
		    is_known(mount, i, mount->revealed[i]->type))
			return fail(err, ERR_IMAGE_INVALID,
				    "mount %u (%.200s): what is below it is not one proc or sysfs",
				    mount->mnt_id, mount->mountpoint);
	return 0;
}

/* Whose proc and sysfs they are: they give nobody anything that they could not mount themselves. */
const struct task *mount_revealed_to(const struct snapshot *snapshot,
				     const struct mount_namespace *namespace_)
{
	for (size_t i = 0; namespace_->mounts[0]->n_revealed && i < snapshot->n_tasks; i++)
		if (!task_is_zombie(&snapshot->tasks[i]) &&
		    task_mount_namespace(snapshot, &snapshot->tasks[i]) == namespace_)
			return &snapshot->tasks[i];
	return NULL;
}

/* Attached nowhere yet. */
static int make_one(const struct mount_maker *maker, const struct task *task,
		    const MntRevealedEntry *revealed, struct error *err)
{
	MntNsesEntry nses = MNT_NSES_ENTRY__INIT;
	MntEntry mount = MNT_ENTRY__INIT;
	bool is_proc = strcmp(revealed->type, "proc") == 0;
	const struct mount_kind *kind = is_proc ? &proc_mount_kind : &sysfs_mount_kind;

	mount.fsname = revealed->type;
	mount.mountpoint = revealed->type;
	mount.source = revealed->type;
	mount.options = "";
	mount.nses = &nses;
	nses.pidns_id = task->pid_namespace->base.id;
	if (!is_proc && snapshot_plain_namespace(maker->snapshot, task->ids->net_ns_id)) {
		nses.has_netns_id = true;
		nses.netns_id = task->ids->net_ns_id;
	} else if (!is_proc) {
		mount.nses = NULL;
	}
	return mounts_make_superblock(maker, kind, &mount, err);
}

int mount_revealed_prepare(const struct mount_maker *maker,
			   const struct mount_namespace *namespace_, int *ret_fds,
			   struct error *err)
{
	const struct task *task = mount_revealed_to(maker->snapshot, namespace_);
	const MntEntry *root = namespace_->mounts[0];

	for (size_t i = 0; i < REVEALING; i++)
		ret_fds[i] = -1;
	/* Not one that is there for the moment only. */
	if (!namespace_->plain)
		return 0;
	if (!task && root->n_revealed)
		log_warning("restore", root->mountpoint,
			    "no task is in mount namespace %u: who enters it may mount no proc "
			    "inside of user namespaces",
			    namespace_->id);
	for (size_t i = 0; task && i < root->n_revealed; i++) {
		ret_fds[i] = make_one(maker, task, root->revealed[i], err);
		if (ret_fds[i] < 0)
			return fail_while(err, "mount namespace %u: a %s below its root",
					  namespace_->id, root->revealed[i]->type);
	}
	return 0;
}

static int attach_all(const MntEntry *root, const int *fds, int base_fd, struct error *err)
{
	struct mount_attr attributes = { .attr_set = MOUNT_ATTR_RDONLY };

	for (size_t i = 0; i < root->n_revealed; i++)
		if (mount_set_flags(fds[i], root->revealed[i]->flags) ||
		    mkdirat(base_fd, root->revealed[i]->type, 0555) ||
		    move_mount(fds[i], "", base_fd, root->revealed[i]->type,
			       MOVE_MOUNT_F_EMPTY_PATH))
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "cannot mount a %s below the root",
					  root->revealed[i]->type);
	if (syscall(SYS_mount_setattr, base_fd, "", AT_EMPTY_PATH, &attributes, sizeof attributes))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot set the flags of a mount");
	return 0;
}

int mount_revealed_attach(const struct mount_namespace *namespace_, const int *fds, int stage_fd,
			  int root_fd, int *ret_fd, struct error *err)
{
	static const char place[] = "below";

	*ret_fd = -1;
	if (fds[0] < 0)
		return 0;
	autoclose int context_fd = fsopen("tmpfs", FSOPEN_CLOEXEC);
	if (context_fd < 0 || fsconfig(context_fd, FSCONFIG_SET_STRING, "mode", "755", 0) ||
	    fsconfig(context_fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot make a tmpfs");
	autoclose int base_fd = fsmount(context_fd, FSMOUNT_CLOEXEC, 0);
	if (base_fd < 0 || mkdirat(stage_fd, place, 0700) ||
	    move_mount(base_fd, "", stage_fd, place, MOVE_MOUNT_F_EMPTY_PATH))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot make a place below the root");
	if (attach_all(namespace_->mounts[0], fds, base_fd, err))
		return -1;
	if (move_mount(root_fd, "", base_fd, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot move the root");
	*ret_fd = take_fd(&base_fd);
	return 0;
}
