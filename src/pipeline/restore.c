// SPDX-License-Identifier: LGPL-2.1-or-later
/* A restore, step by step; see pipeline.h. */
#include "base/log.h"
#include "images/images.h"
#include "pipeline/load.h"
#include "pipeline/pipeline.h"
#include "run/run.h"

#include <errno.h>
#include <inttypes.h>
#include <time.h>

enum {
	MOST_ATTEMPTS = 3,
	MOST_WHEN_OUTRUN = 30,
	PAUSE = 150000000, /* ns */
};

#define STATISTICS_NAME "stats-restore"

struct restore {
	const struct pipeline_options *asked;
	struct session session;
	struct load load;
	bool told;	    /* of what is to begin */
	bool ids_were_free; /* all of them, when they were looked for */
	struct run_result result;
};

/* The caller may look for the pid file as soon as the tree runs. */
static int before_release(void *data, pid_t root_pid, struct error *err)
{
	struct restore *restore = data;
	const char *pidfile = restore->asked->pidfile;
	static const char *const moments[] = { "post-setup-namespaces", "post-restore",
					       "network-unlock", "pre-resume", NULL };

	if (unsharing_come_home(&restore->load.unsharing, err))
		return -1;
	if (pidfile && session_write_pidfile(&restore->session, pidfile, root_pid, err))
		return -1;
	/* All of these at once: mount namespaces are made when all processes are. */
	for (const char *const *moment = moments; *moment; moment++)
		if (session_tell(&restore->session, *moment, root_pid, err) < 0)
			return -1;
	return 0;
}

static int namespaces_made(void *data, pid_t pid, struct error *err)
{
	struct restore *restore = data;

	return session_tell(&restore->session, "setup-namespaces", pid, err);
}

static int take_master(void *data, int fd, struct error *err)
{
	const struct restore *restore = data;
	const struct pipeline_hooks *hooks = &restore->asked->hooks;

	return hooks->take_master(hooks->data, fd, err);
}

static int make_tree(struct restore *restore, struct error *err)
{
	struct load *load = &restore->load;
	bool mounts = load->plan.fresh_pid_namespace && load->unsharing.mounts;

	if (mounts && (unsharing_leave_home(&load->unsharing, err) || load_open_root(load, err)))
		return -1;
	const struct run_options options = {
		.fault = restore->asked->fault,
		.before_release = before_release,
		.namespaces_made = restore->asked->hooks.at_moment ? namespaces_made : NULL,
		.take_master = restore->asked->hooks.take_master ? take_master : NULL,
		.before_release_data = restore,
		.timeout_seconds = (unsigned)restore->asked->timeout_seconds,
		.detached = restore->asked->detached,
		.sibling = restore->asked->sibling,
		.leave_stopped = restore->asked->leave_stopped,
		.mount_proc = mounts,
		.root_fd = load->root_fd,
		.progress = session_progress,
		.progress_data = &restore->session,
	};

	if (session_step(&restore->session, "making the tree", err))
		return -1;
	return run_plan(&load->plan, load->images, &options, &restore->result, err);
}

/* The tree runs: what cannot be written now is no reason to say that the restore failed. */
static void write_stats(struct restore *restore)
{
	RestoreStatsEntry entry = RESTORE_STATS_ENTRY__INIT;
	StatsEntry stats = STATS_ENTRY__INIT;
	struct error err = { 0 };

	entry.forking_time = (uint32_t)restore->result.microseconds_forking;
	entry.restore_time = (uint32_t)restore->result.microseconds_total;
	entry.has_pages_restored = 1;
	entry.pages_restored = restore->result.pages_restored;
	stats.restore = &entry;
	log_info("restore", "nestor", "%zu tasks, root pid %d, %" PRIu32 " us",
		 restore->load.snapshot.n_tasks, (int)restore->result.root_pid, entry.restore_time);
	externals_tell_left(&restore->load.externals);
	if (session_write_stats(&restore->session, STATISTICS_NAME, &stats, &err))
		log_warning("restore", "nestor", "%s, going on without statistics", err.text);
}

/* The tree runs: whoever does not agree is too late. */
static void tell_resumed(struct restore *restore)
{
	struct error late = { 0 };

	if (session_tell(&restore->session, "post-resume", restore->result.root_pid, &late) < 0)
		log_warning("restore", "nestor", "%s: the tree runs all the same", late.text);
}

static int run_steps(struct restore *restore, struct error *err)
{
	struct load *load = &restore->load;

	if (restore->asked->sibling && (!restore->asked->detached || restore->asked->unshare))
		return fail(err, ERR_USAGE,
			    "--restore-sibling is only possible with --restore-detached and "
			    "without --unshare");
	if (load_open(load, &restore->session, err))
		return -1;
	if (session_check_places(&restore->session, STATISTICS_NAME, err))
		return -1;
	if (!restore->told && session_tell(&restore->session, "pre-restore", 0, err) < 0)
		return -1;
	restore->told = true;
	if (load_verify_files(load, err))
		return -1;
	if (load_plan(load, err) || load_check_ids(load, err))
		return -1;
	restore->ids_were_free = true;
	/* Somebody may have been quicker than we. */
	if (make_tree(restore, err) && (load_plan_anew(load, err) || make_tree(restore, err)))
		return -1;
	write_stats(restore);
	tell_resumed(restore);
	return 0;
}

/*
 * The manager of a container may be at cleaning up after its end: what was there a moment ago, a
 * mount or a cgroup (ENODEV), is gone, and is made anew where that is seen in time.
 */
static bool is_being_removed(const struct restore *restore, const struct error *err)
{
	return restore->load.snapshot.n_mount_namespaces && !restore->asked->unshare &&
	       (err->name == ERR_FILE_MISSING || err->os_errno == ENODEV);
}

/* Most of those that take an id meanwhile have it for a moment only, compilers for seconds. */
static bool was_outrun(const struct restore *restore, const struct error *err)
{
	return restore->ids_were_free && err->name == ERR_PID_IN_USE;
}

static int run_attempts(struct restore *restore, struct error *err)
{
	const struct timespec pause = { .tv_nsec = PAUSE };

	for (unsigned attempt = 1;; attempt++) {
		int result = run_steps(restore, err);
		bool again = result < 0 &&
			     ((attempt < MOST_ATTEMPTS && is_being_removed(restore, err)) ||
			      (attempt < MOST_WHEN_OUTRUN && was_outrun(restore, err)));

		load_done(&restore->load);
		if (!again)
			return result;
		log_info("restore", "nestor", "%s: once more", err->text);
		*err = (struct error){ 0 };
		restore->load = (struct load){ 0 };
		nanosleep(&pause, NULL);
	}
}

int pipeline_restore(const struct pipeline_options *options, struct run_result *ret_result,
		     struct error *err)
{
	struct restore restore = { .asked = options };

	if (session_open(&restore.session, "restore", options, err) == 0 &&
	    run_attempts(&restore, err) == 0)
		*ret_result = restore.result;
	return session_close(&restore.session, err);
}
