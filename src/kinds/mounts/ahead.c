// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Questions that are asked in a mount namespace while somebody is there. Of each superblock that no
 * namespace before had, by the mount that will be asked first (superblocks.c: by_device).
 */
#include "kinds/mounts/survey.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "kinds/mounts/kind.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>

/* Each is a descriptor that is kept until it is asked for. */
enum { MOST_COPIES = 256 };

struct mount_ahead {
	const struct mount_line *line;
	int root_fd;
	bool is_copied;			 /* will it be? */
	struct owner_question *question; /* NULL: there is none */
	int copy_fd;
	int may_owner; /* 1, 0; -1: not known */
};

static struct mount_ahead *find(const struct mounts_ahead *ahead, const struct mount_line *line)
{
	for (size_t i = 0; i < ahead->n; i++)
		if (ahead->all[i].line == line)
			return &ahead->all[i];
	return NULL;
}

/* ---- before ---- */

static bool is_known(const struct mount_survey *survey, dev_t device)
{
	for (size_t i = 0; i < survey->n_namespaces; i++)
		for (size_t k = 0; k < survey->namespaces[i].ahead.n; k++)
			if (survey->namespaces[i].ahead.all[k].line->device == device)
				return true;
	return false;
}

static bool is_asked(const MntEntry *entry, const struct mount_line *line)
{
	const struct mount_kind *kind = mount_kind_of_type(line->type);

	return !entry->bound_path && !entry->ext_mount && !entry->held && !line->removed &&
	       !line->idmapped && kind && ((kind->owned && !kind->tells) || kind->fill) &&
	       (strcmp(line->root, "/") == 0 || kind->parts);
}

static void prepare_one(struct live_namespace *namespace_, const struct mount_line *line)
{
	struct collect *collect = namespace_->collect;
	struct mount_survey *survey = survey_of_mounts(collect);
	const struct mount_kind *kind = mount_kind_of_type(line->type);
	struct mounts_ahead *ahead = &namespace_->ahead;
	int root_fd = survey_open_mount(&namespace_->table, line);

	if (root_fd < 0)
		return;
	ahead->all = arena_grow(collect->arena, ahead->all, ahead->n, sizeof *ahead->all);
	ahead->all[ahead->n++] = (struct mount_ahead){
		.line = line,
		.root_fd = root_fd,
		.is_copied = kind->fill && survey->n_copies < MOST_COPIES,
		.question = kind->owned ? mount_owner_prepare(collect->arena, line, root_fd) : NULL,
		.copy_fd = -1,
		.may_owner = -1,
	};
	survey->n_copies += ahead->all[ahead->n - 1].is_copied;
}

/* Those of the root of a file system come first. */
void mount_ahead_prepare(struct live_namespace *namespace_)
{
	const struct mount_survey *survey = survey_of_mounts(namespace_->collect);

	if (namespace_->collect->looking)
		return;
	for (int whole = 1; whole >= 0; whole--)
		for (size_t i = 0; i < namespace_->table.n_lines; i++) {
			const struct mount_line *line = &namespace_->table.lines[i];
			if ((strcmp(line->root, "/") == 0) == whole &&
			    is_asked(namespace_->entries[i], line) &&
			    !is_known(survey, line->device))
				prepare_one(namespace_, line);
		}
}

/* ---- in the deputy ---- */

void mount_ahead_copy(struct mounts_ahead *ahead)
{
	for (size_t i = 0; i < ahead->n; i++)
		if (ahead->all[i].is_copied && ahead->all[i].copy_fd < 0) /* not the first time */
			ahead->all[i].copy_fd =
				open_tree(ahead->all[i].root_fd, "",
					  AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
}

void mount_ahead_ask(struct mounts_ahead *ahead)
{
	for (size_t i = 0; i < ahead->n; i++) {
		struct error ignored = { 0 };
		if (ahead->all[i].question)
			ahead->all[i].may_owner = mount_owner_ask(ahead->all[i].question,
								  ahead->all[i].root_fd, &ignored);
	}
}

/* ---- afterwards ---- */

void mount_ahead_settle(struct live_namespace *namespace_)
{
	struct mounts_ahead *ahead = &namespace_->ahead;

	for (size_t i = 0; i < ahead->n; i++) {
		mount_owner_forget(ahead->all[i].question);
		cleanup_close(&ahead->all[i].root_fd);
		if (ahead->all[i].is_copied && ahead->all[i].copy_fd < 0)
			survey_of_mounts(namespace_->collect)->n_copies--;
	}
}

int mount_ahead_take(const struct live_mount *mount)
{
	struct mount_survey *survey = survey_of_mounts(mount->namespace->collect);
	struct mount_ahead *found = find(&mount->namespace->ahead, mount->line);

	if (!found || found->copy_fd < 0)
		return -1;
	survey->n_copies--;
	return take_fd(&found->copy_fd);
}

int mount_ahead_owner(const struct live_superblock *superblock,
		      const struct surveyed_namespace *user)
{
	for (size_t i = 0; i < superblock->n_mounts; i++) {
		const struct live_namespace *namespace_ = superblock->mounts[i].namespace;
		const struct mount_ahead *found =
			namespace_->met->owner == user
				? find(&namespace_->ahead, superblock->mounts[i].line)
				: NULL;
		if (found && found->may_owner >= 0)
			return found->may_owner;
	}
	return -1;
}

void mount_ahead_release(struct live_namespace *namespace_)
{
	for (size_t i = 0; i < namespace_->ahead.n; i++)
		cleanup_close(&namespace_->ahead.all[i].copy_fd);
	namespace_->ahead.n = 0;
}
