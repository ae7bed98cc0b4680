// SPDX-License-Identifier: LGPL-2.1-or-later
/* What was measured: for programs a file as criu(8) has it, for people a few lines. */
#include "images/images.h"
#include "pipeline/session.h"

#include <inttypes.h>

static void say_dump(const DumpStatsEntry *dump, struct text *text)
{
	text_add(text, "Stopping the tree:   %10" PRIu32 " us\n", dump->freezing_time);
	text_add(text, "Tree stands still:   %10" PRIu32 " us\n", dump->frozen_time);
	text_add(text, "Copying memory:      %10" PRIu32 " us\n", dump->memdump_time);
	text_add(text, "Writing images:      %10" PRIu32 " us\n", dump->memwrite_time);
	text_add(text, "Pages looked at:     %10" PRIu64 "\n",
		 dump->pages_scanned + dump->shpages_scanned);
	text_add(text, "Pages written:       %10" PRIu64 "\n",
		 dump->pages_written + dump->shpages_written);
	text_add(text, "Pages in the earlier dump: %4" PRIu64 "\n", dump->pages_skipped_parent);
}

static void say_restore(const RestoreStatsEntry *restore, struct text *text)
{
	text_add(text, "Making the processes:%10" PRIu32 " us\n", restore->forking_time);
	text_add(text, "Restoring the tree:  %10" PRIu32 " us\n", restore->restore_time);
	text_add(text, "Pages restored:      %10" PRIu64 "\n", restore->pages_restored);
}

int session_write_stats(struct session *session, const char *name, const StatsEntry *stats,
			struct error *err)
{
	const struct pipeline_hooks *hooks = &session->options->hooks;
	struct arena arena;
	struct text text;

	if (hooks->statistics) {
		arena_init(&arena);
		text_init(&text, &arena);
		if (stats->dump)
			say_dump(stats->dump, &text);
		if (stats->restore)
			say_restore(stats->restore, &text);
		hooks->statistics(hooks->data, text.string);
		arena_done(&arena);
	}
	return images_write_stats(session->work_fd, name, stats, err);
}
