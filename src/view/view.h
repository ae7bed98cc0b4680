/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What `nestor tree` shows of a tree, live or dumped. Not a second model: a table to be printed.
 * Namespaces are named by inode number where they live, and by the images' ids where not.
 */
#ifndef NESTOR_VIEW_VIEW_H
#define NESTOR_VIEW_VIEW_H

#include "base/arena.h"
#include "base/error.h"
#include "base/text.h"
#include "model/namespaces.h"
#include "model/snapshot.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct view_namespace {
	enum namespace_type type;
	uint64_t id;
	uint64_t parent; /* pid and user namespaces; 0: none that is known */
	uint64_t owner;	 /* user namespace; 0: not known */
	bool has_owner_uid;
	uint32_t owner_uid;	 /* user namespaces: who made it, in the parent */
	const UsernsEntry *maps; /* user namespaces, relative to the parent; NULL: not known */
	bool setgroups_denied;
	const char *content; /* what its kind says of it, or NULL */
	size_t n_tasks;
	bool shared; /* nestor itself is in it */
	int fd;	     /* live user namespaces while they are read, else -1 */
};

struct view_task {
	size_t parent; /* index; its own for the root */
	struct pid_vector pids, groups, sessions;
	const char *name;
	const char *state;
	size_t n_threads;
	uint64_t namespaces[NAMESPACE_TYPES]; /* 0: not known */
};

struct tree_view {
	struct arena *arena;
	bool live;
	struct view_task *tasks; /* parents before children */
	size_t n_tasks;
	struct view_namespace *namespaces;
	size_t n_namespaces;
};

/* The namespace with this id, added if it is new (*ret_new may be NULL). */
struct view_namespace *view_namespace(struct tree_view *view, enum namespace_type type, uint64_t id,
				      bool *ret_new);
struct view_task *view_add_task(struct tree_view *view);

/* live.c: from /proc, without stopping anything. */
int view_read_live(struct tree_view *view, pid_t root, struct error *err);
/* images.c */
int view_read_images(struct tree_view *view, const char *dir, struct error *err);

/* html.c: a page in a file ("-": stdout), of a live tree or of images. */
int tree_write_html(const char *path, pid_t pid, const char *images_dir, struct arena *arena,
		    struct error *err);
/* page.c: what is before the data in it, and after. */
extern const char tree_page_begin[], tree_page_end[];

/* print.c */
void view_print(const struct tree_view *view, bool unicode, struct text *text);
void view_print_json(const struct tree_view *view, struct text *text);

#endif
