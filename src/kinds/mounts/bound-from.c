// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Where a mount of the tree can be bound from: a mount of nestor's own namespace that shows the
 * same, by the path that it has there now.
 */
#include "kinds/mounts/survey.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

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

/* -1 with errno */
static int look_at(const struct mount_survey *survey, const char *path, struct own_place *ret)
{
	autoclose int fd = survey_open_path(&survey->own, path, O_PATH | O_NOFOLLOW);

	ret->mount_id = fd < 0 ? -1 : survey_mount_id(fd);
	if (ret->mount_id < 0)
		return -1;
	ret->is_denied = fstat(fd, &ret->stat) != 0;
	return ret->is_denied && errno != EACCES ? -1 : 0;
}

/* At mountpoints all namespaces ask for the same. */
static int look_once(struct mount_survey *survey, const struct mount_line *own, const char *path,
		     struct arena *arena, struct own_place *ret)
{
	struct own_place *known;

	if (strcmp(path, own->mountpoint) != 0)
		return look_at(survey, path, ret);
	if (!survey->places)
		survey->places = arena_array(arena, struct own_place, survey->own.n_lines);
	known = &survey->places[own - survey->own.lines];
	if (!known->is_known && look_at(survey, path, known))
		return -1;
	known->is_known = true;
	*ret = *known;
	return 0;
}

/*
 * 1, 0 if not; -1 if that cannot be told. Where we may not look nobody could bind it from by our
 * rights: another may do, and if none does, that is no proof that there is none.
 */
static int not_found(const char *path, const char **ret_denied, struct error *err)
{
	if (errno == EACCES)
		*ret_denied = path;
	return errno == EACCES || survey_is_absent(errno) ? 0 : fail_origin(path, err);
}

static int can_be_origin(struct mount_survey *survey, struct arena *arena,
			 const struct mount_line *own, const struct mount_line *line, int root_fd,
			 char **ret_path, uint32_t *ret_depth, const char **ret_denied,
			 struct error *err)
{
	const char *below = own->device == line->device ? path_below(line->root, own->root) : NULL;

	/* A bind shows the source of what it is bound from. */
	const struct mount_kind *kind = mount_kind_of_type(line->type);
	if (!below || (own->idmapped && !line->idmapped) ||
	    (kind && kind->single && strcmp(own->source, line->source) != 0))
		return 0;
	const struct mount_line *top = top_of(&survey->own, own, ret_depth);
	char *path =
		*below ? arena_printf(arena, "%s/%s",
				      strcmp(own->mountpoint, "/") ? own->mountpoint : "", below)
		       : arena_string(arena, own->mountpoint);
	*ret_path = path;
	if (*ret_depth) {
		autoclose int top_fd = survey_open_mount(&survey->own, top);
		return top_fd < 0 ? not_found(path, ret_denied, err) : !*below;
	}
	struct own_place place;
	struct stat stat;
	if (look_once(survey, own, path, arena, &place))
		return not_found(path, ret_denied, err);
	if (place.mount_id != own->id || root_fd < 0)
		return place.mount_id == own->id;
	/* A fuse of somebody else tells us nothing but where it is mounted. */
	if (place.is_denied)
		return !*below;
	if (fstat(root_fd, &stat))
		return not_found(path, ret_denied, err);
	return stat.st_dev == place.stat.st_dev && stat.st_ino == place.stat.st_ino;
}

/* One that is its master is better than any other. */
int mount_bound_find(struct mount_survey *survey, struct arena *arena,
		     const struct mount_line *line, int root_fd, char **ret_path,
		     uint32_t *ret_depth, const struct mount_line **ret, struct error *err)
{
	const char *denied = NULL;

	*ret = NULL;
	for (int pass = line->master_id ? 0 : 1; pass < 2; pass++)
		for (size_t i = 0; i < survey->own.n_lines; i++) {
			const struct mount_line *own = &survey->own.lines[i];
			if (!pass && own->shared_id != line->master_id)
				continue;
			int result = can_be_origin(survey, arena, own, line, root_fd, ret_path,
						   ret_depth, &denied, err);
			if (result > 0)
				*ret = own;
			if (result)
				return result < 0 ? -1 : 0;
		}
	errno = EACCES;
	return denied ? fail_origin(denied, err) : 0;
}
