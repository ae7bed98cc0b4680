// SPDX-License-Identifier: LGPL-2.1-or-later
/* nestor cpuinfo: what the processor can do, recorded by itself, and compared with another one. */
#include "commands/on-images.h"

#include <string.h>

static int run(const struct pipeline_options *options, const char *word, struct error *err)
{
	if (word && strcmp(word, "dump") == 0)
		return pipeline_record_processor(options, err);
	if (word && strcmp(word, "check") == 0)
		return pipeline_check_processor(options, err);
	return fail(err, ERR_USAGE, "cpuinfo: dump or check has to follow%s%s%s",
		    word ? ", not \"" : "", word ? word : "", word ? "\"" : "");
}

int command_cpuinfo(const struct command *command, int argc, char **argv)
{
	return command_on_images(command, argc, argv, 1, run);
}
