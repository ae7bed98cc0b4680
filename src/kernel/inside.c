// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What people without privileges have in a user namespace that they make themselves: a process
 * that is the init of a pid namespace there looks, and sends what it found.
 */
#include "base/arena.h"
#include "base/cleanup.h"
#include "kernel/facts.h"
#include "kernel/visit.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool write_file(const char *path, const char *text)
{
	autoclose int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

/* The one line that everybody may write (user_namespaces(7)). */
static bool map_id(const char *path, unsigned id)
{
	char line[32];

	snprintf(line, sizeof line, "0 %u 1", id);
	return write_file(path, line);
}

static int look(struct visitor *visitor, void *data, struct error *err)
{
	struct arena arena;

	(void)visitor;
	/* It lies in memory that is gone then, but for the numbers. */
	arena_init(&arena);
	return facts_probe(data, &arena, err);
}

static int go_inside(struct visitor *visitor, void *data, struct error *err)
{
	unsigned uid = geteuid(), gid = getegid();
	struct visit init = {
		.what = "looks at a new pid namespace",
		.function = look,
		.data = data,
		.size = sizeof(struct facts),
	};

	(void)visitor;
	if (unshare(CLONE_NEWUSER | CLONE_NEWPID) || !write_file("/proc/self/setgroups", "deny") ||
	    !map_id("/proc/self/uid_map", uid) || !map_id("/proc/self/gid_map", gid))
		return fail_errno(err, ERR_NO_PRIVILEGE, "cannot make a user namespace");
	return visit(&init, NULL, 0, err);
}

bool facts_probe_inside(struct facts *facts)
{
	struct error refused = { 0 };
	struct visit there = {
		.what = "looks at a new user namespace",
		.function = go_inside,
		.data = facts,
		.size = sizeof *facts,
	};

	return visit(&there, NULL, 0, &refused) == 0;
}
