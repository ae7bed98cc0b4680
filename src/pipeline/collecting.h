/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What collecting is asked for, from what the pipeline is asked for: of dumping and of looking. */
#ifndef NESTOR_PIPELINE_COLLECTING_H
#define NESTOR_PIPELINE_COLLECTING_H

#include "collect/collect.h"
#include "kernel/facts.h"
#include "pipeline/options.h"
#include "pipeline/session.h"

/* The externals are borrowed; they come of the same options (pipeline_externals). */
int dump_options_of(const struct pipeline_options *options, const struct externals *externals,
		    struct dump_options *ret_options, struct error *err);

/* Nothing is collected yet. All is borrowed; the arena is that of the snapshot. */
struct collect collect_for(const struct pipeline_options *options,
			   const struct dump_options *dump_options, struct snapshot *snapshot,
			   const struct facts *facts);

/* A tree that is looked at as it runs. */
struct looking {
	struct facts facts;
	struct snapshot snapshot;
	struct externals externals;
	struct dump_options options;
	struct collect collect;
};

/*
 * Looks at it: once more, from the start, where it changes meanwhile. All of it is in the arena;
 * refusals are in collect.obstacles.
 */
int look_at_tree(const struct pipeline_options *options, struct arena *arena,
		 struct looking **ret_looking, struct error *err);

/*
 * Opens the earlier dump that is asked for, if there is one, and has the new one refer to it, whose
 * writer is there.
 */
int open_earlier_images(const struct pipeline_options *options, const struct session *session,
			struct collect *collect, struct error *err);

#endif
