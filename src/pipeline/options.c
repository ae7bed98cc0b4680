// SPDX-License-Identifier: LGPL-2.1-or-later
/* The defaults of all that can be asked for; see options.h. */
#include "pipeline/options.h"

enum { DEFAULT_TIMEOUT_SECONDS = 10, DEFAULT_GHOST_LIMIT = 1 << 20 };

void pipeline_options_init(struct pipeline_options *options)
{
	*options = (struct pipeline_options){
		.log_level = LOG_WARNING,
		.timeout_seconds = DEFAULT_TIMEOUT_SECONDS,
		.ghost_limit = DEFAULT_GHOST_LIMIT,
	};
}

int fail_cgroup_mode(const struct pipeline_options *options, struct error *err)
{
	fail(err, ERR_USAGE, "--manage-cgroups=%s is not supported", options->manage_cgroups);
	return fail_hint(err, "modes are soft, none, strict and ignore");
}
