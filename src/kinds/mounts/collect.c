// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Mount namespaces of a live tree: which there are, and an entry for each of their mounts. One
 * whose superblock nestor's own namespace has too is bound from there when it is restored, by the
 * path that it has there now. All others are made anew by the row of their file system.
 */
#include "kinds/mounts/mounts.h"

#include "base/cleanup.h"
#include "base/procfs.h"
#include "collect/namespaces.h"
#include "kernel/deputy.h"
#include "kernel/facts.h"
#include "kinds/mounts/fuse.h"
#include "kinds/mounts/kind.h"
#include "kinds/mounts/survey.h"
#include "model/records.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>

static const char state_key;

struct mount_survey *survey_of_mounts(struct collect *collect)
{
	return *collect_state(collect, &state_key);
}

/* ---- entries ---- */

int survey_refuse(const char *what, const char *why, struct error *err)
{
	return fail(err, ERR_UNSUPPORTED_MOUNT, "%s %s", what, why);
}

static int check_line(const struct mount_line *line, const char *what, struct error *err)
{
	bool plain = strcmp(line->type, "nsfs") == 0 || path_is_plain(line->root);
	if (!plain || !path_is_plain(line->mountpoint))
		return survey_refuse(what, "has a path outside of its namespace", err);
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

const char *survey_name_mount(struct collect *collect, const struct live_namespace *namespace,
			      const struct mount_line *line)
{
	return arena_printf(collect->arena, "mount %s (%s) of %s", line->mountpoint, line->type,
			    namespace->what);
}

static int open_of_same_name(const struct mount_survey *survey, const struct mount_line *removed)
{
	for (size_t i = 0; i < survey->n_namespaces; i++) {
		const struct mount_table *table = &survey->namespaces[i].table;
		for (size_t k = 0; k < table->n_lines; k++) {
			const struct mount_line *line = &table->lines[k];
			if (!line->removed || line->device != removed->device ||
			    strcmp(line->root, removed->root) != 0)
				continue;
			int fd = survey_open_mount(table, line);
			if (fd >= 0)
				return fd;
		}
	}
	return -1;
}

/* By way of itself, or of another mount of the same name, if it is hidden. */
static int open_removed(const struct mount_survey *survey, const struct live_mount *mount,
			int *ret_fd, struct error *err)
{
	int fd;

	if (live_mount_copy(mount, &fd, err))
		return -1;
	*ret_fd = fd < 0 ? open_of_same_name(survey, mount->line) : fd;
	return 0;
}

/* What nestor's own namespace has of it, if anything. */
static const struct mount_line *find_own(const struct mount_survey *survey,
					 const struct mount_line *line)
{
	for (size_t i = 0; i < survey->own.n_lines; i++)
		if (survey->own.lines[i].device == line->device &&
		    path_below(line->root, survey->own.lines[i].root))
			return &survey->own.lines[i];
	return NULL;
}

/* What the kernel alone makes: an instance of tracefs, a process. */
static bool is_of_kernel(const struct mount_line *line)
{
	const struct mount_kind *kind = mount_kind_of_type(line->type);

	return kind && (kind->single || kind == &proc_mount_kind);
}

/*
 * Of a file system that nestor's namespace has, too: it is to be made again where it was. What is
 * not, goes with its file system.
 */
static int collect_removed(struct collect *collect, const struct live_namespace *namespace,
			   const struct mount_line *line, MntEntry *entry, struct error *err)
{
	const struct mount_survey *survey = survey_of_mounts(collect);
	const struct live_mount mount = { namespace, line, entry, true };
	const struct mount_line *own = find_own(survey, line);

	/* What cannot be made again is refused with its file system. */
	if (!own || is_of_kernel(line))
		return 0;
	autoclose int fd = -1;
	if (open_removed(survey, &mount, &fd, err))
		return -1;
	if (fd >= 0 && mount_origin_collect(collect, entry, fd, err))
		return -1;
	if (fd >= 0 && !entry->origin &&
	    mount_removed_collect(collect, entry, fd, survey_name_mount(collect, namespace, line),
				  err) &&
	    collect_pass(collect, err))
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
	autoclose int fd = survey_open_path(&survey->own, path, O_PATH | O_NOFOLLOW);
	autoclose int bound_fd =
		fd < 0 ? -1
		       : open_tree(fd, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (bound_fd < 0 && errno_tells_nothing(errno))
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot be bound for a trial", what);
	if (bound_fd >= 0 || errno != EINVAL)
		return 0;
	survey_refuse(what, "shows what has locked mounts below it, and cannot be bound alone",
		      err);
	return fail_hint(err, "run nestor in the user namespace to which nestor's mounts belong");
}

static int collect_mount(struct collect *collect, const struct live_namespace *namespace,
			 const struct mount_line *line, MntEntry **ret_entry, struct error *err)
{
	struct mount_survey *survey = survey_of_mounts(collect);
	const char *what = survey_name_mount(collect, namespace, line);
	autoclose int root_fd = survey_open_mount(&namespace->table, line);
	uint32_t depth = 0;
	char *path;

	if (root_fd < 0 && !survey_is_absent(errno))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot open %s", what);
	MntEntry *entry = new_entry(collect, line);
	*ret_entry = entry;
	if (check_line(line, what, err) ||
	    mount_idmap_collect(namespace, line, root_fd, entry, what, err))
		return collect_pass(collect, err);
	entry->has_deleted = entry->deleted = line->removed;
	if (line->removed)
		return 0;
	int held = mount_held_collect(collect, namespace, line, entry, what, err);
	if (held)
		return held < 0 ? collect_pass(collect, err) : 0;
	const struct mount_line *origin;
	if (mount_bound_find(survey, collect->arena, line, root_fd, &path, &depth, &origin, err))
		return -1;
	if (!origin) {
		mount_outside_collect(collect, line, entry);
		return 0;
	}
	const struct live_superblock superblock = {
		collect, &(const struct live_mount){ namespace, line, entry, false }, 1, what
	};
	if (mount_overlay_note(&superblock, root_fd, err))
		return -1;
	entry->bound_path = path;
	entry->has_bound_depth = depth != 0;
	entry->bound_depth = depth;
	if (!depth && try_binding(collect, path, what, err) && collect_pass(collect, err))
		return -1;
	/* The root of a whole file system is nothing that could be made again. */
	if (strcmp(line->root, "/") != 0) {
		autoclose int fd = survey_open_path(&survey->own, path, O_PATH | O_NOFOLLOW);
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
	survey_refuse(what, "shares mounts with the namespace of nestor", err);
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
	/* Also where it is refused: it stands in the way once. */
	entry->has_master_id = false;
	entry->master_id = 0;
	if (externals && externals->mounts.masters)
		return 0;
	survey_refuse(
		what,
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
		const char *what = survey_name_mount(collect, namespace, line);
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

/* What takes the order of all: what was removed, and namespaces whose files others hide. */
static int collect_hidden(struct collect *collect, const struct live_namespace *namespace,
			  const struct mount_line *line, MntEntry *entry, struct error *err)
{
	if (mount_held_is_hidden(entry) &&
	    mount_held_collect_hidden(collect, namespace, line, entry,
				      survey_name_mount(collect, namespace, line), err) < 0)
		return collect_pass(collect, err);
	return line->removed && !entry->ext_mount
		       ? collect_removed(collect, namespace, line, entry, err)
		       : 0;
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
	namespace->order.mounts[0]->detached = namespace->detached;
	for (size_t i = 0; i < table->n_lines; i++)
		if (collect_hidden(collect, namespace, &table->lines[i], namespace->entries[i],
				   err))
			return -1;
	return mount_hidden_collect(namespace, err);
}

/* ---- which there are ---- */

static struct live_namespace *find(const struct mount_survey *survey, uint32_t id)
{
	for (size_t i = 0; i < survey->n_namespaces; i++)
		if (survey->namespaces[i].id == id)
			return &survey->namespaces[i];
	return NULL;
}

int survey_read_own(struct collect *collect, struct error *err)
{
	struct mount_survey *survey = survey_of_mounts(collect);

	return survey->own.root_fd < 0 ? mount_table_read(collect, -1, &survey->own, err) : 0;
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
	if (survey_read_own(collect, err) ||
	    mount_table_read(collect, met->fd, &namespace->table, err))
		return -1;
	mount_table_skip(&namespace->table, collect->options->externals, collect->arena);
	return 0;
}

/* Only who has given up sharing its directories can be in another one. */
static int look_at_thread(struct collect *collect, struct target *target, size_t thread,
			  struct error *err)
{
	const struct surveyed_namespace *met =
		survey_add_thread(target, thread, NAMESPACE_MNT, err);

	return met ? add(collect, met,
			 arena_printf(collect->arena, "thread %d", target->threads[thread].tid),
			 err)
		   : -1;
}

static int look_at(struct collect *collect, struct target *target, struct error *err)
{
	const struct surveyed_namespace *met = survey_add_task(target, NAMESPACE_MNT, err);

	if (!met || add(collect, met, arena_printf(collect->arena, "pid %d", target->pid), err))
		return -1;
	for (size_t i = target->living + 1; i < target->n_threads; i++) {
		int own = collect_thread_has_own_fs(target, i, err);
		if (own < 0 || (own && look_at_thread(collect, target, i, err)))
			return -1;
	}
	return 0;
}

/* What cannot be part of the tree is refused by whoever collects the descriptor or mount. */
static int add_held(struct collect *collect, int fd, const char *what, struct error *err)
{
	struct error refusal = { 0 };
	const struct surveyed_namespace *met =
		survey_add(collect, NAMESPACE_MNT, fd, what, &refusal);

	if (met)
		return add(collect, met, what, err);
	if (!errno_tells_nothing(refusal.os_errno))
		return 0;
	*err = refusal;
	return -1;
}

int mount_namespaces_collect(struct collect *collect, struct error *err)
{
	struct mount_survey *survey = arena_new(collect->arena, struct mount_survey);

	*survey = (struct mount_survey){ .own.root_fd = -1 };
	*collect_state(collect, &state_key) = survey;
	for (size_t i = 0; i < collect->n_targets; i++)
		if (!collect->targets[i].zombie && look_at(collect, &collect->targets[i], err))
			return -1;
	if (mount_held_namespaces(collect, add_held, err) || fuse_find_served(collect, err) ||
	    mount_unmounted_find(collect, add_held, err) ||
	    overlay_hidden_find(collect, add_held, err))
		return -1;
	for (size_t i = 0; i < survey->n_namespaces; i++)
		if (collect_entries(collect, &survey->namespaces[i], err))
			return -1;
	if (mount_locks_find(survey->namespaces, survey->n_namespaces, err))
		return -1;
	for (size_t i = 0; i < survey->n_namespaces; i++)
		if (check_masters(collect, &survey->namespaces[i], err))
			return -1;
	return mount_superblocks_collect(collect, err) || mount_gone_collect(collect, err) ? -1 : 0;
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

	for (size_t i = 0; survey && i < survey->n_namespaces; i++) {
		mount_ahead_release(&survey->namespaces[i]);
		cleanup_close(&survey->namespaces[i].table.root_fd);
	}
	if (survey)
		cleanup_close(&survey->own.root_fd);
	*collect_state(collect, &state_key) = NULL;
}
