/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commands that work on a directory of images, and on no tree. */
#ifndef NESTOR_COMMANDS_ON_IMAGES_H
#define NESTOR_COMMANDS_ON_IMAGES_H

#include "commands/command.h"
#include "pipeline/pipeline.h"

/*
 * Options are read, at most n_words words may follow them, and `run` does the work; `word` is the
 * first, or NULL. The exit status comes back.
 */
int command_on_images(const struct command *command, int argc, char **argv, int n_words,
		      int (*run)(const struct pipeline_options *options, const char *word,
				 struct error *err));

#endif
