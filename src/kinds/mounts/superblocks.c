// SPDX-License-Identifier: LGPL-2.1-or-later
/* Superblocks that are to be made again: what its row has to say of each, once for all mounts. */
#include "kinds/mounts/survey.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/compare.h"
#include "kinds/mounts/device.h"
#include "kinds/mounts/mounts.h"
#include "kinds/mounts/plain.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int rank(const struct live_mount *mount)
{
	if (mount->hidden || mount->line->idmapped)
		return 2;
	return strcmp(mount->line->root, "/") == 0 && !mount->line->removed ? 0 : 1;
}

static int by_device(const void *a, const void *b)
{
	const struct live_mount *one = a, *other = b;

	return compare_values(one->line->device, other->line->device) ?:
	       compare_values(rank(one), rank(other)) ?:
	       compare_values(one->line->id, other->line->id);
}

bool mount_type_is_served(const char *type)
{
	return strcmp(type, "fuse") == 0 || strcmp(type, "fuseblk") == 0 ||
	       strncmp(type, "fuse.", 5) == 0 || strncmp(type, "fuseblk.", 8) == 0;
}

/* NULL, with err, where nothing can make it again. */
static const struct mount_kind *find_kind(const struct live_superblock *superblock,
					  struct error *err)
{
	const struct mount_line *line = superblock->mounts[0].line;
	const struct mount_kind *kind = mount_kind_of_type(line->type);
	bool served = mount_type_is_served(line->type);
	int can_be = kind || served ? 0 : mount_type_is_known(superblock->collect, line->type, err);
	const char *device = NULL;

	if (can_be < 0 ||
	    (can_be && mount_device_find(superblock->collect->arena, line, &device, err))) {
		fail_while(err, "%s", superblock->what);
		return NULL;
	}
	if (can_be &&
	    (device || externals_mounts_type(superblock->collect->options->externals, line->type)))
		kind = &plain_mount_kind;
	superblock->collect->may_wait |= !kind;
	if (kind)
		return kind;
	survey_refuse(superblock->what, "is of a file system that cannot be made again", err);
	if (can_be)
		fail_hint(err,
			  "--external mnt[%s]:NAME has it given from outside; "
			  "--enable-fs %s mounts it again, without what is in it",
			  line->mountpoint, line->type);
	else
		fail_hint(err, "%s--external mnt[%s]:NAME has it given from outside",
			  served ? "unmount it first, or " : "", line->mountpoint);
	return NULL;
}

static bool is_removed_outside(const struct live_superblock *superblock)
{
	const struct mount_survey *survey = survey_of_mounts(superblock->collect);
	const struct mount_line *line = superblock->mounts[0].line;

	for (size_t i = 0; line->removed && i < survey->own.n_lines; i++)
		if (survey->own.lines[i].device == line->device)
			return true;
	return false;
}

static int check_lines(const struct live_superblock *superblock, const struct mount_kind *kind,
		       struct error *err)
{
	const struct mount_line *first = superblock->mounts[0].line;

	for (size_t i = 0; i < superblock->n_mounts; i++)
		if (superblock->mounts[i].line->removed && !kind->removed)
			return survey_refuse(survey_name_mount(superblock->collect,
							       superblock->mounts[i].namespace,
							       superblock->mounts[i].line),
					     "shows something that was removed", err);
	if (strcmp(first->root, "/") != 0 && !kind->parts)
		return survey_refuse(
			superblock->what,
			"shows a part of a file system of which the rest is not mounted", err);
	if (first->idmapped && kind->fill)
		return survey_refuse(superblock->what,
				     "has mapped ids, as all mounts of it that can be seen", err);
	return 0;
}

static void tell_other_mounts(const struct live_superblock *superblock)
{
	const MntEntry *entry = superblock->mounts[0].entry;

	for (size_t i = 1; i < superblock->n_mounts; i++) {
		MntEntry *other = superblock->mounts[i].entry;
		other->fstype = entry->fstype;
		other->nses = entry->nses;
		other->has_userns_id = entry->has_userns_id;
		other->userns_id = entry->userns_id;
		other->has_layers_ns_id = entry->has_layers_ns_id;
		other->layers_ns_id = entry->layers_ns_id;
		other->layers_base = entry->layers_base;
		other->layers_at = entry->layers_at;
		other->n_layers_at = entry->n_layers_at;
		other->layers_ids = entry->layers_ids;
		other->n_layers_ids = entry->n_layers_ids;
		other->layers_hidden = entry->layers_hidden;
		other->n_layers_hidden = entry->n_layers_hidden;
		other->binfmt = entry->binfmt;
		other->attributes = entry->attributes;
		other->n_attributes = entry->n_attributes;
		other->fuse = entry->fuse;
		other->loop = entry->loop;
		other->device = entry->device;
		other->has_file_system_id = entry->has_file_system_id;
		other->file_system_id = entry->file_system_id;
	}
}

static void add_content(const struct live_superblock *superblock, const struct mount_kind *kind)
{
	struct mount_survey *survey = survey_of_mounts(superblock->collect);

	survey->contents = arena_grow(superblock->collect->arena, survey->contents,
				      survey->n_contents, sizeof *survey->contents);
	survey->contents[survey->n_contents++] = (struct live_content){ *superblock, kind };
}

static int collect_superblock(const struct live_superblock *superblock, struct error *err)
{
	MntEntry *entry = superblock->mounts[0].entry;

	if (is_removed_outside(superblock)) {
		survey_refuse(superblock->what,
			      "shows something that was removed from a file system of nestor's own "
			      "namespace, and cannot be made again",
			      err);
		return fail_hint(err, "--external mnt[%s]:NAME has it given from outside",
				 superblock->mounts[0].line->mountpoint);
	}
	const struct mount_kind *kind = find_kind(superblock, err);
	if (!kind || check_lines(superblock, kind, err))
		return -1;
	entry->fstype = kind->fstype;
	if (kind->owned && !kind->tells) {
		if (mount_owner_find(superblock, &entry->userns_id, err))
			return -1;
		entry->has_userns_id = entry->userns_id != 0;
	}
	if (kind->collect && kind->collect(superblock, entry, err))
		return -1;
	tell_other_mounts(superblock);
	if (kind->content)
		add_content(superblock, kind);
	return 0;
}

/* A descriptor of each would be more than there can be. */
static int is_hidden(struct collect *collect, const struct live_namespace *namespace,
		     const struct mount_line *line, struct error *err)
{
	autoclose int fd = survey_open_mount(&namespace->table, line);

	if (fd < 0 && !survey_is_absent(errno))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot open %s",
				  survey_name_mount(collect, namespace, line));
	return fd < 0;
}

/* The mounts that are bound from nowhere, those of one superblock after each other. */
static int list_mounts(struct collect *collect, struct live_mount **ret_mounts, size_t *ret_n,
		       struct error *err)
{
	const struct mount_survey *survey = survey_of_mounts(collect);
	struct live_mount *mounts = NULL;
	size_t n = 0;

	for (size_t i = 0; i < survey->n_namespaces; i++) {
		const struct live_namespace *namespace = &survey->namespaces[i];
		for (size_t k = 0; k < namespace->table.n_lines; k++) {
			MntEntry *entry = namespace->entries[k];
			const struct mount_line *line = &namespace->table.lines[k];
			if (entry->bound_path || entry->ext_mount || entry->held)
				continue;
			int hidden = is_hidden(collect, namespace, line, err);
			if (hidden < 0)
				return -1;
			mounts = arena_grow(collect->arena, mounts, n, sizeof *mounts);
			mounts[n++] = (struct live_mount){ namespace, line, entry, hidden, NULL };
		}
	}
	if (n)
		qsort(mounts, n, sizeof *mounts, by_device);
	*ret_mounts = mounts;
	*ret_n = n;
	return 0;
}

int mount_superblocks_collect(struct collect *collect, struct error *err)
{
	struct live_mount *mounts;
	size_t n;
	int result = list_mounts(collect, &mounts, &n, err);

	for (size_t i = 0, end; !result && i < n; i = end) {
		for (end = i + 1; end < n && mounts[end].line->device == mounts[i].line->device;)
			end++;
		autoclose int kept = -1;
		mounts[i].kept = &kept;
		const struct live_superblock superblock = {
			.collect = collect,
			.mounts = &mounts[i],
			.n_mounts = end - i,
			.what = survey_name_mount(collect, mounts[i].namespace, mounts[i].line),
		};
		result =
			collect_superblock(&superblock, err) && collect_pass(collect, err) ? -1 : 0;
		mounts[i].kept = NULL;
	}
	return result;
}

int mount_contents_collect(struct collect *collect, struct error *err)
{
	const struct mount_survey *survey = survey_of_mounts(collect);

	for (size_t i = 0; survey && i < survey->n_contents; i++) {
		const struct live_content *content = &survey->contents[i];
		if (content->kind->content(&content->superblock,
					   content->superblock.mounts[0].entry, err) &&
		    collect_pass(collect, err))
			return -1;
	}
	return 0;
}
