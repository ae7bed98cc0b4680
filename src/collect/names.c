// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Tasks in errors: "pid 4312" is what nestor sees, and means nothing to whoever is in a container.
 * Of a task in a pid namespace below nestor's the text gets its number there, and its name:
 * "pid 37 (nginx, host pid 4312)".
 */
#include "base/message.h"
#include "base/procfs.h"
#include "collect/collect.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_ROOM = 160 };

static const struct target *find(const struct collect *collect, pid_t pid)
{
	for (size_t i = 0; i < collect->n_targets; i++)
		if (collect->targets[i].pid == pid)
			return &collect->targets[i];
	return NULL;
}

/* Its innermost number; 0 if that is the one that we see. */
static uint64_t number_inside(const struct target *target)
{
	const char *field = target->status ? procfs_field(target->status, "NSpid:") : NULL;
	uint64_t numbers[MAX_PID_LEVELS + 1];
	size_t n = field ? procfs_numbers(field, 10, numbers, MAX_PID_LEVELS + 1) : 0;

	/* The first is that of the namespace whose /proc we read. */
	return n > 1 ? numbers[n - 1] : 0;
}

static bool put_name(const struct target *target, char name[NAME_ROOM])
{
	const char *field = target ? procfs_field(target->status, "Name:") : NULL;
	uint64_t inside = target ? number_inside(target) : 0;
	char raw[64], printable[sizeof raw * MESSAGE_GROWTH];

	if (!inside || !field)
		return false;
	snprintf(raw, sizeof raw, "%.*s", (int)strcspn(field, "\n"), field);
	message_name(printable, sizeof printable, raw);
	return snprintf(name, NAME_ROOM, "pid %ju (%s, host pid %d)", (uintmax_t)inside, printable,
			target->pid) < NAME_ROOM;
}

void collect_name_tasks(const struct collect *collect, struct error *err)
{
	char text[sizeof err->text * 2];
	size_t length = 0;
	bool begins = true;

	for (const char *at = err->text; *at && length + NAME_ROOM < sizeof text;) {
		char name[NAME_ROOM], *end = NULL;
		pid_t pid = 0;

		/* Not one that has its name already, or is part of one. */
		if (begins && strncmp(at, "pid ", 4) == 0 && isdigit((unsigned char)at[4]) &&
		    !(at - err->text >= 5 && strncmp(at - 5, "host ", 5) == 0))
			pid = (pid_t)strtol(at + 4, &end, 10);
		if (pid && strncmp(end, " (", 2) != 0 && put_name(find(collect, pid), name)) {
			length += (size_t)sprintf(text + length, "%s", name);
			at = end;
			continue;
		}
		begins = !isalnum((unsigned char)*at);
		text[length++] = *at++;
	}
	text[length] = '\0';
	if (length < sizeof err->text)
		memcpy(err->text, text, length + 1);
}
