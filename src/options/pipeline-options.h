/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the pipeline can be asked for, by table: on a command line, in a configuration file, by a
 * program (nestor/nestor.h).
 */
#ifndef NESTOR_OPTIONS_PIPELINE_OPTIONS_H
#define NESTOR_OPTIONS_PIPELINE_OPTIONS_H

#include "options/table.h"
#include "pipeline/options.h"

struct pipeline_arguments {
	struct common_arguments common;
	struct pipeline_options options;
	bool json;
	const char *action_script;
	bool display_stats;
	bool exec_cmd;
	char **words; /* behind the options, for that */
};

/* Offset of a member of struct pipeline_options, for rows. */
#define PIPELINE_ROW(member) offsetof(struct pipeline_arguments, options.member)

/* Why criu(8) is not followed; for options and commands alike. */
#define NO_LABELS      "labels of security modules are not kept in images"
#define NO_LAZY_PAGES  "all pages of a tree are there when it goes on"
#define NO_PAGE_SERVER "images are written to a directory, which may be one of another machine"

extern const struct option_row images_options[];   /* of dump, restore and plan */
extern const struct option_row pipeline_options[]; /* of dump and restore */
extern const struct option_row dump_options[];	   /* of dump, and of check for a tree */
extern const struct option_row restore_options[];
/* --unshare, of restore and plan */
#define UNSHARE_OPTION                                                                      \
	{                                                                                   \
		0, "unshare", OPTION_TEXT, PIPELINE_ROW(unshare), "WHAT",                   \
			"restore into a fresh pid namespace: pid, or auto (where an id is " \
			"taken); with \",mnt\" "                                            \
			"it has its own /proc"                                              \
	}

/* The defaults; `like_criu`: those of criu(8), where it is called by that name. */
void pipeline_arguments_init(struct pipeline_arguments *arguments, bool like_criu,
			     struct arena *arena);

#endif
