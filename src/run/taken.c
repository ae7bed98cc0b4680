// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Are the ids free that a tree takes in a pid namespace which it shares with others? An id is in
 * use as long as a process, a thread or a process group has it (alloc_pid, kernel/pid.c). One that
 * is left only as a session is not seen here; clone3 says EEXIST then.
 */
#include "base/cleanup.h"
#include "base/compare.h"
#include "base/listing.h"
#include "base/procfs.h"
#include "run/run.h"
#include "run/state.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { NAMED_AT_MOST = 16, SPARE_NUMBERS = 64, LONGEST_MICROSECONDS = 1000 * 1000 };

static bool exists(pid_t pid)
{
	return kill(pid, 0) == 0 || errno == EPERM;
}

/* kill(2) takes the ids of threads too, though it does not say so. */
static bool is_taken(uint32_t id)
{
	return exists((pid_t)id) || exists(-(pid_t)id);
}

static bool is_live_member(const char *pid, uint32_t group)
{
	char path[300], stat[1024], state;
	unsigned found;

	snprintf(path, sizeof path, "/proc/%s/stat", pid);
	if (procfs_read_into(AT_FDCWD, path, stat, sizeof stat) <= 0)
		return false;
	const char *at = strrchr(stat, ')');
	return at && sscanf(at, ") %c %*d %u", &state, &found) == 2 && found == group &&
	       state != 'Z' && state != 'X';
}

static bool group_is_dead(uint32_t group)
{
	autoclosedir DIR *proc = listing_open(AT_FDCWD, "/proc");
	const char *name;

	while (listing_next(proc, &name))
		if (isdigit((unsigned char)name[0]) && is_live_member(name, group))
			return false;
	return errno == 0;
}

/* Only the dead have it, or who is about to leave: it is free once it has been waited for. */
static bool is_passing(uint32_t id)
{
	char path[64], status[8192];

	if (!exists((pid_t)id))
		return group_is_dead(id);
	snprintf(path, sizeof path, "/proc/%" PRIu32 "/status", id);
	if (procfs_read_into(AT_FDCWD, path, status, sizeof status) <= 0)
		return true;
	const char *state = procfs_field(status, "State:");
	return state && (*state == 'Z' || *state == 'X');
}

static void name_holder(struct text *text, uint32_t id)
{
	char path[64], status[8192], name[64];
	const char *field;

	snprintf(path, sizeof path, "/proc/%" PRIu32 "/status", id);
	if (procfs_read_into(AT_FDCWD, path, status, sizeof status) <= 0) {
		text_add(text, "%" PRIu32 " by %s", id,
			 exists((pid_t)id) ? "a process that /proc does not show"
					   : "a process group");
		return;
	}
	field = procfs_field(status, "Name:");
	snprintf(name, sizeof name, "%.*s", field ? (int)strcspn(field, "\n") : 1,
		 field ? field : "?");
	field = procfs_field(status, "Tgid:");
	uint32_t process = field ? (uint32_t)strtoul(field, NULL, 10) : id;
	field = procfs_field(status, "State:");
	bool dead = field && *field == 'Z';
	field = procfs_field(status, "PPid:");
	if (process == id && dead && field)
		text_add(text,
			 "%" PRIu32 " by \"%s\", which is dead, but pid %lu has not waited for it",
			 id, name, strtoul(field, NULL, 10));
	else if (process == id)
		text_add(text, "%" PRIu32 " by \"%s\"", id, name);
	else
		text_add(text, "%" PRIu32 " by a thread of pid %" PRIu32 " (\"%s\")", id, process,
			 name);
}

static uint32_t read_number(const char *path)
{
	char text[32];

	return procfs_read_into(AT_FDCWD, path, text, sizeof text) > 0
		       ? (uint32_t)strtoul(text, NULL, 10)
		       : 0;
}

static void write_last_pid(uint32_t number)
{
	char text[32];
	int length = snprintf(text, sizeof text, "%" PRIu32, number);
	autoclose int fd = open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC);

	/* Where it may not be written things are as they were. */
	if (fd >= 0 && write(fd, text, (size_t)length) < 0)
		errno = 0;
}

/* The first number from `start` on after which as many are not the tree's. */
static uint32_t find_gap(const struct plan *plan, uint32_t start, size_t room)
{
	if (plan->n_taken_ids == 0)
		return start;
	uint32_t *ids = arena_copy(plan->arena, plan->taken_ids, plan->n_taken_ids * sizeof *ids);
	qsort(ids, plan->n_taken_ids, sizeof *ids, compare_uint32);
	for (size_t i = 0; i < plan->n_taken_ids; i++) {
		if (ids[i] >= start && ids[i] - start >= room)
			break;
		if (ids[i] >= start)
			start = ids[i] + 1;
	}
	return start;
}

void run_count_past_ids(const struct plan *plan)
{
	size_t room = plan->n_helpers + plan->n_holders + 2 * plan->snapshot->n_user_namespaces +
		      SPARE_NUMBERS;
	uint32_t last = read_number("/proc/sys/kernel/ns_last_pid");

	if (plan->own_pid_namespace || !last)
		return;
	uint32_t start = find_gap(plan, last + 1, room);
	if (start != last + 1 && start + room < read_number("/proc/sys/kernel/pid_max"))
		write_last_pid(start - 1);
}

/* Those that are taken; *ret_passing: all of them by the dead. */
static size_t find_taken(const struct plan *plan, uint32_t *taken, bool *ret_passing)
{
	size_t n = 0;

	*ret_passing = true;
	for (size_t i = 0; i < plan->n_taken_ids; i++) {
		if (!is_taken(plan->taken_ids[i]))
			continue;
		taken[n++] = plan->taken_ids[i];
		*ret_passing &= is_passing(plan->taken_ids[i]);
	}
	return n;
}

/* After a dump the tree's own dead may have to be waited for yet, which their parents will do. */
int run_check_ids(const struct plan *plan, struct error *err)
{
	const struct timespec pause = { .tv_nsec = 5 * 1000 * 1000 };
	uint32_t *taken = arena_array(plan->arena, uint32_t, plan->n_taken_ids + 1);
	uint64_t start = monotonic_microseconds();
	struct text text;
	bool passing;
	size_t n;

	while ((n = find_taken(plan, taken, &passing)) && passing &&
	       monotonic_microseconds() - start < LONGEST_MICROSECONDS)
		nanosleep(&pause, NULL);
	if (!n)
		return 0;
	qsort(taken, n, sizeof *taken, compare_uint32);
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
