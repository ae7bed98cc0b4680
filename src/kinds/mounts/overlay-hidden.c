// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Layers of overlays in a tmpfs that nobody has mounted any more, or not that part of it, and no
 * path leads to: the overlay itself holds them (clone_private_mount). Volatile roots
 * (systemd-nspawn --volatile=overlay), what extensions are merged of (systemd-sysext) and
 * bubblewrap's --tmp-overlay are like that. One such tmpfs may have layers of several overlays.
 *
 * Which they are, and what the tmpfs was mounted with (its size, number of inodes, and its root),
 * is seen in the kernel's memory (Linux 6.8); that of which nothing leads to the memory, as huge
 * pages and memory policy, is left out. A new tmpfs stands for it among the mounts of the tree, in
 * a namespace of its own, as for those that were unmounted while in use (unmounted-last.c): it is
 * made and filled first, the overlays are mounted with layers in it, and it is dissolved. Where
 * the tree has mounts of other parts (bubblewrap's root is one), they are of the same.
 *
 * What lies there outside of layers nobody can ever see, and it is left out. Refused are overlays
 * that find things in layers by handles (index, nfs_export), and, where a lower layer is such a
 * one, those in which what was renamed refers to it (redirect_dir, metacopy).
 */
#include "kinds/mounts/overlay-hidden.h"

#include "base/cleanup.h"
#include "kinds/mounts/kind.h"
#include "kinds/mounts/overlay-kernel.h"
#include "kinds/mounts/overlay.h"
#include "kinds/mounts/survey.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { MOST_LAYERS = 1024, PAGE = 4096, REDIRECTS = 3 /* OVL_REDIRECT_ON */ };

struct looked_at {
	struct looked_at *next;
	dev_t overlay;
	const char *why; /* not; NULL */
};

struct hidden {
	struct hidden_memory *memories;
	struct looked_at *overlays;
};

static struct hidden *hidden_of(struct collect *collect)
{
	static const char owner;
	void **state = collect_state(collect, &owner);

	if (!*state)
		*state = arena_new(collect->arena, struct hidden);
	return *state;
}

const struct hidden_memory *overlay_hidden_memory(struct collect *collect, dev_t device)
{
	for (const struct hidden_memory *memory = hidden_of(collect)->memories; memory;
	     memory = memory->next)
		if (memory->device == device)
			return memory;
	return NULL;
}

static struct looked_at *find_overlay(struct hidden *hidden, dev_t overlay)
{
	struct looked_at *found = hidden->overlays;

	while (found && found->overlay != overlay)
		found = found->next;
	return found;
}

const char *overlay_hidden_why(struct collect *collect, dev_t overlay)
{
	const struct looked_at *found = find_overlay(hidden_of(collect), overlay);

	return found ? found->why : NULL;
}

static const struct mount_line *find_line(const struct mount_table *table, dev_t device)
{
	for (size_t i = 0; i < table->n_lines; i++)
		if (table->lines[i].device == device)
			return &table->lines[i];
	return NULL;
}

/* A mount of the tree that has other parts of it; NULL. */
static const struct mount_line *find_other_part(const struct mount_survey *survey, dev_t device)
{
	const struct mount_line *found = NULL;

	for (size_t i = 0; i < survey->n_namespaces && !found; i++)
		found = find_line(&survey->namespaces[i].table, device);
	return found;
}

/* Is it to be found there, or bound? */
static bool is_shown(const struct mount_survey *survey, const struct real_layer *layer)
{
	for (size_t i = 0; i < survey->n_namespaces; i++) {
		const struct mount_table *table = &survey->namespaces[i].table;
		for (size_t k = 0; k < table->n_lines; k++)
			if (table->lines[k].device == layer->device && !table->lines[k].removed &&
			    path_below(layer->path, table->lines[k].root))
				return true;
	}
	return find_line(&survey->own, layer->device) != NULL;
}

/* ---- in the kernel's memory ---- */

struct search {
	struct collect *collect;
	struct kernel_reader *by;
	mount_found *found;
	size_t namespace_; /* in which the overlay is, of all */
	const struct mount_line *line;
	struct real_layers real;
	const char *why;
};

static bool can_be_read(const struct kernel_reader *by)
{
	for (size_t i = 0; i < N_OVERLAY_PLACES; i++)
		if (!by->places[i].found)
			return false;
	return true;
}

static bool is_tmpfs(struct kernel_reader *by, uint64_t superblock)
{
	static const char wanted[] = "tmpfs";
	char name[sizeof wanted];
	uint64_t type = kernel_pointer(by, superblock, SUPERBLOCK_TYPE);

	kernel_bytes(by, kernel_pointer(by, type, TYPE_NAME), name, sizeof name);
	return memcmp(name, wanted, sizeof name) == 0 && !by->failure;
}

static bool has_byte(struct kernel_reader *by, uint64_t config, enum overlay_place place)
{
	return kernel_number(by, config, place) & 0xff;
}

/* Why it cannot be told what such a layer is for; NULL. */
static const char *find_obstacle(struct search *search, bool lower)
{
	struct kernel_reader *by = search->by;
	uint64_t config = kernel_inside(by, search->real.overlay, OVERLAY_CONFIG);

	if (has_byte(by, config, CONFIG_INDEX) || has_byte(by, config, CONFIG_EXPORT))
		return "finds things in it by handles (index, nfs_export)";
	if (lower && search->real.has_upper &&
	    (has_byte(by, config, CONFIG_METACOPY) ||
	     kernel_number(by, config, CONFIG_REDIRECT) == REDIRECTS))
		return "may refer to what is in it under another name (redirect_dir, metacopy)";
	return NULL;
}

static void read_like(struct search *search, uint64_t superblock, struct memory_like *ret)
{
	struct kernel_reader *by = search->by;
	uint64_t memory = kernel_pointer(by, superblock, PRIVATE);

	*ret = (struct memory_like){
		.holders = survey_of_mounts(search->collect)->namespaces[search->namespace_].met,
	};
	snprintf(ret->size, sizeof ret->size, "%" PRIu64,
		 kernel_pointer(by, memory, MEMORY_BLOCKS) * PAGE);
	snprintf(ret->inodes, sizeof ret->inodes, "%" PRIu64,
		 kernel_pointer(by, memory, MEMORY_INODES));
	snprintf(ret->mode, sizeof ret->mode, "%" PRIo32,
		 kernel_number(by, memory, MEMORY_MODE) & 07777);
	snprintf(ret->uid, sizeof ret->uid, "%" PRIu32, kernel_number(by, memory, MEMORY_UID));
	snprintf(ret->gid, sizeof ret->gid, "%" PRIu32, kernel_number(by, memory, MEMORY_GID));
}

/* ---- what stands for it ---- */

/* The namespace that was added becomes one of it. */
static void take_place(struct live_namespace *namespace_, struct hidden_memory *memory)
{
	struct collect *collect = namespace_->collect;

	namespace_->detached =
		snapshot_new(collect->snapshot, MNT_DETACHED_ENTRY, MntDetachedEntry);
	namespace_->detached->has_unmounted = namespace_->detached->unmounted = true;
	namespace_->stands_in = true;
	namespace_->table.lines[0].device = memory->device;
	memory->mount_id = namespace_->table.lines[0].id;
}

/* None of its mounts is left. */
static int stand_in(struct search *search, struct hidden_memory *memory, struct error *err)
{
	struct collect *collect = search->collect;
	struct mount_survey *survey = survey_of_mounts(collect);
	size_t before = survey->n_namespaces;
	const char *what = arena_printf(
		collect->arena, "%s (a layer)",
		survey_name_mount(collect, &survey->namespaces[search->namespace_], search->line));
	autoclose int fd = -1;
	struct memory_like like;

	read_like(search, memory->superblock, &like);
	if (search->by->failure) {
		errno = search->by->failure;
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot look for %s", what);
	}
	if (mount_memory_stand_in(&like, &fd, err) < 0 || search->found(collect, fd, what, err))
		return -1;
	if (survey->n_namespaces == before)
		return fail(err, ERR_UNSUPPORTED_MOUNT, "%s cannot be made again", what);
	take_place(&survey->namespaces[before], memory);
	return 0;
}

static struct hidden_memory *add_memory(struct search *search, const struct real_layer *layer,
					struct error *err)
{
	struct hidden *hidden = hidden_of(search->collect);
	const struct mount_line *part =
		find_other_part(survey_of_mounts(search->collect), layer->device);
	struct hidden_memory *memory = arena_new(search->collect->arena, struct hidden_memory);

	*memory = (struct hidden_memory){ .next = hidden->memories,
					  .device = layer->device,
					  .superblock = layer->superblock,
					  .mount_id = part ? part->id : 0 };
	if (!part && stand_in(search, memory, err))
		return NULL;
	hidden->memories = memory;
	return memory;
}

static int note_layer(struct search *search, size_t index, struct error *err)
{
	const struct real_layer *layer = &search->real.all[index];
	bool upper = search->real.has_upper && (index == 0 || index == search->real.n);
	struct hidden_memory *memory =
		(struct hidden_memory *)overlay_hidden_memory(search->collect, layer->device);

	if (!layer->path || (!memory && is_shown(survey_of_mounts(search->collect), layer)) ||
	    !is_tmpfs(search->by, layer->superblock))
		return 0;
	search->why = find_obstacle(search, !upper);
	if (search->why)
		return 0;
	if (!memory && !(memory = add_memory(search, layer, err)))
		return -1;
	memory->layers = arena_grow(search->collect->arena, memory->layers, memory->n,
				    sizeof *memory->layers);
	memory->layers[memory->n++] = (struct hidden_layer){
		.overlay = search->line->device,
		.dentry = layer->dentry,
		.shows = !search->real.has_upper || index < search->real.n,
	};
	return 0;
}

/* ---- */

static size_t count_layers(const struct real_layers *real)
{
	return real->n + real->has_upper;
}

static int look(struct search *search, int fd, size_t n_named, struct error *err)
{
	struct hidden *hidden = hidden_of(search->collect);
	struct looked_at *looked = arena_new(search->collect->arena, struct looked_at);

	*looked = (struct looked_at){ hidden->overlays, search->line->device, NULL };
	hidden->overlays = looked;
	if (overlay_real_layers(search->by, fd, search->line->device, n_named, &search->real))
		return 0;
	for (size_t i = 0; i < count_layers(&search->real) && !search->why; i++)
		if (note_layer(search, i, err))
			return -1;
	looked->why = search->why;
	return 0;
}

static int look_at(struct search *search, struct error *err)
{
	struct mount_survey *survey = survey_of_mounts(search->collect);
	const struct mount_line *line = search->line;
	struct overlay_layers layers = { .arena = search->collect->arena };
	autoclose int fd = survey_open_mount(&survey->namespaces[search->namespace_].table, line);

	/* Another mount of it may be there to be looked at. */
	if (fd < 0)
		return survey_is_absent(errno)
			       ? 0
			       : fail_errno(err, ERR_KERNEL_REFUSED, "cannot open an overlay");
	if (overlay_list(line->options, &layers, &(struct error){ 0 }) || layers.n_relative ||
	    layers.n > MOST_LAYERS)
		return 0;
	int result = overlay_read_kernel(search->collect, &search->by);
	if (result < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot look for layers of overlays");
	if (result || !can_be_read(search->by))
		return 0;
	result = look(search, fd, layers.n, err);
	if (!result && kernel_reader_end(search->by) && errno != EFAULT)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot look for layers of overlays");
	return result;
}

int overlay_hidden_find(struct collect *collect, mount_found *found, struct error *err)
{
	struct mount_survey *survey = survey_of_mounts(collect);
	size_t n = survey->n_namespaces;

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < survey->namespaces[i].table.n_lines; k++) {
			struct search search = {
				.collect = collect,
				.found = found,
				.namespace_ = i,
				.line = &survey->namespaces[i].table.lines[k],
			};
			if (strcmp(search.line->type, "overlay") == 0 &&
			    !find_overlay(hidden_of(collect), search.line->device) &&
			    !find_line(&survey->own, search.line->device) && look_at(&search, err))
				return -1;
		}
	return 0;
}
