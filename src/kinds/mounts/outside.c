// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Mounts of which the caller has said something (model/externals.h): to be left out, or given from
 * outside under a name, by which a restore says what is bound there (model/mounts.c).
 */
#include "kinds/mounts/mounts.h"

#include "base/cleanup.h"
#include "collect/collect.h"
#include "kinds/mounts/kind.h"
#include "kinds/mounts/make.h"
#include "kinds/mounts/survey.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mount.h>

/* ---- dump ---- */

static bool is_skipped(const struct mount_wishes *wishes, const struct mount_line *line)
{
	for (size_t i = 0; i < wishes->skip.count; i++)
		if (strcmp(wishes->skip.texts[i], line->mountpoint) == 0)
			return wishes->skip_met[i] = true;
	return false;
}

static bool is_among(const struct mount_line *lines, size_t n, uint32_t id)
{
	for (size_t i = 0; i < n; i++)
		if (lines[i].id == id)
			return true;
	return false;
}

/* With each goes what is mounted below it: lines of children need not come after their parent's. */
void mount_table_skip(struct mount_table *table, const struct externals *externals,
		      struct arena *arena)
{
	struct mount_line *skipped;
	size_t n = 0, before;

	if (!externals || !externals->mounts.skip.count)
		return;
	skipped = arena_array(arena, struct mount_line, table->n_lines + 1);
	do {
		size_t kept = 0;
		before = n;
		for (size_t i = 0; i < table->n_lines; i++) {
			struct mount_line line = table->lines[i];
			if (is_skipped(&externals->mounts, &line) ||
			    is_among(skipped, n, line.parent_id))
				skipped[n++] = line;
			else
				table->lines[kept++] = line;
		}
		table->n_lines = kept;
	} while (n != before);
	table->skipped = skipped;
	table->n_skipped = n;
}

/*
 * Of several mount namespaces it is the first one, that of the root of the tree, in which a path
 * says what is meant. Another may have something of its own there, which nobody else would give.
 */
static bool is_namesake(const struct mount_survey *survey, const struct mount_line *line)
{
	for (size_t i = 0; i < survey->n_namespaces; i++) {
		const struct mount_table *table = &survey->namespaces[i].table;
		bool is_there = false;
		for (size_t k = 0; k < table->n_lines; k++) {
			const struct mount_line *other = &table->lines[k];
			if (strcmp(other->mountpoint, line->mountpoint) != 0)
				continue;
			if (other->device == line->device && strcmp(other->root, line->root) == 0)
				return false;
			is_there = true;
		}
		if (is_there)
			return true;
	}
	return false;
}

void mount_outside_collect(struct collect *collect, const struct mount_line *line, MntEntry *entry)
{
	const struct external *row =
		externals_find(collect->options->externals, EXTERNAL_MNT, line->mountpoint);

	if (!row || is_namesake(survey_of_mounts(collect), line))
		return;
	entry->has_ext_mount = entry->ext_mount = true;
	entry->ext_key = arena_string(collect->arena, *row->value ? row->value : line->mountpoint);
}

/* ---- restore ---- */

int mounts_check_outside(const struct file_opener *opener, struct error *err)
{
	const struct snapshot *snapshot = opener->snapshot;

	for (size_t i = 0; i < snapshot->n_mount_namespaces; i++)
		for (size_t k = 0; k < snapshot->mount_namespaces[i]->n_mounts; k++) {
			const MntEntry *mount = snapshot->mount_namespaces[i]->mounts[k];
			if (!mount->ext_mount || mount->bound_path)
				continue;
			fail(err, ERR_NOT_GIVEN, "mount %.200s is to be given from outside",
			     mount->mountpoint);
			return fail_hint(err, "say what is to be there: --external mnt[%s]:PATH",
					 mount->ext_key);
		}
	return 0;
}
