// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * All kinds of kernel objects, one row each. The order of task kinds is the order of their
 * operations in a program; kinds/task/task.h and the files say what depends on it. The first
 * file kind that recognises a description has it.
 */
#include "kinds/files/files.h"
#include "kinds/kind.h"
#include "kinds/memory/memory.h"
#include "kinds/task/fs.h"
#include "kinds/task/task.h"

static const struct file_kind *const file_kinds[] = {
	&regular_kind,
	&pipe_kind,
	NULL,
};

static const struct task_kind *const files_stage[] = {
	&fs_kind,
	NULL,
};

static const struct task_kind *const memory_stage[] = {
	&memory_kind,
	NULL,
};

const struct kind_table kinds = {
	.files = file_kinds,
	.tasks = {
		[STAGE_FILES] = files_stage,
		[STAGE_MEMORY] = memory_stage,
	},
};

const struct file_kind *kind_of_file(const struct kind_table *table, const FileEntry *entry)
{
	for (const struct file_kind *const *kind = table->files; *kind; kind++)
		if ((*kind)->type == entry->type)
			return *kind;
	return NULL;
}
