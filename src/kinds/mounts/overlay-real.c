// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Which directories the layers of an overlay are. No call shows that, as the kernel has them in
 * clones of mounts of its own (clone_private_mount), and their names may lead to others by now, or
 * nowhere: a layer was put together somewhere that is gone (systemd does so for
 * ExtensionDirectories=, in a directory of the service's own), or something else lies there. In the
 * kernel's memory they are seen; where that cannot be read, names are believed.
 *
 * Layers to which no name leads are looked for by all mounts of a namespace that has them all. A
 * restore mounts them where they were named, in a mount namespace that is gone with the deputy that
 * has made it: so mountinfo shows the same names. Not those with an upper layer, which has to be on
 * the same mount as that for work, nor where one name leads through another.
 */
#include "kinds/mounts/overlay.h"

#include "base/cleanup.h"
#include "collect/read-kernel.h"
#include "kinds/mounts/kind.h"
#include "kinds/mounts/make.h"
#include "kinds/mounts/survey.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* ---- dump: which directories they are ---- */

enum { MOST_LAYERS = 1024, DEEPEST = PATH_MAX / 2, MINOR_BITS = 20 };

#define PLACES(X)                                 \
	X(FILE_PATH, "file", "f_path")            \
	X(PATH_MOUNT, "path", "mnt")              \
	X(PATH_DENTRY, "path", "dentry")          \
	X(MOUNT_ROOT, "vfsmount", "mnt_root")     \
	X(MOUNT_SUPERBLOCK, "vfsmount", "mnt_sb") \
	X(DEVICE, "super_block", "s_dev")         \
	X(PRIVATE, "super_block", "s_fs_info")    \
	X(DENTRY_PARENT, "dentry", "d_parent")    \
	X(DENTRY_INODE, "dentry", "d_inode")      \
	X(DENTRY_NAME, "dentry", "d_name")        \
	X(NAME_LENGTH, "qstr", "len")             \
	X(NAME_BYTES, "qstr", "name")             \
	X(OVERLAY_COUNT, "ovl_fs", "numlayer")    \
	X(OVERLAY_LAYERS, "ovl_fs", "layers")     \
	X(LAYER_SIZE, "ovl_layer", "")            \
	X(LAYER_MOUNT, "ovl_layer", "mnt")        \
	X(MOUNT_IDS, "vfsmount", "mnt_idmap") /* last: since 6.2 */

enum place {
	PLACES(BTF_NUMBER) N_PLACES,
};

static const struct btf_place all_places[] = { PLACES(BTF_PLACE) };
static const struct kernel_places places = { all_places, N_PLACES, MOUNT_IDS };

/* A directory of a file system, as the kernel has it. */
struct real_layer {
	uint64_t inode, ids;
	dev_t device;
	const char *path; /* from the root of the file system */
};

static dev_t device_of(struct kernel_reader *by, uint64_t mount)
{
	uint32_t device = kernel_number(by, kernel_pointer(by, mount, MOUNT_SUPERBLOCK), DEVICE);

	return makedev(device >> MINOR_BITS, device & ((1U << MINOR_BITS) - 1));
}

/* Its names from the end on; the root of a file system is its own parent. NULL: too long. */
static const char *path_of(struct kernel_reader *by, uint64_t dentry)
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

/* How a mount maps ids; 0 where that cannot be seen. */
static uint64_t ids_of(struct kernel_reader *by, uint64_t mount)
{
	return by->places[MOUNT_IDS].found ? kernel_pointer(by, mount, MOUNT_IDS) : 0;
}

static void read_layer(struct kernel_reader *by, uint64_t layer, struct real_layer *ret)
{
	uint64_t mount = kernel_pointer(by, layer, LAYER_MOUNT);
	uint64_t dentry = kernel_pointer(by, mount, MOUNT_ROOT);

	ret->inode = kernel_pointer(by, dentry, DENTRY_INODE);
	ret->ids = ids_of(by, mount);
	ret->device = device_of(by, mount);
	ret->path = path_of(by, dentry);
}

/* As they are named: all but the one for work. */
struct real_layers {
	struct real_layer *all;
	size_t n;
	bool has_upper;
};

/* The first place is that of the upper one. 1: what there is are not those that are named. */
static int read_layers(struct kernel_reader *by, int mount_fd, dev_t device, size_t n_named,
		       struct real_layers *ret)
{
	uint64_t mount = kernel_pointer(by, kernel_inside(by, kernel_file(by, mount_fd), FILE_PATH),
					PATH_MOUNT);
	uint64_t overlay = kernel_pointer(by, kernel_pointer(by, mount, MOUNT_SUPERBLOCK), PRIVATE);
	uint64_t layers = kernel_pointer(by, overlay, OVERLAY_LAYERS);
	uint32_t n = kernel_number(by, overlay, OVERLAY_COUNT);

	ret->has_upper = kernel_pointer(by, layers, LAYER_MOUNT) != 0;
	ret->n = n_named - ret->has_upper;
	if (by->failure || device_of(by, mount) != device || n != ret->n + !ret->has_upper)
		return 1;
	ret->all = arena_array(by->arena, struct real_layer, ret->n + 1);
	for (size_t i = 0; i < ret->n; i++)
		read_layer(by, layers + (i + !ret->has_upper) * by->places[LAYER_SIZE].offset,
			   &ret->all[i]);
	return by->failure != 0;
}

static bool is_it(struct kernel_reader *by, int fd, const struct real_layer *layer)
{
	uint64_t path = kernel_inside(by, kernel_file(by, fd), FILE_PATH);
	uint64_t dentry = kernel_pointer(by, path, PATH_DENTRY);

	return kernel_pointer(by, dentry, DENTRY_INODE) == layer->inode && !by->failure;
}

/* ---- dump: where they are ---- */

/* It would show other owners than the layer does. */
static bool maps_others(struct kernel_reader *by, int fd, const struct real_layer *layer)
{
	uint64_t path = kernel_inside(by, kernel_file(by, fd), FILE_PATH);

	return ids_of(by, kernel_pointer(by, path, PATH_MOUNT)) != layer->ids;
}

/* In a namespace of the tree, or in nestor's own (NULL). */
static bool names_lead(struct kernel_reader *by, const struct live_namespace *namespace,
		       const struct real_layers *real, struct overlay_layers *layers)
{
	for (size_t i = 0; i < real->n; i++) {
		autoclose int fd = overlay_open_layer(namespace, layers, i);
		if (fd < 0 || !is_it(by, fd, &real->all[i]))
			return false;
	}
	return true;
}

/* Its path in a namespace of the tree, or in nestor's own (NULL); NULL: there is none. */
static const char *find_layer(struct kernel_reader *by, const struct mount_table *table,
			      const struct live_namespace *namespace,
			      const struct real_layer *layer, struct overlay_layers *layers)
{
	for (size_t i = 0; i < table->n_lines; i++) {
		const struct mount_line *line = &table->lines[i];
		const char *path = line->device == layer->device
					   ? survey_path_on(line, layer->path, by->arena)
					   : NULL;
		struct overlay_layer there = { .path = path };
		struct overlay_layers one = { .arena = by->arena, .all = &there, .n = 1 };
		autoclose int fd = path ? overlay_open_layer(namespace, &one, 0) : -1;
		layers->failed = one.failed ? one.failed : layers->failed;
		if (fd >= 0 && is_it(by, fd, layer) && !maps_others(by, fd, layer))
			return path;
	}
	return NULL;
}

static bool find_all(struct kernel_reader *by, const struct mount_table *table,
		     const struct live_namespace *namespace, const struct real_layers *real,
		     struct overlay_layers *layers, char **ret_paths)
{
	for (size_t i = 0; i < layers->n; i++) {
		const char *path = find_layer(by, table, namespace, &real->all[i], layers);
		if (!path)
			return false;
		ret_paths[i] = arena_string(by->arena, path);
	}
	return true;
}

/* Looks in all namespaces; nestor's own is the last (NULL). */
struct search {
	struct kernel_reader *by;
	const struct live_superblock *superblock;
	const struct real_layers *real;
	struct overlay_layers *layers;
	char **paths; /* NULL: by their names */
};

static bool try(const struct search *search, const struct live_namespace *namespace)
{
	const struct mount_survey *survey = survey_of_mounts(search->superblock->collect);

	return search->paths ? find_all(search->by, namespace ? &namespace->table : &survey->own,
					namespace, search->real, search->layers, search->paths)
			     : names_lead(search->by, namespace, search->real, search->layers);
}

static bool search_all(const struct search *search, const struct live_namespace **ret)
{
	const struct mount_survey *survey = survey_of_mounts(search->superblock->collect);
	const struct live_superblock *superblock = search->superblock;

	for (size_t i = 0; i < superblock->n_mounts; i++) {
		*ret = superblock->mounts[i].namespace;
		if (try(search, *ret))
			return true;
	}
	for (size_t i = 0; i < survey->n_namespaces; i++) {
		*ret = &survey->namespaces[i];
		if (try(search, *ret))
			return true;
	}
	*ret = NULL;
	/* Whoever owns the overlay need not have the right to copy what is mounted there. */
	return !(search->paths && superblock->mounts[0].entry->has_userns_id) && try(search, NULL);
}

static bool is_through_another(const struct overlay_layers *layers)
{
	for (size_t i = 0; i < layers->n; i++)
		for (size_t k = 0; k < layers->n; k++)
			if (i != k && path_below(layers->all[i].path, layers->all[k].path))
				return true;
	return false;
}

static void record(MntEntry *entry, const struct live_namespace *namespace, char **paths, size_t n)
{
	entry->has_layers_ns_id = namespace != NULL;
	entry->layers_ns_id = namespace ? namespace->id : 0;
	entry->layers_at = paths;
	entry->n_layers_at = paths ? n : 0;
}

static int find(struct kernel_reader *by, const struct live_superblock *superblock, int mount_fd,
		const struct overlay_named *named, MntEntry *entry)
{
	struct overlay_layers *layers = named->layers;
	struct real_layers real;
	struct search search = { by, superblock, &real, layers, NULL };
	const struct live_namespace *home;

	if (read_layers(by, mount_fd, superblock->mounts[0].line->device, layers->n, &real) ||
	    (named->are_there && names_lead(by, named->namespace, &real, layers)))
		return named->are_there;
	bool found = search_all(&search, &home);
	if (!found && !real.has_upper && !is_through_another(layers)) {
		search.paths = arena_array(by->arena, char *, layers->n + 1);
		found = search_all(&search, &home);
	}
	if (by->failure)
		return named->are_there;
	if (found)
		record(entry, home, search.paths, layers->n);
	return found;
}

/* What keeps from telling. Where there is nothing at an address, this kernel is another one. */
static int failure_of(const struct kernel_reader *by, const struct overlay_named *named, int result)
{
	int of_layers = errno_tells_nothing(named->layers->failed) ? named->layers->failed : 0;

	if (by->failure && by->failure != EFAULT)
		return by->failure;
	return result ? 0 : of_layers;
}

int overlay_find_real(const struct live_superblock *superblock, const struct overlay_named *named,
		      MntEntry *entry, struct error *err)
{
	struct kernel_reader *by;
	autoclose int mount_fd = -1;

	if (named->layers->n > MOST_LAYERS)
		return named->are_there;
	if (live_mount_copy(&superblock->mounts[0], &mount_fd, err))
		return -1;
	int result = mount_fd < 0 ? 1 : collect_read_kernel(superblock->collect, &places, &by);
	if (result > 0)
		return named->are_there;
	if (result < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot look for its layers",
				  superblock->what);
	result = find(by, superblock, mount_fd, named, entry);
	kernel_reader_end(by);
	errno = failure_of(by, named, result);
	return errno ? fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot look for its layers",
				  superblock->what)
		     : result;
}

/* ---- restore ---- */

static int make_directories(const char *path)
{
	char *copy = strdupa(path);

	for (char *slash = copy; slash; *slash = '/') {
		slash = strchr(slash + 1, '/');
		if (slash)
			*slash = '\0';
		if (mkdir(copy, 0755) && errno != EEXIST)
			return -1;
		if (!slash)
			break;
	}
	return 0;
}

/* All names first: none of them is to be made in a layer. */
static int attach(const struct overlay_layers *layers, const int *fds)
{
	for (size_t i = 0; i < layers->n; i++)
		if (make_directories(layers->all[i].path))
			return -1;
	for (size_t i = 0; i < layers->n; i++)
		if (move_mount(fds[i], "", AT_FDCWD, layers->all[i].path, MOVE_MOUNT_F_EMPTY_PATH))
			return -1;
	return 0;
}

static int take(const char *path)
{
	autoclose int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -1 : open_tree(fd, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
}

int overlay_name_layers(const struct overlay_layers *layers, char *const *at, struct error *err)
{
	int *fds = arena_array(layers->arena, int, layers->n + 1);
	int result = 0;

	for (size_t i = 0; i < layers->n; i++) {
		fds[i] = result ? -1 : take(at[i]);
		if (fds[i] < 0 && !result)
			result = fail_errno(err,
					    errno == ENOENT ? ERR_FILE_MISSING : ERR_KERNEL_REFUSED,
					    "cannot use %.200s, a layer of an overlay", at[i]);
	}
	if (!result)
		result = mount_go_bare(err);
	if (!result && attach(layers, fds))
		result = fail_errno(err, ERR_KERNEL_REFUSED,
				    "cannot name layers of an overlay as before");
	for (size_t i = 0; i < layers->n; i++)
		cleanup_close(&fds[i]);
	return result;
}
