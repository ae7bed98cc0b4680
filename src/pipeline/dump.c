// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * nestor dump: a live tree becomes a directory of images. Whatever fails, the tree goes on as it
 * was and the directory stays as it was.
 */
#include "base/cleanup.h"
#include "base/log.h"
#include "collect/collect.h"
#include "commands/command.h"
#include "pipeline/session.h"
#include "images/images.h"
#include "kernel/facts.h"
#include "kinds/memory/memory.h"
#include "plan/plan.h"

#include <inttypes.h>

struct dump_arguments {
	struct pipeline_arguments pipeline;
	pid_t pid;
	bool leave_running;
	uint64_t ghost_limit;
};

#define ROW(member) offsetof(struct dump_arguments, member)

static const struct option_row dump_options[] = {
	{ 't', "tree", OPTION_PID, ROW(pid), "PID", "root of the tree to dump" },
	{ 'R', "leave-running", OPTION_FLAG, ROW(leave_running), NULL,
	  "let the tree go on after the dump" },
	{ 0, "ghost-limit", OPTION_SIZE, ROW(ghost_limit), "SIZE",
	  "largest unlinked file that is put into the images (default: 1M)" },
	{ 0, "ghost-fiemap", OPTION_HARMLESS, 0, NULL, NULL },
	{ 0, "pre-dump-mode", OPTION_HARMLESS_ARGUMENT, 0, NULL, NULL },
	{ 0 },
};

enum { DEFAULT_GHOST_LIMIT = 1 << 20 };

struct dump {
	const struct dump_arguments *arguments;
	struct session session;
	struct arena arena;
	struct facts facts;
	struct snapshot snapshot;
	struct dump_options options;
	struct collect collect;
	bool stopped; /* the tree is in our hands */
	struct timespec started, frozen, copied;
};

static uint64_t microseconds(const struct timespec *from, const struct timespec *to)
{
	return (uint64_t)((to->tv_sec - from->tv_sec) * 1000000L +
			  (to->tv_nsec - from->tv_nsec) / 1000);
}

static int stop_tree(struct dump *dump, struct error *err)
{
	clock_gettime(CLOCK_MONOTONIC, &dump->started);
	if (session_step(&dump->session, "stopping the tree", err) < 0)
		return -1;
	dump->stopped = true; /* or in part: collect_release knows */
	if (collect_stop_tree(&dump->collect, err) < 0 ||
	    collect_check_privileges(&dump->collect, !dump->arguments->leave_running, err) < 0)
		return -1;
	clock_gettime(CLOCK_MONOTONIC, &dump->frozen);
	return 0;
}

static int read_tree(struct dump *dump, struct error *err)
{
	const struct plan_options options = { .shell_job = dump->options.shell_job,
					      .coordinator_group = (uint32_t)getpgrp() };

	if (session_step(&dump->session, "reading the tree", err) < 0 ||
	    collect_read(&dump->collect, err) < 0)
		return -1;
	if (session_step(&dump->session, "asking the tasks", err) < 0 ||
	    collect_probe(&dump->collect, err) < 0)
		return -1;
	if (session_step(&dump->session, "checking", err) < 0 ||
	    snapshot_index(&dump->snapshot, err) < 0)
		return -1;
	return plan_check(&dump->snapshot, &kinds, &options, err);
}

static int copy_memory(struct dump *dump, struct error *err)
{
	if (session_step(&dump->session, "copying memory", err) < 0 ||
	    memory_collect_pages(&dump->collect, progress_show, &dump->session.progress, err) < 0)
		return -1;
	clock_gettime(CLOCK_MONOTONIC, &dump->copied);
	return 0;
}

static int write_stats(struct dump *dump, struct error *err)
{
	DumpStatsEntry entry = DUMP_STATS_ENTRY__INIT;
	StatsEntry stats = STATS_ENTRY__INIT;
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	entry.freezing_time = (uint32_t)microseconds(&dump->started, &dump->frozen);
	entry.frozen_time = (uint32_t)microseconds(&dump->frozen, &now);
	entry.memdump_time = (uint32_t)microseconds(&dump->frozen, &dump->copied);
	entry.memwrite_time = (uint32_t)microseconds(&dump->copied, &now);
	entry.pages_scanned = dump->collect.pages_scanned;
	entry.pages_written = dump->collect.pages_written;
	stats.dump = &entry;
	log_info("dump", "nestor", "%zu tasks, %" PRIu64 " pages, stopped for %" PRIu32 " us",
		 dump->collect.n_targets, entry.pages_written, entry.frozen_time);
	return images_write_stats(dump->session.work_fd, "stats-dump", &stats, err);
}

/* A tree that goes on need not wait for the disk. */
static int write_images(struct dump *dump, struct error *err)
{
	struct images_writer *writer = dump->collect.images;

	if (session_step(&dump->session, "writing images", err) < 0 ||
	    images_write_snapshot(writer, &dump->snapshot, err) < 0 || write_stats(dump, err) < 0)
		return -1;
	if (dump->arguments->leave_running) {
		collect_release(&dump->collect);
		dump->stopped = false;
	}
	if (session_step(&dump->session, "syncing images", err) < 0)
		return -1;
	return images_commit(writer, err);
}

/* The images are complete: from here on the tree is let go of, whatever happens. */
static int end_tree(struct dump *dump, struct error *err)
{
	if (!dump->stopped)
		return 0;
	dump->stopped = false;
	if (dump->arguments->pipeline.leave_stopped) {
		collect_leave_stopped(&dump->collect);
		return 0;
	}
	progress_show(&dump->session.progress, "ending the tree", 0, 0);
	return collect_kill(&dump->collect, err);
}

static int dump_pipeline(struct dump *dump, struct error *err)
{
	if (facts_probe(&dump->facts, &dump->arena, err) < 0)
		return -1;
	dump->collect.images = images_writer_new(dump->session.images_fd, err);
	if (!dump->collect.images)
		return -1;
	if (stop_tree(dump, err) < 0)
		return -1;
	if (read_tree(dump, err) < 0)
		return -1;
	if (copy_memory(dump, err) < 0)
		return -1;
	if (write_images(dump, err) < 0)
		return -1;
	return end_tree(dump, err);
}

static void dump_init(struct dump *dump, const struct dump_arguments *arguments)
{
	arena_init(&dump->arena);
	dump->arguments = arguments;
	dump->options = (struct dump_options){
		.pid = arguments->pid,
		.shell_job = arguments->pipeline.shell_job,
		.timeout_seconds = (unsigned)arguments->pipeline.timeout,
		.ghost_limit = arguments->ghost_limit,
	};
	dump->snapshot.arena = &dump->arena;
	dump->collect = (struct collect){
		.arena = &dump->arena,
		.snapshot = &dump->snapshot,
		.facts = &dump->facts,
		.options = &dump->options,
		.next_file_id = 1,
		.next_shared_id = 1,
		.next_pages_id = 1,
		.next_namespace_id = 16, /* after those of nestor; see collect/tasks.c */
	};
}

static int run_dump(const struct dump_arguments *arguments)
{
	struct dump dump = { 0 };
	struct error err = { 0 };

	dump_init(&dump, arguments);
	if (session_open(&dump.session, "dump", &arguments->pipeline, &err) == 0)
		dump_pipeline(&dump, &err);
	if (dump.stopped)
		collect_release(&dump.collect);
	memory_end_pages(&dump.collect);
	images_writer_free(dump.collect.images);
	int status = session_close(&dump.session, &err);
	arena_done(&dump.arena);
	return status;
}

static int check_arguments(const struct dump_arguments *arguments, struct error *err)
{
	if (!arguments->pid) {
		fail(err, ERR_USAGE, "nothing to dump");
		return fail_hint(err, "give the root of the tree with --tree PID");
	}
	if (arguments->leave_running && arguments->pipeline.leave_stopped)
		return fail(err, ERR_USAGE,
			    "--leave-running and --leave-stopped exclude each other");
	return 0;
}

int command_dump(const struct command *command, int argc, char **argv)
{
	const struct option_row *const tables[] = { dump_options, pipeline_options, common_options,
						    NULL };
	struct dump_arguments arguments = {
		.pipeline = { .common.verbosity = LOG_WARNING, .timeout = DEFAULT_TIMEOUT_SECONDS },
		.ghost_limit = DEFAULT_GHOST_LIMIT,
	};
	struct arena arena;
	struct error err = { 0 };
	int first, status;

	arena_init(&arena);
	if (command_begin(command, tables, argc, argv, 0, &arguments, &arena, &first, &status))
		status = check_arguments(&arguments, &err) < 0 ? command_print_error(&err)
							       : run_dump(&arguments);
	arena_done(&arena);
	return status;
}
