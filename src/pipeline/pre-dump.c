// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The pages of a tree while it runs: a dump that follows has only those to write that have changed
 * meanwhile, and the tree stands still for a shorter time; see pipeline.h.
 */
#include "images/images.h"
#include "kinds/kind.h"
#include "pipeline/collecting.h"
#include "pipeline/pipeline.h"
#include "pipeline/session.h"

#include <time.h>

#define STATISTICS_NAME "stats-dump"

struct pre_dump {
	const struct pipeline_options *options;
	struct session session;
	struct arena arena;
	struct looking *looking;
	struct images_writer *images;
};

static int write_stats(struct pre_dump *dump, const struct timespec *start, struct error *err)
{
	const struct collect *collect = &dump->looking->collect;
	DumpStatsEntry entry = DUMP_STATS_ENTRY__INIT;
	StatsEntry stats = STATS_ENTRY__INIT;
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	entry.memdump_time = (uint32_t)((now.tv_sec - start->tv_sec) * 1000000 +
					(now.tv_nsec - start->tv_nsec) / 1000);
	entry.pages_scanned = collect->pages_scanned;
	entry.pages_written = collect->pages_written;
	entry.pages_skipped_parent = collect->pages_kept;
	stats.dump = &entry;
	return session_write_stats(&dump->session, STATISTICS_NAME, &stats, err);
}

static int run_steps(struct pre_dump *dump, struct error *err)
{
	struct timespec start;

	clock_gettime(CLOCK_MONOTONIC, &start);
	if (session_check_places(&dump->session, STATISTICS_NAME, err))
		return -1;
	dump->images = images_writer_new(dump->session.images_fd, err);
	if (!dump->images || session_step(&dump->session, "looking at the tree", err) ||
	    look_at_tree(dump->options, &dump->arena, &dump->looking, err))
		return -1;
	struct collect *collect = &dump->looking->collect;
	collect->images = dump->images;
	if (open_earlier_images(dump->options, &dump->session, collect, err) ||
	    session_step(&dump->session, "copying memory", err) ||
	    trees_content_running(collect, session_progress, &dump->session, err) ||
	    images_write_pages(dump->images, &dump->looking->snapshot, err) < 0 ||
	    write_stats(dump, &start, err) || session_step(&dump->session, "syncing images", err))
		return -1;
	if (images_commit(dump->images, err))
		return -1;
	session_dedup(&dump->session);
	return 0;
}

int pipeline_pre_dump(const struct pipeline_options *options, struct error *err)
{
	struct pre_dump dump = { .options = options };

	arena_init(&dump.arena);
	if (session_open(&dump.session, "pre-dump", options, err) == 0)
		run_steps(&dump, err);
	images_writer_free(dump.images);
	if (dump.looking)
		images_free(dump.looking->collect.earlier);
	int result = session_close(&dump.session, err);
	arena_done(&dump.arena);
	return result;
}
