// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * How many namespaces, inotify and fanotify objects each user may have in a user namespace and
 * those below. The files in /proc/sys/user show and set the limits of the namespace of whoever
 * opens them (set_lookup, kernel/ucount.c), so a process has to be inside. A new namespace has
 * INT_MAX for all; sandboxes lower max_user_namespaces so that nobody gets out of one by another.
 */
#include "kinds/namespaces/user-limits.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>

struct report {
	bool inside;
	int64_t limits[USER_LIMITS]; /* -1: this kernel has no such file */
};

static int64_t read_limit(const char *name)
{
	char path[64], text[32];

	snprintf(path, sizeof path, "/proc/sys/user/%s", name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	if (fd >= 0)
		close(fd);
	if (length <= 0)
		return -1;
	text[length] = '\0';
	return strtoll(text, NULL, 10);
}

__attribute__((noreturn)) static void visit(int namespace_fd, int report_fd)
{
	struct report report = { .inside = setns(namespace_fd, CLONE_NEWUSER) == 0 };

	for (size_t i = 0; i < USER_LIMITS; i++)
		report.limits[i] = report.inside ? read_limit(user_limit_names[i]) : -1;
	_exit(write(report_fd, &report, sizeof report) != sizeof report);
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
	struct report report = { 0 };
	ssize_t length;
	int ends[2];

	if (pipe2(ends, O_CLOEXEC))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot make a pipe");
	autoclose int report_fd = ends[0];
	pid_t visitor = fork();
	if (visitor == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		visit(namespace_fd, ends[1]);
	}
	close(ends[1]);
	if (visitor < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot fork");
	while ((length = read(report_fd, &report, sizeof report)) < 0 && errno == EINTR)
		;
	while (waitpid(visitor, NULL, 0) < 0 && errno == EINTR)
		;
	*ret_known = length == sizeof report && report.inside;
	for (size_t i = 0; *ret_known && i < USER_LIMITS; i++)
		if (report.limits[i] >= 0 && report.limits[i] < NO_USER_LIMIT)
			add_limit(snapshot, entry, user_limit_names[i], report.limits[i]);
	return 0;
}
