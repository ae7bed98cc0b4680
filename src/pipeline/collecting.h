/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What collecting is asked for, from what the pipeline is asked for: of dumping and of looking. */
#ifndef NESTOR_PIPELINE_COLLECTING_H
#define NESTOR_PIPELINE_COLLECTING_H

#include "collect/collect.h"
#include "pipeline/options.h"

/* The externals are borrowed; they come of the same options (pipeline_externals). */
int dump_options_of(const struct pipeline_options *options, const struct externals *externals,
		    struct dump_options *ret_options, struct error *err);

/* Nothing is collected yet. All is borrowed; the arena is that of the snapshot. */
struct collect collect_for(const struct pipeline_options *options,
			   const struct dump_options *dump_options, struct snapshot *snapshot,
			   const struct facts *facts);

#endif
