// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Tasks in errors: "pid 4312" is what nestor sees, and means nothing to whoever is in a container.
 * Of a task in a pid namespace below nestor's the text gets its number there, and its name:
 * "pid 37 (nginx, host pid 4312)". So does "task 37:4312", as the snapshot has it.
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

/* By its numbers at all levels, of which the outermost is that of the images. */
static const struct target *find_task(const struct collect *collect, const char *numbers,
				      size_t length)
{
	const char *last = numbers + length;

	while (last > numbers && isdigit((unsigned char)last[-1]))
		last--;
	uint32_t number = (uint32_t)strtoul(last, NULL, 10);
	for (size_t i = 0; i < collect->n_targets; i++) {
		const struct task *task = collect->targets[i].task;
		if (task && task->pstree && task->pstree->pid == number)
			return &collect->targets[i];
	}
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

/* What names a task here, and how long that is; NULL: nothing, or it has its name already. */
static const struct target *named_at(const struct collect *collect, const char *text,
				     const char *at, size_t *ret_length)
{
	bool host = at - text >= 5 && strncmp(at - 5, "host ", 5) == 0;

	if (strncmp(at, "pid ", 4) == 0 && isdigit((unsigned char)at[4]) && !host) {
		size_t digits = strspn(at + 4, "0123456789");
		*ret_length = 4 + digits;
		return strncmp(at + *ret_length, " (", 2) != 0
			       ? find(collect, (pid_t)strtol(at + 4, NULL, 10))
			       : NULL;
	}
	if (strncmp(at, "task ", 5) == 0 && isdigit((unsigned char)at[5])) {
		size_t length = strspn(at + 5, "0123456789:");
		/* A colon behind it is the sentence's. */
		length -= at[5 + length - 1] == ':';
		*ret_length = 5 + length;
		return find_task(collect, at + 5, length);
	}
	return NULL;
}

void collect_name_tasks(const struct collect *collect, struct error *err)
{
	char text[sizeof err->text * 2];
	size_t length = 0, named = 0;
	bool begins = true;

	for (const char *at = err->text; *at && length + NAME_ROOM < sizeof text;) {
		const struct target *target =
			begins ? named_at(collect, err->text, at, &named) : NULL;
		char name[NAME_ROOM];

		if (target && put_name(target, name)) {
			length += (size_t)sprintf(text + length, "%s", name);
			at += named;
			continue;
		}
		begins = !isalnum((unsigned char)*at);
		text[length++] = *at++;
	}
	text[length] = '\0';
	if (length < sizeof err->text)
		memcpy(err->text, text, length + 1);
}
