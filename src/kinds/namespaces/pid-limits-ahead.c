// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * When the limits of pid namespaces are read at a dump. Nothing is decided by them, and a process
 * takes its time to get into each: of many namespaces that is done by somebody else meanwhile.
 */
#include "kinds/namespaces/pid.h"

#include "base/log.h"
#include "kernel/deputy.h"
#include "kernel/facts.h"

#include <errno.h>
#include <inttypes.h>

enum { MANY = 8 };

struct begun {
	size_t count;
	struct pid_limits list[];
};

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
	return namespace_->type == NAMESPACE_PID && !namespace_->own && !namespace_->empty;
}

static int read_begun(void *data, struct error *err)
{
	struct begun *begun = data;

	return pid_limits_read(begun->list, begun->count, err);
}

int pid_limits_begin(struct collect *collect, const struct survey *survey, struct error *err)
{
	struct deputy_away *away = away_of(collect);
	size_t size = sizeof(struct begun) + survey->count * sizeof(struct pid_limits);
	/* Level 0 of an unshared tree may lie any number of levels below us. */
	size_t above =
		collect->levels_to_root + (survey->root_pid && !survey->root_pid->own ? 1 : 0);
	struct begun *begun = deputy_away_memory(away, size, err);

	if (!begun)
		return -1;
	for (size_t i = 0; i < survey->count; i++)
		if (is_wanted(survey->list[i]))
			begun->list[begun->count++] =
				(struct pid_limits){ .fd = survey->list[i]->fd,
						     .levels = survey->list[i]->level + above };
	return begun->count < MANY ? read_begun(begun, err) : deputy_send(away, read_begun, err);
}

/* Whoever has to be in a namespace for what comes then may take a number. */
int pid_limits_await(struct collect *collect, struct error *err)
{
	return deputy_await(away_of(collect), err);
}

void pid_limits_end(struct collect *collect)
{
	deputy_recall(away_of(collect));
}

static const struct pid_limits *find_limits(const struct begun *begun, int fd)
{
	for (size_t i = 0; i < begun->count; i++)
		if (begun->list[i].fd == fd)
			return &begun->list[i];
	return NULL;
}

int pid_limits_complete(struct collect *collect, struct surveyed_namespace *namespace_,
			struct error *err)
{
	const struct begun *begun = away_of(collect)->memory;
	const struct pid_limits *limits = begun ? find_limits(begun, namespace_->fd) : NULL;
	bool limited = collect->facts->per_namespace_pid_max;
	NsEntry *entry = namespace_->entry;

	if (!limits)
		return 0;
	errno = limits->failure;
	if (errno_tells_nothing(errno))
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "cannot read the last pid of pid namespace %" PRIu32, entry->id);
	if (!limits->known) {
		log_warning("collect", "pid namespace",
			    "%" PRIu32 ": its last pid%s cannot be read; a restore starts counting "
			    "anew%s",
			    entry->id, limited ? " and pid_max" : "",
			    limited ? ", up to what a new one has" : "");
		return 0;
	}
	/* -1 where all numbers were given by set_tid; it cannot be written. */
	entry->has_last_pid = limits->last_pid != UINT32_MAX;
	entry->last_pid = limits->last_pid;
	entry->has_pid_max = limited;
	entry->pid_max = limits->pid_max;
	return 0;
}
