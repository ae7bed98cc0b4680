// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The public interface, <nestor/nestor.h>, over what the commands call, too: pipeline, the table
 * of options and the view of a tree.
 */
#include "kernel/facts.h"
#include "options/pipeline-options.h"
#include "pipeline/facilities.h"
#include "pipeline/pipeline.h"
#include "view/view.h"

#include <nestor/nestor.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

struct nestor {
	struct arena arena;
	struct pipeline_arguments arguments;
	struct error err;
	struct nestor_error shown;
	bool told; /* of what stands in the way */
	/* What was said of progress, and whether the answer was to stop. */
	const char *phase;
	bool just_asked, stop;
	nestor_progress_function *progress;
	nestor_error_function *error;
	nestor_moment_function *moment;
	void *progress_data, *error_data, *moment_data;
};

/* The log has one sink for the whole process. */
static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

static const struct option_row more_options[] = {
	{ 'v', "verbosity", OPTION_VERBOSITY, offsetof(struct common_arguments, verbosity), NULL,
	  NULL },
	{ 0 },
};

const char *nestor_version(void)
{
	return NESTOR_VERSION;
}

struct nestor *nestor_new(void)
{
	struct nestor *job = calloc(1, sizeof *job);

	if (!job)
		return NULL;
	arena_init(&job->arena);
	pipeline_arguments_init(&job->arguments, false, &job->arena);
	job->arguments.options.silent = true;
	return job;
}

void nestor_free(struct nestor *job)
{
	if (!job)
		return;
	arena_done(&job->arena);
	free(job);
}

void nestor_on_progress(struct nestor *job, nestor_progress_function *function, void *data)
{
	job->progress = function;
	job->progress_data = data;
}

void nestor_on_error(struct nestor *job, nestor_error_function *function, void *data)
{
	job->error = function;
	job->error_data = data;
}

void nestor_on_moment(struct nestor *job, nestor_moment_function *function, void *data)
{
	job->moment = function;
	job->moment_data = data;
}

/* ---- What the pipeline tells and asks ---- */

static void progress(void *data, const char *phase, size_t done, size_t total)
{
	struct nestor *job = data;

	job->phase = phase;
	job->stop = job->stop || job->progress(job->progress_data, phase, done, total);
	job->just_asked = true;
}

/* Asked right after progress, and in between where something takes long that nobody measures. */
static int asked_to_stop(void *data)
{
	struct nestor *job = data;

	if (!job->just_asked && job->phase)
		progress(job, job->phase, 0, 0);
	job->just_asked = false;
	return job->stop ? SIGINT : 0;
}

static int at_moment(void *data, const char *moment, pid_t root, struct error *err)
{
	const struct nestor *job = data;

	if (job->moment(job->moment_data, moment, root) == 0)
		return 0;
	return fail(err, ERR_CLIENT_REFUSED, "the program does not agree to %s", moment);
}

static void tell(struct nestor *job, const struct nestor_error *error)
{
	job->told = true;
	if (job->error)
		job->error(job->error_data, error);
}

static void tell_obstacles(void *data, const struct obstacles *obstacles)
{
	for (size_t i = 0; i < obstacles->n; i++) {
		const struct obstacle *obstacle = &obstacles->list[i];
		const struct nestor_error error = {
			.name = error_name(obstacle->name),
			.text = obstacle->texts[0],
			.hint = obstacle->hint,
			.option = obstacle->n_options ? obstacle->options[0] : "",
			.count = obstacle->count,
		};
		tell(data, &error);
	}
}

/* ---- Calls ---- */

static void begin(struct nestor *job)
{
	struct pipeline_options *options = &job->arguments.options;

	pthread_mutex_lock(&one_at_a_time);
	job->err = (struct error){ 0 };
	job->told = job->stop = job->just_asked = false;
	job->phase = NULL;
	options->log_level = (enum log_level)job->arguments.common.verbosity;
	options->hooks = (struct pipeline_hooks){
		.data = job,
		.progress = job->progress ? progress : NULL,
		.asked_to_stop = job->progress ? asked_to_stop : NULL,
		.at_moment = job->moment ? at_moment : NULL,
		.obstacles = tell_obstacles,
	};
}

static int end(struct nestor *job, int result)
{
	const struct error *err = &job->err;

	pthread_mutex_unlock(&one_at_a_time);
	job->shown = (struct nestor_error){ .name = error_name(err->name),
					    .text = err->text,
					    .hint = err->hint,
					    .option = err->option,
					    .count = 1,
					    .os_errno = err->os_errno };
	if (result < 0 && !job->told)
		tell(job, &job->shown);
	return result < 0 ? -1 : 0;
}

const struct nestor_error *nestor_error(const struct nestor *job)
{
	return job->err.name == ERR_NONE ? NULL : &job->shown;
}

/* What the command line has that is given to these functions otherwise. */
static const char *given_otherwise(const char *option)
{
	if (strcmp(option, "tree") == 0)
		return "the root is given to nestor_dump";
	if (strcmp(option, "exec-cmd") == 0)
		return "the restored tree is the caller's";
	if (strcmp(option, "action-script") == 0)
		return "nestor_on_moment is called at these moments";
	return NULL;
}

int nestor_set(struct nestor *job, const char *option, const char *value)
{
	static const struct option_row *const tables[] = { dump_options,   restore_options,
							   images_options, pipeline_options,
							   more_options,   NULL };
	const char *otherwise = given_otherwise(option);

	begin(job);
	if (otherwise) {
		fail(&job->err, ERR_USAGE, "\"%s\" is for the command line: %s", option, otherwise);
		return end(job, -1);
	}
	return end(job,
		   options_set(tables, option, value, &job->arguments, &job->arena, &job->err));
}

static int take_root(struct nestor *job, pid_t root)
{
	if (root < 1)
		return fail(&job->err, ERR_USAGE, "%d is not a process id", (int)root);
	job->arguments.options.pid = root;
	return 0;
}

int nestor_dump(struct nestor *job, pid_t root)
{
	begin(job);
	return end(job, take_root(job, root) < 0
				? -1
				: pipeline_dump(&job->arguments.options, &job->err));
}

int nestor_pre_dump(struct nestor *job, pid_t root)
{
	begin(job);
	return end(job, take_root(job, root) < 0
				? -1
				: pipeline_pre_dump(&job->arguments.options, &job->err));
}

int nestor_restore(struct nestor *job, pid_t *ret_root, pid_t *ret_child)
{
	struct run_result made = { 0 };

	begin(job);
	int result = pipeline_restore(&job->arguments.options, &made, &job->err);
	if (result == 0 && ret_root)
		*ret_root = made.root_pid;
	if (result == 0 && ret_child)
		*ret_child = made.child_pid;
	return end(job, result);
}

int nestor_check(struct nestor *job, pid_t root)
{
	struct arena arena;
	struct look look;

	begin(job);
	arena_init(&arena);
	int result = take_root(job, root);
	if (result == 0)
		result = pipeline_look(&job->arguments.options, &arena, &look, &job->err);
	if (result == 0) {
		tell_obstacles(job, &look.obstacles);
		result = obstacles_report(&look.obstacles, &job->err);
	}
	arena_done(&arena);
	return end(job, result);
}

int nestor_feature(struct nestor *job, const char *name)
{
	const char *without = "it is not a facility that nestor uses";
	struct facts facts = { 0 };
	struct arena arena;

	begin(job);
	arena_init(&arena);
	int result = facts_probe(&facts, &arena, &job->err);
	if (result == 0 && !facilities_have(name, &facts, &without))
		result = fail(&job->err, ERR_KERNEL_TOO_OLD, "%s is not available here: %s", name,
			      without);
	arena_done(&arena);
	return end(job, result);
}

int nestor_tree(struct nestor *job, pid_t root, enum nestor_format format, char **ret_text)
{
	const char *dir = job->arguments.options.images_dir;
	struct arena arena;
	struct text text;

	begin(job);
	arena_init(&arena);
	struct tree_view view = { .arena = &arena, .live = root != 0 };
	int result = root ? view_read_live(&view, root, &job->err)
			  : view_read_images(&view, dir ? dir : ".", &job->err);
	text_init(&text, &arena);
	if (result == 0 && format == NESTOR_JSON)
		view_print_json(&view, &text);
	else if (result == 0)
		view_print(&view, true, &text);
	char *copy = result == 0 ? strdup(text.string) : NULL;
	arena_done(&arena);
	if (result == 0 && !copy)
		out_of_memory();
	*ret_text = copy;
	return end(job, result);
}
