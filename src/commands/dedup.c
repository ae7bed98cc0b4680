// SPDX-License-Identifier: LGPL-2.1-or-later
/* nestor dedup: pages of earlier dumps that the one after them does not need are removed. */
#include "commands/on-images.h"

static int run(const struct pipeline_options *options, const char *word, struct error *err)
{
	(void)word;
	return pipeline_dedup(options, err);
}

int command_dedup(const struct command *command, int argc, char **argv)
{
	return command_on_images(command, argc, argv, 0, run);
}
