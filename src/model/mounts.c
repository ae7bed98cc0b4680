// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Mount namespaces of a snapshot: their mounts as a tree, in an order in which they can be
 * attached, and what every user of them relies on. A restore goes along these paths with the rights
 * of nestor, so they are plain: absolute, without "." and "..", below the mount that is above.
 */
#include "model/mounts.h"

#include "base/compare.h"
#include "model/externals.h"
#include "model/namespaces.h"
#include "model/records.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

enum {
	MOUNT_FLAGS = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME | MS_NODIRATIME |
		      MS_RELATIME | MS_NOSYMFOLLOW | MS_UNBINDABLE,
};

struct mount_place {
	uint32_t mount_id;
	struct mount_namespace *namespace;
	size_t index;
};

static int compare_places(const void *a, const void *b)
{
	const struct mount_place *one = a, *other = b;

	return compare_values(one->mount_id, other->mount_id);
}

const MntEntry *snapshot_mount(const struct snapshot *snapshot, uint32_t mount_id,
			       struct mount_namespace **ret_namespace, size_t *ret_index)
{
	struct mount_place wanted = { .mount_id = mount_id };
	const struct mount_place *place =
		snapshot->n_mounts ? bsearch(&wanted, snapshot->mounts, snapshot->n_mounts,
					     sizeof wanted, compare_places)
				   : NULL;

	if (!place)
		return NULL;
	if (ret_namespace)
		*ret_namespace = place->namespace;
	if (ret_index)
		*ret_index = place->index;
	return place->namespace->mounts[place->index];
}

bool mount_is_on_top(const struct mount_namespace *namespace, size_t above, size_t below)
{
	return namespace->parents[above] == below &&
	       strcmp(namespace->mounts[above]->mountpoint, namespace->mounts[below]->mountpoint) ==
		       0;
}

size_t mount_covering(const struct mount_namespace *namespace, size_t index, const char *path)
{
	size_t found = SIZE_MAX, longest = strlen(namespace->mounts[index]->mountpoint);

	for (size_t i = index + 1; i < namespace->n_mounts; i++) {
		const char *other = namespace->mounts[i]->mountpoint;
		if (namespace->parents[i] != index || strlen(other) <= longest ||
		    !path_below(path, other))
			continue;
		found = i;
		longest = strlen(other);
	}
	return found;
}

struct mount_namespace *snapshot_mount_namespace(const struct snapshot *snapshot, uint32_t id)
{
	for (size_t i = 0; i < snapshot->n_mount_namespaces; i++)
		if (snapshot->mount_namespaces[i]->id == id)
			return snapshot->mount_namespaces[i];
	return NULL;
}

struct mount_namespace *task_mount_namespace(const struct snapshot *snapshot,
					     const struct task *task)
{
	return task->ids && task->ids->has_mnt_ns_id
		       ? snapshot_mount_namespace(snapshot, task->ids->mnt_ns_id)
		       : NULL;
}

const char *path_below(const char *path, const char *above)
{
	size_t length = strlen(above);

	if (strcmp(above, "/") == 0)
		return path + strspn(path, "/");
	if (strncmp(path, above, length) != 0 || (path[length] && path[length] != '/'))
		return NULL;
	return path + length + strspn(path + length, "/");
}

/* ---- what is checked ---- */

bool path_is_plain(const char *path)
{
	if (path[0] != '/' || strlen(path) >= PATH_MAX)
		return false;
	if (path[1] == '\0')
		return true;
	for (const char *at = path; *at;) {
		size_t length = strcspn(++at, "/");
		if (length == 0 || (length == 1 && at[0] == '.') ||
		    (length == 2 && at[0] == '.' && at[1] == '.'))
			return false;
		at += length;
	}
	return true;
}

char *path_plain(struct arena *arena, const char *path)
{
	char *plain = arena_printf(arena, "%s/", path), *to = plain;

	if (path[0] != '/')
		return NULL;
	for (const char *at = path; *at;) {
		at += strspn(at, "/");
		size_t length = strcspn(at, "/");
		if (length > 1 || at[0] != '.') {
			*to++ = '/';
			memmove(to, plain + (at - path), length);
			to += length;
		}
		at += length;
	}
	to -= to > plain + 1 && to[-1] == '/';
	strcpy(to, to == plain ? "/" : "");
	return path_is_plain(plain) ? plain : NULL;
}

static int check_mount(const MntEntry *mount, struct error *err)
{
	const char *wrong = NULL;
	/* The root of a file of nsfs is its name, "net:[4026531840]", also of one that is outside. */
	bool is_name = mount->held || (mount->bound_path && mount->root[0] != '/');

	if (!path_is_plain(mount->mountpoint))
		wrong = "its mountpoint is no plain path";
	else if (is_name ? strchr(mount->root, '/') != NULL : !path_is_plain(mount->root))
		wrong = "its root is no plain path";
	else if (mount->bound_path && !path_is_plain(mount->bound_path))
		wrong = "what it is bound from is no plain path";
	else if (mount->flags & ~(uint32_t)MOUNT_FLAGS || mount->locked_flags & ~mount->flags)
		wrong = "its flags are none of a mount";
	return wrong ? fail(err, ERR_IMAGE_INVALID, "mount %" PRIu32 " (%.200s): %s", mount->mnt_id,
			    mount->mountpoint, wrong)
		     : 0;
}

/* ---- the tree ---- */

struct ordering {
	struct mount_namespace *namespace;
	MntEntry **sorted; /* by parent, those with the longest path first */
	size_t n_sorted;
};

/* One that lies below the path of a sibling was there before it, and is hidden by it. */
static int compare_siblings(const void *a, const void *b)
{
	const MntEntry *const *one = a, *const *other = b;
	size_t one_length = strlen((*one)->mountpoint), other_length = strlen((*other)->mountpoint);

	return compare_values((*one)->parent_mnt_id, (*other)->parent_mnt_id) ?:
	       compare_values(other_length, one_length) ?:
	       compare_values((*one)->mnt_id, (*other)->mnt_id);
}

static size_t first_child(const struct ordering *ordering, uint32_t parent)
{
	size_t low = 0, high = ordering->n_sorted;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (ordering->sorted[middle]->parent_mnt_id < parent)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Parents before children, and each with all that is below it before its next sibling. */
static void lay_out(struct ordering *ordering, MntEntry *root, struct arena *arena)
{
	struct mount_namespace *namespace = ordering->namespace;
	struct open {
		size_t index, next; /* of the mount; of its next child */
	} *stack = arena_array(arena, struct open, ordering->n_sorted + 1);
	size_t depth = 0;

	namespace->parents[0] = SIZE_MAX;
	namespace->mounts[namespace->n_mounts++] = root;
	stack[depth++] = (struct open){ 0, first_child(ordering, root->mnt_id) };
	while (depth) {
		struct open *top = &stack[depth - 1];
		const MntEntry *mount = namespace->mounts[top->index];
		if (top->next == ordering->n_sorted ||
		    ordering->sorted[top->next]->parent_mnt_id != mount->mnt_id) {
			depth--;
			continue;
		}
		MntEntry *child = ordering->sorted[top->next++];
		namespace->parents[namespace->n_mounts] = top->index;
		namespace->mounts[namespace->n_mounts] = child;
		stack[depth++] = (struct open){ namespace->n_mounts++,
						first_child(ordering, child->mnt_id) };
	}
}

/* Others at "/" are on top of it, and have a parent among them. */
static MntEntry *find_root(MntEntry **entries, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		size_t at = 0;
		if (strcmp(entries[i]->mountpoint, "/") != 0)
			continue;
		while (at < n && entries[at]->mnt_id != entries[i]->parent_mnt_id)
			at++;
		if (at == n)
			return entries[i];
	}
	return NULL;
}

static int check_places(const struct mount_namespace *namespace, struct error *err)
{
	for (size_t i = 1; i < namespace->n_mounts; i++) {
		const MntEntry *mount = namespace->mounts[i];
		const MntEntry *parent = namespace->mounts[namespace->parents[i]];
		if (!path_below(mount->mountpoint, parent->mountpoint))
			return fail(err, ERR_IMAGE_INVALID,
				    "mount %" PRIu32 " (%.200s) is not below its parent, %.200s",
				    mount->mnt_id, mount->mountpoint, parent->mountpoint);
	}
	return 0;
}

static int compare_ids(const void *a, const void *b)
{
	const uint32_t *one = a, *other = b;

	return compare_values(one[0], other[0]);
}

/* Two of the same would be below each other without end. */
static int check_ids(const struct mount_namespace *namespace, MntEntry *const *entries, size_t n,
		     struct arena *arena, struct error *err)
{
	uint32_t *ids = arena_array(arena, uint32_t, n + 1);

	for (size_t i = 0; i < n; i++)
		ids[i] = entries[i]->mnt_id;
	qsort(ids, n, sizeof *ids, compare_ids);
	for (size_t i = 1; i < n; i++)
		if (ids[i] == ids[i - 1])
			return fail(err, ERR_IMAGE_INVALID,
				    "mount namespace %" PRIu32 ": mount %" PRIu32 " is there twice",
				    namespace->id, ids[i]);
	return 0;
}

int mount_namespace_order(struct mount_namespace *namespace, MntEntry **entries, size_t n,
			  struct arena *arena, struct error *err)
{
	struct ordering ordering = { .namespace = namespace };
	MntEntry *root = find_root(entries, n);

	if (!root)
		return fail(err, ERR_IMAGE_INVALID, "mount namespace %" PRIu32 " has no root",
			    namespace->id);
	if (check_ids(namespace, entries, n, arena, err))
		return -1;
	ordering.sorted = arena_array(arena, MntEntry *, n + 1);
	for (size_t i = 0; i < n; i++)
		if (entries[i] != root)
			ordering.sorted[ordering.n_sorted++] = entries[i];
	if (ordering.n_sorted)
		qsort(ordering.sorted, ordering.n_sorted, sizeof *ordering.sorted,
		      compare_siblings);
	namespace->mounts = arena_array(arena, MntEntry *, n);
	namespace->parents = arena_array(arena, size_t, n);
	lay_out(&ordering, root, arena);
	if (namespace->n_mounts != n)
		return fail(err, ERR_IMAGE_INVALID,
			    "mount namespace %" PRIu32 ": %zu of its mounts are not below its root",
			    namespace->id, n - namespace->n_mounts);
	return check_places(namespace, err);
}

static size_t list_entries(struct snapshot *snapshot, uint32_t id, MntEntry ***ret_entries)
{
	struct record *first = snapshot_record(snapshot, IMAGE_MOUNTPOINTS, id);
	size_t n = 0;

	for (struct record *record = first; record; record = record->next)
		n++;
	*ret_entries = arena_array(snapshot->arena, MntEntry *, n + 1);
	n = 0;
	for (struct record *record = first; record; record = record->next)
		(*ret_entries)[n++] = record->message;
	return n;
}

static int place_one(struct snapshot *snapshot, const struct namespace *plain, struct error *err)
{
	struct mount_namespace *namespace = arena_new(snapshot->arena, struct mount_namespace);
	MntEntry **entries;
	size_t n = list_entries(snapshot, plain->id, &entries);

	if (n == 0)
		return fail(err, ERR_IMAGE_MISSING, "mount namespace %" PRIu32 " has no mounts",
			    plain->id);
	*namespace = (struct mount_namespace){
		.id = plain->id,
		.plain = plain,
		.owner = plain->owner,
	};
	for (size_t i = 0; i < n; i++)
		if (check_mount(entries[i], err))
			return -1;
	if (mount_namespace_order(namespace, entries, n, snapshot->arena, err))
		return -1;
	snapshot->mount_namespaces =
		arena_grow(snapshot->arena, snapshot->mount_namespaces,
			   snapshot->n_mount_namespaces, sizeof *snapshot->mount_namespaces);
	snapshot->mount_namespaces[snapshot->n_mount_namespaces++] = namespace;
	return 0;
}

static int index_mounts(struct snapshot *snapshot, struct error *err)
{
	size_t room = 0;

	for (size_t i = 0; i < snapshot->n_mount_namespaces; i++)
		room += snapshot->mount_namespaces[i]->n_mounts;
	snapshot->mounts = arena_array(snapshot->arena, struct mount_place, room + 1);
	snapshot->n_mounts = 0;
	for (size_t i = 0; i < snapshot->n_mount_namespaces; i++) {
		struct mount_namespace *namespace = snapshot->mount_namespaces[i];
		for (size_t k = 0; k < namespace->n_mounts; k++)
			snapshot->mounts[snapshot->n_mounts++] =
				(struct mount_place){ namespace->mounts[k]->mnt_id, namespace, k };
	}
	qsort(snapshot->mounts, snapshot->n_mounts, sizeof *snapshot->mounts, compare_places);
	for (size_t i = 1; i < snapshot->n_mounts; i++)
		if (snapshot->mounts[i].mount_id == snapshot->mounts[i - 1].mount_id)
			return fail(err, ERR_IMAGE_INVALID, "mount %" PRIu32 " is there twice",
				    snapshot->mounts[i].mount_id);
	return 0;
}

int place_mount_namespaces(struct snapshot *snapshot, struct error *err)
{
	snapshot->n_mount_namespaces = 0;
	snapshot->mount_namespaces = NULL;
	for (size_t i = 0; i < snapshot->n_plain_namespaces; i++)
		if (snapshot->plain_namespaces[i]->type == NAMESPACE_MNT &&
		    place_one(snapshot, snapshot->plain_namespaces[i], err))
			return -1;
	return index_mounts(snapshot, err);
}

/* ---- Mounts that come from elsewhere at a restore ---- */

static const struct mount_namespace *root_mounts(const struct snapshot *snapshot)
{
	return snapshot->n_tasks ? task_mount_namespace(snapshot, &snapshot->tasks[0]) : NULL;
}

/* What it is bound from below another root; of one that is not bound, as it shows a part of it. */
static const char *below_root(const MntEntry *mount, const MntEntry *root)
{
	if (mount->deleted || mount->ext_mount)
		return NULL;
	if (root->bound_path)
		return mount->bound_path ? path_below(mount->bound_path, root->bound_path) : NULL;
	return mount->root_dev == root->root_dev ? path_below(mount->root, root->root) : NULL;
}

const char *snapshot_moved_path(const struct snapshot *snapshot, struct arena *arena,
				const char *path)
{
	const char *below = snapshot->moved_from ? path_below(path, snapshot->moved_from) : NULL;

	return below ? arena_printf(arena, "%s%s%s", snapshot->moved_to, *below ? "/" : "", below)
		     : path;
}

/* An image that lies in the root lies in the new one. */
static void move_loop_files(const struct snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->n_mount_namespaces; i++)
		for (size_t k = 0; k < snapshot->mount_namespaces[i]->n_mounts; k++) {
			MntLoopEntry *loop = snapshot->mount_namespaces[i]->mounts[k]->loop;
			if (loop)
				loop->file = arena_string(
					snapshot->arena,
					snapshot_moved_path(snapshot, snapshot->arena, loop->file));
		}
}

bool mounts_move_root(struct snapshot *snapshot, const char *root)
{
	const struct mount_namespace *own = root_mounts(snapshot);

	if (!own || own->mounts[0]->ext_mount)
		return false;
	const MntEntry from = *own->mounts[0];
	for (size_t i = 0; i < snapshot->n_mount_namespaces; i++) {
		const struct mount_namespace *namespace_ = snapshot->mount_namespaces[i];
		for (size_t k = 0; k < namespace_->n_mounts; k++) {
			MntEntry *mount = namespace_->mounts[k];
			const char *below = below_root(mount, &from);
			if (!below)
				continue;
			mount->bound_path = arena_printf(snapshot->arena, "%s%s%s", root,
							 *below ? "/" : "", below);
			mount->has_bound_depth = false;
			mount->bound_depth = 0;
		}
	}
	/* A tree that had all of nestor's mounts may have looked at any of them. */
	if (!from.bound_path || strcmp(from.bound_path, "/") == 0)
		return true;
	snapshot->moved_from = from.bound_path;
	snapshot->moved_to = arena_string(snapshot->arena, root);
	move_loop_files(snapshot);
	return true;
}

void mounts_name_external(const struct snapshot *snapshot, const struct externals *externals)
{
	const struct mount_namespace *own = root_mounts(snapshot);

	for (size_t i = 0; own && i < own->n_mounts; i++) {
		const struct external *row =
			externals_find(externals, EXTERNAL_MNT, own->mounts[i]->mountpoint);
		if (row && *row->id && *row->value)
			own->mounts[i]->ext_key = arena_string(snapshot->arena, row->value);
	}
}

static int move_one(const struct snapshot *snapshot, const struct externals *externals,
		    MntEntry *mount, struct error *err)
{
	const char *key = mount->ext_key ? mount->ext_key : mount->mountpoint;
	const struct external *row = externals_find(externals, EXTERNAL_MNT, key);

	if (!row || !*row->id || !*row->value)
		return 0;
	char *path = path_plain(snapshot->arena, row->value);
	if (!path) {
		fail(err, ERR_USAGE, "--external mnt[%.200s]:%s gives no absolute path", key,
		     row->value);
		return fail_hint(err, "give one that begins with / and has no .. in it");
	}
	mount->bound_path = path;
	mount->has_bound_depth = false;
	mount->bound_depth = 0;
	return 0;
}

int mounts_move_external(const struct snapshot *snapshot, const struct externals *externals,
			 struct error *err)
{
	for (size_t i = 0; i < snapshot->n_mount_namespaces; i++) {
		const struct mount_namespace *namespace_ = snapshot->mount_namespaces[i];
		bool bound = namespace_ == root_mounts(snapshot);
		for (size_t k = 0; k < namespace_->n_mounts; k++) {
			MntEntry *mount = namespace_->mounts[k];
			if ((mount->ext_mount || (bound && mount->bound_path)) &&
			    move_one(snapshot, externals, mount, err))
				return -1;
		}
	}
	return 0;
}
