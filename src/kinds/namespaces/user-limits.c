// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * How many namespaces, inotify and fanotify objects each user may have in a user namespace and
 * those below. The files in /proc/sys/user show and set the limits of the namespace of whoever
 * opens them (set_lookup, kernel/ucount.c), so a process has to be inside. A new namespace has
 * INT_MAX for all; sandboxes lower max_user_namespaces so that nobody gets out of one by another.
 */
#include "kinds/namespaces/user-limits.h"

#include "base/cleanup.h"
#include "kernel/visit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

/* -1: this kernel has no such file. */
struct limits {
	int64_t values[USER_LIMITS];
};

static int64_t read_limit(const char *name)
{
	char path[64], text[32];

	snprintf(path, sizeof path, "/proc/sys/user/%s", name);
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	if (length <= 0)
		return -1;
	text[length] = '\0';
	return strtoll(text, NULL, 10);
}

static int read_inside(struct visitor *visitor, void *data, struct error *err)
{
	struct limits *limits = data;

	(void)visitor;
	(void)err;
	for (size_t i = 0; i < USER_LIMITS; i++)
		limits->values[i] = read_limit(user_limit_names[i]);
	return 0;
}

static void add_limit(struct snapshot *snapshot, NsEntry *entry, const char *name, int64_t value)
{
	UserLimit *limit = snapshot_new(snapshot, USER_LIMIT, UserLimit);

	limit->name = arena_string(snapshot->arena, name);
	limit->value = (uint32_t)value;
	entry->user_limits =
		arena_grow(snapshot->arena, entry->user_limits, entry->n_user_limits, sizeof limit);
	entry->user_limits[entry->n_user_limits++] = limit;
}

int user_limits_read(struct snapshot *snapshot, int namespace_fd, NsEntry *entry, bool *ret_known,
		     struct error *err)
{
	struct limits limits;
	struct error refused = { 0 };
	struct visit there = {
		.what = "reads the limits of a user namespace",
		.namespaces = &namespace_fd,
		.n_namespaces = 1,
		.brief = true,
		.function = read_inside,
		.data = &limits,
		.size = sizeof limits,
	};
	int result = visit(&there, NULL, 0, &refused);

	/* Where we may not go they stay unknown. */
	*ret_known = result == 0;
	if (result && refused.name != ERR_NO_PRIVILEGE) {
		*err = refused;
		return -1;
	}
	for (size_t i = 0; *ret_known && i < USER_LIMITS; i++)
		if (limits.values[i] >= 0 && limits.values[i] < NO_USER_LIMIT)
			add_limit(snapshot, entry, user_limit_names[i], limits.values[i]);
	return 0;
}
