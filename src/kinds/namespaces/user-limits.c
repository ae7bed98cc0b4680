// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * How many namespaces, inotify and fanotify objects each user may have in a user namespace and
 * those below. The files in /proc/sys/user show and set the limits of the namespace of whoever
 * opens them (set_lookup, kernel/ucount.c), so a process has to be inside. A new namespace has
 * INT_MAX for all; sandboxes lower max_user_namespaces so that nobody gets out of one by another.
 */
#include "kinds/namespaces/user-limits.h"

#include "base/procfs.h"
#include "kernel/deputy.h"
#include "kernel/visit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

/* Of how many on they are read by somebody else. */
enum { MANY = 8 };

/* Of one namespace. */
struct limits {
	int fd; /* borrowed */
	struct error err;
	int64_t values[USER_LIMITS]; /* -1: this kernel has no such file */
};

/* Of those that were there when it began. */
struct begun {
	size_t count;
	struct limits list[];
};

static int64_t read_limit(const char *name)
{
	char path[64], text[32];

	snprintf(path, sizeof path, "/proc/sys/user/%s", name);
	return procfs_read_into(AT_FDCWD, path, text, sizeof text) > 0 ? strtoll(text, NULL, 10)
								       : -1;
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

static void read_limits(struct limits *limits)
{
	struct visit there = {
		.what = "reads the limits of a user namespace",
		.namespaces = &limits->fd,
		.n_namespaces = 1,
		.brief = true,
		.function = read_inside,
		.data = limits,
		.size = sizeof *limits,
	};

	visit(&there, NULL, 0, &limits->err);
}

static int read_begun(void *data, struct error *err)
{
	struct begun *begun = data;

	(void)err;
	for (size_t i = 0; i < begun->count; i++)
		read_limits(&begun->list[i]);
	return 0;
}

/* Without memory there are few. */
static struct deputy_away *away_of(struct collect *collect)
{
	static const char owner;
	void **state = collect_state(collect, &owner);

	if (!*state)
		*state = arena_new(collect->arena, struct deputy_away);
	return *state;
}

static bool is_wanted(const struct surveyed_namespace *namespace_)
{
	return namespace_->type == NAMESPACE_USER && !namespace_->own;
}

int user_limits_begin(struct collect *collect, const struct survey *survey, struct error *err)
{
	struct deputy_away *away = away_of(collect);
	size_t count = 0;

	for (size_t i = 0; i < survey->count; i++)
		count += is_wanted(survey->list[i]);
	if (count < MANY)
		return 0;
	size_t size = sizeof(struct begun) + count * sizeof(struct limits);
	struct begun *begun = deputy_away_memory(away, size, err);
	if (!begun)
		return -1;
	for (size_t i = 0; i < survey->count; i++)
		if (is_wanted(survey->list[i]))
			begun->list[begun->count++].fd = survey->list[i]->fd;
	return deputy_send(away, read_begun, err);
}

void user_limits_end(struct collect *collect)
{
	deputy_recall(away_of(collect));
}

/* Those that were begun, or of one that was met later. */
static int find_limits(struct collect *collect, struct limits *limits, struct error *err)
{
	struct deputy_away *away = away_of(collect);
	const struct begun *begun = away->memory;

	for (size_t i = 0; begun && i < begun->count; i++) {
		if (begun->list[i].fd != limits->fd)
			continue;
		if (deputy_await(away, err))
			return -1;
		*limits = begun->list[i];
		return 0;
	}
	read_limits(limits);
	return 0;
}

int user_limits_complete(struct collect *collect, struct surveyed_namespace *namespace_,
			 bool *ret_known, struct error *err)
{
	struct limits limits = { .fd = namespace_->fd };

	if (find_limits(collect, &limits, err))
		return -1;
	/* Where we may not go they stay unknown. */
	*ret_known = limits.err.name == ERR_NONE;
	if (!*ret_known && limits.err.name != ERR_NO_PRIVILEGE) {
		*err = limits.err;
		return -1;
	}
	for (size_t i = 0; *ret_known && i < USER_LIMITS; i++)
		if (limits.values[i] >= 0 && limits.values[i] < NO_USER_LIMIT)
			add_limit(collect->snapshot, namespace_->entry, user_limit_names[i],
				  limits.values[i]);
	return 0;
}
