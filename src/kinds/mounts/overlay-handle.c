// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Where in an overlay a handle of it leads. Unless it is mounted for NFS (nfs_export) nothing is
 * opened by one, but the kernel shows it (fdinfo of inotify), and in it is that of the file in its
 * layer (struct ovl_fb, fs/overlayfs/overlayfs.h, since 5.8): by way of the layer that one is
 * opened, and has a path there. Those of a user namespace (uuid=null) have but the number of the
 * inode, which is mostly that in the layer (ovl_map_dev_ino); so layers are searched for it, not
 * the overlay, where others may watch who reads directories.
 *
 * In the overlay it has mostly the same path; whoever asks looks whether that leads back.
 */
#include "kinds/mounts/overlay.h"

#include "base/cleanup.h"
#include "base/listing.h"
#include "base/table.h"
#include "collect/collect.h"
#include "kernel/by-handle.h"
#include "kinds/places.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { OVERLAY_HANDLE = 0xf8, HANDLE_MAGIC = 0xfb };

struct real_handle {
	uint8_t padding[3];
	uint8_t version, magic, length; /* of all from the version on */
	uint8_t flags, type;
	uint8_t uuid[16];
	uint8_t bytes[MAX_HANDLE_SZ];
} __attribute__((packed));
enum { BEFORE_BYTES = offsetof(struct real_handle, bytes), PADDING = 3 };

union handle_buffer {
	struct file_handle handle;
	char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
};

static bool find_real(const struct file_handle *handle, union handle_buffer *ret_real)
{
	struct real_handle real = { 0 };

	if (handle->handle_type != OVERLAY_HANDLE || handle->handle_bytes <= BEFORE_BYTES ||
	    handle->handle_bytes > sizeof real)
		return false;
	memcpy(&real, handle->f_handle, handle->handle_bytes);
	if (real.version || real.magic != HANDLE_MAGIC || real.length + PADDING <= BEFORE_BYTES ||
	    real.length + PADDING > (int)handle->handle_bytes)
		return false;
	ret_real->handle.handle_type = real.type;
	ret_real->handle.handle_bytes = real.length + PADDING - BEFORE_BYTES;
	memcpy(ret_real->handle.f_handle, real.bytes, ret_real->handle.handle_bytes);
	return true;
}

static bool read_path(int fd, char path[PATH_MAX])
{
	char self[64];

	snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
	ssize_t length = readlink(self, path, PATH_MAX - 1);
	if (length <= 0)
		return false;
	path[length] = '\0';
	return true;
}

static int open_by_handle(int place_fd, const union handle_buffer *real)
{
	union handle_buffer handle = *real;

	return open_by_handle_from(place_fd, &handle.handle, O_PATH | O_CLOEXEC);
}

static char *find_by_real(const struct live_namespace *namespace, struct overlay_layers *layers,
			  const union handle_buffer *real)
{
	char layer[PATH_MAX], path[PATH_MAX];

	for (size_t i = 0; i < layers->n; i++) {
		autoclose int layer_fd =
			layers->all[i].seen ? overlay_open_layer(namespace, layers, i) : -1;
		autoclose int fd = layer_fd < 0 ? -1 : open_by_handle(layer_fd, real);
		bool read = fd >= 0 && read_path(layer_fd, layer) && read_path(fd, path);
		if (layer_fd >= 0 && !read && errno_tells_nothing(errno))
			layers->failed = errno;
		const char *below = read ? path_below(path, layer) : NULL;
		if (below)
			return arena_printf(layers->arena, "/%s", below);
	}
	return NULL;
}

/* ---- by the number of the inode ---- */

enum { MOST_ENTRIES = 1 << 20, DEEPEST = 256 };

/* What lies in the layers of an overlay, the upper ones first. */
struct searched {
	struct searched *next;
	dev_t device; /* of the overlay */
	struct table paths;
	size_t left;
	int failed; /* an errno: not all of it was seen */
};

static int open_directory(int layer_fd, const char *path)
{
	struct open_how how = {
		.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS,
	};

	return (int)syscall(SYS_openat2, layer_fd, *path ? path : ".", &how, sizeof how);
}

/* What cannot be read is not found there. */
static void search(struct searched *searched, struct arena *arena, int layer_fd, const char *path,
		   unsigned depth)
{
	autoclosedir DIR *dir = listing_of(open_directory(layer_fd, path));
	const struct dirent *entry;

	if (!dir && errno_tells_nothing(errno))
		searched->failed = errno;
	while (dir && searched->left && listing_next_entry(dir, &entry)) {
		char *below = arena_printf(arena, "%s%s%s", path, *path ? "/" : "", entry->d_name);
		searched->left--;
		table_add(&searched->paths, arena, entry->d_ino, below);
		if (entry->d_type == DT_DIR && depth < DEEPEST)
			search(searched, arena, layer_fd, below, depth + 1);
	}
	if (dir && searched->left && errno)
		searched->failed = errno;
}

static struct searched *search_all(struct collect *collect, const struct live_namespace *namespace,
				   struct overlay_layers *layers, dev_t device)
{
	static const char owner;
	struct searched **first = (struct searched **)collect_state(collect, &owner);
	struct searched *searched = *first;

	while (searched && searched->device != device)
		searched = searched->next;
	if (searched)
		return searched;
	searched = arena_new(collect->arena, struct searched);
	*searched = (struct searched){ .next = *first, .device = device, .left = MOST_ENTRIES };
	*first = searched;
	for (size_t i = 0; i < layers->n; i++) {
		autoclose int fd =
			layers->all[i].seen ? overlay_open_layer(namespace, layers, i) : -1;
		if (fd >= 0)
			search(searched, collect->arena, fd, "", 0);
	}
	return searched;
}

char *overlay_path_of_handle(struct collect *collect, const struct live_namespace *namespace,
			     struct overlay_layers *layers, const struct watched_place *place)
{
	union handle_buffer real;

	if (find_real(place->handle, &real))
		return find_by_real(namespace, layers, &real);
	const struct searched *searched = search_all(collect, namespace, layers, place->device);
	const char *path = table_find(&searched->paths, place->inode);
	layers->failed = searched->failed ? searched->failed : layers->failed;
	return path ? arena_printf(layers->arena, "/%s", path) : NULL;
}
