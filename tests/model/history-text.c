// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Histories as text, a call a line: who, what, arguments. Processes have the names that fork gave
 * them; the root is 0. @5 is the number of process 5, as the caller sees it.
 *
 *	root own		in a pid namespace of its own (or: shared)
 *	0 fork 1 newpid		flags: newpid, newuser, parent; tids 1,35: set_tid, innermost first
 *	1 setpgid @2 @1
 *	1 exit 256		a wait status: exit code 1
 *	end
 */
#include "history.h"

#include <stdlib.h>
#include <string.h>

static const char *const kind_names[CALL_KINDS] = {
	[CALL_FORK] = "fork",
	[CALL_SETSID] = "setsid",
	[CALL_SETPGID] = "setpgid",
	[CALL_EXIT] = "exit",
	[CALL_WAIT] = "wait",
	[CALL_SUBREAPER] = "subreaper",
	[CALL_UNSHARE_USERS] = "unshare-user",
	[CALL_ENTER_USERS] = "enter-user",
	[CALL_DROP] = "drop",
	[CALL_UNSHARE] = "unshare",
	[CALL_ENTER] = "enter",
	[CALL_EXEC] = "exec",
	[CALL_LAST_PID] = "last-pid",
	[CALL_PID_MAX] = "pid-max",
};

static void print_reference(struct reference reference, FILE *file)
{
	if (reference.name == NOBODY)
		fprintf(file, " %d", reference.number);
	else
		fprintf(file, " @%d", reference.name);
}

void call_print(const struct call *call, FILE *file)
{
	fprintf(file, "%d %s", call->process, kind_names[call->kind]);
	switch (call->kind) {
	case CALL_FORK:
		fprintf(file, " %d%s%s%s", call->child, call->new_namespace ? " newpid" : "",
			call->new_users ? " newuser" : "", call->same_parent ? " parent" : "");
		for (size_t i = 0; i < call->n_numbers; i++)
			fprintf(file, "%s%u", i ? "," : " tids ",
				call->n_numbers > HISTORY_NUMBERS ? 1 : call->numbers[i]);
		break;
	case CALL_SETPGID:
		print_reference(call->target, file);
		print_reference(call->group, file);
		break;
	case CALL_WAIT:
	case CALL_ENTER:
	case CALL_ENTER_USERS:
		print_reference(call->target, file);
		break;
	case CALL_EXIT:
	case CALL_SUBREAPER:
	case CALL_LAST_PID:
	case CALL_PID_MAX:
		fprintf(file, " %d", call->value);
		break;
	default:
		break;
	}
	fprintf(file, "\n");
}

void history_print(const struct history *history, FILE *file)
{
	fprintf(file, "root %s\n", history->own_namespace ? "own" : "shared");
	for (size_t i = 0; i < history->n_calls; i++)
		call_print(&history->calls[i], file);
	fprintf(file, "end\n");
}

static bool read_reference(struct reference *reference)
{
	const char *word = strtok(NULL, " \n");

	if (!word)
		return false;
	*reference = word[0] == '@' ? (struct reference){ .name = atoi(word + 1) }
				    : (struct reference){ .name = NOBODY, .number = atoi(word) };
	return true;
}

static bool read_number(int *number)
{
	const char *word = strtok(NULL, " \n");

	if (word)
		*number = atoi(word);
	return word != NULL;
}

static bool read_tids(struct call *call)
{
	char *at = strtok(NULL, " \n");

	while (at && *at) {
		uint32_t number = (uint32_t)strtoul(at, &at, 10);
		if (call->n_numbers < HISTORY_NUMBERS)
			call->numbers[call->n_numbers] = number;
		call->n_numbers++;
		at += *at == ',';
	}
	return call->n_numbers > 0;
}

static bool read_fork(struct call *call)
{
	if (!read_number(&call->child))
		return false;
	for (const char *word = strtok(NULL, " \n"); word; word = strtok(NULL, " \n")) {
		if (!strcmp(word, "newpid"))
			call->new_namespace = true;
		else if (!strcmp(word, "newuser"))
			call->new_users = true;
		else if (!strcmp(word, "parent"))
			call->same_parent = true;
		else if (strcmp(word, "tids") || !read_tids(call))
			return false;
	}
	return true;
}

static bool read_call(char *line, struct call *call)
{
	const char *who = strtok(line, " \n"), *what = strtok(NULL, " \n");
	int kind = 0;

	if (!what)
		return false;
	while (kind < CALL_KINDS && strcmp(what, kind_names[kind]))
		kind++;
	*call = (struct call){ .kind = (enum call_kind)kind, .process = atoi(who) };
	switch (call->kind) {
	case CALL_FORK:
		return read_fork(call);
	case CALL_SETPGID:
		return read_reference(&call->target) && read_reference(&call->group);
	case CALL_WAIT:
	case CALL_ENTER:
	case CALL_ENTER_USERS:
		return read_reference(&call->target);
	case CALL_EXIT:
	case CALL_SUBREAPER:
	case CALL_LAST_PID:
	case CALL_PID_MAX:
		return read_number(&call->value);
	case CALL_KINDS:
		return false;
	default:
		return true;
	}
}

bool history_read(struct history *history, FILE *file)
{
	char line[512];
	struct call call;

	if (!fgets(line, sizeof line, file) || strncmp(line, "root ", 5))
		return false;
	history_start(history, !strcmp(line + 5, "own\n"));
	while (fgets(line, sizeof line, file) && strcmp(line, "end\n")) {
		if (!read_call(line, &call))
			return false;
		history_do(history, &call);
	}
	return true;
}

/* ---- cutting down ---- */

static bool still_fails(const struct history *old, const bool *kept,
			bool (*fails)(struct history *history, void *data), void *data,
			struct history *scratch)
{
	history_replay(scratch, old, kept);
	return fails(scratch, data);
}

void history_shrink(struct history *history, bool (*fails)(struct history *history, void *data),
		    void *data)
{
	struct history *scratch = calloc(1, sizeof *scratch);
	size_t chunk = history->n_calls / 2 + 1;
	bool kept[HISTORY_CALLS];

	if (!scratch)
		abort();
	while (chunk) {
		bool shorter = false;
		for (size_t start = 0; start < history->n_calls;) {
			for (size_t i = 0; i < history->n_calls; i++)
				kept[i] = i < start || i >= start + chunk;
			if (!still_fails(history, kept, fails, data, scratch)) {
				start += chunk;
				continue;
			}
			uint64_t random = history->random;
			*history = *scratch;
			history->random = random;
			shorter = true;
		}
		if (!shorter)
			chunk /= 2;
	}
	free(scratch);
}
