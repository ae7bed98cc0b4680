// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Mount namespaces of a live tree. A deputy enters each and opens its root directory and its
 * mountinfo, which from there shows all mounts, whatever the root directories of tasks are.
 *
 * A mount whose superblock nestor's own namespace has too is bound from there when it is restored,
 * by the path that it has there now. All others are made anew by the row of their file system.
 */
#include "kinds/mounts/mounts.h"

#include "base/cleanup.h"
#include "base/procfs.h"
#include "collect/namespaces.h"
#include "kernel/deputy.h"
#include "kernel/facts.h"
#include "kinds/mounts/kind.h"
#include "kinds/mounts/survey.h"
#include "model/records.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>

static const char state_key;

struct mount_survey *survey_of_mounts(struct collect *collect)
{
	return *collect_state(collect, &state_key);
}

/* ---- reading ---- */

struct entering {
	int namespace_fd, proc_fd; /* namespace_fd -1: stay */
	int ret_root_fd, ret_mountinfo_fd;
};

static int enter(void *data, struct error *err)
{
	struct entering *entering = data;

	if (entering->namespace_fd >= 0 && setns(entering->namespace_fd, CLONE_NEWNS))
		return fail_errno(err, ERR_NO_PRIVILEGE, "cannot enter a mount namespace");
	entering->ret_mountinfo_fd =
		openat(entering->proc_fd, "self/mountinfo", O_RDONLY | O_CLOEXEC);
	entering->ret_root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (entering->ret_mountinfo_fd < 0 || entering->ret_root_fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot read a mount namespace");
	return 0;
}

static int read_whole(int fd, struct arena *arena, char **ret_text)
{
	size_t room = 64 * 1024, length = 0;
	char *text = malloc(room);

	for (ssize_t size = 1; text && size;) {
		if (length + 1 == room)
			text = realloc(text, room *= 2);
		size = text ? read(fd, text + length, room - length - 1) : -1;
		if (size < 0) {
			free(text);
			return -1;
		}
		length += (size_t)size;
	}
	if (!text)
		return -1;
	text[length] = '\0';
	*ret_text = arena_copy(arena, text, length + 1);
	free(text);
	return 0;
}

static int read_table(struct arena *arena, int namespace_fd, struct mount_table *table,
		      struct error *err)
{
	struct entering *entering = deputy_memory(sizeof *entering);
	autoclose int proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	char *text;

	if (!entering || proc_fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot open /proc");
	*entering = (struct entering){ namespace_fd, proc_fd, -1, -1 };
	int result = deputy_run(enter, entering, err);
	autoclose int mountinfo_fd = entering->ret_mountinfo_fd;
	table->root_fd = entering->ret_root_fd;
	deputy_memory_free(entering, sizeof *entering);
	if (result < 0)
		return -1;
	if (read_whole(mountinfo_fd, arena, &text) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot read mountinfo");
	return mountinfo_parse(text, arena, &table->lines, &table->n_lines, err);
}

/* ---- where it can be bound from ---- */

/* What is mounted last where a mount is, and how many there are above it. */
static const struct mount_line *top_of(const struct mount_table *table,
				       const struct mount_line *line, uint32_t *ret_depth)
{
	*ret_depth = 0;
	for (size_t i = 0; i < table->n_lines; i++)
		if (table->lines[i].parent_id == line->id &&
		    strcmp(table->lines[i].mountpoint, line->mountpoint) == 0) {
			line = &table->lines[i];
			++*ret_depth;
			i = SIZE_MAX;
		}
	return line;
}

static int fail_origin(const char *path, struct error *err)
{
	return fail_errno(err, ERR_KERNEL_REFUSED, "cannot see whether %s is what is mounted",
			  path);
}

/* 1, 0 if not; -1 if that cannot be told. */
static int can_be_origin(const struct mount_survey *survey, struct arena *arena,
			 const struct mount_line *own, const struct mount_line *line, int root_fd,
			 char **ret_path, uint32_t *ret_depth, struct error *err)
{
	const char *below = own->device == line->device ? path_below(line->root, own->root) : NULL;

	/* A bind shows the source of what it is bound from. */
	const struct mount_kind *kind = mount_kind_of_type(line->type);
	if (!below || (kind && kind->single && strcmp(own->source, line->source) != 0))
		return 0;
	const struct mount_line *top = top_of(&survey->own, own, ret_depth);
	char *path =
		*below ? arena_printf(arena, "%s/%s",
				      strcmp(own->mountpoint, "/") ? own->mountpoint : "", below)
		       : arena_string(arena, own->mountpoint);
	*ret_path = path;
	if (*ret_depth) {
		autoclose int top_fd = survey_open_mount(&survey->own, top);
		if (top_fd < 0 && !survey_is_absent(errno))
			return fail_origin(path, err);
		return top_fd >= 0 && !*below;
	}
	autoclose int fd = survey_open_path(survey->own.root_fd, path, O_PATH | O_NOFOLLOW);
	int64_t mount_id = fd < 0 ? -1 : survey_mount_id(fd);
	if (mount_id < 0)
		return survey_is_absent(errno) ? 0 : fail_origin(path, err);
	if (mount_id != own->id || root_fd < 0)
		return mount_id == own->id;
	int same = survey_is_same(root_fd, fd);
	return same < 0 && !survey_is_absent(errno) ? fail_origin(path, err) : same > 0;
}

/* One that is its master is better than any other. */
static int find_origin(const struct mount_survey *survey, struct arena *arena,
		       const struct mount_line *line, int root_fd, char **ret_path,
		       uint32_t *ret_depth, const struct mount_line **ret, struct error *err)
{
	*ret = NULL;
	for (int pass = line->master_id ? 0 : 1; pass < 2; pass++)
		for (size_t i = 0; i < survey->own.n_lines; i++) {
			const struct mount_line *own = &survey->own.lines[i];
			if (!pass && own->shared_id != line->master_id)
				continue;
			int result = can_be_origin(survey, arena, own, line, root_fd, ret_path,
						   ret_depth, err);
			if (result > 0)
				*ret = own;
			if (result)
				return result < 0 ? -1 : 0;
		}
	return 0;
}

/* ---- entries ---- */

static int refuse(const char *what, const char *why, struct error *err)
{
	return fail(err, ERR_UNSUPPORTED_MOUNT, "%s %s", what, why);
}

/* The root of a mount that was removed since is marked in mountinfo. */
static void strip_removed(struct arena *arena, struct mount_line *line)
{
	size_t root = strlen(line->root), suffix = strlen(REMOVED_ROOT);

	if (root < suffix || strcmp(line->root + root - suffix, REMOVED_ROOT) != 0)
		return;
	char *path = arena_string(arena, line->root);
	path[root - suffix] = '\0';
	line->root = *path ? path : "/";
	line->removed = true;
}

static int check_line(const struct mount_line *line, const char *what, struct error *err)
{
	if (line->idmapped)
		return refuse(what, "has mapped ids", err);
	bool plain = strcmp(line->type, "nsfs") == 0 || path_is_plain(line->root);
	if (!plain || !path_is_plain(line->mountpoint))
		return refuse(what, "has a path outside of its namespace", err);
	return 0;
}

static MntEntry *new_entry(struct collect *collect, const struct mount_line *line)
{
	MntEntry *entry = snapshot_new(collect->snapshot, MNT_ENTRY, MntEntry);

	entry->fstype = FSTYPE__UNSUPPORTED;
	entry->fsname = arena_string(collect->arena, line->type);
	entry->mnt_id = line->id;
	entry->parent_mnt_id = line->parent_id;
	entry->root_dev = (uint32_t)(minor(line->device) & 0xff) |
			  (uint32_t)major(line->device) << 8 |
			  (uint32_t)(minor(line->device) & ~0xffu) << 12;
	entry->has_shared_id = line->shared_id != 0;
	entry->shared_id = line->shared_id;
	entry->has_master_id = line->master_id != 0;
	entry->master_id = line->master_id;
	entry->flags = line->flags | (line->unbindable ? MS_UNBINDABLE : 0);
	entry->has_sb_flags = true;
	entry->sb_flags = line->superblock_flags;
	entry->root = arena_string(collect->arena, line->root);
	entry->mountpoint = arena_string(collect->arena, line->mountpoint);
	entry->source = arena_string(collect->arena, line->source);
	entry->options = arena_string(collect->arena, line->options);
	return entry;
}

static const char *name_mount(struct collect *collect, const struct live_namespace *namespace,
			      const struct mount_line *line)
{
	return arena_printf(collect->arena, "mount %s (%s) of %s", line->mountpoint, line->type,
			    namespace->what);
}

/* By way of itself, or of another mount of the same name, if it is hidden. */
static int open_removed(const struct mount_survey *survey, const struct live_mount *mount)
{
	int fd = live_mount_copy(mount);

	for (size_t i = 0; i < survey->n_namespaces && fd < 0; i++) {
		const struct live_namespace *namespace = &survey->namespaces[i];
		for (size_t k = 0; k < namespace->table.n_lines && fd < 0; k++) {
			const struct mount_line *line = &namespace->table.lines[k];
			if (line->removed && line->device == mount->line->device &&
			    strcmp(line->root, mount->line->root) == 0)
				fd = survey_open_mount(&namespace->table, line);
		}
	}
	return fd;
}

/*
 * Of a file system that nestor's namespace has, too: it is to be made again where it was. What is
 * not, goes with its file system.
 */
static int collect_removed(struct collect *collect, const struct live_namespace *namespace,
			   const struct mount_line *line, MntEntry *entry, struct error *err)
{
	const struct mount_survey *survey = survey_of_mounts(collect);
	const struct live_mount mount = { namespace, line, entry, -1 };
	const struct mount_line *own = NULL;

	for (size_t i = 0; i < survey->own.n_lines && !own; i++)
		if (survey->own.lines[i].device == line->device &&
		    path_below(line->root, survey->own.lines[i].root))
			own = &survey->own.lines[i];
	if (!own)
		return 0;
	autoclose int fd = open_removed(survey, &mount);
	if (fd >= 0 && mount_origin_collect(collect, entry, fd, err))
		return -1;
	if (entry->origin)
		entry->bound_path =
			arena_printf(collect->arena, "%s/%s",
				     strcmp(own->mountpoint, "/") == 0 ? "" : own->mountpoint,
				     path_below(line->root, own->root));
	return 0;
}

/*
 * Inside a user namespace, what has locked mounts below it cannot be bound alone
 * (has_locked_children): a restore would fail there.
 */
static int try_binding(struct collect *collect, const char *path, const char *what,
		       struct error *err)
{
	const struct mount_survey *survey = survey_of_mounts(collect);

	if (collect->facts->in_initial_user_namespace)
		return 0;
	autoclose int fd = survey_open_path(survey->own.root_fd, path, O_PATH | O_NOFOLLOW);
	autoclose int bound_fd =
		fd < 0 ? -1
		       : open_tree(fd, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (bound_fd >= 0 || errno != EINVAL)
		return 0;
	refuse(what, "shows what has locked mounts below it, and cannot be bound alone", err);
	return fail_hint(err, "run nestor in the user namespace to which nestor's mounts belong");
}

static int collect_mount(struct collect *collect, const struct live_namespace *namespace,
			 const struct mount_line *line, MntEntry **ret_entry, struct error *err)
{
	const struct mount_survey *survey = survey_of_mounts(collect);
	const char *what = name_mount(collect, namespace, line);
	autoclose int root_fd = survey_open_mount(&namespace->table, line);
	uint32_t depth = 0;
	char *path;

	if (root_fd < 0 && !survey_is_absent(errno))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot open %s", what);
	MntEntry *entry = new_entry(collect, line);
	*ret_entry = entry;
	if (check_line(line, what, err))
		return collect_pass(collect, err);
	entry->has_deleted = entry->deleted = line->removed;
	if (line->removed)
		return 0;
	int held = mount_held_collect(collect, namespace, line, entry, what, err);
	if (held)
		return held < 0 ? collect_pass(collect, err) : 0;
	const struct mount_line *origin;
	if (find_origin(survey, collect->arena, line, root_fd, &path, &depth, &origin, err))
		return -1;
	if (!origin) {
		mount_outside_collect(collect, line, entry);
		return 0;
	}
	entry->bound_path = path;
	entry->has_bound_depth = depth != 0;
	entry->bound_depth = depth;
	if (!depth && try_binding(collect, path, what, err) && collect_pass(collect, err))
		return -1;
	/* The root of a whole file system is nothing that could be made again. */
	if (strcmp(line->root, "/") != 0) {
		autoclose int fd = survey_open_path(survey->own.root_fd, path, O_PATH | O_NOFOLLOW);
		if (mount_origin_collect(collect, entry, fd, err))
			return -1;
	}
	entry->master_outside = line->master_id && origin->shared_id == line->master_id;
	entry->has_master_outside = entry->master_outside;
	return 0;
}

/* A peer of nestor's own mounts would show them what is mounted inside, and they it. */
static bool is_shared_with_own(const struct mount_survey *survey, uint32_t shared_id)
{
	for (size_t i = 0; shared_id && i < survey->own.n_lines; i++)
		if (survey->own.lines[i].shared_id == shared_id)
			return true;
	return false;
}

static bool is_group_of_tree(const struct mount_survey *survey, uint32_t id)
{
	for (size_t i = 0; i < survey->n_namespaces; i++)
		for (size_t k = 0; k < survey->namespaces[i].table.n_lines; k++)
			if (survey->namespaces[i].table.lines[k].shared_id == id)
				return true;
	return false;
}

/* What is given from outside does not share, unless that is asked for. */
static int collect_sharing(struct collect *collect, MntEntry *entry, const char *what,
			   struct error *err)
{
	const struct externals *externals = collect->options->externals;

	if (entry->ext_mount) {
		entry->has_shared_id = false;
		entry->shared_id = 0;
		return 0;
	}
	if (entry->bound_path && !entry->bound_depth && externals && externals->mounts.sharing) {
		entry->has_shared_outside = entry->shared_outside = true;
		return 0;
	}
	refuse(what, "shares mounts with the namespace of nestor", err);
	return fail_hint(err, "--enable-external-sharing lets it do so after the restore, too");
}

/* A master that cannot be seen. */
static int collect_master(struct collect *collect, MntEntry *entry, const char *what,
			  struct error *err)
{
	const struct externals *externals = collect->options->externals;

	if (entry->ext_mount) {
		entry->has_master_outside = entry->master_outside = true;
		return 0;
	}
	if (externals && externals->mounts.masters) {
		entry->has_master_id = false;
		entry->master_id = 0;
		return 0;
	}
	refuse(what,
	       "is a slave of a mount that is neither in the tree nor in the namespace of nestor",
	       err);
	return fail_hint(err, "--enable-external-masters restores it without its master");
}

/* Once all mounts are read: does a master lie elsewhere? */
static int check_masters(struct collect *collect, const struct live_namespace *namespace,
			 struct error *err)
{
	const struct mount_survey *survey = survey_of_mounts(collect);

	for (size_t i = 0; i < namespace->table.n_lines; i++) {
		const struct mount_line *line = &namespace->table.lines[i];
		const char *what = name_mount(collect, namespace, line);
		int result = 0;
		if (is_shared_with_own(survey, line->shared_id))
			result = collect_sharing(collect, namespace->entries[i], what, err);
		else if (line->master_id && !namespace->entries[i]->master_outside &&
			 !is_group_of_tree(survey, line->master_id))
			result = collect_master(collect, namespace->entries[i], what, err);
		if (result && collect_pass(collect, err))
			return -1;
	}
	return 0;
}

static int collect_entries(struct collect *collect, struct live_namespace *namespace,
			   struct error *err)
{
	const struct mount_table *table = &namespace->table;

	namespace->entries = arena_array(collect->arena, MntEntry *, table->n_lines + 1);
	for (size_t i = 0; i < table->n_lines; i++) {
		if (collect_mount(collect, namespace, &table->lines[i], &namespace->entries[i],
				  err))
			return -1;
		snapshot_add_record(collect->snapshot, IMAGE_MOUNTPOINTS, namespace->id,
				    namespace->entries[i]);
	}
	if (mount_namespace_order(&namespace->order, namespace->entries, table->n_lines,
				  collect->arena, err))
		return -1;
	for (size_t i = 0; i < table->n_lines; i++)
		if (table->lines[i].removed && !namespace->entries[i]->ext_mount &&
		    collect_removed(collect, namespace, &table->lines[i], namespace->entries[i],
				    err))
			return -1;
	return mount_revealed_collect(namespace, err) || mount_locks_find(namespace, err) ? -1 : 0;
}

/* ---- superblocks ---- */

static int rank(const struct live_mount *mount)
{
	if (mount->root_fd < 0)
		return 2;
	return strcmp(mount->line->root, "/") == 0 && !mount->line->removed ? 0 : 1;
}

static int by_device(const void *a, const void *b)
{
	const struct live_mount *one = a, *other = b;

	if (one->line->device != other->line->device)
		return one->line->device < other->line->device ? -1 : 1;
	if (rank(one) != rank(other))
		return rank(one) < rank(other) ? -1 : 1;
	return one->line->id < other->line->id ? -1 : one->line->id > other->line->id;
}

/* As it is mounted, or as it has to be. */
static int collect_superblock(const struct live_superblock *superblock, struct error *err)
{
	const struct live_mount *first = &superblock->mounts[0];
	const struct mount_kind *kind = mount_kind_of_type(first->line->type);
	const struct mount_survey *survey = survey_of_mounts(superblock->collect);
	MntEntry *entry = first->entry;

	for (size_t i = 0; first->line->removed && i < survey->own.n_lines; i++)
		if (survey->own.lines[i].device == first->line->device)
			return refuse(superblock->what,
				      "shows something that was removed from a file system of "
				      "nestor's own namespace",
				      err);
	if (!kind &&
	    externals_mounts_type(superblock->collect->options->externals, first->line->type))
		kind = &plain_mount_kind;
	superblock->collect->may_wait |= !kind;
	if (!kind) {
		refuse(superblock->what, "is of a file system that cannot be made again", err);
		return fail_hint(
			err,
			"--external mnt[%s]:NAME has it given from outside; --enable-fs %s "
			"mounts it again, without what is in it",
			first->line->mountpoint, first->line->type);
	}
	for (size_t i = 0; i < superblock->n_mounts; i++)
		if (superblock->mounts[i].line->removed && !kind->removed)
			return refuse(superblock->what, "shows something that was removed", err);
	if (strcmp(first->line->root, "/") != 0 && !kind->parts)
		return refuse(superblock->what,
			      "shows a part of a file system of which the rest is not mounted",
			      err);
	entry->fstype = kind->fstype;
	if (kind->owned) {
		if (mount_owner_find(superblock, &entry->userns_id, err))
			return -1;
		entry->has_userns_id = entry->userns_id != 0;
	}
	if (kind->collect && kind->collect(superblock, entry, err))
		return -1;
	for (size_t i = 1; i < superblock->n_mounts; i++) {
		MntEntry *other = superblock->mounts[i].entry;
		other->fstype = entry->fstype;
		other->nses = entry->nses;
		other->has_userns_id = entry->has_userns_id;
		other->userns_id = entry->userns_id;
	}
	return 0;
}

/* The mounts that are bound from nowhere, those of one superblock after each other. */
static size_t list_mounts(struct collect *collect, struct live_mount **ret_mounts)
{
	const struct mount_survey *survey = survey_of_mounts(collect);
	struct live_mount *mounts = NULL;
	size_t n = 0;

	for (size_t i = 0; i < survey->n_namespaces; i++) {
		const struct live_namespace *namespace = &survey->namespaces[i];
		for (size_t k = 0; k < namespace->table.n_lines; k++) {
			const MntEntry *entry = namespace->entries[k];
			if (entry->bound_path || entry->ext_mount || entry->held)
				continue;
			const struct mount_line *line = &namespace->table.lines[k];
			mounts = arena_grow(collect->arena, mounts, n, sizeof *mounts);
			mounts[n++] = (struct live_mount){
				.namespace = namespace,
				.line = line,
				.entry = namespace->entries[k],
				.root_fd = survey_open_mount(&namespace->table, line),
			};
		}
	}
	if (n)
		qsort(mounts, n, sizeof *mounts, by_device);
	*ret_mounts = mounts;
	return n;
}

static int collect_superblocks(struct collect *collect, struct error *err)
{
	struct live_mount *mounts;
	size_t n = list_mounts(collect, &mounts);
	int result = 0;

	for (size_t i = 0, end; i < n && !result; i = end) {
		for (end = i + 1; end < n && mounts[end].line->device == mounts[i].line->device;)
			end++;
		const struct live_superblock superblock = {
			.collect = collect,
			.mounts = &mounts[i],
			.n_mounts = end - i,
			.what = name_mount(collect, mounts[i].namespace, mounts[i].line),
		};
		result =
			collect_superblock(&superblock, err) && collect_pass(collect, err) ? -1 : 0;
	}
	for (size_t i = 0; i < n; i++)
		cleanup_close(&mounts[i].root_fd);
	return result;
}

/* ---- which there are ---- */

static struct live_namespace *find(const struct mount_survey *survey, uint32_t id)
{
	for (size_t i = 0; i < survey->n_namespaces; i++)
		if (survey->namespaces[i].id == id)
			return &survey->namespaces[i];
	return NULL;
}

static int add(struct collect *collect, const struct surveyed_namespace *met, const char *what,
	       struct error *err)
{
	struct mount_survey *survey = survey_of_mounts(collect);

	if (met->own || find(survey, met->id))
		return 0;
	survey->namespaces = arena_grow(collect->arena, survey->namespaces, survey->n_namespaces,
					sizeof *survey->namespaces);
	struct live_namespace *namespace = &survey->namespaces[survey->n_namespaces++];
	*namespace = (struct live_namespace){
		.id = met->id,
		.met = met,
		.fd = met->fd,
		.what = what,
		.collect = collect,
		.table.root_fd = -1,
	};
	if (survey->n_namespaces == 1 && read_table(collect->arena, -1, &survey->own, err))
		return -1;
	if (read_table(collect->arena, met->fd, &namespace->table, err))
		return -1;
	mount_table_skip(&namespace->table, collect->options->externals, collect->arena);
	for (size_t i = 0; i < namespace->table.n_lines; i++)
		strip_removed(collect->arena, &namespace->table.lines[i]);
	return 0;
}

static int look_at(struct collect *collect, struct target *target, struct error *err)
{
	const struct surveyed_namespace *met =
		survey_add_link(target, NAMESPACE_MNT, namespace_types[NAMESPACE_MNT].link, err);

	return met ? add(collect, met, arena_printf(collect->arena, "pid %d", target->pid), err)
		   : -1;
}

/* What cannot be part of the tree is refused by whoever collects the descriptor or mount. */
static int add_held(struct collect *collect, int fd, const char *what, struct error *err)
{
	struct error refusal = { 0 };
	const struct surveyed_namespace *met =
		survey_add(collect, NAMESPACE_MNT, fd, what, &refusal);

	return met ? add(collect, met, what, err) : 0;
}

int mount_namespaces_collect(struct collect *collect, struct error *err)
{
	struct mount_survey *survey = arena_new(collect->arena, struct mount_survey);

	*survey = (struct mount_survey){ .own.root_fd = -1 };
	*collect_state(collect, &state_key) = survey;
	for (size_t i = 0; i < collect->n_targets; i++)
		if (!collect->targets[i].zombie && look_at(collect, &collect->targets[i], err))
			return -1;
	if (mount_held_namespaces(collect, add_held, err))
		return -1;
	for (size_t i = 0; i < survey->n_namespaces; i++)
		if (collect_entries(collect, &survey->namespaces[i], err))
			return -1;
	for (size_t i = 0; i < survey->n_namespaces; i++)
		if (check_masters(collect, &survey->namespaces[i], err))
			return -1;
	return collect_superblocks(collect, err);
}

bool mount_namespace_is_read(struct collect *collect, uint32_t id)
{
	return find(survey_of_mounts(collect), id) != NULL;
}

void mount_namespaces_complete(struct collect *collect)
{
	for (const struct mount_kind *const *kind = mount_kinds; *kind; kind++)
		if ((*kind)->complete)
			(*kind)->complete(collect);
}

void mount_namespaces_release(struct collect *collect)
{
	struct mount_survey *survey = survey_of_mounts(collect);

	for (size_t i = 0; survey && i < survey->n_namespaces; i++)
		cleanup_close(&survey->namespaces[i].table.root_fd);
	if (survey)
		cleanup_close(&survey->own.root_fd);
	*collect_state(collect, &state_key) = NULL;
}
