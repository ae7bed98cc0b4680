// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * FUSE: a file system whose files a process answers for, the driver, by a descriptor of /dev/fuse.
 * Here the driver is in the tree, and comes back as it was, with all that it knows of the file
 * system; what the kernel knows of it is little: what both have agreed upon at the start
 * (FUSE_INIT), and by which numbers the driver calls what is in it.
 *
 * So it is mounted again with a new connection, which takes the numbers of the old one. Until all
 * is mounted, nestor answers instead of the driver (fuse-play.c): to FUSE_INIT what had been agreed
 * upon, and to who looks for what is mounted by itself the number that the driver gave
 * it. What the kernel forgets, and does not tell the driver, that keeps: its memory, and no more.
 *
 * Only who mounted it gets in, unless others may (fuse_permissible_uidgid): what is looked for in
 * it is looked for with his ids.
 *
 * What is open, mapped or executed there, and directories of tasks: fuse-files.c. Refused: requests
 * on their way; what is watched in it (fuse-reached.c); what is mounted on directories and files of
 * it, as nobody gets there without asking its driver (fuse-served.c), and sockets that have their
 * names there; io_uring and passthrough. What is on a block device (fuseblk) is not mounted again.
 */
#include "kinds/mounts/fuse.h"

#include "base/cleanup.h"
#include "collect/collect.h"
#include "kernel/deputy.h"
#include "kinds/mounts/make.h"
#include "kinds/mounts/survey.h"
#include "kinds/places.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/openat2.h>
#include <linux/securebits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

bool mount_is_fuse(const MntEntry *mount)
{
	return mount_kind_of_entry(mount) == &fuse_mount_kind;
}

static bool is_made(const MntEntry *mount)
{
	return mount_is_fuse(mount) && !mount->bound_path && !mount->ext_mount && !mount->held;
}

const MntEntry *fuse_mount_of(const struct snapshot *snapshot, uint32_t device)
{
	for (size_t i = 0; i < snapshot->n_mount_namespaces; i++) {
		const struct mount_namespace *namespace_ = snapshot->mount_namespaces[i];
		for (size_t k = 0; k < namespace_->n_mounts; k++)
			if (namespace_->mounts[k]->root_dev == device &&
			    is_made(namespace_->mounts[k]))
				return namespace_->mounts[k];
	}
	return NULL;
}

/* ---- dump ---- */

static int collect(const struct live_superblock *superblock, MntEntry *entry, struct error *err)
{
	uint64_t connection;

	if (fuse_read(superblock, entry, &connection, err) ||
	    fuse_check_reached(superblock, connection, err)) {
		superblock->collect->may_wait = true;
		return -1;
	}
	return 0;
}

/* ---- check ---- */

/* Whose value is a number, as the owner has it, or that have none. */
static bool is_plain(const char *word, size_t length)
{
	static const char *const numbers[] = { "user_id=", "group_id=", "max_read=" };
	static const char *const flags[] = { "default_permissions", "allow_other" };

	for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
		if (length == strlen(flags[i]) && !strncmp(word, flags[i], length))
			return true;
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		size_t key = strlen(numbers[i]);
		if (length > key && !strncmp(word, numbers[i], key))
			return strspn(word + key, "0123456789") == length - key;
	}
	return false;
}

static bool has_plain_options(const char *options)
{
	for (size_t length; *options; options += length + (options[length] == ',')) {
		length = strcspn(options, ",");
		if (length && !is_plain(options, length))
			return false;
	}
	return true;
}

static uint32_t option_of(const char *options, const char *key)
{
	const char *found = strstr(options, key);

	return found ? (uint32_t)strtoul(found + strlen(key), NULL, 10) : 0;
}

static const MntFuseNodeEntry *find_node(const MntFuseEntry *fuse, uint64_t parent,
					 const char *name, size_t length)
{
	for (size_t i = 0; i < fuse->n_nodes; i++)
		if (fuse->nodes[i]->parent == parent && strlen(fuse->nodes[i]->name) == length &&
		    !strncmp(fuse->nodes[i]->name, name, length))
			return fuse->nodes[i];
	return NULL;
}

static bool leads_there(const MntFuseEntry *fuse, const char *path)
{
	uint64_t node = 1; /* FUSE_ROOT_ID */

	for (path += strspn(path, "/"); *path; path += strspn(path, "/")) {
		size_t length = strcspn(path, "/");
		const MntFuseNodeEntry *found = find_node(fuse, node, path, length);
		if (!found)
			return false;
		node = found->node;
		path += length;
	}
	return true;
}

static bool is_time(int64_t time)
{
	return time <= INT64_MAX / 2 && time >= INT64_MIN / 2;
}

static bool are_nodes(const MntFuseEntry *fuse)
{
	for (size_t i = 0; i < fuse->n_nodes; i++) {
		const MntFuseNodeEntry *node = fuse->nodes[i];
		if (!is_time(node->modified) || !is_time(node->changed) || node->node <= 1 ||
		    (!S_ISDIR(node->mode) && !S_ISREG(node->mode)) || node->mode > 0xffff ||
		    node->size > INT64_MAX || !*node->name || strchr(node->name, '/') ||
		    strlen(node->name) > NAME_MAX)
			return false;
	}
	return true;
}

static int check(const struct snapshot *snapshot, const MntEntry *entry, struct error *err)
{
	const MntFuseEntry *fuse = entry->fuse;

	if (!fuse || !entry->fsname || entry->root_dev >> 8 & 0xfff ||
	    !has_plain_options(entry->options) || !S_ISDIR(fuse->root_mode) ||
	    fuse->root_mode > 0xffff || fuse->minor < FUSE_OLDEST_MINOR ||
	    !fuse_flags_are_known(fuse->flags) || fuse->max_write > FUSE_MOST_WRITE ||
	    fuse->max_background > UINT16_MAX || fuse->congestion_threshold > UINT16_MAX ||
	    fuse->max_pages > UINT16_MAX || !are_nodes(fuse) || !leads_there(fuse, entry->root))
		return fail(err, fuse ? ERR_IMAGE_INVALID : ERR_IMAGE_UNSUPPORTED,
			    "mount %" PRIu32 " (%.200s): what its driver knows of it is not told",
			    entry->mnt_id, entry->mountpoint);
	if (!fuse_device_of(snapshot, entry->root_dev))
		return fail(err, ERR_UNSUPPORTED_MOUNT,
			    "mount %" PRIu32 " (%.200s): nobody in the tree serves it (FUSE)",
			    entry->mnt_id, entry->mountpoint);
	return 0;
}

/* ---- restore ---- */

int fuse_owner_fd(const struct snapshot *snapshot, const int *user_namespaces,
		  const MntEntry *entry)
{
	for (size_t i = 1; i < snapshot->n_user_namespaces; i++)
		if (entry->has_userns_id &&
		    snapshot->user_namespaces[i]->base.id == entry->userns_id)
			return user_namespaces[i];
	return -1;
}

static int make(const struct mount_maker *maker, const MntEntry *entry, struct error *err)
{
	autoclose int context_fd = fsopen("fuse", FSOPEN_CLOEXEC);
	const FileEntry *device = fuse_device_of(maker->snapshot, entry->root_dev);
	const char *subtype = strncmp(entry->fsname, "fuse.", 5) ? NULL : entry->fsname + 5;
	char text[16];

	if (context_fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot mount a FUSE");
	snprintf(text, sizeof text, "%d", opener_file(maker->opener, device->id));
	if (mount_set(context_fd, "fd", text, err))
		return -1;
	snprintf(text, sizeof text, "%o", entry->fuse->root_mode & S_IFMT);
	if (mount_set(context_fd, "rootmode", text, err) ||
	    (subtype && mount_set(context_fd, "subtype", subtype, err)) ||
	    mount_set_options(context_fd, entry->options, err) ||
	    mount_create(context_fd, entry, err) || fuse_play_begin(maker->opener, entry, err) ||
	    fuse_device_clone(maker->opener, entry, err))
		return -1;
	int fd = mount_attachable(context_fd, entry, err);
	if (fd >= 0)
		fuse_play_mounted(maker->opener, entry->root_dev, fd);
	return fd;
}

/* Nobody is asked to wait when it is polled (poll_requested_events): any time does. */
enum { A_MOMENT_MS = 1000 };

struct finding {
	const struct file_opener *opener;
	const struct fuse_way *way;
	int user_fd, ret_fd;
};

/* A mount that shows a file is that file. */
static int open_found(const struct fuse_way *way)
{
	struct statx found = { .stx_mode = S_IFDIR };
	char itself[32];

	if (!*way->path &&
	    statx(way->root_fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &found))
		return -1;
	if (S_ISDIR(found.stx_mode))
		return mount_open_path(way->root_fd, way->path, way->flags,
				       RESOLVE_BENEATH | RESOLVE_NO_XDEV);
	snprintf(itself, sizeof itself, "/proc/self/fd/%d", way->root_fd);
	return open(itself, (way->flags & ~O_NOFOLLOW) | O_CLOEXEC);
}

static int open_at_last(const struct finding *finding)
{
	const struct fuse_way *way = finding->way;

	for (uint64_t i = 0; i < way->failing; i++) {
		int fd = open_found(way);
		/* Whom nobody tells of what is opened. */
		if (fd >= 0)
			close(fd);
	}
	if (way->file_id)
		fuse_play_opening(finding->opener, way->mount->root_dev, way->file_id);
	int fd = open_found(way);
	if (way->file_id)
		fuse_play_opening(finding->opener, way->mount->root_dev, 0);
	struct pollfd state = { .fd = fd, .events = POLLIN | POLLOUT | POLLPRI };
	if (fd >= 0 && way->polled)
		poll(&state, 1, A_MOMENT_MS);
	return fd;
}

/* As who mounted it, with all rights. */
static int find_inside(void *data, struct error *err)
{
	struct finding *finding = data;
	const MntEntry *mount = finding->way->mount;
	uid_t uid = option_of(mount->options, "user_id=");
	gid_t gid = option_of(mount->options, "group_id=");
	int bits = -1;

	if (finding->user_fd >= 0 && deputy_enter_user(finding->user_fd, 0))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot enter a user namespace");
	bits = prctl(PR_GET_SECUREBITS);
	if (bits < 0 || prctl(PR_SET_SECUREBITS, bits | SECBIT_NO_SETUID_FIXUP) ||
	    syscall(SYS_setresgid, gid, gid, gid) || syscall(SYS_setresuid, uid, uid, uid))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot become who mounted %.200s",
				  mount->mountpoint);
	finding->ret_fd = open_at_last(finding);
	return finding->ret_fd < 0 ? fail_errno(err, ERR_KERNEL_REFUSED, "cannot find %.200s in it",
						finding->way->path)
				   : 0;
}

int fuse_open_inside(const struct file_opener *opener, const struct fuse_way *way,
		     struct error *err)
{
	struct finding finding = {
		.opener = opener,
		.way = way,
		.user_fd = fuse_owner_fd(opener->snapshot, opener->user_namespaces, way->mount),
		.ret_fd = -1,
	};

	return deputy_run(find_inside, &finding, err) < 0 ? -1 : finding.ret_fd;
}

int mount_fuse_open(const struct mount_maker *maker, const MntEntry *mount, int root_fd,
		    struct error *err)
{
	const struct fuse_way way = {
		.mount = mount,
		.root_fd = root_fd,
		.path = mount->root + 1,
		.flags = O_PATH | O_NOFOLLOW,
	};

	if (mount->root[1])
		return fuse_open_inside(maker->opener, &way, err);
	int fd = fcntl(root_fd, F_DUPFD_CLOEXEC, 0);
	return fd < 0 ? fail_errno(err, ERR_LIMIT_TOO_LOW, "cannot keep a mount") : fd;
}

const struct mount_kind fuse_mount_kind = {
	.type = "fuse",
	.fstype = FSTYPE__FUSE,
	.owned = true,
	.tells = true,
	.parts = true,
	.collect = collect,
	.check = check,
	.make = make,
};
