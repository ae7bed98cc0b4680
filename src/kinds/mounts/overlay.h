/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Overlays: what their options say, and where layers lie that are named from some directory. */
#ifndef NESTOR_KINDS_MOUNTS_OVERLAY_H
#define NESTOR_KINDS_MOUNTS_OVERLAY_H

#include "base/arena.h"
#include "base/error.h"
#include "kinds/kind.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * Called for what options say, in their order: `layer` for each directory (by the option that gives
 * it; "upperdir" and "workdir" as mount(2) takes them, with escapes), `whole` for all of lowerdir at once where it is not NULL and fsconfig(2) would take it,
 * `option` for all others (NULL: they do not matter).
 */
struct overlay_reader {
	int (*whole)(void *data, const char *key, const char *paths, struct error *err);
	int (*layer)(void *data, const char *key, const char *path, struct error *err);
	int (*option)(void *data, const char *key, const char *value, struct error *err);
	void *data;
};

int overlay_read(const struct overlay_reader *reader, const char *options, struct error *err);
/* The upper directory, and that for work, as they are called: in place. */
char *overlay_unescape(char *path);

/* The directories: upper one, lower ones from the top, those of data only, that for work. */
struct overlay_layer {
	const char *path;    /* from the base, where that was given */
	bool relative, seen; /* seen: what is in it shows under its own name */
	bool hidden;	     /* no path leads to it (overlay-hidden.h) */
};

struct overlay_layers {
	struct arena *arena;
	const char *base; /* NULL: none */
	struct overlay_layer *all;
	size_t n, n_relative;
	bool has_upper;
	int failed; /* an errno: whether one is there cannot be told */
};

int overlay_list(const char *options, struct overlay_layers *layers, struct error *err);

/* overlay-find.c: in a namespace of the tree, or in nestor's own (NULL). -1 with errno. */
struct live_namespace;
int overlay_open_layer(const struct live_namespace *namespace, struct overlay_layers *layers,
		       size_t index);
/* Finds all at dump, and records where they were named. */
struct live_superblock;
int overlay_find_layers(const struct live_superblock *superblock, MntEntry *entry,
			struct error *err);

/*
 * overlay-handle.c: the path, from the root of an overlay, of something in it; NULL if that cannot
 * be told. The layers lie in a namespace of the tree, or in nestor's own (NULL).
 */
struct collect;
struct watched_place;
char *overlay_path_of_handle(struct collect *collect, const struct live_namespace *namespace,
			     struct overlay_layers *layers, const struct watched_place *place);

/*
 * overlay-real.c: are they what their names lead to? If not, or if those are not there, they are
 * looked for, and it is recorded where they are. 1; 0: they are to be found nowhere; -1.
 */
struct overlay_named {
	struct overlay_layers *layers;
	const struct live_namespace *namespace; /* where names lead; NULL: nestor's own */
	bool are_there;
};
int overlay_find_real(const struct live_superblock *superblock, const struct overlay_named *named,
		      MntEntry *entry, struct error *err);
/*
 * overlay-naming.c: in a deputy, which is in a mount namespace of its own then, with nothing in it
 * but what lies at these places, where it was named.
 */
struct overlay_places {
	char *const *at;   /* in its former one */
	const int *users;  /* user namespaces with the ids that each is to map; -1: none */
	const int *hidden; /* mounts from whose root on they are; -1: that of the namespace */
	struct mount_shelf *shelf; /* for those */
};
int overlay_name_layers(const struct overlay_layers *layers, const struct overlay_places *places,
			struct error *err);
/* The directory above both. */
char *overlay_path_above(struct arena *arena, const char *one, const char *other);

/*
 * overlay-index.c: refuses an index that nothing gives again; takes away what belongs to layers
 * that are made anew.
 */
int overlay_index_check(const struct live_superblock *superblock, const MntEntry *entry,
			struct error *err);
int overlay_index_forget(const MntEntry *entry, struct arena *arena, struct error *err);

/*
 * overlay-layers.c: those of a mount, where they lie by now: in a namespace of the tree, or in
 * nestor's own (NULL). False: it is no overlay.
 */
struct mount_line;
bool overlay_layers_of(struct collect *collect, const struct mount_line *line,
		       struct overlay_layers *layers, const struct live_namespace **ret_namespace);

/* overlay-base.c: directories that layers may have been named from, the likeliest first. */
const char **overlay_bases(struct collect *collect, const struct overlay_layers *layers,
			   dev_t device, bool of_users, size_t *ret_n);

/*
 * Is what a mount of it shows, at `root` of the file system, what these layers give? Of those that
 * are relative: how much is seen to be the same; -1: something cannot be. `fds` are like layers,
 * of which `failed` is set where something cannot be told.
 */
int overlay_compare(struct overlay_layers *layers, const int *fds, int mount_fd, const char *root);

/* The same file, in a layer and in the overlay? */
struct statx;
bool overlay_is_same(const struct statx *one, const struct statx *other);

#endif
