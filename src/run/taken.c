// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Are the ids free that a tree takes in a pid namespace which it shares with others? An id is in
 * use as long as a process, a thread or a process group has it (alloc_pid, kernel/pid.c). One that
 * is left only as a session is not seen here; clone3 says EEXIST then.
 */
#include "base/procfs.h"
#include "run/run.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAMED_AT_MOST = 16 };

static bool exists(pid_t pid)
{
	return kill(pid, 0) == 0 || errno == EPERM;
}

/* kill(2) takes the ids of threads too, though it does not say so. */
static bool is_taken(uint32_t id)
{
	return exists((pid_t)id) || exists(-(pid_t)id);
}

static void name_holder(struct text *text, uint32_t id)
{
	char path[64], status[8192], name[64];
	const char *field;

	snprintf(path, sizeof path, "/proc/%" PRIu32 "/status", id);
	if (procfs_read_into(AT_FDCWD, path, status, sizeof status) <= 0) {
		text_add(text, "%" PRIu32 " by a process group", id);
		return;
	}
	field = procfs_field(status, "Name:");
	snprintf(name, sizeof name, "%.*s", field ? (int)strcspn(field, "\n") : 1,
		 field ? field : "?");
	field = procfs_field(status, "Tgid:");
	uint32_t process = field ? (uint32_t)strtoul(field, NULL, 10) : id;
	if (process == id)
		text_add(text, "%" PRIu32 " by \"%s\"", id, name);
	else
		text_add(text, "%" PRIu32 " by a thread of pid %" PRIu32 " (\"%s\")", id, process,
			 name);
}

static int compare_ids(const void *a, const void *b)
{
	const uint32_t *one = a, *other = b;

	return *one < *other ? -1 : *one > *other;
}

int run_check_ids(const struct plan *plan, struct error *err)
{
	uint32_t *taken = arena_array(plan->arena, uint32_t, plan->n_taken_ids + 1);
	size_t n = 0;
	struct text text;

	for (size_t i = 0; i < plan->n_taken_ids; i++)
		if (is_taken(plan->taken_ids[i]))
			taken[n++] = plan->taken_ids[i];
	if (!n)
		return 0;
	qsort(taken, n, sizeof *taken, compare_ids);
	text_init(&text, plan->arena);
	for (size_t i = 0; i < n && i < NAMED_AT_MOST; i++) {
		text_add(&text, "%s", i ? ", " : "");
		name_holder(&text, taken[i]);
	}
	if (n > NAMED_AT_MOST)
		text_add(&text, ", and %zu more", n - NAMED_AT_MOST);
	fail(err, ERR_PID_IN_USE, "cannot restore the tree: %zu of its ids %s already in use: %s",
	     n, n == 1 ? "is" : "are", text.string);
	return fail_hint(err, "restore into a fresh pid namespace with --unshare pid, or end who "
			      "has them");
}
