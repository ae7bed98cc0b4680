// SPDX-License-Identifier: LGPL-2.1-or-later
/* nestor plan: prints the programs by which a restore on this machine would build the tree. */
#include "plan/plan.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "commands/command.h"
#include "images/images.h"
#include "kernel/facts.h"
#include "kinds/memory/memory.h"
#include "run/run.h"

#include <fcntl.h>
#include <stdio.h>

struct plan_arguments {
	struct common_arguments common;
	const char *images_dir;
	bool json;
	bool shell_job;
};

#define ROW(member) offsetof(struct plan_arguments, member)

static const struct option_row plan_options_table[] = {
	{ 'D', "images-dir", OPTION_TEXT, ROW(images_dir), "DIR",
	  "where the images are (default: the current directory)" },
	{ 'j', "shell-job", OPTION_FLAG, ROW(shell_job), NULL,
	  "the tree belongs to a session outside of it" },
	{ 0, "json", OPTION_FLAG, ROW(json), NULL, "print JSON" },
	{ 0 },
};

static int print_plan(const struct plan_arguments *arguments, struct arena *arena,
		      struct error *err)
{
	const char *dir = arguments->images_dir ? arguments->images_dir : ".";
	const struct plan_options options = { .shell_job = arguments->shell_job,
					      .coordinator_pid = getpid(),
					      .coordinator_group = (uint32_t)getpgrp() };
	autoclose int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct snapshot snapshot = { .arena = arena };
	struct facts facts = { 0 };
	struct plan plan = { 0 };
	struct text text;

	if (dir_fd < 0)
		return fail_errno(err, ERR_IO, "cannot open the images directory %s", dir);
	struct images *images = images_open(dir_fd, arena, &snapshot, err);
	if (!images)
		return -1;
	if (!images_written_by_nestor(images))
		memory_adopt(&snapshot);
	images_free(images);
	/* The limits that a restore would have, so that its plan is the same. */
	if (run_raise_limits(&snapshot, err) < 0 || facts_probe(&facts, arena, err) < 0 ||
	    plan_make(&plan, arena, &snapshot, &facts, &kinds, &options, err) < 0)
		return -1;
	text_init(&text, arena);
	if (arguments->json)
		plan_print_json(&plan, &text);
	else
		plan_print(&plan, &text);
	return command_write(text.string, text.length, err);
}

int command_plan(const struct command *command, int argc, char **argv)
{
	const struct option_row *const tables[] = { plan_options_table, common_options, NULL };
	struct plan_arguments arguments = { .common.verbosity = LOG_WARNING };
	struct arena arena;
	struct error err = { 0 };
	int first, status;

	arena_init(&arena);
	if (command_begin(command, tables, argc, argv, 1, &arguments, &arena, &first, &status)) {
		if (argv[first])
			arguments.images_dir = argv[first];
		if (print_plan(&arguments, &arena, &err) < 0)
			status = command_print_error(&err);
	}
	arena_done(&arena);
	return status;
}
