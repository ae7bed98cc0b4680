// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Limits of user namespaces, written from inside (kernel/ucount.c). They come when all that the
 * tree has is made: they may be lower than what there is.
 */
#include "run/state.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FAILED_TO_ENTER = 100 };

static bool write_limit(const UserLimit *limit)
{
	char path[64], text[16];

	snprintf(path, sizeof path, "/proc/sys/user/%s", limit->name);
	snprintf(text, sizeof text, "%" PRIu32, limit->value);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	if (fd >= 0)
		close(fd);
	return written;
}

/* Exit status: 0, or one more than the limit that could not be written. */
static int write_limits(const NsEntry *entry)
{
	for (size_t i = 0; i < entry->n_user_limits && i < USER_LIMITS; i++)
		if (!write_limit(entry->user_limits[i]))
			return (int)i + 1;
	return 0;
}

static int write_inside(int fd, const NsEntry *entry)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(setns(fd, CLONE_NEWUSER) ? FAILED_TO_ENTER : write_limits(entry));
	}
	if (pid < 0)
		return FAILED_TO_ENTER;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : FAILED_TO_ENTER;
}

static int fail_limit(const NsEntry *entry, int status, struct error *err)
{
	return fail(err, ERR_KERNEL_REFUSED, "cannot set %s of user namespace %" PRIu32,
		    status == FAILED_TO_ENTER ? "limits" : entry->user_limits[status - 1]->name,
		    entry->id);
}

int run_set_user_limits(struct run *run, const NsEntry *limits, struct error *err)
{
	int fd = run_user_namespace(run, limits->id);
	/* Not one that was made: our own. */
	int status = fd < 0 ? write_limits(limits) : write_inside(fd, limits);

	return status ? fail_limit(limits, status, err) : 0;
}
