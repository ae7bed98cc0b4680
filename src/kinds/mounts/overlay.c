// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * overlay: a file system of layers, which are directories of others and named by paths as they were
 * where it was mounted. Where that was the kernel does not tell: it is nestor's own mount namespace
 * if that has all of these directories, and one of the tree otherwise (a container engine that runs
 * in a container itself), first of all one in which it is mounted. It comes back in the same: by
 * the same paths, so that mountinfo shows them as before, below the mounts that lead to them. What
 * is in the upper layer is a matter of the file system that it lies on: the host's files stay where
 * they are, a tmpfs of the tree brings them along, also one that nobody has mounted any more
 * (overlay-hidden.c). A path that is gone is refused at dump; one that is not absolute takes the
 * directory that it was named from, which is found and shown to be right (overlay-base.c), or given
 * by a person.
 */
#include "kinds/mounts/kind.h"

#include "base/cleanup.h"
#include "kernel/deputy.h"
#include "kinds/mounts/make.h"
#include "kinds/mounts/overlay-hidden.h"
#include "kinds/mounts/overlay.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Does one of them begin with the mountpoint? Then it may lead through that mount. */
static bool is_on_the_way(const struct overlay_layers *layers, const MntEntry *mount)
{
	for (size_t i = 0; i < layers->n; i++)
		if (path_below(layers->all[i].path, mount->mountpoint))
			return true;
	return false;
}

/* ---- dump ---- */

static int collect(const struct live_superblock *superblock, MntEntry *entry, struct error *err)
{
	return overlay_find_layers(superblock, entry, err) ||
			       overlay_index_check(superblock, entry, err)
		       ? -1
		       : 0;
}

/* ---- restore ---- */

/*
 * The mounts of a namespace that paths lead through. Their parents are among them, as a mountpoint
 * begins with that of the parent. What could be written then can be written now.
 */
static void take_part(const struct mount_namespace *whole, const struct overlay_layers *paths,
		      const struct snapshot *snapshot, struct mount_namespace *ret_part)
{
	size_t *places = arena_array(paths->arena, size_t, whole->n_mounts);

	*ret_part = (struct mount_namespace){
		.id = whole->id,
		.plain = whole->plain,
		.owner = snapshot->user_namespaces[0],
		.mounts = arena_array(paths->arena, MntEntry *, whole->n_mounts),
		.parents = arena_array(paths->arena, size_t, whole->n_mounts),
	};
	for (size_t i = 0; i < whole->n_mounts; i++) {
		if (i && !is_on_the_way(paths, whole->mounts[i]))
			continue;
		MntEntry *copy =
			arena_copy(paths->arena, whole->mounts[i], sizeof *whole->mounts[i]);
		copy->flags &= ~(uint32_t)MS_RDONLY;
		copy->covers_open = false;
		copy->n_revealed = 0;
		places[i] = ret_part->n_mounts;
		ret_part->mounts[ret_part->n_mounts] = copy;
		/* The root has none. */
		ret_part->parents[ret_part->n_mounts++] =
			i ? places[whole->parents[i]] : whole->parents[0];
	}
}

static int list_recorded(const MntEntry *entry, struct overlay_layers *layers, struct error *err)
{
	layers->base = entry->layers_base;
	if (overlay_list(entry->options, layers, err))
		return -1;
	if (layers->base ? layers->base[0] != '/' : layers->n_relative > 0)
		return fail(err, ERR_IMAGE_INVALID,
			    "mount %" PRIu32 " (%.200s) has layers without an absolute path",
			    entry->mnt_id, entry->mountpoint);
	for (size_t i = 0; i < entry->n_layers_at; i++)
		if (entry->n_layers_at != layers->n || entry->layers_at[i][0] != '/')
			return fail(err, ERR_IMAGE_INVALID,
				    "mount %" PRIu32 " (%.200s) has other layers than it names",
				    entry->mnt_id, entry->mountpoint);
	for (size_t i = 0; i < entry->n_layers_ids; i++)
		if (entry->layers_ids[i]->layer >= entry->n_layers_at)
			return fail(err, ERR_IMAGE_INVALID,
				    "mount %" PRIu32
				    " (%.200s) has ids of a layer that there is not",
				    entry->mnt_id, entry->mountpoint);
	for (size_t i = 0; i < entry->n_layers_hidden; i++)
		if (entry->layers_hidden[i]->layer >= entry->n_layers_at)
			return fail(err, ERR_IMAGE_INVALID,
				    "mount %" PRIu32
				    " (%.200s) has a layer that there is not in a tmpfs",
				    entry->mnt_id, entry->mountpoint);
	return 0;
}

/* A mount of what is to be made before it; NULL with err. */
static const MntEntry *mount_with_hidden(const struct snapshot *snapshot, const MntEntry *entry,
					 size_t index, struct error *err)
{
	struct mount_namespace *namespace;
	size_t ignored;
	const MntEntry *mount =
		snapshot_mount(snapshot, entry->layers_hidden[index]->mnt_id, &namespace, &ignored);

	if (mount && mount_kind_of_entry(mount) == &tmpfs_mount_kind && !mount->bound_path &&
	    !mount->ext_mount)
		return mount;
	fail(err, ERR_IMAGE_INVALID,
	     "mount %" PRIu32 " (%.200s) has a layer in no tmpfs of the tree", entry->mnt_id,
	     entry->mountpoint);
	return NULL;
}

static int needs(const struct snapshot *snapshot, const MntEntry *entry, size_t index,
		 const MntEntry **ret, struct error *err)
{
	if (index >= entry->n_layers_hidden)
		return 0;
	*ret = mount_with_hidden(snapshot, entry, index, err);
	return *ret ? 1 : -1;
}

static int check_hidden(const struct snapshot *snapshot, const MntEntry *entry, struct error *err)
{
	for (size_t i = 0; i < entry->n_layers_hidden; i++)
		if (!mount_with_hidden(snapshot, entry, i, err))
			return -1;
	return 0;
}

static int inside(const struct snapshot *snapshot, const MntEntry *entry, struct arena *arena,
		  struct mount_namespace *ret_part, struct error *err)
{
	struct overlay_layers layers = { .arena = arena };

	if (!entry->has_layers_ns_id)
		return 0;
	if (list_recorded(entry, &layers, err))
		return -1;
	for (size_t i = 0; i < entry->n_layers_at; i++)
		layers.all[i].path = entry->layers_at[i];
	/* They lie elsewhere. */
	for (size_t i = 0; i < entry->n_layers_hidden; i++)
		layers.all[entry->layers_hidden[i]->layer].path = "/";
	for (size_t i = 0; i < snapshot->n_mount_namespaces; i++)
		if (snapshot->mount_namespaces[i]->id == entry->layers_ns_id) {
			take_part(snapshot->mount_namespaces[i], &layers, snapshot, ret_part);
			return 1;
		}
	return fail(err, ERR_IMAGE_INVALID,
		    "mount %" PRIu32 " has layers in mount namespace %" PRIu32
		    ", which there is not",
		    entry->mnt_id, entry->layers_ns_id);
}

static int check(const struct snapshot *snapshot, const MntEntry *entry, struct error *err)
{
	struct overlay_layers layers = { .arena = snapshot->arena };
	struct mount_namespace part;

	return list_recorded(entry, &layers, err) || check_hidden(snapshot, entry, err) ||
			       inside(snapshot, entry, snapshot->arena, &part, err) < 0
		       ? -1
		       : 0;
}

/*
 * An upper layer that is written without being synced (volatile) is marked, so that it is not used
 * any more once the machine has crashed (ovl_create_volatile_dirty), and whoever uses it without
 * that has to take the mark away. It is as old as the mount was: younger than the machine's start,
 * all that was written is there.
 */
static int remove_mark(const char *work, struct error *err)
{
	struct timespec now, running;
	struct statx mark;
	autoclose int work_fd = open(work, O_PATH | O_DIRECTORY | O_CLOEXEC);
	autoclose int list_fd =
		openat(work_fd, "work", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	autoclose int fd =
		openat(list_fd, "incompat", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 || statx(fd, "volatile", AT_SYMLINK_NOFOLLOW, STATX_BTIME | STATX_CTIME, &mark))
		return 0;
	clock_gettime(CLOCK_REALTIME, &now);
	clock_gettime(CLOCK_BOOTTIME, &running);
	if ((mark.stx_mask & STATX_BTIME ? mark.stx_btime : mark.stx_ctime).tv_sec <
	    now.tv_sec - running.tv_sec - 1)
		return fail(err, ERR_KERNEL_REFUSED,
			    "the machine has been started since something was written to a "
			    "volatile layer of %.200s: it may not be whole",
			    work);
	if ((unlinkat(fd, "volatile/dirty", 0) && errno != ENOENT) ||
	    unlinkat(fd, "volatile", AT_REMOVEDIR))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot use a volatile layer of %.200s",
				  work);
	return 0;
}

struct context {
	const struct mount_maker *maker;
	const MntEntry *entry;
	int fd;
	const char *base;	      /* NULL: none */
	struct overlay_layers layers; /* if they are not where their names lead */
	struct overlay_places places; /* of them */
	bool is_volatile;
	char work[PATH_MAX];
	int ret_fd;
};

static int set_layer(void *data, const char *key, const char *path, struct error *err)
{
	return mount_set(((const struct context *)data)->fd, key, path, err);
}

static int set_option(void *data, const char *key, const char *value, struct error *err)
{
	const struct context *context = data;

	/* Shown, but none that can be given. */
	if (strcmp(key, "nouserxattr") == 0)
		return 0;
	/* Asked for it is refused to who has no right to "trusted." attributes: nobody has. */
	if (context->entry->has_userns_id && value && strcmp(key, "redirect_dir") == 0 &&
	    strcmp(value, "nofollow") != 0)
		return 0;
	return mount_set(context->fd, key, value, err);
}

static int make_here(void *data, struct error *err)
{
	struct context *context = data;
	const struct overlay_reader reader = { set_layer, set_layer, set_option, context };

	if (context->entry->n_layers_at &&
	    overlay_name_layers(&context->layers, &context->places, err))
		return -1;
	if (context->base && chdir(context->base))
		return fail_errno(err, errno == ENOENT ? ERR_FILE_MISSING : ERR_KERNEL_REFUSED,
				  "cannot enter %.200s, from where layers are named",
				  context->base);
	if ((context->is_volatile && remove_mark(context->work, err)) ||
	    overlay_index_forget(context->entry, context->layers.arena, err))
		return -1;
	autoclose int fd = fsopen("overlay", FSOPEN_CLOEXEC);
	if (fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot mount an overlay");
	context->fd = fd;
	if (overlay_read(&reader, context->entry->options, err))
		return -1;
	mounts_let_number_go(context->maker->opener, context->entry->root_dev);
	context->ret_fd = mount_finish(fd, context->entry, err);
	return context->ret_fd < 0 ? -1 : 0;
}

static int find_work(void *data, const char *key, const char *path, struct error *err)
{
	struct context *context = data;

	(void)err;
	if (strcmp(key, "workdir") == 0)
		snprintf(context->work, sizeof context->work, "%s", path);
	overlay_unescape(context->work);
	return 0;
}

static int find_volatile(void *data, const char *key, const char *value, struct error *err)
{
	struct context *context = data;

	(void)err;
	context->is_volatile |=
		strcmp(key, "volatile") == 0 ||
		(value && strcmp(key, "fsync") == 0 && strcmp(value, "volatile") == 0);
	return 0;
}

static int find_users(const struct mount_maker *maker, const MntEntry *entry, int *users,
		      struct error *err)
{
	for (size_t i = 0; i < entry->n_layers_at; i++)
		users[i] = -1;
	for (size_t i = 0; i < entry->n_layers_ids; i++) {
		int fd = mount_idmap_users(maker->made, entry->layers_ids[i]->idmap);
		if (fd < 0)
			return fail(err, ERR_IMAGE_INVALID,
				    "mount %" PRIu32
				    " (%.200s) has a layer with ids that nobody has",
				    entry->mnt_id, entry->mountpoint);
		users[entry->layers_ids[i]->layer] = fd;
	}
	return 0;
}

/* Mounts of what is made already. */
static int find_hidden(const struct mount_maker *maker, const MntEntry *entry, int *hidden,
		       struct error *err)
{
	const struct made_superblocks *made = maker->made;

	for (size_t i = 0; i < entry->n_layers_at; i++)
		hidden[i] = -1;
	for (size_t i = 0; i < entry->n_layers_hidden; i++) {
		const MntEntry *mount = mount_with_hidden(maker->snapshot, entry, i, err);
		if (!mount)
			return -1;
		for (size_t k = 0; made && k < made->n; k++)
			if (made->all[k].device == mount->root_dev)
				hidden[entry->layers_hidden[i]->layer] = made->all[k].fd;
		if (hidden[entry->layers_hidden[i]->layer] < 0)
			return fail(err, ERR_IMAGE_INVALID,
				    "mount %" PRIu32 " (%.200s) has a layer in what is not made",
				    entry->mnt_id, entry->mountpoint);
	}
	return 0;
}

/* A deputy has a working directory of its own. */
static int make(const struct mount_maker *maker, const MntEntry *entry, struct error *err)
{
	struct context context = { .maker = maker,
				   .entry = entry,
				   .fd = -1,
				   .base = entry->layers_base,
				   .layers = { .arena = maker->opener->arena } };
	const struct overlay_reader finder = { NULL, find_work, find_volatile, &context };
	const struct external *row =
		externals_find(maker->externals, EXTERNAL_OVERLAY, entry->mountpoint);

	if (context.base && row && *row->value && !entry->has_layers_ns_id)
		context.base = row->value;
	if (overlay_read(&finder, entry->options, err) ||
	    (entry->n_layers_at && overlay_list(entry->options, &context.layers, err)))
		return -1;
	int *users = arena_array(maker->opener->arena, int, entry->n_layers_at + 1);
	int *hidden = arena_array(maker->opener->arena, int, entry->n_layers_at + 1);
	if (find_users(maker, entry, users, err) || find_hidden(maker, entry, hidden, err))
		return -1;
	context.places = (struct overlay_places){ entry->layers_at, users, hidden,
						  maker->made ? maker->made->shelf : NULL };
	if (!context.base && !entry->n_layers_at)
		return make_here(&context, err) ? -1 : context.ret_fd;
	return deputy_run(make_here, &context, err) < 0 ? -1 : context.ret_fd;
}

const struct mount_kind overlay_mount_kind = {
	.type = "overlay",
	.fstype = FSTYPE__OVERLAYFS,
	.owned = true,
	.acts = true,
	.parts = true,
	.lets_go = true,
	.collect = collect,
	.check = check,
	.inside = inside,
	.needs = needs,
	.make = make,
};
