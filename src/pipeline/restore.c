// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * nestor restore: a directory of images becomes a live tree. Everything in the images and every
 * file that they name is checked before the first process is made; a restore that fails leaves
 * nothing behind.
 */
#include "base/cleanup.h"
#include "base/log.h"
#include "commands/command.h"
#include "pipeline/session.h"
#include "pipeline/unshare.h"
#include "images/images.h"
#include "kernel/facts.h"
#include "kernel/syscalls.h"
#include "kinds/memory/memory.h"
#include "plan/plan.h"
#include "run/run.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <sys/wait.h>

/* Set where nestor has executed itself inside the user namespace with this id. */
static const char base_variable[] = "NESTOR_INSIDE";

struct restore_arguments {
	struct pipeline_arguments pipeline;
	bool detached;
	char **command_line; /* with the name of the program */
	const char *unshare;
};

#define ROW(member) offsetof(struct restore_arguments, member)

static const struct option_row restore_options[] = {
	{ 'd', "restore-detached", OPTION_FLAG, ROW(detached), NULL,
	  "return once the tree runs, instead of waiting for its root" },
	{ 0, "unshare", OPTION_TEXT, ROW(unshare), "WHAT",
	  "restore into a fresh pid namespace: pid, or auto (where an id is taken); with \",mnt\" "
	  "it "
	  "has its own /proc" },
	{ 0 },
};

struct restore {
	const struct restore_arguments *arguments;
	struct unsharing unsharing;
	struct session session;
	struct arena arena;
	struct facts facts;
	struct snapshot snapshot;
	struct images *images;
	int root_fd;
	struct plan plan;
	struct run_result result;
};

/* The host's files: there, and as recorded? All are looked at, so that one run tells all. */
static int verify_files(struct restore *restore, struct error *err)
{
	const struct snapshot *snapshot = &restore->snapshot;
	struct file_opener opener = {
		.snapshot = snapshot,
		.images = restore->images,
		.arena = &restore->arena,
		.root_fd = restore->root_fd,
	};
	struct error first = { 0 };
	size_t n_failed = 0;

	for (size_t i = 0; i < snapshot->n_files; i++) {
		const struct file_kind *kind = kind_of_file(&kinds, snapshot->files[i]);
		struct error one = { 0 };
		if (!kind || !kind->verify || kind->verify(&opener, snapshot->files[i], &one) == 0)
			continue;
		log_warning("restore", "files", "%s, not restoring", one.text);
		if (n_failed++ == 0)
			first = one;
	}
	for (size_t i = 0; i < opener.n_kept_fds; i++)
		cleanup_close(&opener.kept_fds[i]);
	if (n_failed == 0)
		return 0;
	*err = first;
	return n_failed == 1 ? -1 : fail_while(err, "the first of %zu files", n_failed);
}

static int open_root(struct restore *restore, struct error *err)
{
	const char *root = restore->arguments->pipeline.root;

	if (!root)
		return 0;
	cleanup_close(&restore->root_fd);
	restore->root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return restore->root_fd < 0
		       ? fail_errno(err, ERR_USAGE, "cannot open the root directory %s", root)
		       : 0;
}

static int open_images(struct restore *restore, struct error *err)
{
	if (session_step(&restore->session, "checking the images", err) < 0)
		return -1;
	restore->images =
		images_open(restore->session.images_fd, &restore->arena, &restore->snapshot, err);
	if (!restore->images)
		return -1;
	if (!images_written_by_nestor(restore->images))
		memory_adopt(&restore->snapshot);
	if (open_root(restore, err) < 0)
		return -1;
	return verify_files(restore, err);
}

/* What making a tree takes; a person without it has it in a user namespace of their own. */
static bool lacks_privileges(void)
{
	static const int needed[] = { CAP_SYS_ADMIN, CAP_SYS_PTRACE, CAP_SETUID, CAP_SETGID };
	struct capability_sets sets = { 0 };

	kernel_capget(0, &sets);
	for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
		if (!(sets.effective >> needed[i] & 1))
			return true;
	return false;
}

/*
 * A tree in a pid namespace of its own (or a fresh one), all of it in a user namespace below that
 * of the dump: made from inside, it needs no privileges outside.
 */
static struct user_namespace *find_base(const struct restore *restore)
{
	const struct snapshot *snapshot = &restore->snapshot;
	bool own = snapshot->own_pid_namespace || restore->unsharing.pid;
	struct user_namespace *base = snapshot->tasks[0].user_namespace;

	while (base->depth > 1)
		base = base->parent;
	return base->depth == 1 && own && user_namespace_holds_tree(snapshot, base) ? base : NULL;
}

/*
 * The kernel asks who may trace a task of the user namespace in which its program was executed
 * (mm->user_ns), and what tasks inherit is ours: so nestor executes itself once more inside.
 */
static int execute_again(struct restore *restore, uint32_t base, struct error *err)
{
	char number[16];

	snprintf(number, sizeof number, "%" PRIu32, base);
	setenv(base_variable, number, 1);
	sigprocmask(SIG_SETMASK, &restore->session.old_mask, NULL);
	execv("/proc/self/exe", restore->arguments->command_line);
	return fail_errno(err, ERR_KERNEL_REFUSED, "cannot execute nestor inside user namespace %s",
			  number);
}

/* Once inside: the images are to be seen from there. */
static int work_inside(struct restore *restore, const char *number, struct error *err)
{
	struct user_namespace *base =
		snapshot_user_namespace(&restore->snapshot, (uint32_t)strtoul(number, NULL, 10));

	unsetenv(base_variable);
	if (!base)
		return fail(err, ERR_USAGE, "%s=%s is no user namespace of the images",
			    base_variable, number);
	log_info("restore", "nestor", "without privileges outside: inside user namespace %" PRIu32,
		 base->id);
	return snapshot_rebase(&restore->snapshot, base, err);
}

static int enter_base(struct restore *restore, struct error *err)
{
	const char *inside = getenv(base_variable);
	struct user_namespace *base = find_base(restore);

	if (inside)
		return work_inside(restore, inside, err);
	if (!base || !lacks_privileges())
		return 0;
	if (run_enter_new_user_namespace(base, err) < 0)
		return -1;
	return execute_again(restore, base->id, err);
}

static int make_plan_for(struct restore *restore, bool fresh, struct error *err)
{
	const struct plan_options options = {
		.shell_job = restore->arguments->pipeline.shell_job,
		.fresh_pid_namespace = fresh,
		.coordinator_pid = getpid(),
		.coordinator_group = fresh ? 0 : (uint32_t)getpgrp(),
	};

	return plan_make(&restore->plan, &restore->arena, &restore->snapshot, &restore->facts,
			 &kinds, &options, err);
}

/* Where an id turns out to be taken, and that is to be no obstacle, the error is forgotten. */
static int plan_anew(struct restore *restore, struct error *err)
{
	if (err->name != ERR_PID_IN_USE || !restore->unsharing.automatic ||
	    restore->plan.own_pid_namespace)
		return -1;
	log_info("restore", "nestor", "%s: restoring into a fresh pid namespace", err->text);
	*err = (struct error){ 0 };
	return make_plan_for(restore, true, err);
}

static int make_plan(struct restore *restore, struct error *err)
{
	const struct unsharing *unsharing = &restore->unsharing;

	if (session_step(&restore->session, "planning", err) < 0 || enter_base(restore, err) < 0 ||
	    run_raise_limits(&restore->snapshot, err) < 0 ||
	    facts_probe(&restore->facts, &restore->arena, err) < 0)
		return -1;
	if (restore->snapshot.own_pid_namespace && unsharing->mounts)
		return fail(err, ERR_USAGE,
			    "--unshare mnt: the tree has a pid namespace of its own, whose init "
			    "has to mount its /proc itself");
	if (make_plan_for(restore, unsharing->pid, err) < 0)
		return -1;
	return run_check_ids(&restore->plan, err) ? plan_anew(restore, err) : 0;
}

/* NESTOR_FAULT=op:PROGRAM:NUMBER lets one operation of the plan fail: for tests of leftovers. */
static struct run_fault fault_from_environment(void)
{
	struct run_fault fault = { 0 };
	const char *text = getenv("NESTOR_FAULT");

	fault.wanted = text && sscanf(text, "op:%zu:%zu", &fault.program, &fault.op) == 2;
	return fault;
}

/* The caller may look for the pid file as soon as the tree runs. */
static int before_release(void *data, pid_t root_pid, struct error *err)
{
	struct restore *restore = data;
	const char *pidfile = restore->arguments->pipeline.pidfile;

	if (unsharing_come_home(&restore->unsharing, err) < 0)
		return -1;
	return pidfile ? session_write_pidfile(&restore->session, pidfile, root_pid, err) : 0;
}

static int make_tree(struct restore *restore, struct error *err)
{
	const struct pipeline_arguments *arguments = &restore->arguments->pipeline;
	bool mounts = restore->plan.fresh_pid_namespace && restore->unsharing.mounts;

	if (mounts &&
	    (unsharing_leave_home(&restore->unsharing, err) < 0 || open_root(restore, err) < 0))
		return -1;
	const struct run_options options = {
		.fault = fault_from_environment(),
		.before_release = before_release,
		.before_release_data = restore,
		.timeout_seconds = (unsigned)arguments->timeout,
		.leave_stopped = arguments->leave_stopped,
		.mount_proc = mounts,
		.root_fd = restore->root_fd,
		.progress = progress_show,
		.progress_data = &restore->session.progress,
	};

	if (session_step(&restore->session, "making the tree", err) < 0)
		return -1;
	return run_plan(&restore->plan, restore->images, &options, &restore->result, err);
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
		 restore->snapshot.n_tasks, (int)restore->result.root_pid, entry.restore_time);
	if (images_write_stats(restore->session.work_fd, "stats-restore", &stats, &err) < 0)
		log_warning("restore", "nestor", "%s, going on without statistics", err.text);
}

static int restore_pipeline(struct restore *restore, struct error *err)
{
	if (open_images(restore, err) < 0)
		return -1;
	if (make_plan(restore, err) < 0)
		return -1;
	/* Somebody may have been quicker than we. */
	if (make_tree(restore, err) < 0 &&
	    (plan_anew(restore, err) < 0 || make_tree(restore, err) < 0))
		return -1;
	write_stats(restore);
	return 0;
}

/* The exit status of the tree's root, as a shell would have it; an init of ours passes it on. */
static int wait_for_root(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return EXIT_FAILED;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int run_restore(const struct restore_arguments *arguments)
{
	struct restore restore = { .arguments = arguments, .root_fd = AT_FDCWD };
	struct error err = { 0 };

	restore.snapshot.arena = &restore.arena;
	if (unsharing_parse(&restore.unsharing, arguments->unshare, &err) < 0)
		return command_print_error(&err);
	arena_init(&restore.arena);
	if (session_open(&restore.session, "restore", &arguments->pipeline, &err) == 0)
		restore_pipeline(&restore, &err);
	images_free(restore.images);
	cleanup_close(&restore.root_fd);
	sigset_t old_mask = restore.session.old_mask;
	int status = session_close(&restore.session, &err);
	arena_done(&restore.arena);
	if (status != EXIT_DONE || arguments->detached)
		return status;
	sigprocmask(SIG_SETMASK, &old_mask, NULL);
	return wait_for_root(restore.result.child_pid);
}

int command_restore(const struct command *command, int argc, char **argv)
{
	const struct option_row *const tables[] = { restore_options, pipeline_options,
						    common_options, NULL };
	struct restore_arguments arguments = {
		.pipeline = { .common.verbosity = LOG_WARNING, .timeout = DEFAULT_TIMEOUT_SECONDS },
	};
	struct arena arena;
	int first, status;

	arena_init(&arena);
	/* main.c passes on what follows the program's name; parsing will put it in another order.
	 */
	arguments.command_line = arena_copy(&arena, argv - 1, ((size_t)argc + 2) * sizeof *argv);
	if (command_begin(command, tables, argc, argv, 0, &arguments, &arena, &first, &status))
		status = run_restore(&arguments);
	arena_done(&arena);
	return status;
}
