// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * overlay: a file system of layers, which are directories of others and named by paths as they were
 * where it was mounted. Where that was the kernel does not tell: it is nestor's own mount namespace
 * if that has all of these directories, and one of the tree otherwise (a container engine that runs
 * in a container itself), first of all one in which it is mounted. It comes back in the same: by
 * the same paths, so that mountinfo shows them as before, below the mounts that lead to them. What
 * is in the upper layer is a matter of the file system that it lies on: the host's files stay where
 * they are, a tmpfs of the tree brings them along. A path that is gone, or that is not absolute, is
 * refused at dump.
 */
#include "kinds/mounts/kind.h"

#include "base/cleanup.h"
#include "kinds/mounts/survey.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

/* The next layer of "/a:/b\\:c", with its end put in and escapes taken out; NULL: no more. */
static char *next_layer(char **rest)
{
	char *start = *rest, *to = *rest;

	if (!start)
		return NULL;
	for (char *from = start;; from++) {
		if (*from == '\\' && from[1]) {
			*to++ = *++from;
			continue;
		}
		if (*from == ':' || *from == '\0') {
			*rest = *from ? from + 1 : NULL;
			*to = '\0';
			return start;
		}
		*to++ = *from;
	}
}

/* The next option, whose value may have commas as "\,". */
static char *next_option(char **rest)
{
	char *start = *rest;

	if (!start || !*start)
		return NULL;
	for (char *at = start;; at++) {
		if (*at == '\\' && at[1]) {
			at++;
			continue;
		}
		if (*at == ',' || *at == '\0') {
			*rest = *at ? at + 1 : NULL;
			*at = '\0';
			return start;
		}
	}
}

enum { LONGEST_STRING = 256 };

struct layers {
	int (*whole)(void *data, const char *key, const char *paths, struct error *err);
	int (*layer)(void *data, const char *key, const char *path, struct error *err);
	int (*option)(void *data, const char *key, const char *value, struct error *err);
	void *data;
};

/* All in one string, as long as fsconfig(2) takes it: so mountinfo shows them as they were. */
static int each_layer(const struct layers *layers, const char *key, char *paths, struct error *err)
{
	if (layers->whole && strcmp(key, "lowerdir") == 0 && strlen(paths) < LONGEST_STRING)
		return layers->whole(layers->data, key, paths, err);
	for (char *rest = paths, *path; (path = next_layer(&rest));)
		/* An empty one stands between a lower layer and one of data only ("::"). */
		if (*path ? layers->layer(layers->data, "lowerdir+", path, err)
			  : fail(err, ERR_UNSUPPORTED_MOUNT, "it has layers of data only"))
			return -1;
	return 0;
}

static int each_option(const struct layers *layers, const char *options, struct error *err)
{
	autofree char *copy = strdup(options);
	int result = 0;

	for (char *rest = copy, *word; !result && (word = next_option(&rest));) {
		char *value = strchr(word, '=');
		if (value)
			*value++ = '\0';
		if (value && (strcmp(word, "lowerdir") == 0 || strcmp(word, "lowerdir+") == 0))
			result = each_layer(layers, word, value, err);
		else if (value && (strcmp(word, "upperdir") == 0 || strcmp(word, "workdir") == 0))
			result = layers->layer(layers->data, word, value, err);
		else
			result =
				layers->option ? layers->option(layers->data, word, value, err) : 0;
	}
	return result;
}

/* ---- which directories they are ---- */

struct layer_paths {
	struct arena *arena;
	const char **all;
	size_t n;
};

static int add_path(void *data, const char *key, const char *path, struct error *err)
{
	struct layer_paths *paths = data;

	(void)key;
	if (path[0] != '/')
		return fail(err, ERR_UNSUPPORTED_MOUNT, "its layer %.200s is no absolute path",
			    path);
	paths->all = arena_grow(paths->arena, paths->all, paths->n, sizeof *paths->all);
	paths->all[paths->n++] = arena_string(paths->arena, path);
	return 0;
}

static int list_paths(const char *options, struct layer_paths *ret_paths, struct error *err)
{
	const struct layers layers = { .layer = add_path, .data = ret_paths };

	return each_option(&layers, options, err);
}

/* Does one of them begin with the mountpoint? Then it may lead through that mount. */
static bool is_on_the_way(const struct layer_paths *paths, const MntEntry *mount)
{
	for (size_t i = 0; i < paths->n; i++)
		if (path_below(paths->all[i], mount->mountpoint))
			return true;
	return false;
}

/* ---- dump ---- */

/* Opened in a namespace of the tree, on a mount that its name leads through. */
static int open_inside(const struct live_namespace *namespace, const char *path)
{
	autoclose int fd = survey_open_path(namespace->table.root_fd, path, O_PATH | O_DIRECTORY);
	int64_t mount_id = fd < 0 ? -1 : survey_mount_id(fd);

	for (size_t i = 0; mount_id >= 0 && i < namespace->table.n_lines; i++)
		if (namespace->table.lines[i].id == mount_id &&
		    path_below(path, namespace->table.lines[i].mountpoint))
			return take_fd(&fd);
	return -1;
}

/* Which of them are not there as they are in nestor's own namespace. */
static size_t count_others(const struct live_namespace *namespace, const struct layer_paths *paths,
			   bool *ret_complete)
{
	size_t others = 0;

	*ret_complete = true;
	for (size_t i = 0; i < paths->n; i++) {
		autoclose int inside = open_inside(namespace, paths->all[i]);
		autoclose int own = open(paths->all[i], O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (inside < 0)
			*ret_complete = false;
		else if (own < 0 || survey_is_same(inside, own) != 1)
			others++;
	}
	return others;
}

static bool are_in(const struct live_namespace *namespace, const struct layer_paths *paths)
{
	bool complete;

	return count_others(namespace, paths, &complete) > 0 && complete;
}

/* A namespace of the tree that has all, and not the same as nestor's own; NULL: there is none. */
static const struct live_namespace *find_namespace(const struct live_superblock *superblock,
						   const struct layer_paths *paths)
{
	const struct mount_survey *survey = survey_of_mounts(superblock->collect);

	for (size_t i = 0; i < superblock->n_mounts; i++)
		if (are_in(superblock->mounts[i].namespace, paths))
			return superblock->mounts[i].namespace;
	for (size_t i = 0; i < survey->n_namespaces; i++)
		if (are_in(&survey->namespaces[i], paths))
			return &survey->namespaces[i];
	return NULL;
}

static int collect(const struct live_superblock *superblock, MntEntry *entry, struct error *err)
{
	struct layer_paths paths = { .arena = superblock->collect->arena };
	struct stat stat_;

	if (list_paths(entry->options, &paths, err))
		return fail_while(err, "%s", superblock->what);
	const struct live_namespace *found = find_namespace(superblock, &paths);
	if (found) {
		entry->has_layers_ns_id = true;
		entry->layers_ns_id = found->id;
		return 0;
	}
	for (size_t i = 0; i < paths.n; i++)
		if (stat(paths.all[i], &stat_) || !S_ISDIR(stat_.st_mode))
			return fail(err, ERR_UNSUPPORTED_MOUNT,
				    "%s: its layer %.200s is no directory in nestor's mount "
				    "namespace, nor in one of the tree",
				    superblock->what, paths.all[i]);
	return 0;
}

/* ---- restore ---- */

/*
 * The mounts of a namespace that paths lead through. Their parents are among them, as a mountpoint
 * begins with that of the parent. What could be written then can be written now.
 */
static void take_part(const struct mount_namespace *whole, const struct layer_paths *paths,
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

static int inside(const struct snapshot *snapshot, const MntEntry *entry, struct arena *arena,
		  struct mount_namespace *ret_part, struct error *err)
{
	struct layer_paths paths = { .arena = arena };

	if (!entry->has_layers_ns_id)
		return 0;
	if (list_paths(entry->options, &paths, err))
		return -1;
	for (size_t i = 0; i < snapshot->n_mount_namespaces; i++)
		if (snapshot->mount_namespaces[i]->id == entry->layers_ns_id) {
			take_part(snapshot->mount_namespaces[i], &paths, snapshot, ret_part);
			return 1;
		}
	return fail(err, ERR_IMAGE_INVALID,
		    "mount %" PRIu32 " has layers in mount namespace %" PRIu32
		    ", which there is not",
		    entry->mnt_id, entry->layers_ns_id);
}

static int check(const struct snapshot *snapshot, const MntEntry *entry, struct error *err)
{
	struct mount_namespace part;

	return inside(snapshot, entry, snapshot->arena, &part, err) < 0 ? -1 : 0;
}

struct context {
	int fd;
	bool owned; /* by a user namespace of the tree */
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
	if (context->owned && value && strcmp(key, "redirect_dir") == 0 &&
	    strcmp(value, "nofollow") != 0)
		return 0;
	return mount_set(context->fd, key, value, err);
}

static int make(const struct mount_maker *maker, const MntEntry *entry, struct error *err)
{
	autoclose int fd = fsopen("overlay", FSOPEN_CLOEXEC);
	struct context context = { fd, entry->has_userns_id };
	const struct layers layers = { set_layer, set_layer, set_option, &context };

	(void)maker;
	if (fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot mount an overlay");
	if (each_option(&layers, entry->options, err))
		return -1;
	return mount_finish(fd, entry, err);
}

const struct mount_kind overlay_mount_kind = {
	.type = "overlay",
	.fstype = FSTYPE__OVERLAYFS,
	.owned = true,
	.parts = true,
	.collect = collect,
	.check = check,
	.inside = inside,
	.make = make,
};
