// SPDX-License-Identifier: LGPL-2.1-or-later
/* A dump, step by step; see pipeline.h. */
#include "base/compare.h"
#include "base/log.h"
#include "collect/collect.h"
#include "images/images.h"
#include "kernel/facts.h"
#include "kernel/guard.h"
#include "kinds/kind.h"
#include "pipeline/collecting.h"
#include "pipeline/judge.h"
#include "pipeline/pipeline.h"
#include "pipeline/processor.h"
#include "pipeline/session.h"
#include "plan/plan.h"

#include <inttypes.h>
#include <linux/capability.h>
#include <time.h>
#include <unistd.h>

#define STATISTICS_NAME "stats-dump"

/* A tree that is let run runs longer each time; what may pass is waited for so long. */
enum {
	FIRST_MOMENT = 5 * 1000 * 1000,
	LONGEST_MOMENT = 160 * 1000 * 1000,
	PATIENCE = 2 * 1000 * 1000, /* in microseconds of running */
};

struct dump {
	const struct pipeline_options *asked;
	struct session session;
	struct arena arena;
	struct facts facts;
	struct snapshot snapshot;
	struct dump_options options;
	struct externals externals;
	struct collect collect;
	bool network_locked; /* told so */
	bool stopped;	     /* the tree is in our hands */
	bool goes_on;	     /* it was to be ended, or left stopped, and could not */
	struct timespec started, frozen, copied;
	struct timespec released; /* zero: it is stopped still */
};

static uint64_t microseconds(const struct timespec *from, const struct timespec *to)
{
	return (uint64_t)((to->tv_sec - from->tv_sec) * 1000000L +
			  (to->tv_nsec - from->tv_nsec) / 1000);
}

static int stop_tree(struct dump *dump, struct error *err)
{
	clock_gettime(CLOCK_MONOTONIC, &dump->started);
	if (session_step(&dump->session, "stopping the tree", err))
		return -1;
	dump->stopped = true; /* or in part: collect_release knows */
	if (trees_before_stop(&dump->collect, err) || collect_stop_tree(&dump->collect, err) ||
	    collect_check_privileges(&dump->collect, !dump->asked->leave_running, err))
		return -1;
	clock_gettime(CLOCK_MONOTONIC, &dump->frozen);
	return 0;
}

/* Is there a guard that we have not? It takes a process of our own. */
static bool may_be_guarded(const struct dump *dump)
{
	const struct facts *facts = &dump->facts;
	/* What PTRACE_O_SUSPEND_SECCOMP wants of us (check_ptrace_options). */
	bool may_suspend = facts->in_initial_user_namespace && !facts->filtered &&
			   facts_has_capability(facts, CAP_SYS_ADMIN);

	return may_suspend && dump->asked->own_process && !dump->options.guarded;
}

/* Would more be known of the tree if nobody could end us? */
static bool lacks_guard(const struct dump *dump)
{
	return dump->collect.wants_guard && may_be_guarded(dump);
}

/* All that can be told against a dump is told at once. */
static int read_tree(struct dump *dump, struct error *err)
{
	if (session_step(&dump->session, "reading the tree", err))
		return -1;
	if (may_be_guarded(dump))
		collect_foresee(&dump->collect);
	if (lacks_guard(dump) || collect_read(&dump->collect, err) < 0)
		return -1;
	if (session_step(&dump->session, "asking the tasks", err) ||
	    collect_probe(&dump->collect, err) || lacks_guard(dump) ||
	    collect_read_complete(&dump->collect, err))
		return -1;
	if (session_step(&dump->session, "checking", err))
		return -1;
	if (judge_tree(&dump->collect, err))
		return -1;
	mounts_name_external(&dump->snapshot, &dump->externals);
	return processor_add(dump->asked, &dump->snapshot, err);
}

static int copy_memory(struct dump *dump, struct error *err)
{
	if (session_step(&dump->session, "copying memory", err) ||
	    trees_content(&dump->collect, session_progress, &dump->session, err))
		return -1;
	clock_gettime(CLOCK_MONOTONIC, &dump->copied);
	return 0;
}

/* Rights, the kernel, the processor and what is given may be others where the tree is restored. */
static bool is_for_elsewhere(enum error_name name)
{
	return name == ERR_NO_PRIVILEGE || name == ERR_KERNEL_TOO_OLD || name == ERR_NOT_GIVEN ||
	       name == ERR_VDSO_DIFFERS || name == ERR_CPU_DIFFERS;
}

/*
 * What binds a restore as a whole is seen only when all of it is planned; limits are taken to be
 * those that the tree has lived with.
 */
static int check_plan(struct dump *dump, const struct snapshot *snapshot, struct error *err)
{
	/* What has been read back from the images has not been judged. */
	const struct plan_options options = { .is_checked = snapshot == &dump->snapshot,
					      .shell_job = dump->options.shell_job,
					      .coordinator_pid = getpid(),
					      .coordinator_group = (uint32_t)getpgrp(),
					      .externals = &dump->externals };
	struct error reason = { 0 };
	struct arena arena;
	struct plan plan;

	if (session_step(&dump->session, "planning", err))
		return -1;
	arena_init(&arena);
	int result = plan_make(&plan, &arena, snapshot, &dump->facts, &kinds, &options, &reason);
	arena_done(&arena);
	if (result == 0)
		return 0;
	if (is_for_elsewhere(reason.name)) {
		log_warning("dump", "nestor", "a restore by the same nestor here would fail: %s",
			    reason.text);
		return 0;
	}
	*err = reason;
	return fail_while(err, "a restore would fail");
}

static int write_stats(struct dump *dump, struct error *err)
{
	DumpStatsEntry entry = DUMP_STATS_ENTRY__INIT;
	StatsEntry stats = STATS_ENTRY__INIT;
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	entry.freezing_time = (uint32_t)microseconds(&dump->started, &dump->frozen);
	entry.frozen_time = (uint32_t)microseconds(&dump->frozen,
						   dump->released.tv_sec ? &dump->released : &now);
	entry.memdump_time = (uint32_t)microseconds(&dump->frozen, &dump->copied);
	entry.memwrite_time = (uint32_t)microseconds(&dump->copied, &now);
	entry.pages_scanned = dump->collect.pages_scanned;
	entry.pages_written = dump->collect.pages_written;
	entry.pages_skipped_parent = dump->collect.pages_kept;
	/* Readers of other tools expect these; nothing of the kind is done. */
	entry.has_irmap_resolve = entry.has_page_pipes = entry.has_page_pipe_bufs = true;
	entry.has_shpages_scanned = entry.has_shpages_skipped_parent = true;
	entry.has_shpages_written = true;
	entry.shpages_scanned = dump->collect.shared_pages_scanned;
	entry.shpages_written = dump->collect.shared_pages_written;
	stats.dump = &entry;
	log_info("dump", "nestor", "%zu tasks, %" PRIu64 " pages, stopped for %" PRIu32 " us",
		 dump->collect.n_targets, entry.pages_written, entry.frozen_time);
	return session_write_stats(&dump->session, STATISTICS_NAME, &stats, err);
}

/*
 * --verify: what a restore does with images before it makes anything. The host's files are the
 * tree's own still, and need no look.
 */
static int verify_images(struct dump *dump, struct error *err)
{
	struct arena arena;
	struct snapshot snapshot;

	if (session_step(&dump->session, "reading the images back", err))
		return -1;
	arena_init(&arena);
	struct images *images = images_open(dump->session.images_fd, &arena, &snapshot, err);
	int result = images ? check_plan(dump, &snapshot, err) : -1;
	images_free(images);
	arena_done(&arena);
	return result;
}

/* All of it is known: a tree that goes on waits neither for the planning nor for the disk. */
static int let_go_on(struct dump *dump, struct error *err)
{
	if (session_step(&dump->session, "letting the tree go on", err) ||
	    collect_look_again(&dump->collect, err))
		return -1;
	collect_release(&dump->collect);
	dump->stopped = false;
	clock_gettime(CLOCK_MONOTONIC, &dump->released);
	return 0;
}

static int write_images(struct dump *dump, struct error *err)
{
	struct images_writer *writer = dump->collect.images;

	if (session_step(&dump->session, "writing images", err) ||
	    (dump->stopped && collect_look_again(&dump->collect, err)))
		return -1;
	if (images_write_snapshot(writer, &dump->snapshot, err) < 0 || write_stats(dump, err))
		return -1;
	if (session_step(&dump->session, "syncing images", err) || images_commit(writer, err))
		return -1;
	if (dump->asked->verify && verify_images(dump, err) < 0) {
		images_take_back(writer);
		return fail_while(err, "reading the images back");
	}
	return 0;
}

/*
 * The images are complete: from here on the tree is let go of, whatever happens. Images of one that
 * goes on, where it was to end, are of no use.
 */
static int end_tree(struct dump *dump, struct error *err)
{
	int result;

	if (!dump->stopped)
		return 0;
	dump->stopped = false;
	if (dump->asked->leave_stopped) {
		result = collect_leave_stopped(&dump->collect, &dump->goes_on, err);
	} else {
		session_progress(&dump->session, "ending the tree", 0, 0);
		result = collect_kill(&dump->collect, &dump->goes_on, err);
		trees_end(&dump->collect, !dump->goes_on);
	}
	if (dump->goes_on)
		images_take_back(dump->collect.images);
	return result;
}

/* The caller may have a lock of its own. */
static int lock_network(struct dump *dump, struct error *err)
{
	dump->network_locked = true;
	return session_tell(&dump->session, "network-lock", dump->asked->pid, err);
}

/* It is too late to refuse that the tree goes on. */
static void unlock_network(struct dump *dump)
{
	struct error late = { 0 };

	if (dump->network_locked &&
	    session_tell(&dump->session, "network-unlock", dump->asked->pid, &late) < 0)
		log_warning("dump", "nestor", "%s, going on", late.text);
}

static int ask_for_externals(struct dump *dump, struct error *err)
{
	const struct pipeline_hooks *hooks = &dump->asked->hooks;
	struct texts more = { 0 };

	if (hooks->more_externals && hooks->more_externals(hooks->data, &more, err) < 0)
		return -1;
	for (size_t i = 0; i < more.count; i++)
		if (externals_add(&dump->externals, &dump->arena, more.texts[i], err))
			return -1;
	return 0;
}

/* What has been tried: in microseconds, since the first stop and while the tree was let run. */
struct attempts {
	struct timespec first;
	uint64_t ran;
	long moment; /* the next one, in nanoseconds */
};

/*
 * Requests come to an end. What a task would have to read it may never read; time in which it could
 * not, since it was stopped, does not count.
 */
static bool may_pass(const struct dump *dump, const struct attempts *attempts, enum error_name name,
		     bool passing)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (passing ? attempts->ran < PATIENCE : name == ERR_REQUESTS_IN_FLIGHT) &&
	       microseconds(&attempts->first, &now) < dump->options.timeout_seconds * 1000000UL;
}

/* It makes sense to try again as long as nothing else is in the way. */
static bool makes_sense(const struct dump *dump, const struct attempts *attempts,
			const struct error *err)
{
	const struct obstacles *obstacles = &dump->collect.obstacles;

	if (!may_pass(dump, attempts, err->name, err->passing))
		return false;
	for (size_t i = 0; i < obstacles->n; i++) {
		const struct obstacle *one = &obstacles->list[i];
		if (!may_pass(dump, attempts, one->name, one->passing))
			return false;
	}
	return true;
}

/* The tree goes on as it was, and what has been read of it is forgotten. */
static void let_run(struct dump *dump, struct attempts *attempts)
{
	const struct timespec pause = { .tv_nsec = attempts->moment };

	collect_release(&dump->collect);
	dump->stopped = false;
	unlock_network(dump);
	dump->network_locked = false;
	trees_end(&dump->collect, false);
	images_writer_free(dump->collect.images);
	images_free(dump->collect.earlier);
	dump->snapshot = (struct snapshot){ .arena = &dump->arena };
	dump->collect = collect_for(dump->asked, &dump->options, &dump->snapshot, &dump->facts);
	nanosleep(&pause, NULL);
	attempts->ran += (uint64_t)attempts->moment / 1000;
	attempts->moment *= 2;
	attempts->moment = min(attempts->moment, LONGEST_MOMENT);
}

/*
 * Some states end only while the tree runs: for that it is let go, and stopped again. So it is for
 * what may be asked only where we are sure not to be ended.
 */
static int stop_and_read(struct dump *dump, struct error *err)
{
	struct attempts attempts = { .moment = FIRST_MOMENT };
	bool asked = false;

	clock_gettime(CLOCK_MONOTONIC, &attempts.first);
	for (;;) {
		dump->collect.images = images_writer_new(dump->session.images_fd, err);
		if (dump->collect.images && dump->asked->leave_running)
			images_write_back_late(dump->collect.images);
		if (!dump->collect.images ||
		    open_earlier_images(dump->asked, &dump->session, &dump->collect, err) ||
		    stop_tree(dump, err) || lock_network(dump, err) < 0 ||
		    (!asked && ask_for_externals(dump, err)))
			return -1;
		asked = true;
		if (read_tree(dump, err) == 0)
			return 0;
		bool guard = lacks_guard(dump);
		if (!guard && !makes_sense(dump, &attempts, err))
			return -1;
		let_run(dump, &attempts);
		*err = (struct error){ 0 };
		if (guard && guard_enter(err))
			return -1;
		dump->options.guarded = dump->options.guarded || guard;
	}
}

static int run_steps(struct dump *dump, struct error *err)
{
	if (pipeline_externals(dump->asked, &dump->arena, &dump->externals, err) ||
	    dump_options_of(dump->asked, &dump->externals, &dump->options, err) ||
	    facts_probe(&dump->facts, &dump->arena, err))
		return -1;
	if (session_check_places(&dump->session, STATISTICS_NAME, err))
		return -1;
	if (session_tell(&dump->session, "pre-dump", 0, err) < 0)
		return -1;
	if (stop_and_read(dump, err))
		return -1;
	externals_tell_unmet(&dump->externals);
	if (copy_memory(dump, err))
		return -1;
	if (dump->asked->leave_running && let_go_on(dump, err))
		return -1;
	images_begin_snapshot(dump->collect.images, &dump->snapshot);
	if (check_plan(dump, &dump->snapshot, err))
		return -1;
	if (write_images(dump, err))
		return -1;
	if (session_tell(&dump->session, "post-dump", dump->asked->pid, err) < 0)
		return -1;
	if (end_tree(dump, err) < 0)
		return -1;
	session_dedup(&dump->session);
	return 0;
}

static void dump_init(struct dump *dump, const struct pipeline_options *options)
{
	*dump = (struct dump){ .asked = options };
	arena_init(&dump->arena);
	dump->snapshot.arena = &dump->arena;
	dump->collect = collect_for(options, &dump->options, &dump->snapshot, &dump->facts);
}

/*
 * Everything that is in the way, of which err has the first. What keeps the tree from being stopped
 * (a tracer), or from being read once it is, comes before the rest: that is looked for now, as it
 * runs again.
 */
static void tell_obstacles(struct dump *dump, const struct error *err)
{
	struct obstacles *obstacles = &dump->collect.obstacles;
	struct error unseen = { 0 };
	struct look look;

	if (!error_is_refusal(err->name))
		return;
	if (!obstacles->n || dump->collect.may_wait) {
		obstacles_add(obstacles, err);
		if (pipeline_look(dump->asked, &dump->arena, &look, &unseen) == 0)
			obstacles_join(obstacles, &look.obstacles);
	}
	session_refuse(&dump->session, obstacles);
}

int pipeline_dump(const struct pipeline_options *options, struct error *err)
{
	struct dump dump;

	dump_init(&dump, options);
	if (session_open(&dump.session, "dump", options, err) == 0 && run_steps(&dump, err))
		collect_name_tasks(&dump.collect, err);
	bool goes_on = dump.stopped || dump.goes_on || options->leave_running;
	if (dump.stopped)
		collect_release(&dump.collect);
	if (goes_on)
		unlock_network(&dump);
	trees_end(&dump.collect, false);
	images_writer_free(dump.collect.images);
	images_free(dump.collect.earlier);
	tell_obstacles(&dump, err);
	int result = session_close(&dump.session, err);
	arena_done(&dump.arena);
	return result;
}
