// SPDX-License-Identifier: LGPL-2.1-or-later
/* What dump and restore have in common; see session.h. */
#include "pipeline/session.h"

#include "base/cleanup.h"
#include "base/foreign.h"
#include "base/procfs.h"

#include <fcntl.h>
#include <string.h>

static int open_directory(const char *path, const char *what, struct error *err)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0)
		return fd;
	fail_errno(err, ERR_IO, "cannot open the %s directory %s", what, path);
	return fail_hint(err, "give an existing directory with --%s",
			 strcmp(what, "work") == 0 ? "work-dir" : "images-dir");
}

static int open_log(struct session *session, struct error *err)
{
	const struct pipeline_options *options = session->options;

	if (!options->log_file) {
		log_open(options->silent ? -1 : STDERR_FILENO, options->log_level);
		return 0;
	}
	session->log_fd =
		foreign_create(session->work_fd, options->log_file, 0600, "the log file", err);
	if (session->log_fd < 0)
		return -1;
	log_open(session->log_fd, options->log_level);
	return 0;
}

int session_check_places(const struct session *session, const char *statistics, struct error *err)
{
	const char *pidfile = session->options->pidfile;

	if (foreign_can_replace(session->work_fd, statistics, "the statistics", err))
		return -1;
	return pidfile ? foreign_can_create(session->work_fd, pidfile, "the pid file", err) : 0;
}

int session_open(struct session *session, const char *name, const struct pipeline_options *options,
		 struct error *err)
{
	const char *images = options->images_dir ? options->images_dir : ".";

	*session = (struct session){
		.name = name, .options = options, .images_fd = -1, .work_fd = -1, .log_fd = -1
	};
	if (procfs_check(err))
		return -1;
	session->images_fd = open_directory(images, "images", err);
	if (session->images_fd < 0)
		return -1;
	session->work_fd =
		open_directory(options->work_dir ? options->work_dir : images, "work", err);
	if (session->work_fd < 0 || open_log(session, err))
		return -1;
	log_info(name, "nestor", "version %s, images in %s", NESTOR_VERSION, images);
	return 0;
}

int session_progress(void *data, const char *phase, size_t done, size_t total)
{
	const struct session *session = data;
	const struct pipeline_hooks *hooks = &session->options->hooks;

	if (hooks->progress)
		hooks->progress(hooks->data, phase, done, total);
	return hooks->asked_to_stop ? hooks->asked_to_stop(hooks->data) : 0;
}

int session_step(struct session *session, const char *phase, struct error *err)
{
	int signal = session_progress(session, phase, 0, 0);

	log_debug(session->name, "nestor", "%s", phase);
	return signal ? fail(err, ERR_INTERRUPTED, "SIG%s asked to stop, before %s",
			     sigabbrev_np(signal), phase)
		      : 0;
}

int session_tell(struct session *session, const char *moment, pid_t root_pid, struct error *err)
{
	const struct pipeline_hooks *hooks = &session->options->hooks;

	return hooks->at_moment ? hooks->at_moment(hooks->data, moment, root_pid, err) : 0;
}

int session_write_pidfile(const struct session *session, const char *name, pid_t pid,
			  struct error *err)
{
	autoclose int fd = foreign_create(session->work_fd, name, 0644, "the pid file", err);

	if (fd < 0)
		return -1;
	if (dprintf(fd, "%d", (int)pid) < 0)
		return fail_errno(err, ERR_IO, "cannot write the pid file %s", name);
	return 0;
}

void session_refuse(struct session *session, const struct obstacles *obstacles)
{
	const struct pipeline_hooks *hooks = &session->options->hooks;

	if (hooks->obstacles)
		hooks->obstacles(hooks->data, obstacles);
	if (obstacles->total < 2)
		return;
	session->refused = arena_new(obstacles->arena, struct text);
	text_init(session->refused, obstacles->arena);
	obstacles_print(obstacles, true, session->refused);
}

/* Whoever reads only the log looks for lines with "Error". */
static void log_error(const struct session *session, const struct error *err)
{
	/* The list that follows has the rest. */
	size_t length = session->refused ? strcspn(err->text, "\n") : strlen(err->text);

	if (session->log_fd < 0)
		return;
	dprintf(session->log_fd, "Error (%s) [%s]: %.*s\n", session->name, error_name(err->name),
		(int)length, err->text);
	if (session->refused)
		dprintf(session->log_fd, "%s", session->refused->string);
	else if (err->hint[0])
		dprintf(session->log_fd, "  %s\n", err->hint);
}

int session_close(struct session *session, const struct error *err)
{
	if (err->name != ERR_NONE)
		log_error(session, err);
	else
		log_info(session->name, "nestor", "done");
	log_open(-1, LOG_ERROR);
	cleanup_close(&session->log_fd);
	cleanup_close(&session->work_fd);
	cleanup_close(&session->images_fd);
	return err->name == ERR_NONE ? 0 : -1;
}
