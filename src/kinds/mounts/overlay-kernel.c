// SPDX-License-Identifier: LGPL-2.1-or-later
/* See overlay-kernel.h. Only what is told by no call is read there. */
#include "kinds/mounts/overlay-kernel.h"

#include <limits.h>
#include <sys/sysmacros.h>

enum { DEEPEST = PATH_MAX / 2, MINOR_BITS = 20 };

static const struct btf_place all_places[] = { OVERLAY_PLACES(BTF_PLACE) };
static const struct kernel_places places = { all_places, N_OVERLAY_PLACES, MOUNT_IDS };

int overlay_read_kernel(struct collect *collect, struct kernel_reader **ret)
{
	return collect_read_kernel(collect, &places, ret);
}

static dev_t device_of(struct kernel_reader *by, uint64_t superblock)
{
	uint32_t device = kernel_number(by, superblock, DEVICE);

	return makedev(device >> MINOR_BITS, device & ((1U << MINOR_BITS) - 1));
}

/* Its names from the end on; the root of a file system is its own parent. NULL: too long. */
const char *overlay_real_path(struct kernel_reader *by, uint64_t dentry)
{
	char path[PATH_MAX], *start = path + sizeof path - 1;

	*start = '\0';
	for (unsigned depth = 0; !by->failure; depth++) {
		uint64_t name = kernel_inside(by, dentry, DENTRY_NAME);
		uint64_t parent = kernel_pointer(by, dentry, DENTRY_PARENT);
		uint32_t length = kernel_number(by, name, NAME_LENGTH);
		if (parent == dentry)
			return arena_string(by->arena, *start ? start : "/");
		if (depth == DEEPEST || length >= (size_t)(start - path))
			break;
		start -= length;
		kernel_bytes(by, kernel_pointer(by, name, NAME_BYTES), start, length);
		*--start = '/';
		dentry = parent;
	}
	return NULL;
}

uint64_t overlay_real_ids(struct kernel_reader *by, uint64_t mount)
{
	return by->places[MOUNT_IDS].found ? kernel_pointer(by, mount, MOUNT_IDS) : 0;
}

static void read_directory(struct kernel_reader *by, uint64_t mount, uint64_t dentry,
			   struct real_layer *ret)
{
	ret->dentry = dentry;
	ret->inode = kernel_pointer(by, dentry, DENTRY_INODE);
	ret->superblock = kernel_pointer(by, mount, MOUNT_SUPERBLOCK);
	ret->ids = overlay_real_ids(by, mount);
	ret->device = device_of(by, ret->superblock);
	ret->path = overlay_real_path(by, dentry);
}

static void read_layer(struct kernel_reader *by, uint64_t layer, struct real_layer *ret)
{
	uint64_t mount = kernel_pointer(by, layer, LAYER_MOUNT);

	read_directory(by, mount, kernel_pointer(by, mount, MOUNT_ROOT), ret);
}

int overlay_real_layers(struct kernel_reader *by, int mount_fd, dev_t device, size_t n_named,
			struct real_layers *ret)
{
	uint64_t mount = kernel_pointer(by, kernel_inside(by, kernel_file(by, mount_fd), FILE_PATH),
					PATH_MOUNT);
	uint64_t superblock = kernel_pointer(by, mount, MOUNT_SUPERBLOCK);
	uint64_t overlay = kernel_pointer(by, superblock, PRIVATE);
	uint64_t layers = kernel_pointer(by, overlay, OVERLAY_LAYERS);
	uint32_t n = kernel_number(by, overlay, OVERLAY_COUNT);

	ret->overlay = overlay;
	ret->has_upper = kernel_pointer(by, layers, LAYER_MOUNT) != 0;
	ret->n = n_named - ret->has_upper;
	if (by->failure || device_of(by, superblock) != device || n != ret->n + !ret->has_upper)
		return 1;
	ret->all = arena_array(by->arena, struct real_layer, ret->n + 1);
	for (size_t i = 0; i < ret->n; i++)
		read_layer(by, layers + (i + !ret->has_upper) * by->places[LAYER_SIZE].offset,
			   &ret->all[i]);
	if (ret->has_upper)
		read_directory(by, kernel_pointer(by, layers, LAYER_MOUNT),
			       kernel_pointer(by, overlay, WORK_BASE), &ret->all[ret->n]);
	return by->failure != 0;
}

uint64_t overlay_real_dentry(struct kernel_reader *by, int fd)
{
	uint64_t path = kernel_inside(by, kernel_file(by, fd), FILE_PATH);

	return kernel_pointer(by, path, PATH_DENTRY);
}

/* What maps nothing has no extents (nop_mnt_idmap). */
uint32_t overlay_real_extents(struct kernel_reader *by, uint64_t ids, enum overlay_place place)
{
	return by->places[MAP_FORWARD].found && ids
		       ? kernel_number(by, kernel_inside(by, ids, place), MAP_COUNT)
		       : 0;
}
