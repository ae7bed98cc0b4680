/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What dump and restore have in common around their pipelines: the directories, the log file,
 * the progress line, and signals that ask to stop, which are seen between steps only, so that
 * undoing is never cut short.
 */
#ifndef NESTOR_PIPELINE_SESSION_H
#define NESTOR_PIPELINE_SESSION_H

#include "base/error.h"
#include "commands/options.h"
#include "commands/progress.h"

#include <signal.h>
#include <sys/types.h>

/* First member of the arguments of dump and restore. */
struct pipeline_arguments {
	struct common_arguments common;
	const char *images_dir;
	const char *work_dir; /* NULL: the images directory */
	const char *log_file; /* NULL: the log goes to stderr */
	const char *pidfile;
	const char *root;
	bool shell_job;
	bool leave_stopped;
	uint64_t timeout;
};

extern const struct option_row pipeline_options[];

enum { DEFAULT_TIMEOUT_SECONDS = 10 };

struct session {
	const char *command;
	int images_fd;
	int work_fd;
	int log_fd; /* -1 where the log goes to stderr */
	struct progress progress;
	sigset_t signals; /* that ask to stop */
	sigset_t old_mask;
};

/* Opens the directories and the log, and holds signals back. */
int session_open(struct session *session, const char *command,
		 const struct pipeline_arguments *arguments, struct error *err);
/* Fails with ERR_INTERRUPTED when a signal has asked to stop. */
int session_step(struct session *session, const char *phase, struct error *err);
/* The root task's pid, in the work directory, as other tools write it (no newline). */
int session_write_pidfile(const struct session *session, const char *name, pid_t pid,
			  struct error *err);
/* Ends the progress line, tells the error if there is one, closes; returns the exit status. */
int session_close(struct session *session, const struct error *err);

#endif
