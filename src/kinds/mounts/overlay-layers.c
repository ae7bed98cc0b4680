// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Layers of an overlay that was collected, and what is in them. What was removed in an overlay and
 * lies in one of its lower layers goes on to be there, with the number of links that it has, which
 * nobody has counted down (ovl_getattr; for hard links with an index it is).
 */
#include "kinds/mounts/overlay.h"

#include "base/cleanup.h"
#include "kinds/mounts/mounts.h"
#include "kinds/mounts/survey.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>

/* As far as they were looked for. */
static const struct live_namespace *find_home(const struct mount_survey *survey, dev_t device,
					      struct overlay_layers *layers,
					      const MntEntry **ret_moved)
{
	uint32_t id = 0;

	for (size_t i = 0; i < survey->n_namespaces; i++)
		for (size_t k = 0; k < survey->namespaces[i].table.n_lines; k++) {
			const MntEntry *entry = survey->namespaces[i].entries[k];
			if (survey->namespaces[i].table.lines[k].device != device || !entry)
				continue;
			id = entry->has_layers_ns_id ? entry->layers_ns_id : id;
			layers->base = entry->layers_base ? entry->layers_base : layers->base;
			*ret_moved = entry->n_layers_at ? entry : *ret_moved;
		}
	for (size_t i = 0; id && i < survey->n_namespaces; i++)
		if (survey->namespaces[i].id == id)
			return &survey->namespaces[i];
	return NULL;
}

bool overlay_layers_of(struct collect *collect, const struct mount_line *line,
		       struct overlay_layers *layers, const struct live_namespace **ret_namespace)
{
	const MntEntry *moved = NULL;
	struct error ignored = { 0 };

	if (strcmp(line->type, "overlay") != 0)
		return false;
	*ret_namespace = find_home(survey_of_mounts(collect), line->device, layers, &moved);
	if (overlay_list(line->options, layers, &ignored))
		return false;
	for (size_t i = 0; moved && i < layers->n && moved->n_layers_at == layers->n; i++)
		layers->all[i].path = moved->layers_at[i];
	for (size_t i = 0; moved && i < moved->n_layers_hidden; i++)
		layers->all[moved->layers_hidden[i]->layer].hidden = true;
	return true;
}

/* ---- what was removed ---- */

/* 1, 0, or -1 with errno. */
static int has_file(const struct live_namespace *namespace, struct overlay_layers *layers,
		    size_t index, const char *path, const struct statx *file)
{
	struct statx found;
	autoclose int layer_fd = overlay_open_layer(namespace, layers, index);
	autoclose int fd = layer_fd < 0 ? -1 : survey_open_beneath(layer_fd, path, O_PATH);

	if (fd < 0)
		return survey_is_absent(errno) ? 0 : -1;
	if (statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, &found))
		return -1;
	return found.stx_nlink == file->stx_nlink && overlay_is_same(&found, file);
}

static const struct mount_line *line_of(const struct mount_survey *survey, int64_t mount_id)
{
	for (size_t i = 0; i < survey->own.n_lines; i++)
		if (survey->own.lines[i].id == mount_id)
			return &survey->own.lines[i];
	return survey_find_mount(survey, mount_id, NULL);
}

static int is_in_layers(struct collect *collect, const struct mount_line *line, const char *path,
			const struct statx *file)
{
	struct overlay_layers layers = { .arena = collect->arena };
	const struct live_namespace *namespace;
	const char *below = path_below(path, line->mountpoint);
	int found = 0;

	if (!below || !overlay_layers_of(collect, line, &layers, &namespace))
		return 0;
	char *name = arena_printf(collect->arena, "%s/%s", line->root + 1, below);
	for (size_t i = 0; i < layers.n && !found; i++)
		found = has_file(namespace, &layers, i, name + strspn(name, "/"), file);
	return found;
}

int mount_of_lower_removed(const struct open_file *file, const char *path)
{
	struct collect *collect = file->target->collect;
	const struct mount_survey *survey = survey_of_mounts(collect);
	struct error unknown = { 0 };
	struct statx statx_;

	if (!survey || file->file_system != OVERLAYFS_SUPER_MAGIC)
		return 0;
	if (survey_read_own(collect, &unknown)) {
		errno = unknown.os_errno;
		return -1;
	}
	autoclose int fd = target_open(file->target, file->proc_name, O_PATH);
	int64_t mount_id = fd < 0 ? -1 : survey_mount_id(fd);
	if (mount_id < 0 || statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, &statx_))
		return -1;
	const struct mount_line *line = line_of(survey, mount_id);
	return line ? is_in_layers(collect, line, path, &statx_) : 0;
}
