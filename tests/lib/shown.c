// SPDX-License-Identifier: LGPL-2.1-or-later
/* See shown.h. */
#include "shown.h"

#include "scenario.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROOM = 256 * 1024, PAUSE = 50 };

char *shown(const char *command)
{
	char *text = malloc(ROOM);
	FILE *pipe = popen(command, "r");
	size_t length = pipe && text ? fread(text, 1, ROOM - 1, pipe) : 0;

	scenario_need(length > 0 && pclose(pipe) == 0, "nothing is shown by %s", command);
	text[length] = '\0';
	return text;
}

void shown_compare(const char *what, const char *command, char *before, unsigned patience)
{
	char *after = shown(command);
	size_t at = 0;

	for (unsigned waited = 0; waited < patience && strcmp(before, after) != 0;
	     waited += PAUSE) {
		scenario_sleep_ms(PAUSE);
		free(after);
		after = shown(command);
	}
	while (before[at] && before[at] == after[at])
		at++;
	bool same = before[at] == after[at];
	while (at && before[at - 1] != '\n')
		at--;
	scenario_check(same, "%s: was %.300s\n\tis now %.300s", what, before + at, after + at);
	free(after);
	free(before);
}
