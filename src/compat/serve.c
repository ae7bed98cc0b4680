// SPDX-License-Identifier: LGPL-2.1-or-later
/* Requests of a client and their answers; see serve.h. */
#include "compat/serve.h"

#include "base/log.h"
#include "base/stop-signals.h"
#include "compat/connection.h"
#include "compat/request-options.h"
#include "kernel/facts.h"
#include "options/pipeline-options.h"
#include "pipeline/pipeline.h"
#include "pipeline/session.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* One request being served. */
struct serving {
	struct connection *connection;
	const CriuReq *request;
	struct arena arena;
	struct pipeline_options options;
	CriuResp response;
	const char *unshare; /* for a restore */
	char **command;	     /* executed once the answer is given; NULL: none */
	union {
		CriuDumpResp dump;
		CriuRestoreResp restore;
		CriuFeatures features;
		CriuVersion version;
	} part;
};

/* ---- What the pipeline tells and asks ---- */

static int asked_to_stop(void *data)
{
	const struct serving *serving = data;

	return connection_is_closed(serving->connection) ? SIGHUP : stop_signal_pending();
}

static int at_moment(void *data, const char *moment, pid_t root_pid, struct error *err)
{
	const struct serving *serving = data;

	return connection_notify(serving->connection, moment, root_pid, err);
}

static int take_master(void *data, int fd, struct error *err)
{
	const struct serving *serving = data;

	return connection_give(serving->connection, "orphan-pts-master", fd, err);
}

/* Many clients tell their users of the log and of nothing else. */
static void log_bad_request(const struct serving *serving, const struct error *failed)
{
	struct session session;
	struct error unwritten = { 0 };

	if (serving->options.images_dir &&
	    session_open(&session, "request", &serving->options, &unwritten) == 0)
		session_close(&session, failed);
}

static int more_externals(void *data, struct texts *external, struct error *err)
{
	struct serving *serving = data;

	return connection_query(serving->connection, "query-ext-files", &serving->arena, external,
				err);
}

static int take_options(struct serving *serving, struct error *err)
{
	const CriuOpts *asked = serving->request->opts;

	pipeline_options_init(&serving->options);
	if (!asked)
		return fail(err, ERR_BAD_REQUEST, "the request has no options");
	bool notify = asked->notify_scripts;
	serving->options.detached = true;
	/* What follows is for who was asked: a restored tree may become its parent's child. */
	serving->options.own_process =
		!(serving->request->has_keep_open && serving->request->keep_open);
	serving->options.hooks = (struct pipeline_hooks){
		.data = serving,
		.asked_to_stop = asked_to_stop,
		.at_moment = notify ? at_moment : NULL,
		.take_master = notify ? take_master : NULL,
		.more_externals = notify ? more_externals : NULL,
	};
	if (request_options(asked, serving->connection->peer, &serving->arena, &serving->options,
			    err) == 0)
		return 0;
	log_bad_request(serving, err);
	return -1;
}

/* ---- Requests ---- */

static int serve_dump(struct serving *serving, struct error *err)
{
	if (take_options(serving, err))
		return -1;
	if (serving->options.pid <= 0)
		return fail(err, ERR_BAD_REQUEST,
			    "the request names no pid, and nobody can be dumped who waits for it");
	if (serving->request->opts->n_join_ns || serving->request->opts->n_exec_cmd)
		return fail(err, ERR_BAD_REQUEST, "the option %s is of a restore",
			    serving->request->opts->n_join_ns ? "join_ns" : "exec_cmd");
	if (pipeline_dump(&serving->options, err) < 0)
		return -1;
	criu_dump_resp__init(&serving->part.dump);
	serving->response.dump = &serving->part.dump;
	return 0;
}

static int serve_pre_dump(struct serving *serving, struct error *err)
{
	if (take_options(serving, err))
		return -1;
	if (serving->options.pid <= 0)
		return fail(err, ERR_BAD_REQUEST, "the request names no pid");
	return pipeline_pre_dump(&serving->options, err);
}

/* Ours to be, as the parent of the tree, when the client has its answer. */
static int take_command(struct serving *serving, struct error *err)
{
	const CriuOpts *asked = serving->request->opts;

	if (!asked->n_exec_cmd)
		return 0;
	if (serving->options.sibling)
		return fail(err, ERR_BAD_REQUEST, "exec_cmd and rst_sibling exclude each other");
	serving->command = arena_array(&serving->arena, char *, asked->n_exec_cmd + 1);
	memcpy(serving->command, asked->exec_cmd, asked->n_exec_cmd * sizeof *asked->exec_cmd);
	serving->options.detached = false;
	return 0;
}

static int serve_restore(struct serving *serving, struct error *err)
{
	struct run_result result;

	if (take_options(serving, err) || take_command(serving, err))
		return -1;
	if (!serving->options.unshare)
		serving->options.unshare = serving->unshare;
	if (pipeline_restore(&serving->options, &result, err))
		return -1;
	criu_restore_resp__init(&serving->part.restore);
	serving->part.restore.pid = result.root_pid;
	serving->response.restore = &serving->part.restore;
	return 0;
}

static int serve_version(struct serving *serving)
{
	CriuVersion *version = &serving->part.version;

	criu_version__init(version);
	version->major_number = COMPAT_VERSION_MAJOR;
	version->minor_number = COMPAT_VERSION_MINOR;
	version->name = "nestor " NESTOR_VERSION;
	serving->response.version = version;
	return 0;
}

/* Each feature that was asked about is answered. */
static int serve_features(struct serving *serving)
{
	CriuFeatures *features = &serving->part.features;
	const CriuFeatures *asked = serving->request->features;

	criu_features__init(features);
	/* What has changed since an earlier dump is found out, if not by marks of the kernel. */
	features->has_mem_track = features->mem_track = asked && asked->has_mem_track;
	features->has_lazy_pages = asked && asked->has_lazy_pages;
	features->has_pidfd_store = asked && asked->has_pidfd_store;
	serving->response.features = features;
	return 0;
}

static int serve_check(struct serving *serving, struct error *err)
{
	struct facts facts = { 0 };

	return facts_probe(&facts, &serving->arena, err);
}

static int serve_wait(struct serving *serving, struct error *err)
{
	int status;

	if (!serving->request->has_pid)
		return fail(err, ERR_BAD_REQUEST, "the request names no pid");
	while (waitpid((pid_t)serving->request->pid, &status, 0) < 0)
		if (errno != EINTR)
			return fail_errno(err, ERR_NO_SUCH_TASK, "cannot wait for pid %u",
					  serving->request->pid);
	serving->response.has_status = true;
	serving->response.status = status;
	return 0;
}

static int serve_processor(struct serving *serving, struct error *err)
{
	if (take_options(serving, err))
		return -1;
	return serving->request->type == CRIU_REQ_TYPE__CPUINFO_DUMP
		       ? pipeline_record_processor(&serving->options, err)
		       : pipeline_check_processor(&serving->options, err);
}

static int serve(struct serving *serving, struct error *err)
{
	switch (serving->request->type) {
	case CRIU_REQ_TYPE__DUMP:
		return serve_dump(serving, err);
	case CRIU_REQ_TYPE__PRE_DUMP:
	case CRIU_REQ_TYPE__SINGLE_PRE_DUMP:
		return serve_pre_dump(serving, err);
	case CRIU_REQ_TYPE__RESTORE:
		return serve_restore(serving, err);
	case CRIU_REQ_TYPE__CHECK:
		return serve_check(serving, err);
	case CRIU_REQ_TYPE__FEATURE_CHECK:
		return serve_features(serving);
	case CRIU_REQ_TYPE__VERSION:
		return serve_version(serving);
	case CRIU_REQ_TYPE__CPUINFO_DUMP:
	case CRIU_REQ_TYPE__CPUINFO_CHECK:
		return serve_processor(serving, err);
	case CRIU_REQ_TYPE__WAIT_PID:
		return serve_wait(serving, err);
	case CRIU_REQ_TYPE__PAGE_SERVER:
	case CRIU_REQ_TYPE__PAGE_SERVER_CHLD:
		return fail(err, ERR_BAD_REQUEST,
			    "requests for a page server are not supported: %s", NO_PAGE_SERVER);
	default:
		return fail(err, ERR_BAD_REQUEST, "requests of type %d are not supported",
			    (int)serving->request->type);
	}
}

/* ---- Answers ---- */

/* A number that clients know, for errors in which no system call failed. */
static int errno_of(const struct error *err)
{
	if (err->os_errno)
		return err->os_errno;
	switch (err->name) {
	case ERR_NO_SUCH_TASK:
		return ESRCH;
	case ERR_PID_IN_USE:
		return EEXIST;
	case ERR_NO_PRIVILEGE:
		return EPERM;
	case ERR_BAD_REQUEST:
		return EBADRQC;
	default:
		return EINVAL;
	}
}

static int answer_error(struct connection *connection, CriuReqType type, const struct error *failed,
			struct error *err)
{
	CriuResp response = CRIU_RESP__INIT;
	char text[sizeof failed->text + 64];

	snprintf(text, sizeof text, "[%s] %s", error_name(failed->name), failed->text);
	response.type = type;
	response.success = false;
	response.has_cr_errno = true;
	response.cr_errno = errno_of(failed);
	response.cr_errmsg = text;
	return connection_send(connection, &response, err);
}

/* The client sees the end of its connection. */
static int execute(struct connection *connection, char **words, struct error *err)
{
	fcntl(connection->fd, F_SETFD, FD_CLOEXEC);
	execvp(words[0], words);
	return fail_errno(err, ERR_IO, "the tree runs, but %s cannot be executed", words[0]);
}

static int answer(struct connection *connection, const CriuReq *request, const char *unshare,
		  struct error *err)
{
	struct serving serving = { .connection = connection,
				   .request = request,
				   .unshare = unshare };
	struct error failed = { 0 };

	arena_init(&serving.arena);
	criu_resp__init(&serving.response);
	serving.response.type = request->type;
	serving.response.success = true;
	int result = serve(&serving, &failed) < 0
			     ? answer_error(connection, request->type, &failed, err)
			     : connection_send(connection, &serving.response, err);
	if (result == 0 && failed.name == ERR_NONE && serving.command)
		result = execute(connection, serving.command, err);
	arena_done(&serving.arena);
	return result;
}

int serve_client(int fd, const char *unshare, struct error *err)
{
	struct connection connection;
	bool keep_open = true;

	if (connection_init(&connection, fd, err))
		return -1;
	if (connection.peer_uid != geteuid() && connection.peer_uid != 0)
		return fail(err, ERR_NO_PRIVILEGE, "the client is user %u, who is not served",
			    connection.peer_uid);
	while (keep_open) {
		struct error failed = { 0 };
		struct arena arena;
		CriuReq *request = NULL;

		arena_init(&arena);
		int received = connection_receive(&connection, &arena, &request, &failed);
		int result = 0;
		if (received < 0)
			result = answer_error(&connection, CRIU_REQ_TYPE__EMPTY, &failed, err);
		else if (received > 0)
			result = answer(&connection, request, unshare, err);
		keep_open = received > 0 && result == 0 && request->keep_open;
		if (request)
			criu_req__free_unpacked(request, NULL);
		arena_done(&arena);
		if (result < 0)
			return -1;
	}
	return 0;
}
