// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * How many namespaces, inotify and fanotify objects each user may have in a user namespace and
 * those below. The files in /proc/sys/user show and set the limits of the namespace of whoever
 * opens them (set_lookup, kernel/ucount.c), so a process has to be inside. A new namespace has
 * INT_MAX for all; sandboxes lower max_user_namespaces so that nobody gets out of one by another.
 */
#include "kinds/namespaces/user-limits.h"

#include "base/cleanup.h"
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

/* Of those that were there when it began; in shared memory. */
struct begun {
	size_t count, size;
	struct limits list[];
};

struct state {
	struct deputy_away away;
	struct begun *begun; /* NULL: there are few */
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

static struct state *state_of(struct collect *collect)
{
	static const char owner;
	void **state = collect_state(collect, &owner);

	if (!*state)
		*state = arena_new(collect->arena, struct state);
	return *state;
}

static bool is_wanted(const struct surveyed_namespace *namespace_)
{
	return namespace_->type == NAMESPACE_USER && !namespace_->own;
}

int user_limits_begin(struct collect *collect, const struct survey *survey, struct error *err)
{
	struct state *state = state_of(collect);
	size_t count = 0;

	for (size_t i = 0; i < survey->count; i++)
		count += is_wanted(survey->list[i]);
	if (count < MANY)
		return 0;
	size_t size = sizeof(struct begun) + count * sizeof(struct limits);
	state->begun = deputy_memory(size);
	if (!state->begun)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot map shared memory");
	state->begun->size = size;
	for (size_t i = 0; i < survey->count; i++)
		if (is_wanted(survey->list[i]))
			state->begun->list[state->begun->count++].fd = survey->list[i]->fd;
	return deputy_send(&state->away, read_begun, state->begun, err);
}

void user_limits_end(struct collect *collect)
{
	struct state *state = state_of(collect);

	deputy_recall(&state->away);
	if (state->begun)
		deputy_memory_free(state->begun, state->begun->size);
	state->begun = NULL;
}

/* Those that were begun, or of one that was met later. */
static int find_limits(struct collect *collect, struct limits *limits, struct error *err)
{
	struct state *state = state_of(collect);
	const struct begun *begun = state->begun;

	for (size_t i = 0; begun && i < begun->count; i++) {
		if (begun->list[i].fd != limits->fd)
			continue;
		if (state->away.pid && deputy_await(&state->away, err))
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
