// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Watches are of inodes, and outlive names. By the handle that fdinfo shows the inode is opened
 * (open_by_handle_at(2), CAP_DAC_READ_SEARCH) by way of any mount of its file system, and its name
 * read, which is checked to lead back to it: that of now, if it was moved. What only mounts of the
 * tree show has its name there, and is opened through that mount. One that has no name any
 * more lives on by somebody's descriptor; if the tree has one, that is how it is found again.
 * A watch keeps no name in the kernel's memory: what nobody has looked for in a while is opened
 * without one (a disconnected dentry). Cgroups are looked through then; on a disk the handle is
 * good enough, as the inode keeps it.
 * What opens nothing by its handle (overlays): kinds/mounts/inodes.c.
 *
 * Opened with O_PATH only, which no watch reports and no permission is asked for.
 */
#include "kinds/files/watched-inode.h"

#include "base/cleanup.h"
#include "base/procfs.h"
#include "collect/collect.h"
#include "kernel/by-handle.h"
#include "kernel/mountinfo.h"
#include "kinds/files/cgroup-place.h"
#include "kinds/opener.h"
#include "kinds/places.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { HANDLE_WORDS = 8, HANDLE_BYTES = HANDLE_WORDS * 8 };

struct known_inode {
	struct known_inode *next;
	FhEntry *handle;
	dev_t device;
	ino_t inode;
	const char *what;
};

/* Kept over a dump. */
struct known_inodes {
	struct mount_line *mounts;
	size_t n_mounts;
	bool looked_through; /* the cgroups */
	struct known_inode *nameless;
};

static const char inodes_owner = 0;

static struct known_inodes *known_inodes(struct collect *collect, struct error *err)
{
	void **kept = collect_state(collect, &inodes_owner);
	struct known_inodes *known = *kept;
	char *text;

	if (known)
		return known;
	known = arena_new(collect->arena, struct known_inodes);
	if (procfs_read(collect->arena, AT_FDCWD, "/proc/self/mountinfo", &text) < 0) {
		fail_errno(err, ERR_KERNEL_REFUSED, "cannot read /proc/self/mountinfo");
		return NULL;
	}
	if (mountinfo_parse(text, collect->arena, &known->mounts, &known->n_mounts, err))
		return NULL;
	*kept = known;
	return known;
}

/* ---- Handles ---- */

union handle_buffer {
	struct file_handle handle;
	char bytes[sizeof(struct file_handle) + HANDLE_BYTES];
};

static bool parse_handle(const char *line, FhEntry *handle, struct arena *arena)
{
	uint8_t bytes[HANDLE_BYTES] = { 0 };
	const char *at = strstr(line, "fhandle-bytes:");
	int length = 0;

	if (!at ||
	    sscanf(at, "fhandle-bytes:%" SCNx32 " fhandle-type:%" SCNx32 " f_handle:%n",
		   &handle->bytes, &handle->type, &length) != 2 ||
	    !length || handle->bytes > sizeof bytes)
		return false;
	at += length;
	for (size_t i = 0; i < handle->bytes; i++) {
		unsigned byte;
		if (sscanf(at + 2 * i, "%2x", &byte) != 1)
			return false;
		bytes[i] = (uint8_t)byte;
	}
	handle->n_handle = HANDLE_WORDS;
	handle->handle = arena_copy(arena, bytes, sizeof bytes);
	return true;
}

static union handle_buffer kernel_handle(const FhEntry *handle)
{
	union handle_buffer buffer = { .handle = { .handle_bytes = handle->bytes,
						   .handle_type = (int)handle->type } };

	memcpy(buffer.handle.f_handle, handle->handle, handle->bytes);
	return buffer;
}

/* ---- Dump ---- */

static dev_t device_of(uint32_t kernel_device)
{
	return makedev(kernel_device >> 20, kernel_device & 0xfffff);
}

/*
 * By a mount of nestor's own, with a name or without: one that has not been removed. 1, 0, or -1
 * with errno.
 */
static int opens_by_handle(const struct known_inodes *known, dev_t device, ino_t inode,
			   const FhEntry *handle)
{
	struct stat stat;

	if (!handle->n_handle)
		return 0;
	union handle_buffer buffer = kernel_handle(handle);
	for (size_t i = 0; i < known->n_mounts; i++) {
		if (known->mounts[i].device != device)
			continue;
		autoclose int place_fd = open(known->mounts[i].mountpoint, O_PATH | O_CLOEXEC);
		autoclose int fd = place_fd < 0 ? -1
						: open_by_handle_from(place_fd, &buffer.handle,
								      O_PATH | O_CLOEXEC);
		if (fd < 0 ? errno_tells_nothing(errno) : fstat(fd, &stat) < 0)
			return -1;
		if (fd >= 0)
			return stat.st_ino == inode && stat.st_nlink > 0;
	}
	return 0;
}

static const struct mount_line *cgroups_of(const struct known_inodes *known, dev_t device)
{
	for (size_t i = 0; i < known->n_mounts; i++)
		if (known->mounts[i].device == device)
			return strncmp(known->mounts[i].type, "cgroup", strlen("cgroup")) == 0
				       ? &known->mounts[i]
				       : NULL;
	return NULL;
}

static int look_at(const char *path, const struct stat *stat, int type, struct FTW *walk)
{
	(void)path, (void)stat, (void)type, (void)walk;
	return 0;
}

static void find_own_path(struct collect *collect, const struct known_inodes *known,
			  struct watched_place *place, FhEntry *handle)
{
	for (size_t i = 0; i < known->n_mounts && !handle->path && !place->failed; i++)
		if (known->mounts[i].device == place->device)
			handle->path = mount_own_path_of_inode(collect, &known->mounts[i], place);
}

static int find_path(struct collect *collect, struct known_inodes *known, dev_t device, ino_t inode,
		     FhEntry *handle)
{
	enum { DIRECTORIES_AT_ONCE = 16 };
	union handle_buffer buffer = kernel_handle(handle);
	struct watched_place place = { device, inode, &buffer.handle, 0 };
	const struct mount_line *cgroups = cgroups_of(known, device);

	find_own_path(collect, known, &place, handle);
	int unnamed = handle->path || place.failed || !cgroups || known->looked_through
			      ? 0
			      : opens_by_handle(known, device, inode, handle);
	if (unnamed < 0)
		return -1;
	if (unnamed) {
		/* Whatever is looked at has a name in the kernel's memory again. */
		known->looked_through = true;
		if (nftw(cgroups->mountpoint, look_at, DIRECTORIES_AT_ONCE, FTW_PHYS | FTW_MOUNT) &&
		    errno_tells_nothing(errno))
			return -1;
		find_own_path(collect, known, &place, handle);
	}
	if (!handle->path && !place.failed) {
		handle->path = mount_path_of_inode(collect, &place, &handle->mnt_id);
		handle->has_mnt_id = handle->path != NULL;
	}
	errno = place.failed;
	return !handle->path && place.failed ? -1 : 0;
}

int watched_inode_collect(const struct open_file *file, const char *line, uint32_t device,
			  uint64_t inode, FhEntry **ret_handle, struct error *err)
{
	struct collect *collect = file->target->collect;
	struct known_inodes *known = known_inodes(collect, err);
	FhEntry *handle = snapshot_new(collect->snapshot, FH_ENTRY, FhEntry);

	if (!known)
		return -1;
	if (parse_handle(line, handle, collect->arena) &&
	    find_path(collect, known, device_of(device), (ino_t)inode, handle))
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot look for what it watches",
				  file->what);
	*ret_handle = handle;
	if (handle->path)
		return 0;
	struct known_inode *nameless = arena_new(collect->arena, struct known_inode);
	*nameless = (struct known_inode){ known->nameless, handle, device_of(device), (ino_t)inode,
					  file->what };
	known->nameless = nameless;
	return 0;
}

static void refuse_nameless(struct collect *collect, const struct known_inodes *known,
			    const struct known_inode *inode)
{
	struct error refused = { 0 };

	fail(&refused, ERR_UNSUPPORTED_FILE,
	     "%s watches inode %ju of device %u:%u, which has no name that can be found",
	     inode->what, (uintmax_t)inode->inode, major(inode->device), minor(inode->device));
	/* systemd removes a cgroup and ends the watch of its file, which takes it a moment. */
	if (cgroups_of(known, inode->device))
		fail_passing(&refused);
	collect_pass(collect, &refused);
}

int watched_inode_complete(struct collect *collect, struct error *err)
{
	struct known_inodes *known = *collect_state(collect, &inodes_owner);

	for (struct known_inode *at = known ? known->nameless : NULL; at; at = at->next) {
		struct watched_file found = { .device = at->device, .inode = at->inode };
		collect_find_inode(collect, &found);
		at->handle->has_file_id = found.found;
		at->handle->file_id = found.id;
		/* Only those of disks keep a handle when they are mounted again. */
		int unnamed = found.found || !major(at->device)
				      ? 0
				      : opens_by_handle(known, at->device, at->inode, at->handle);
		if (unnamed < 0)
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "%s: cannot look for what it watches", at->what);
		if (!found.found && !unnamed)
			refuse_nameless(collect, known, at);
	}
	/* Both inotify and fanotify ask for it. */
	if (known)
		known->nameless = NULL;
	return 0;
}

/* ---- Restore ---- */

/* Images of another tool have the number of a mount also where they have no mounts. */
static bool is_in_tree(const struct snapshot *snapshot, const FhEntry *handle)
{
	return handle->path && handle->has_mnt_id &&
	       snapshot_mount(snapshot, handle->mnt_id, NULL, NULL);
}

int watched_inode_check(const struct snapshot *snapshot, uint32_t file_id, const FhEntry *handle,
			struct error *err)
{
	if (!handle || handle->bytes > HANDLE_BYTES ||
	    (handle->bytes && handle->n_handle < HANDLE_WORDS))
		return fail(err, ERR_IMAGE_INVALID, "file %u watches something without a handle",
			    file_id);
	if (handle->has_file_id && !snapshot_file(snapshot, handle->file_id))
		return fail(err, ERR_IMAGE_INVALID, "file %u watches file %u, which is not there",
			    file_id, handle->file_id);
	if (is_in_tree(snapshot, handle) && !path_is_plain(handle->path))
		return fail(err, ERR_IMAGE_INVALID, "file %u watches what is no plain path",
			    file_id);
	if (!handle->path && !handle->has_file_id && !handle->bytes)
		return fail(err, ERR_IMAGE_INVALID, "file %u watches something without a name",
			    file_id);
	return 0;
}

/* As nestor's own mounts have it. */
static const char *own_path(const struct file_opener *opener, const FhEntry *handle)
{
	return snapshot_moved_path(opener->snapshot, opener->arena, handle->path);
}

static int fail_missing(const char *path, struct error *err)
{
	fail_errno(err, errno == ENOENT || errno == ENOTDIR ? ERR_FILE_MISSING : ERR_IO,
		   "%s, which the tree watches", path);
	return fail_hint(err, "put it back where it was");
}

int watched_inode_verify(const struct file_opener *opener, const FhEntry *handle, struct error *err)
{
	if (!handle->path || handle->has_file_id || is_in_tree(opener->snapshot, handle))
		return 0;
	const char *path = own_path(opener, handle);
	autoclose int fd = opener_open_path(opener, path, O_PATH | O_NOFOLLOW);
	if (fd >= 0 || (errno == ENOENT && cgroup_place_check(opener, path) == 0))
		return 0;
	return fail_missing(path, err);
}

/* Images of another tool: the mount has to be found first. */
static int open_by_device(const struct file_opener *opener, uint32_t device, const FhEntry *handle,
			  struct error *err)
{
	union handle_buffer buffer = kernel_handle(handle);
	struct mount_line *mounts;
	size_t n_mounts;
	char *text;

	if (procfs_read(opener->arena, AT_FDCWD, "/proc/self/mountinfo", &text) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot read /proc/self/mountinfo");
	if (mountinfo_parse(text, opener->arena, &mounts, &n_mounts, err))
		return -1;
	for (size_t i = 0; i < n_mounts; i++) {
		if (mounts[i].device != device_of(device))
			continue;
		autoclose int place_fd = open(mounts[i].mountpoint, O_PATH | O_CLOEXEC);
		int fd = place_fd < 0 ? -1
				      : open_by_handle_from(place_fd, &buffer.handle,
							    O_PATH | O_CLOEXEC);
		if (fd >= 0)
			return fd;
		if (errno_tells_nothing(errno))
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "cannot look for an inode that the tree watches");
	}
	return fail(err, ERR_FILE_MISSING, "an inode that the tree watches is not to be found");
}

int watched_inode_open(struct file_opener *opener, uint32_t device, const FhEntry *handle,
		       char path[64], struct error *err)
{
	int fd;

	if (handle->has_file_id)
		fd = fcntl(opener_file(opener, handle->file_id), F_DUPFD_CLOEXEC, 0);
	else if (is_in_tree(opener->snapshot, handle))
		fd = mounts_open(opener, handle->mnt_id, handle->path, O_PATH | O_NOFOLLOW);
	else if (handle->path)
		fd = cgroup_place_open(opener, own_path(opener, handle), O_PATH | O_NOFOLLOW, err);
	else
		fd = open_by_device(opener, device, handle, err);
	if (fd < 0 && err->name)
		return -1;
	if (fd < 0)
		return fail_missing(handle->path ? handle->path : "a file without a name", err);
	snprintf(path, 64, "/proc/self/fd/%d", fd);
	return fd;
}
