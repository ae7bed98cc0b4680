// SPDX-License-Identifier: LGPL-2.1-or-later
/* What dump and restore have in common around their pipelines; see session.h. */
#include "pipeline/session.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "commands/command.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#define ROW(member) offsetof(struct pipeline_arguments, member)

const struct option_row pipeline_options[] = {
	{ 'D', "images-dir", OPTION_TEXT, ROW(images_dir), "DIR",
	  "where the images are (default: the current directory)" },
	{ 'W', "work-dir", OPTION_TEXT, ROW(work_dir), "DIR",
	  "where log, pid file and statistics go (default: the images directory)" },
	{ 'o', "log-file", OPTION_TEXT, ROW(log_file), "FILE",
	  "write the log to FILE in the work directory" },
	{ 0, "pidfile", OPTION_TEXT, ROW(pidfile), "FILE",
	  "restore: write the root task's pid to FILE" },
	{ 'r', "root", OPTION_TEXT, ROW(root), "DIR", "restore: recorded paths are below DIR" },
	{ 'j', "shell-job", OPTION_FLAG, ROW(shell_job), NULL,
	  "the tree belongs to a session outside of it" },
	{ 's', "leave-stopped", OPTION_FLAG, ROW(leave_stopped), NULL,
	  "leave the tasks stopped, to be continued by SIGCONT" },
	{ 0, "timeout", OPTION_NUMBER, ROW(timeout), "SECONDS",
	  "give up after this time (default: 10)" },
	/*
	 * Asked for by clients as a matter of course. They permit or tune what concerns only
	 * objects that are refused by name anyway (sockets, mounts, inotify), or give hints.
	 */
	{ 0, "manage-cgroups", OPTION_ONLY_VALUE, 0, "ignore", NULL },
	{ 0, "tcp-established", OPTION_HARMLESS, 0, NULL, NULL },
	{ 0, "tcp-close", OPTION_HARMLESS, 0, NULL, NULL },
	{ 0, "skip-in-flight", OPTION_HARMLESS, 0, NULL, NULL },
	{ 'x', "ext-unix-sk", OPTION_HARMLESS, 0, NULL, NULL },
	{ 0, "network-lock", OPTION_HARMLESS_ARGUMENT, 0, NULL, NULL },
	{ 0, "link-remap", OPTION_HARMLESS, 0, NULL, NULL },
	{ 0, "force-irmap", OPTION_HARMLESS, 0, NULL, NULL },
	{ 0, "irmap-scan-path", OPTION_HARMLESS_ARGUMENT, 0, NULL, NULL },
	{ 0, "evasive-devices", OPTION_HARMLESS, 0, NULL, NULL },
	{ 0, "enable-external-masters", OPTION_HARMLESS, 0, NULL, NULL },
	{ 0, "ext-mount-map", OPTION_ONLY_VALUE, 0, "auto", NULL },
	{ 0, "mntns-compat-mode", OPTION_HARMLESS, 0, NULL, NULL },
	{ 0 },
};

static int open_directory(const char *path, const char *what, struct error *err)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0)
		return fd;
	fail_errno(err, ERR_IO, "cannot open the %s directory %s", what, path);
	return fail_hint(err, "give an existing directory with --%s",
			 strcmp(what, "work") == 0 ? "work-dir" : "images-dir");
}

static int open_log(struct session *session, const struct pipeline_arguments *arguments,
		    struct error *err)
{
	int level = arguments->common.verbosity;

	if (!arguments->log_file) {
		log_open(STDERR_FILENO, (enum log_level)level);
		return 0;
	}
	session->log_fd = openat(session->work_fd, arguments->log_file,
				 O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	if (session->log_fd < 0)
		return fail_errno(err, ERR_IO, "cannot create the log file %s",
				  arguments->log_file);
	log_open(session->log_fd, (enum log_level)level);
	return 0;
}

int session_open(struct session *session, const char *command,
		 const struct pipeline_arguments *arguments, struct error *err)
{
	*session = (struct session){
		.command = command, .images_fd = -1, .work_fd = -1, .log_fd = -1
	};
	const char *images = arguments->images_dir ? arguments->images_dir : ".";

	progress_init(&session->progress,
		      !arguments->log_file && arguments->common.verbosity >= LOG_INFO);
	sigemptyset(&session->signals);
	for (const int *signal = (const int[]){ SIGINT, SIGTERM, SIGHUP, SIGQUIT, 0 }; *signal;
	     signal++)
		sigaddset(&session->signals, *signal);
	sigprocmask(SIG_BLOCK, &session->signals, &session->old_mask);
	session->images_fd = open_directory(images, "images", err);
	if (session->images_fd < 0)
		return -1;
	session->work_fd =
		open_directory(arguments->work_dir ? arguments->work_dir : images, "work", err);
	if (session->work_fd < 0)
		return -1;
	if (open_log(session, arguments, err) < 0)
		return -1;
	log_info(command, "nestor", "version %s, images in %s", NESTOR_VERSION, images);
	return 0;
}

int session_step(struct session *session, const char *phase, struct error *err)
{
	sigset_t pending;

	progress_show(&session->progress, phase, 0, 0);
	log_debug(session->command, "nestor", "%s", phase);
	sigpending(&pending);
	for (int signal = 1; signal < SIGRTMIN; signal++)
		if (sigismember(&session->signals, signal) && sigismember(&pending, signal))
			return fail(err, ERR_INTERRUPTED, "SIG%s asked to stop, before %s",
				    sigabbrev_np(signal), phase);
	return 0;
}

int session_write_pidfile(const struct session *session, const char *name, pid_t pid,
			  struct error *err)
{
	autoclose int fd =
		openat(session->work_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0 || dprintf(fd, "%d", (int)pid) < 0)
		return fail_errno(err, ERR_IO, "cannot write the pid file %s", name);
	return 0;
}

int session_close(struct session *session, const struct error *err)
{
	int status = EXIT_DONE;

	progress_end(&session->progress);
	if (err->name != ERR_NONE) {
		/* Whoever reads only the log looks for lines with "Error". */
		if (session->log_fd >= 0) {
			dprintf(session->log_fd, "Error (%s) [%s]: %s\n", session->command,
				error_name(err->name), err->text);
			if (err->hint[0])
				dprintf(session->log_fd, "  %s\n", err->hint);
		}
		status = command_print_error(err);
	} else {
		log_info(session->command, "nestor", "done");
	}
	log_open(-1, LOG_ERROR);
	cleanup_close(&session->log_fd);
	cleanup_close(&session->work_fd);
	cleanup_close(&session->images_fd);
	/* Signals stay held back: nestor is at its end and has its status still to give. */
	return status;
}
