// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What is in layers that no path leads to (overlay-hidden.c). Which names there are is seen in the
 * kernel's memory, where a tmpfs has all of them (its dentries), with what overlays keep to
 * themselves: what was removed, and their attributes. The rest is read by way of the overlays: what
 * they show at the same path is it if the kernel says that it comes from there (ovl_inode). What
 * none of them shows, as a layer above replaces it for good, comes back as a name only.
 */
#include "kinds/mounts/overlay-hidden.h"

#include "base/cleanup.h"
#include "kinds/mounts/archive.h"
#include "kinds/mounts/kind.h"
#include "kinds/mounts/overlay-kernel.h"
#include "kinds/mounts/survey.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { DEEPEST = PATH_MAX / 2, MOST_VIEWS = 8, MOST_LOWER = 1024, MOST_ATTRIBUTES = 4096 };
enum { LARGEST_VALUE = 65536, LONGEST_NAME = 256, MINOR_BITS = 20 };

/* A mount of an overlay, which shows a directory of a layer at this path. */
struct view {
	int mount_fd;
	const char *path;
};

struct views {
	struct view all[MOST_VIEWS];
	size_t n;
};

struct walk {
	const struct live_superblock *superblock;
	struct hidden_memory *memory;
	struct kernel_reader *by;
	struct archive_writer *writer;
	int *mount_fds; /* of its layers, from the first on, MOST_VIEWS for each; -1 */
};

struct found {
	uint64_t inode;
	const char *path; /* from the root of the tmpfs: "./a/b" */
	struct stat stat;
	int fd; /* -1: none shows it, as something lies above it */
	struct archive_attribute_list attributes;
};

static int fail_reading(const struct walk *walk, struct error *err)
{
	errno = walk->by->failure ? walk->by->failure : EAGAIN;
	return fail_errno(err, ERR_KERNEL_REFUSED, "cannot read what is in a layer of an overlay");
}

/* ---- in the kernel's memory ---- */

static void read_stat(struct kernel_reader *by, uint64_t inode, struct stat *ret)
{
	uint32_t device = kernel_number(by, inode, INODE_DEVICE);

	*ret = (struct stat){
		.st_mode = kernel_number(by, inode, INODE_MODE) & 0xffff,
		.st_uid = kernel_number(by, inode, INODE_UID),
		.st_gid = kernel_number(by, inode, INODE_GID),
		.st_ino = kernel_pointer(by, inode, INODE_NUMBER),
		.st_nlink = kernel_number(by, inode, INODE_LINKS),
		.st_rdev = makedev(device >> MINOR_BITS, device & ((1U << MINOR_BITS) - 1)),
	};
}

static void read_text(struct kernel_reader *by, uint64_t address, char room[LONGEST_NAME])
{
	size_t n = 0;

	for (; n < LONGEST_NAME && !by->failure; n++) {
		kernel_bytes(by, address + n, &room[n], 1);
		if (!room[n])
			return;
	}
	kernel_has_changed(by);
	room[0] = '\0';
}

/* A file whose data lies elsewhere is read as a whole, and needs no mark of that. */
static bool is_left_out(const char *name)
{
	return strcmp(name, "trusted.overlay.metacopy") == 0 ||
	       strcmp(name, "user.overlay.metacopy") == 0;
}

static void read_attribute(struct walk *walk, uint64_t node, struct found *found)
{
	struct kernel_reader *by = walk->by;
	uint64_t attribute = node - by->places[ATTRIBUTE_NODE].offset;
	uint64_t size = kernel_pointer(by, attribute, ATTRIBUTE_SIZE);
	char name[LONGEST_NAME];

	read_text(by, kernel_pointer(by, attribute, ATTRIBUTE_NAME), name);
	if (size > LARGEST_VALUE || found->attributes.n == MOST_ATTRIBUTES)
		kernel_has_changed(by);
	if (by->failure || is_left_out(name))
		return;
	void *value = arena_array(by->arena, char, size + 1);
	kernel_bytes(by, kernel_inside(by, attribute, ATTRIBUTE_VALUE), value, size);
	found->attributes.all = arena_grow(by->arena, found->attributes.all, found->attributes.n,
					   sizeof *found->attributes.all);
	found->attributes.all[found->attributes.n++] =
		(struct archive_told_attribute){ arena_string(by->arena, name), value, size };
}

static void read_attributes(struct walk *walk, uint64_t node, unsigned depth, struct found *found)
{
	if (!node || walk->by->failure)
		return;
	if (depth == 64) {
		kernel_has_changed(walk->by);
		return;
	}
	read_attributes(walk, kernel_pointer(walk->by, node, NODE_LEFT), depth + 1, found);
	read_attribute(walk, node, found);
	read_attributes(walk, kernel_pointer(walk->by, node, NODE_RIGHT), depth + 1, found);
}

static uint64_t first_attribute(struct kernel_reader *by, uint64_t inode)
{
	uint64_t memory = inode - by->places[MEMORY_INODE].offset;
	uint64_t tree =
		kernel_inside(by, kernel_inside(by, memory, MEMORY_ATTRIBUTES), ATTRIBUTES_ROOT);

	return kernel_pointer(by, tree, TREE_ROOT);
}

/* ---- by way of overlays ---- */

enum role { IS_ANOTHER, IS_BELOW, IS_ON_TOP };

/* What is it of what an overlay shows there? All names of a file are one there (ovl_get_inode). */
static enum role role_of(struct kernel_reader *by, int fd, uint64_t inode)
{
	uint64_t shown = kernel_pointer(by, overlay_real_dentry(by, fd), DENTRY_INODE);
	uint64_t overlay = shown - by->places[OVERLAY_INODE].offset;
	uint64_t upper = kernel_pointer(by, overlay, OVERLAY_UPPER);
	uint64_t entry = kernel_pointer(by, overlay, OVERLAY_ENTRY);
	uint32_t n = entry ? kernel_number(by, entry, ENTRY_COUNT) : 0;
	uint64_t lower = kernel_inside(by, entry, ENTRY_STACK);

	if (upper && kernel_pointer(by, upper, DENTRY_INODE) == inode)
		return IS_ON_TOP;
	for (uint32_t i = 0; i < n && i < MOST_LOWER && !by->failure; i++) {
		uint64_t dentry =
			kernel_pointer(by, lower + i * by->places[LOWER_SIZE].offset, LOWER_DENTRY);
		if (dentry && kernel_pointer(by, dentry, DENTRY_INODE) == inode)
			return i || upper ? IS_BELOW : IS_ON_TOP;
	}
	return IS_ANOTHER;
}

/* -1 where something cannot be told. */
static int open_shown(struct walk *walk, const struct view *view, int *ret_fd, struct error *err)
{
	*ret_fd = *view->path ? survey_open_beneath(view->mount_fd, view->path, O_PATH)
			      : fcntl(view->mount_fd, F_DUPFD_CLOEXEC, 0);
	return *ret_fd < 0 && !survey_is_absent(errno)
		       ? fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot look at %s",
				    walk->superblock->what, view->path)
		       : 0;
}

/* Those that show it stay in the list. */
static int find_shown(struct walk *walk, struct views *views, struct found *found,
		      struct error *err)
{
	size_t kept = 0;

	for (size_t i = 0; i < views->n; i++) {
		autoclose int fd = -1;
		if (open_shown(walk, &views->all[i], &fd, err))
			return -1;
		enum role role = fd < 0 ? IS_ANOTHER : role_of(walk->by, fd, found->inode);
		if (role == IS_ANOTHER || (role == IS_BELOW && !S_ISDIR(found->stat.st_mode)))
			continue;
		views->all[kept++] = views->all[i];
		if (role == IS_ON_TOP && found->fd < 0)
			found->fd = take_fd(&fd);
	}
	views->n = kept;
	return walk->by->failure ? fail_reading(walk, err) : 0;
}

/* What it shows, but for what it takes from elsewhere, or what only the layer has. */
static int take_stat(struct found *found, struct error *err)
{
	struct stat shown;

	if (found->fd < 0)
		return 0;
	if (fstat(found->fd, &shown))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot look at %s", found->path);
	found->stat.st_size = shown.st_size;
	found->stat.st_blocks = shown.st_blocks;
	found->stat.st_atim = shown.st_atim;
	found->stat.st_mtim = shown.st_mtim;
	return 0;
}

/* ---- writing ---- */

static int add_found(struct walk *walk, struct views *views, struct found *found, struct error *err)
{
	read_stat(walk->by, found->inode, &found->stat);
	read_attributes(walk, first_attribute(walk->by, found->inode), 0, found);
	if (walk->by->failure)
		return fail_reading(walk, err);
	if (find_shown(walk, views, found, err) || take_stat(found, err))
		return -1;
	const struct archive_told told = {
		.path = found->path,
		.stat = found->stat,
		.fd = found->fd,
		.attributes = found->attributes,
	};
	return archive_add_told(walk->writer, &told, err);
}

/* Mounts of overlays that show this directory as their root. */
static void add_views(struct walk *walk, uint64_t dentry, struct views *views)
{
	for (size_t i = 0; i < walk->memory->n; i++) {
		struct hidden_layer *layer = &walk->memory->layers[i];
		const int *fds = &walk->mount_fds[i * MOST_VIEWS];
		if (layer->dentry != dentry)
			continue;
		layer->is_met = true;
		for (size_t k = 0; layer->shows && k < MOST_VIEWS && fds[k] >= 0; k++)
			if (views->n < MOST_VIEWS)
				views->all[views->n++] = (struct view){ fds[k], "" };
	}
}

/* Does a layer lie in it? */
static bool is_above_layer(struct walk *walk, uint64_t dentry)
{
	struct kernel_reader *by = walk->by;

	for (size_t i = 0; i < walk->memory->n; i++) {
		uint64_t at = walk->memory->layers[i].dentry;
		for (unsigned depth = 0; depth < DEEPEST; depth++) {
			uint64_t above = kernel_pointer(by, at, DENTRY_PARENT);
			if (at == dentry)
				return true;
			if (by->failure || above == at)
				break;
			at = above;
		}
	}
	return false;
}

static int add_dentry(struct walk *walk, uint64_t dentry, const char *path,
		      const struct views *views, unsigned depth, struct error *err);

static int add_child(struct walk *walk, uint64_t child, const char *path, const struct views *views,
		     unsigned depth, struct error *err)
{
	struct kernel_reader *by = walk->by;
	uint64_t text = kernel_inside(by, child, DENTRY_NAME);
	uint32_t length = kernel_number(by, text, NAME_LENGTH);
	uint64_t hash = kernel_inside(by, child, DENTRY_HASH);
	struct views below = { .n = 0 };
	char name[NAME_MAX + 1] = "";

	if (!kernel_pointer(by, child, DENTRY_INODE) || !kernel_pointer(by, hash, HASH_BACK))
		return by->failure ? fail_reading(walk, err) : 0;
	if (length == 0 || length > NAME_MAX)
		return fail_reading(walk, err);
	kernel_bytes(by, kernel_pointer(by, text, NAME_BYTES), name, length);
	if (by->failure || strlen(name) != length || strchr(name, '/'))
		return fail_reading(walk, err);
	for (size_t i = 0; i < views->n; i++)
		below.all[below.n++] = (struct view){
			views->all[i].mount_fd,
			arena_printf(by->arena, "%s%s%s", views->all[i].path,
				     *views->all[i].path ? "/" : "", name),
		};
	if (!below.n && !is_above_layer(walk, child))
		return 0;
	return add_dentry(walk, child, arena_printf(by->arena, "%s/%s", path, name), &below,
			  depth + 1, err);
}

static int add_children(struct walk *walk, uint64_t dentry, const char *path,
			const struct views *views, unsigned depth, struct error *err)
{
	struct kernel_reader *by = walk->by;
	uint64_t next = kernel_pointer(by, dentry, DENTRY_CHILDREN);

	if (depth == DEEPEST)
		return fail_reading(walk, err);
	while (next && !by->failure) {
		uint64_t child = next - by->places[DENTRY_NEXT].offset;
		if (kernel_pointer(by, child, DENTRY_PARENT) != dentry)
			kernel_has_changed(by);
		next = kernel_pointer(by, child, DENTRY_NEXT);
		if (by->failure || add_child(walk, child, path, views, depth, err))
			return by->failure ? fail_reading(walk, err) : -1;
	}
	return by->failure ? fail_reading(walk, err) : 0;
}

static int add_dentry(struct walk *walk, uint64_t dentry, const char *path,
		      const struct views *views, unsigned depth, struct error *err)
{
	struct found found = { .inode = kernel_pointer(walk->by, dentry, DENTRY_INODE),
			       .path = path,
			       .fd = -1 };
	struct views here = *views;

	add_views(walk, dentry, &here);
	int result = add_found(walk, &here, &found, err);
	cleanup_close(&found.fd);
	if (result || !S_ISDIR(found.stat.st_mode))
		return result;
	return here.n || is_above_layer(walk, dentry)
		       ? add_children(walk, dentry, path, &here, depth, err)
		       : 0;
}

/* ---- mounts of the overlays ---- */

static int open_mounts(struct walk *walk, dev_t overlay, int *ret_fds, struct error *err)
{
	const struct mount_survey *survey = survey_of_mounts(walk->superblock->collect);
	size_t n = 0;

	for (size_t i = 0; i < survey->n_namespaces; i++) {
		const struct live_namespace *namespace_ = &survey->namespaces[i];
		for (size_t k = 0; k < namespace_->table.n_lines && n < MOST_VIEWS; k++) {
			const struct mount_line *line = &namespace_->table.lines[k];
			const struct live_mount mount = { namespace_, line, namespace_->entries[k],
							  false, NULL };
			if (line->device != overlay || strcmp(line->root, "/") != 0)
				continue;
			if (live_mount_copy(&mount, &ret_fds[n], err))
				return -1;
			n += ret_fds[n] >= 0;
		}
	}
	return n ? 0
		 : fail(err, ERR_UNSUPPORTED_MOUNT,
			"%s: no mount of the overlay shows all that is in it",
			walk->superblock->what);
}

static int add_all(struct walk *walk, struct error *err)
{
	const struct hidden_memory *memory = walk->memory;
	const struct views none = { .n = 0 };
	uint64_t root = kernel_pointer(walk->by, memory->superblock, SUPERBLOCK_ROOT);

	for (size_t i = 0; i < memory->n; i++)
		if (open_mounts(walk, memory->layers[i].overlay, &walk->mount_fds[i * MOST_VIEWS],
				err))
			return -1;
	if (walk->by->failure)
		return fail_reading(walk, err);
	if (add_dentry(walk, root, ".", &none, 0, err))
		return -1;
	/* What could not be read looks like an end of all that was on the way. */
	if (walk->by->failure)
		return fail_reading(walk, err);
	for (size_t i = 0; i < memory->n; i++)
		if (!memory->layers[i].is_met)
			return fail(err, ERR_UNSUPPORTED_MOUNT,
				    "%s: the directory of a layer has been removed",
				    walk->superblock->what);
	return 0;
}

int overlay_hidden_add(const struct live_superblock *superblock, struct archive_writer *writer,
		       struct error *err)
{
	struct walk walk = {
		.superblock = superblock,
		.memory = (struct hidden_memory *)overlay_hidden_memory(
			superblock->collect, superblock->mounts[0].line->device),
		.writer = writer,
	};
	size_t n = walk.memory ? walk.memory->n * MOST_VIEWS : 0;

	if (!walk.memory)
		return 0;
	if (overlay_read_kernel(superblock->collect, &walk.by))
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot look at its layers",
				  superblock->what);
	walk.mount_fds = arena_array(superblock->collect->arena, int, n);
	for (size_t i = 0; i < n; i++)
		walk.mount_fds[i] = -1;
	for (size_t i = 0; i < walk.memory->n; i++)
		walk.memory->layers[i].is_met = false;
	int result = add_all(&walk, err);
	for (size_t i = 0; i < n; i++)
		cleanup_close(&walk.mount_fds[i]);
	return result;
}
