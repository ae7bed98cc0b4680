// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Which directories the layers of an overlay are. No call shows that, as the kernel has them in
 * clones of mounts of its own (clone_private_mount), and their names may lead to others by now, or
 * nowhere: a layer was put together somewhere that is gone (systemd does so for
 * ExtensionDirectories=, in a directory of the service's own), or something else lies there. In the
 * kernel's memory they are seen; where that cannot be read, names are believed.
 *
 * Layers to which no name leads are looked for by all mounts of a namespace that has them all. One
 * that was taken from a mount with mapped ids, which is gone (podman does so for containers in user
 * namespaces), is mapped like that again. overlay-naming.c names them as before at a restore; it
 * cannot where one name leads through another.
 */
#include "kinds/mounts/overlay.h"

#include "base/cleanup.h"
#include "kinds/mounts/kind.h"
#include "kinds/mounts/make.h"
#include "kinds/mounts/overlay-hidden.h"
#include "kinds/mounts/overlay-kernel.h"
#include "kinds/mounts/survey.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_LAYERS = 1024 };

static bool is_it(struct kernel_reader *by, int fd, const struct real_layer *layer)
{
	uint64_t dentry = overlay_real_dentry(by, fd);

	return kernel_pointer(by, dentry, DENTRY_INODE) == layer->inode && !by->failure;
}

/* ---- dump: where they are ---- */

static uint64_t ids_of_file(struct kernel_reader *by, int fd)
{
	uint64_t path = kernel_inside(by, kernel_file(by, fd), FILE_PATH);

	return overlay_real_ids(by, kernel_pointer(by, path, PATH_MOUNT));
}

/*
 * It would show other owners than the layer does; for a layer that maps ids a mount that does not
 * will do, if it may be mapped like that.
 */
static bool is_mapped_so(struct kernel_reader *by, int fd, const struct real_layer *layer,
			 bool to_be_mapped)
{
	uint64_t ids = ids_of_file(by, fd);

	return to_be_mapped ? ids != layer->ids && !overlay_real_extents(by, ids, IDS_UIDS) &&
				      !overlay_real_extents(by, ids, IDS_GIDS) &&
				      overlay_real_extents(by, layer->ids, IDS_UIDS) &&
				      overlay_real_extents(by, layer->ids, IDS_GIDS)
			    : ids == layer->ids;
}

/* In a namespace of the tree, or in nestor's own (NULL). */
static bool names_lead(struct kernel_reader *by, const struct live_namespace *namespace,
		       const struct real_layers *real, struct overlay_layers *layers)
{
	for (size_t i = 0; i < real->n; i++) {
		autoclose int fd = overlay_open_layer(namespace, layers, i);
		if (fd < 0 || !is_it(by, fd, &real->all[i]) ||
		    !is_mapped_so(by, fd, &real->all[i], false))
			return false;
	}
	return true;
}

static int open_found(const struct live_namespace *namespace, struct overlay_layers *layers,
		      const char *path)
{
	struct overlay_layer there = { .path = path };
	struct overlay_layers one = { .arena = layers->arena, .all = &there, .n = 1 };
	int fd = overlay_open_layer(namespace, &one, 0);

	layers->failed = one.failed ? one.failed : layers->failed;
	return fd;
}

/* Its path in a namespace of the tree, or in nestor's own (NULL); NULL: there is none. */
static const char *find_layer(struct kernel_reader *by, const struct mount_table *table,
			      const struct live_namespace *namespace,
			      const struct real_layer *layer, bool to_be_mapped,
			      struct overlay_layers *layers)
{
	for (size_t i = 0; i < table->n_lines; i++) {
		const struct mount_line *line = &table->lines[i];
		const char *path = line->device == layer->device
					   ? survey_path_on(line, layer->path, by->arena)
					   : NULL;
		autoclose int fd = path ? open_found(namespace, layers, path) : -1;
		if (fd >= 0 && is_it(by, fd, layer) && is_mapped_so(by, fd, layer, to_be_mapped))
			return path;
	}
	return NULL;
}

/* Where it is; and what it is to be mapped like, by the kernel's own address; 0. */
struct found_layer {
	char *path;
	uint64_t ids;
	uint32_t hidden; /* where nobody has it mounted: a mount of that; 0 */
};

/* In what no path leads to: it is made again as it was (overlay-hidden.c). */
static bool find_hidden(struct kernel_reader *by, const struct hidden_memory *memory,
			const struct real_layer *layer, struct found_layer *ret)
{
	bool mapped = overlay_real_extents(by, layer->ids, IDS_UIDS) ||
		      overlay_real_extents(by, layer->ids, IDS_GIDS);

	if (!layer->path || mapped)
		return false;
	*ret = (struct found_layer){ arena_string(by->arena, layer->path), 0, memory->mount_id };
	return true;
}

/* Looks in all namespaces; nestor's own is the last (NULL). */
struct search {
	struct kernel_reader *by;
	const struct live_superblock *superblock;
	const struct real_layers *real;
	struct overlay_layers *layers;
	struct found_layer *found; /* NULL: by their names */
};

static bool find_all(const struct search *search, const struct mount_table *table,
		     const struct live_namespace *namespace, bool may_map)
{
	struct kernel_reader *by = search->by;
	struct overlay_layers *layers = search->layers;
	const struct real_layers *real = search->real;
	struct found_layer *ret_found = search->found;

	for (size_t i = 0; i < layers->n; i++) {
		const struct real_layer *layer = &real->all[i];
		const struct hidden_memory *memory =
			overlay_hidden_memory(search->superblock->collect, layer->device);
		if (memory && find_hidden(by, memory, layer, &ret_found[i]))
			continue;
		const char *path = find_layer(by, table, namespace, layer, false, layers);
		bool is_upper = real->has_upper && (i == 0 || i == real->n);
		ret_found[i] = (struct found_layer){ 0 };
		if (!path && may_map && !is_upper) {
			path = find_layer(by, table, namespace, layer, true, layers);
			ret_found[i].ids = layer->ids;
		}
		if (!path)
			return false;
		ret_found[i].path = arena_string(by->arena, path);
	}
	return true;
}

/* A restore binds both at once, with the directory above. */
static bool is_upper_on_one_mount(const struct search *search,
				  const struct live_namespace *namespace)
{
	const struct found_layer *found = search->found;
	size_t work = search->real->n;

	if (!search->real->has_upper || (found[0].hidden && found[work].hidden))
		return true;
	char *above = overlay_path_above(search->layers->arena, found[0].path, found[work].path);
	autoclose int upper_fd = open_found(namespace, search->layers, found[0].path);
	autoclose int work_fd = open_found(namespace, search->layers, found[work].path);
	autoclose int above_fd = open_found(namespace, search->layers, above);
	int64_t mount_id = above_fd < 0 ? -1 : survey_mount_id(above_fd);
	return mount_id >= 0 && upper_fd >= 0 && work_fd >= 0 &&
	       survey_mount_id(upper_fd) == mount_id && survey_mount_id(work_fd) == mount_id;
}

static bool try(const struct search *search, const struct live_namespace *namespace)
{
	const struct mount_survey *survey = survey_of_mounts(search->superblock->collect);

	if (!search->found)
		return names_lead(search->by, namespace, search->real, search->layers);
	/* Whoever is inside a user namespace may map nothing on file systems of others. */
	bool may_map = search->superblock->collect->facts->in_initial_user_namespace &&
		       !search->superblock->mounts[0].entry->has_userns_id;
	return find_all(search, namespace ? &namespace->table : &survey->own, namespace, may_map) &&
	       is_upper_on_one_mount(search, namespace);
}

/*
 * Whoever owns the overlay has all mounts of ours locked, and may copy only what has none in it.
 */
static bool may_be_copied(const struct search *search)
{
	const struct mount_table *own = &survey_of_mounts(search->superblock->collect)->own;

	if (!search->found || !search->superblock->mounts[0].entry->has_userns_id)
		return true;
	for (size_t i = 0; i < search->layers->n; i++)
		for (size_t k = 0; k < own->n_lines && !search->found[i].hidden; k++) {
			const char *below =
				path_below(own->lines[k].mountpoint, search->found[i].path);
			if (below && *below)
				return false;
		}
	return true;
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
	return try(search, NULL) && may_be_copied(search);
}

static bool is_through_another(const struct overlay_layers *layers)
{
	for (size_t i = 0; i < layers->n; i++)
		for (size_t k = 0; k < layers->n; k++)
			if (i != k && path_below(layers->all[i].path, layers->all[k].path))
				return true;
	return false;
}

enum { MOST_EXTENTS = 340, MOST_INLINE = 5 }; /* UID_GID_MAP_MAX_EXTENTS, _BASE_EXTENTS */

static UidGidExtent **read_extents(struct kernel_reader *by, struct snapshot *snapshot,
				   uint64_t map, size_t *ret_n)
{
	struct {
		uint32_t first, lower, count;
	} extents[MOST_EXTENTS];
	uint32_t n = kernel_number(by, map, MAP_COUNT);

	n = n > MOST_EXTENTS ? MOST_EXTENTS : n;
	uint64_t from = n > MOST_INLINE ? kernel_pointer(by, map, MAP_FORWARD)
					: kernel_inside(by, map, MAP_EXTENTS);
	UidGidExtent **list = arena_array(snapshot->arena, UidGidExtent *, n + 1);
	memset(extents, 0, sizeof extents);
	kernel_bytes(by, from, extents, n * sizeof *extents);
	for (uint32_t i = 0; i < n; i++) {
		list[i] = snapshot_new(snapshot, UID_GID_EXTENT, UidGidExtent);
		list[i]->first = extents[i].first;
		list[i]->lower_first = extents[i].lower;
		list[i]->count = extents[i].count;
	}
	*ret_n = n;
	return list;
}

static void record_ids(struct kernel_reader *by, struct snapshot *snapshot, size_t layer,
		       uint64_t ids, MntEntry *entry)
{
	MntLayerIdsEntry *mapped = snapshot_new(snapshot, MNT_LAYER_IDS_ENTRY, MntLayerIdsEntry);

	mapped->layer = (uint32_t)layer;
	mapped->idmap = snapshot_new(snapshot, USERNS_ENTRY, UsernsEntry);
	mapped->idmap->uid_map = read_extents(by, snapshot, kernel_inside(by, ids, IDS_UIDS),
					      &mapped->idmap->n_uid_map);
	mapped->idmap->gid_map = read_extents(by, snapshot, kernel_inside(by, ids, IDS_GIDS),
					      &mapped->idmap->n_gid_map);
	entry->layers_ids = arena_grow(snapshot->arena, entry->layers_ids, entry->n_layers_ids,
				       sizeof *entry->layers_ids);
	entry->layers_ids[entry->n_layers_ids++] = mapped;
}

static void record_hidden(struct snapshot *snapshot, size_t layer, uint32_t mount_id,
			  MntEntry *entry)
{
	MntLayerHiddenEntry *hidden =
		snapshot_new(snapshot, MNT_LAYER_HIDDEN_ENTRY, MntLayerHiddenEntry);

	hidden->layer = (uint32_t)layer;
	hidden->mnt_id = mount_id;
	entry->layers_hidden = arena_grow(snapshot->arena, entry->layers_hidden,
					  entry->n_layers_hidden, sizeof *entry->layers_hidden);
	entry->layers_hidden[entry->n_layers_hidden++] = hidden;
}

static void record(const struct search *search, const struct live_namespace *namespace,
		   MntEntry *entry)
{
	struct snapshot *snapshot = search->superblock->collect->snapshot;
	size_t n = search->found ? search->layers->n : 0;

	entry->has_layers_ns_id = namespace != NULL;
	entry->layers_ns_id = namespace ? namespace->id : 0;
	entry->layers_at = arena_array(snapshot->arena, char *, n + 1);
	entry->n_layers_at = n;
	for (size_t i = 0; i < n; i++) {
		entry->layers_at[i] = search->found[i].path;
		if (search->found[i].ids)
			record_ids(search->by, snapshot, i, search->found[i].ids, entry);
		if (search->found[i].hidden)
			record_hidden(snapshot, i, search->found[i].hidden, entry);
	}
}

/* What was there a moment ago, and cannot be opened now, is not to be sought elsewhere. */
static bool names_still_lead(struct kernel_reader *by, const struct overlay_named *named,
			     const struct real_layers *real)
{
	const int before = named->layers->failed;

	named->layers->failed = 0;
	bool lead = named->are_there && names_lead(by, named->namespace, real, named->layers);
	if (named->layers->failed && !by->failure)
		by->failure = named->layers->failed;
	named->layers->failed = before;
	return lead;
}

static int find(struct kernel_reader *by, const struct live_superblock *superblock, int mount_fd,
		const struct overlay_named *named, MntEntry *entry)
{
	struct overlay_layers *layers = named->layers;
	struct real_layers real;
	struct search search = { by, superblock, &real, layers, NULL };
	const struct live_namespace *home;

	if (overlay_real_layers(by, mount_fd, superblock->mounts[0].line->device, layers->n,
				&real) ||
	    names_still_lead(by, named, &real))
		return named->are_there;
	bool found = search_all(&search, &home);
	if (!found && !is_through_another(layers)) {
		search.found = arena_array(by->arena, struct found_layer, layers->n + 1);
		found = search_all(&search, &home);
	}
	if (found && !by->failure)
		record(&search, home, entry);
	return by->failure ? named->are_there : found;
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
	int result = mount_fd < 0 ? 1 : overlay_read_kernel(superblock->collect, &by);
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
