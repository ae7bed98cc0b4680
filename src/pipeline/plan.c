// SPDX-License-Identifier: LGPL-2.1-or-later
/* The plan of a restore, for people; see pipeline.h. */
#include "plan/plan.h"

#include "pipeline/load.h"
#include "pipeline/pipeline.h"

/* What stands against it on this host; both are looked at, since the second changes the plan. */
static int find_obstacles(struct load *load, struct error *err)
{
	struct error about_ids = { 0 };
	int files = load_verify_files(load, err), ids = load_check_ids(load, &about_ids);

	if (files == 0 && ids < 0)
		*err = about_ids;
	return files < 0 || ids < 0 ? -1 : 0;
}

static int make_and_print(struct load *load, bool json, struct text *text, struct error *err)
{
	if (load_plan(load, err))
		return -1;
	int result = find_obstacles(load, err);
	if (json)
		plan_print_json(&load->plan, text);
	else
		plan_print(&load->plan, text);
	return result;
}

int pipeline_plan(const struct pipeline_options *options, bool json, struct text *text,
		  struct error *err)
{
	struct session session;
	struct load load;

	if (session_open(&session, "plan", options, err) == 0) {
		if (load_open(&load, &session, err) == 0)
			make_and_print(&load, json, text, err);
		load_done(&load);
	}
	return session_close(&session, err);
}
