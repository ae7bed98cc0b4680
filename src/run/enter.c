// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Entering a new user namespace, in which the caller has all capabilities. Its maps are given by a
 * child that stays outside: a process in the namespace itself could give just one line, and could
 * not ask newuidmap.
 */
#include "base/cleanup.h"
#include "run/maps.h"
#include "run/run.h"

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

/* What the child found out. */
struct mapping_report {
	int32_t failed_errno;
	char what[32];
};

/* Waits for the byte that says that the caller has unshared. */
__attribute__((noreturn)) static void be_mapper(pid_t caller, int go_fd, int report_fd,
						const struct user_namespace *namespace)
{
	struct mapping_report report = { 0 };
	const char *what = "";
	char byte;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (read(go_fd, &byte, 1) != 1)
		_exit(1);
	if (maps_write(caller, namespace, &what) < 0) {
		report.failed_errno = errno;
		snprintf(report.what, sizeof report.what, "%s", what);
	}
	_exit(write(report_fd, &report, sizeof report) != sizeof report);
}

static int fail_mapping(const struct user_namespace *namespace, const struct mapping_report *report,
			struct error *err)
{
	errno = report->failed_errno;
	fail_errno(err, errno == EPERM ? ERR_NO_PRIVILEGE : ERR_KERNEL_REFUSED,
		   "cannot write the %.*s of user namespace %" PRIu32, (int)sizeof report->what,
		   report->what, namespace->id);
	if (report->failed_errno == EPERM)
		return fail_hint(err,
				 "map only your own ids, have /etc/subuid and /etc/subgid give "
				 "you the others (newuidmap), or run nestor as root");
	return -1;
}

static int unshare_user(const struct user_namespace *namespace, struct error *err)
{
	if (unshare(CLONE_NEWUSER) == 0)
		return 0;
	fail_errno(err, errno == ENOSPC ? ERR_LIMIT_TOO_LOW : ERR_NO_PRIVILEGE,
		   "cannot make user namespace %" PRIu32, namespace->id);
	return fail_hint(err, "user.max_user_namespaces and other settings of the host decide who "
			      "may make user namespaces");
}

static int enter(const struct user_namespace *namespace, int go_fd, int report_fd,
		 struct error *err)
{
	struct mapping_report report = { 0 };

	if (unshare_user(namespace, err) < 0)
		return -1;
	if (write(go_fd, "", 1) != 1 || read(report_fd, &report, sizeof report) != sizeof report)
		return fail(err, ERR_TASK_DIED, "the process that writes the maps died");
	return report.failed_errno ? fail_mapping(namespace, &report, err) : 0;
}

int run_enter_new_user_namespace(const struct user_namespace *namespace, struct error *err)
{
	pid_t caller = getpid();
	int going[2], reports[2];

	if (pipe2(going, O_CLOEXEC) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot make a pipe");
	autoclose int go_fd = going[0], go_end = going[1];
	if (pipe2(reports, O_CLOEXEC) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot make a pipe");
	autoclose int report_fd = reports[0], report_end = reports[1];
	pid_t mapper = fork();
	if (mapper < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot fork");
	if (!mapper) {
		close(go_end);
		be_mapper(caller, go_fd, report_end, namespace);
	}
	close(take_fd(&report_end));
	int result = enter(namespace, go_end, report_fd, err);
	close(take_fd(&go_end));
	while (waitpid(mapper, NULL, 0) < 0 && errno == EINTR)
		;
	return result;
}
