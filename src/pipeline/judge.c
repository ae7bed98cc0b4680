// SPDX-License-Identifier: LGPL-2.1-or-later
/* See judge.h. */
#include "pipeline/judge.h"

#include "base/log.h"
#include "collect/collect.h"
#include "plan/plan.h"

#include <unistd.h>

static void name_tasks(const void *data, struct error *err)
{
	const struct collect *collect = data;

	collect_name_tasks(collect, err);
}

/*
 * Of a tree of which something was refused before, or that was only looked at, parts are missing.
 * Whatever the planner says about that (image-invalid) is nothing that a person could do anything
 * about, and no reason by itself.
 */
int judge_tree(struct collect *collect, struct error *err)
{
	struct error reason = { 0 };
	struct obstacles *obstacles = &collect->obstacles;
	const struct plan_options options = { .shell_job = collect->options->shell_job,
					      .coordinator_group = (uint32_t)getpgrp(),
					      .externals = collect->options->externals,
					      .obstacles = obstacles };
	bool whole = !collect->looking && !obstacles->n;

	if (!obstacles->arena)
		obstacles_init(obstacles, collect->arena);
	obstacles->name = name_tasks;
	obstacles->name_data = collect;
	if (snapshot_index(collect->snapshot, &reason) < 0 ||
	    plan_check(collect->snapshot, &kinds, &options, &reason) < 0) {
		log_debug("check", "nestor", "%s", reason.text);
		if (whole && !obstacles->n) {
			obstacles->name = NULL;
			*err = reason;
			return -1;
		}
	}
	obstacles->name = NULL;
	return obstacles_report(obstacles, err);
}
