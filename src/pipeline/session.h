/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a dump and a restore have in common: the directories, the log file, and the steps between
 * which the caller is told of progress and may ask to stop.
 */
#ifndef NESTOR_PIPELINE_SESSION_H
#define NESTOR_PIPELINE_SESSION_H

#include "base/error.h"
#include "base/text.h"
#include "model/schema.h"
#include "pipeline/options.h"

#include <sys/types.h>

struct session {
	const char *name; /* of what is done, for log lines */
	const struct pipeline_options *options;
	int images_fd;
	int work_fd;
	struct text *refused; /* what session_refuse was told, for the log; NULL: nothing */
	int log_fd;	      /* -1 where the log goes to stderr */
};

/* Opens the directories and the log. */
int session_open(struct session *session, const char *name, const struct pipeline_options *options,
		 struct error *err);
/* Could the files of the work directory be made? To be asked before there is anything to undo. */
int session_check_places(const struct session *session, const char *statistics, struct error *err);
/* Fails with ERR_INTERRUPTED when a signal has asked to stop. */
int session_step(struct session *session, const char *phase, struct error *err);
/* For what has parts; the number of a signal that asks to stop, or 0. */
int session_progress(void *session, const char *phase, size_t done, size_t total);
/* Tells the caller of a moment (hooks.at_moment). */
int session_tell(struct session *session, const char *moment, pid_t root_pid, struct error *err);
/* The root task's pid, in the work directory, as other tools write it (no newline). */
int session_write_pidfile(const struct session *session, const char *name, pid_t pid,
			  struct error *err);
/* What was measured, into a file of the work directory, and to the caller (hooks.statistics). */
int session_write_stats(struct session *session, const char *name, const StatsEntry *stats,
			struct error *err);
/* After a dump with auto_dedup. That is done, so a failure is a warning. */
void session_dedup(const struct session *session);
/* Tells the caller of all that is in the way (hooks.obstacles), and keeps it for the log. */
void session_refuse(struct session *session, const struct obstacles *obstacles);
/* Writes the error into the log if there is one, and closes; returns -1 then. */
int session_close(struct session *session, const struct error *err);

#endif
