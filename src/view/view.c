// SPDX-License-Identifier: LGPL-2.1-or-later
/* The table of a tree, as it is filled; see view.h. */
#include "view/view.h"

struct view_namespace *view_namespace(struct tree_view *view, enum namespace_type type, uint64_t id,
				      bool *ret_new)
{
	if (ret_new)
		*ret_new = false;
	for (size_t i = 0; i < view->n_namespaces; i++)
		if (view->namespaces[i].type == type && view->namespaces[i].id == id)
			return &view->namespaces[i];
	if (ret_new)
		*ret_new = true;
	view->namespaces = arena_grow(view->arena, view->namespaces, view->n_namespaces,
				      sizeof *view->namespaces);
	view->namespaces[view->n_namespaces] =
		(struct view_namespace){ .type = type, .id = id, .fd = -1 };
	return &view->namespaces[view->n_namespaces++];
}

struct view_task *view_add_task(struct tree_view *view)
{
	view->tasks = arena_grow(view->arena, view->tasks, view->n_tasks, sizeof *view->tasks);
	view->tasks[view->n_tasks] = (struct view_task){ .parent = view->n_tasks };
	return &view->tasks[view->n_tasks++];
}
