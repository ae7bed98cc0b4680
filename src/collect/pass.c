// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Refusals that do not end the looking; see collect.h. A tree that is only looked at goes on
 * meanwhile: tasks end (ESRCH, ENOENT), and descriptors are closed between two calls (EBADF).
 */
#include "collect/collect.h"

#include <errno.h>

bool collect_is_gone(const struct error *err)
{
	return err->name == ERR_TREE_CHANGED || err->os_errno == ESRCH || err->os_errno == ENOENT ||
	       err->os_errno == EBADF;
}

int collect_pass(struct collect *collect, struct error *err)
{
	if (collect->looking && collect_is_gone(err)) {
		*err = (struct error){ 0 };
		return 0;
	}
	if (error_is_refusal(err->name))
		collect_name_tasks(collect, err);
	if (!collect->obstacles.arena)
		obstacles_init(&collect->obstacles, collect->arena);
	return obstacles_pass(&collect->obstacles, err);
}
