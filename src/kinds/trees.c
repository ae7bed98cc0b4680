// SPDX-License-Identifier: LGPL-2.1-or-later
/* See struct tree_kind: the rows in the order of the table. */
#include "kinds/kind.h"

#define FOR_EACH(row) for (const struct tree_kind *const *(row) = kinds.trees; *(row); (row)++)

int trees_before_stop(struct collect *collect, struct error *err)
{
	FOR_EACH(row)
	if ((*row)->before_stop && (*row)->before_stop(collect, err) < 0)
		return -1;
	return 0;
}

int trees_read(struct collect *collect, struct error *err)
{
	FOR_EACH(row)
	if ((*row)->read && (*row)->read(collect, err) < 0)
		return -1;
	return 0;
}

void trees_read_end(struct collect *collect)
{
	FOR_EACH(row)
	if ((*row)->read_end)
		(*row)->read_end(collect);
}

int trees_content(struct collect *collect, progress_told *progress, void *data, struct error *err)
{
	FOR_EACH(row)
	if ((*row)->content && (*row)->content(collect, progress, data, err) < 0)
		return -1;
	return 0;
}

int trees_content_running(struct collect *collect, progress_told *progress, void *data,
			  struct error *err)
{
	FOR_EACH(row)
	if ((*row)->content_running && (*row)->content_running(collect, progress, data, err) < 0)
		return -1;
	return 0;
}

void trees_end(struct collect *collect, bool ended)
{
	FOR_EACH(row)
	if ((*row)->end)
		(*row)->end(collect, ended);
}

int trees_adopt(struct snapshot *snapshot, const struct images *images, struct error *err)
{
	FOR_EACH(row)
	if ((*row)->adopt && (*row)->adopt(snapshot, images, err) < 0)
		return -1;
	return 0;
}

int trees_find(const struct snapshot *snapshot, const struct externals *externals, int root_fd,
	       struct error *err)
{
	FOR_EACH(row)
	if ((*row)->find && (*row)->find(snapshot, externals, root_fd, err) < 0)
		return -1;
	return 0;
}

int trees_make(struct file_opener *opener, struct error *err)
{
	FOR_EACH(row)
	if ((*row)->make && (*row)->make(opener, err) < 0)
		return -1;
	return 0;
}

void trees_close(struct file_opener *opener)
{
	FOR_EACH(row)
	if ((*row)->close)
		(*row)->close(opener);
}
