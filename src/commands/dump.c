// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * nestor dump: a live tree becomes a directory of images. nestor pre-dump: so do its pages, while
 * it runs.
 */
#include "commands/command.h"
#include "commands/pipeline-options.h"
#include "pipeline/pipeline.h"

const struct option_row dump_options[] = {
	{ 't', "tree", OPTION_PID, PIPELINE_ROW(pid), "PID", "root of the tree to dump" },
	{ 0, "prev-images-dir", OPTION_TEXT, PIPELINE_ROW(prev_images_dir), "DIR",
	  "do not write again what an earlier dump there has (seen from the images directory)" },
	{ 0, "track-mem", OPTION_HARMLESS, 0, NULL, NULL },
	{ 'R', "leave-running", OPTION_FLAG, PIPELINE_ROW(leave_running), NULL,
	  "let the tree go on after the dump" },
	{ 0, "ghost-limit", OPTION_SIZE, PIPELINE_ROW(ghost_limit), "SIZE",
	  "largest unlinked file that is put into the images (default: 1M)" },
	{ 0, "force-lost", OPTION_TEXT, PIPELINE_ROW(force_lost), "STATE[,STATE]",
	  "dump although this state of tasks is lost (a refusal names it)" },
	{ 0, "ghost-fiemap", OPTION_HARMLESS, 0, NULL, NULL },
	{ 0, "cgroup-props", OPTION_TEXT, PIPELINE_ROW(cgroup_props), "TEXT",
	  "properties of controllers to be dumped besides, or instead of, those that are known" },
	{ 0, "cgroup-props-file", OPTION_TEXT, PIPELINE_ROW(cgroup_props_file), "FILE",
	  "the same, in FILE" },
	{ 0, "cgroup-props-ignore-default", OPTION_FLAG, PIPELINE_ROW(cgroup_props_ignore_default),
	  NULL, "no others than these" },
	{ 0, "cgroup-dump-controller", OPTION_TEXTS, PIPELINE_ROW(cgroup_dump_controller), "NAME",
	  "properties of these controllers only" },
	{ 0, "pre-dump-mode", OPTION_HARMLESS_ARGUMENT, 0, NULL, NULL },
	{ 0 },
};

static int check_options(const struct pipeline_options *options, struct error *err)
{
	if (!options->pid) {
		fail(err, ERR_USAGE, "nothing to dump");
		return fail_hint(err, "give the root of the tree with --tree PID");
	}
	if (options->leave_running && options->leave_stopped)
		return fail(err, ERR_USAGE,
			    "--leave-running and --leave-stopped exclude each other");
	return 0;
}

typedef int pipeline_function(const struct pipeline_options *options, struct error *err);

static int run_dump(pipeline_function *dump, struct pipeline_arguments *arguments,
		    struct terminal *terminal)
{
	const struct pipeline_options *options = &arguments->options;
	struct error err = { 0 };

	pipeline_arguments_complete(arguments, terminal);
	terminal_begin(terminal, !options->log_file && options->log_level >= LOG_INFO);
	if (check_options(options, &err) == 0)
		dump(options, &err);
	return terminal_end(terminal, &err);
}

static int command_with(pipeline_function *dump, const struct command *command, int argc,
			char **argv)
{
	const struct option_row *const tables[] = { dump_options, images_options, pipeline_options,
						    common_options, NULL };
	struct pipeline_arguments arguments;
	struct terminal terminal;
	struct arena arena;
	int first, status;

	arena_init(&arena);
	pipeline_arguments_init(&arguments, &arena);
	terminal_init(&terminal, argc, argv, &arena);
	if (command_begin(command, tables, argc, argv, 0, &arguments, &arena, &first, &status))
		status = run_dump(dump, &arguments, &terminal);
	arena_done(&arena);
	return status;
}

int command_dump(const struct command *command, int argc, char **argv)
{
	return command_with(pipeline_dump, command, argc, argv);
}

int command_pre_dump(const struct command *command, int argc, char **argv)
{
	return command_with(pipeline_pre_dump, command, argc, argv);
}
