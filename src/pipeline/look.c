// SPDX-License-Identifier: LGPL-2.1-or-later
/* A tree is looked at as it runs; see pipeline.h. */
#include "collect/collect.h"
#include "collect/losses.h"
#include "kernel/facts.h"
#include "pipeline/collecting.h"
#include "pipeline/judge.h"
#include "pipeline/pipeline.h"

#include <time.h>

enum { ATTEMPTS = 10, PAUSE = 20000000 /* ns */ };

const char *const look_leaves_out[] = {
	"what tasks are asked for once they are stopped: timers, keyrings, Landlock, ... "
	"(state-lost)",
	"registers: 32-bit code, syscall user dispatch that blocks, processor state without a "
	"place",
	"what waits in unix sockets (also descriptors: ends of pipes that seem to be outside), "
	"terminals and TCP connections; requests in rings; the content of tmpfs",
	"limits of a restore that is planned as a whole (limit-too-low, no-address-hole)",
	NULL,
};

static int look_once(const struct pipeline_options *options, struct arena *arena,
		     struct looking *looking, struct error *err)
{
	struct collect *collect = &looking->collect;

	if (pipeline_externals(options, arena, &looking->externals, err) ||
	    dump_options_of(options, &looking->externals, &looking->options, err) ||
	    facts_probe(&looking->facts, arena, err))
		return -1;
	looking->snapshot.arena = arena;
	*collect = collect_for(options, &looking->options, &looking->snapshot, &looking->facts);
	collect->looking = true;
	int failed = collect_look_tree(collect, err) || collect_read(collect, err) ||
		     collect_read_complete(collect, err);
	collect_files_done(collect);
	collect_files_let_go(collect);
	return failed ? -1 : 0;
}

int look_at_tree(const struct pipeline_options *options, struct arena *arena,
		 struct looking **ret_looking, struct error *err)
{
	for (unsigned attempt = 1;; attempt++) {
		*err = (struct error){ 0 };
		*ret_looking = arena_new(arena, struct looking);
		if (look_once(options, arena, *ret_looking, err) == 0)
			return 0;
		if (!collect_is_gone(err) || err->name == ERR_NO_SUCH_TASK || attempt == ATTEMPTS)
			return -1;
		nanosleep(&(struct timespec){ .tv_nsec = PAUSE }, NULL);
	}
}

int pipeline_look(const struct pipeline_options *options, struct arena *arena,
		  struct look *ret_look, struct error *err)
{
	struct error refused = { 0 };
	struct looking *looking;

	if (look_at_tree(options, arena, &looking, err))
		return -1;
	judge_tree(&looking->collect, &refused);
	*ret_look = (struct look){ .obstacles = looking->collect.obstacles,
				   .n_tasks = looking->collect.n_targets,
				   .snapshot = &looking->snapshot,
				   .root_name = looking->snapshot.tasks[0].core->tc->comm };
	return 0;
}
