// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Limits of user namespaces, written from inside (kernel/ucount.c). They come when all that the
 * tree has is made: they may be lower than what there is.
 */
#include "base/cleanup.h"
#include "kernel/visit.h"
#include "run/state.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int write_limit(const UserLimit *limit, struct error *err)
{
	char path[64], text[16];

	snprintf(path, sizeof path, "/proc/sys/user/%s", limit->name);
	snprintf(text, sizeof text, "%" PRIu32, limit->value);
	autoclose int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot set %s", limit->name);
	return 0;
}

static int write_limits(const NsEntry *limits, struct error *err)
{
	for (size_t i = 0; i < limits->n_user_limits && i < USER_LIMITS; i++)
		if (write_limit(limits->user_limits[i], err))
			return -1;
	return 0;
}

static int write_inside(struct visitor *visitor, void *data, struct error *err)
{
	(void)visitor;
	return write_limits(*(const NsEntry **)data, err);
}

int run_set_user_limits(struct run *run, const NsEntry *limits, struct error *err)
{
	int fd = run_user_namespace(run, limits->id);
	struct visit there = {
		.what = "sets limits",
		.namespaces = &fd,
		.n_namespaces = 1,
		.function = write_inside,
		.data = &limits,
		.size = sizeof limits,
		.timeout_seconds = run->options->timeout_seconds,
		.check = run_check_interrupted,
	};

	/* Not one that was made: our own. */
	if (fd < 0 ? write_limits(limits, err) : visit(&there, NULL, 0, err))
		return fail_while(err, "user namespace %" PRIu32, limits->id);
	return 0;
}
