/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The command line of what calls the pipeline, by table. */
#ifndef NESTOR_COMMANDS_PIPELINE_OPTIONS_H
#define NESTOR_COMMANDS_PIPELINE_OPTIONS_H

#include "commands/options.h"
#include "commands/terminal.h"
#include "pipeline/options.h"

struct pipeline_arguments {
	struct common_arguments common;
	struct pipeline_options options;
	bool json;
	const char *action_script;
};

/* Offset of a member of struct pipeline_options, for rows. */
#define PIPELINE_ROW(member) offsetof(struct pipeline_arguments, options.member)

extern const struct option_row images_options[];   /* of dump, restore and plan */
extern const struct option_row pipeline_options[]; /* of dump and restore */
extern const struct option_row dump_options[];	   /* of dump, and of check for a tree */
/* --unshare, of restore and plan */
#define UNSHARE_OPTION                                                                      \
	{                                                                                   \
		0, "unshare", OPTION_TEXT, PIPELINE_ROW(unshare), "WHAT",                   \
			"restore into a fresh pid namespace: pid, or auto (where an id is " \
			"taken); with \",mnt\" "                                            \
			"it has its own /proc"                                              \
	}

void pipeline_arguments_init(struct pipeline_arguments *arguments, struct arena *arena);
/* Once they are parsed: what the environment adds, and the terminal for the hooks. */
void pipeline_arguments_complete(struct pipeline_arguments *arguments, struct terminal *terminal);

#endif
