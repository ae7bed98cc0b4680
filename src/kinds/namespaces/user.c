// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * User namespaces. All threads of a task are in one: clone(2) with CLONE_THREAD, unshare(2) and
 * setns(2) refuse anything else. What a namespace has is its parent, the uid of its owner (the
 * effective one of whoever made it), two maps, and whether setgroups(2) is denied.
 *
 * Which there are is found by collect/namespaces.c. Maps are in collect/user-maps.c.
 */
#include "base/cleanup.h"
#include "base/log.h"
#include "base/procfs.h"
#include "collect/collect.h"
#include "collect/namespaces.h"
#include "collect/user-maps.h"
#include "kinds/namespaces/namespaces.h"
#include "kinds/namespaces/user-limits.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>

static int read_member_maps(struct user_maps *maps, struct arena *arena,
			    const struct target *member, const struct user_maps *parent,
			    struct error *err)
{
	autoclose int folder = target_open(member, "", O_PATH | O_DIRECTORY);

	if (folder < 0)
		return fail_errno(err, procfs_error(errno), "cannot open /proc/%d", member->tid);
	return user_maps_read(maps, arena, folder, parent, err);
}

static int read_maps(struct collect *collect, struct surveyed_namespace *known, struct error *err)
{
	struct user_maps *maps = arena_new(collect->arena, struct user_maps);
	/* NULL where the parent is nestor's own. */
	const struct user_maps *parent = known->parent->content;

	known->content = maps;
	if (known->member ? read_member_maps(maps, collect->arena, known->member, parent, err)
			  : user_maps_visit(maps, collect->arena, known->fd, parent, err))
		return -1;
	known->entry->user_ext = maps->entry;
	known->entry->has_setgroups_denied = true;
	known->entry->setgroups_denied = maps->setgroups_denied;
	if (maps->has_projects)
		log_warning("collect", "user namespace",
			    "%" PRIu32 " has a map of project ids, which will be empty once it is "
			    "restored",
			    known->id);
	return 0;
}

/* As late as that: it may have been begun long before. */
static int complete(struct collect *collect, struct surveyed_namespace *known, struct error *err)
{
	bool is_known;

	if (user_limits_complete(collect, known, &is_known, err))
		return -1;
	if (!is_known)
		log_warning("collect", "user namespace",
			    "%" PRIu32 ": its limits (/proc/sys/user) cannot be read; once it is "
			    "restored it has none",
			    known->id);
	return 0;
}

static int survey_rest(struct collect *collect, struct survey *survey, struct error *err)
{
	return user_limits_begin(collect, survey, err);
}

const struct namespace_kind user_namespace_kind = {
	.type = NAMESPACE_USER,
	.survey = survey_rest,
	.collect = read_maps,
	.complete = complete,
	.collect_end = user_limits_end,
};
