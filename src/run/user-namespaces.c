// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Making user namespaces, before the tree. Each is made by a short-lived process of ours that has
 * the recorded owner's uid and is in the parent namespace, and stays alive, without a process of
 * its own, by a descriptor that tasks inherit.
 *
 * Rules (user_namespaces(7), kernel/user_namespace.c): the owner is the effective uid of the maker,
 * which has to be mapped in the parent, and its effective gid too. For the maps see maps.c.
 *
 *   founder   our child: gets the owner's uid, enters the parent, forks, writes the maps
 *   member    its child: unshares; the first and only process inside, until we have a descriptor
 */
#include "base/cleanup.h"
#include "kernel/pidfd.h"
#include "kernel/syscalls.h"
#include "run/maps.h"
#include "run/state.h"
#include "kernel/end-child.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/securebits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LOOK_MILLISECONDS = 100 };

/* What a founder tells: a call that failed, or the pid of the process to look at. */
struct founding_report {
	int32_t failed_errno;
	int32_t pid;
	char what[56];
};

struct founding {
	struct run *run;
	const struct user_namespace *namespace;
	const struct user_namespace *parent; /* entered first */
	int report_fd;			     /* the founder's end of the pipe */
	int go_fd; /* readable (end of file) once the founder is no longer needed */
};

/* ---- in the founder: nothing but system calls, it ends by _exit ---- */

__attribute__((noreturn)) static void founder_tell(const struct founding *founding,
						   const char *what, int32_t pid)
{
	struct founding_report report = { .failed_errno = pid ? 0 : errno, .pid = pid };
	char byte;

	snprintf(report.what, sizeof report.what, "%s", what);
	if (write(founding->report_fd, &report, sizeof report) == sizeof report)
		/* Until the coordinator has what it wants, or is gone. */
		while (read(founding->go_fd, &byte, 1) < 0 && errno == EINTR)
			;
	if (pid && pid != getpid()) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	_exit(0);
}

static void founder_check(const struct founding *founding, const char *what, long result)
{
	if (result < 0)
		founder_tell(founding, what, 0);
}

/* Without the C library's setresuid, which would tell other threads of ours. */
static void take_ids(const struct founding *founding, uint32_t uid, uint32_t gid)
{
	long bits = prctl(PR_GET_SECUREBITS);

	founder_check(founding, "reading securebits", bits);
	founder_check(founding, "keeping capabilities",
		      prctl(PR_SET_SECUREBITS, bits | SECBIT_NO_SETUID_FIXUP));
	founder_check(founding, "taking the owner's group id",
		      syscall(SYS_setresgid, gid, gid, gid));
	founder_check(founding, "taking the owner's user id",
		      syscall(SYS_setresuid, uid, uid, uid));
}

static void enter_namespace(const struct founding *founding, const struct user_namespace *namespace)
{
	if (namespace->depth == 0)
		return;
	for (size_t i = 0; i < founding->run->n_user_namespaces; i++)
		if (founding->run->user_namespaces[i].namespace == namespace)
			founder_check(founding, "entering a user namespace",
				      setns(founding->run->user_namespaces[i].fd, CLONE_NEWUSER));
}

__attribute__((noreturn)) static void be_member(int report_fd)
{
	int32_t failed = 0;

	if (unshare(CLONE_NEWUSER) < 0)
		failed = errno;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* A founder that was dead before does not read. */
	if (write(report_fd, &failed, sizeof failed) != sizeof failed || failed)
		_exit(1);
	for (;;)
		pause();
}

static pid_t make_member(const struct founding *founding)
{
	int32_t failed = 0;
	int ends[2];
	pid_t member;

	founder_check(founding, "making a pipe", pipe2(ends, O_CLOEXEC));
	member = fork();
	founder_check(founding, "forking", member);
	if (!member) {
		close(ends[0]);
		be_member(ends[1]);
	}
	close(ends[1]);
	if (read(ends[0], &failed, sizeof failed) != sizeof failed)
		failed = ESRCH;
	errno = failed;
	founder_check(founding, "unshare(CLONE_NEWUSER)", failed ? -1 : 0);
	close(ends[0]);
	return member;
}

/* A gid that the parent maps, as seen from here. Which one it was is recorded nowhere. */
static uint32_t mapped_group(const struct user_namespace *parent)
{
	if (parent->depth == 0 || !parent->entry->user_ext || !parent->entry->user_ext->n_gid_map)
		return getegid();
	uint32_t id = getegid();
	user_namespace_id_outside(parent, true, parent->entry->user_ext->gid_map[0]->first, &id);
	return id;
}

__attribute__((noreturn)) static void be_founder(const struct founding *founding)
{
	uint32_t owner = founding->namespace->entry->owner_uid;
	uint32_t group = mapped_group(founding->parent);
	const char *what = NULL;
	pid_t member;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (owner != geteuid() || group != getegid())
		take_ids(founding, owner, group);
	enter_namespace(founding, founding->parent);
	/* A change of ids makes the files of /proc/PID root's, and those of a fork too. */
	founder_check(founding, "PR_SET_DUMPABLE", prctl(PR_SET_DUMPABLE, 1));
	member = make_member(founding);
	int written = maps_write(member, founding->namespace, &what);
	founder_check(founding, what, written);
	founder_tell(founding, "", member);
}

/* The founder of a pid namespace: its own children would be born there. */
__attribute__((noreturn)) static void be_pid_founder(const struct founding *founding)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	enter_namespace(founding, founding->namespace);
	founder_check(founding, "unshare(CLONE_NEWPID)", unshare(CLONE_NEWPID));
	founder_tell(founding, "", getpid());
}

/* ---- in the coordinator ---- */

static int fail_founding(const struct founding *founding, const struct founding_report *report,
			 struct error *err)
{
	errno = report->failed_errno;
	fail_errno(err, errno == ENOSPC ? ERR_LIMIT_TOO_LOW : ERR_KERNEL_REFUSED,
		   "cannot make user namespace %" PRIu32 ": %.*s", founding->namespace->id,
		   (int)sizeof report->what, report->what);
	if (report->failed_errno == ENOSPC)
		return fail_hint(err, "raise user.max_user_namespaces (sysctl)");
	return -1;
}

/* Until there is something to read: newuidmap may look into directories far away. */
static int wait_report(const struct founding *founding, int fd, struct error *err)
{
	uint64_t timeout = founding->run->options->timeout_seconds * UINT64_C(1000000);
	uint64_t start = monotonic_microseconds();
	struct pollfd report = { .fd = fd, .events = POLLIN };

	while (poll(&report, 1, LOOK_MILLISECONDS) == 0) {
		if (run_check_interrupted(err) < 0)
			return -1;
		if (timeout && monotonic_microseconds() - start > timeout)
			return fail(err, ERR_RESTORE_TIMEOUT,
				    "user namespace %" PRIu32 " is not made within %u seconds",
				    founding->namespace->id,
				    founding->run->options->timeout_seconds);
	}
	return 0;
}

static int read_report(const struct founding *founding, int fd, struct founding_report *ret_report,
		       struct error *err)
{
	ssize_t size;

	if (wait_report(founding, fd, err) < 0)
		return -1;
	while ((size = read(fd, ret_report, sizeof *ret_report)) < 0 && errno == EINTR)
		;
	if (size != sizeof *ret_report)
		return fail(err, ERR_TASK_DIED, "the maker of user namespace %" PRIu32 " died",
			    founding->namespace->id);
	return ret_report->pid ? 0 : fail_founding(founding, ret_report, err);
}

static int open_user_namespace(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/ns/user", (int)pid);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static int open_pid_for_children(pid_t pid)
{
	autoclose int pidfd = kernel_pidfd_open(pid, 0);

	return pidfd < 0 ? -1 : ioctl(pidfd, PIDFD_PID_NAMESPACE_FOR_CHILDREN, 0);
}

/* Runs a founder; returns a descriptor of what it has made. */
static int found(struct founding *founding, void (*founder)(const struct founding *),
		 int (*open_result)(pid_t), struct error *err)
{
	struct founding_report report;
	int reports[2], going[2], result = -1;

	if (pipe2(reports, O_CLOEXEC) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot make a pipe");
	autoclose int report_fd = reports[0], report_end = reports[1];
	if (pipe2(going, O_CLOEXEC) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot make a pipe");
	autoclose int go_fd = going[0], go_end = going[1];
	pid_t pid = fork();
	if (pid < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot fork");
	if (!pid) {
		close(go_end);
		founding->report_fd = report_end;
		founding->go_fd = go_fd;
		founder(founding);
	}
	close(take_fd(&report_end));
	if (read_report(founding, report_fd, &report, err) == 0) {
		result = open_result((pid_t)report.pid);
		if (result < 0)
			fail_errno(err, ERR_KERNEL_REFUSED,
				   "cannot get hold of what was made in user namespace %" PRIu32,
				   founding->namespace->id);
	}
	close(take_fd(&go_end));
	/* What it has made comes to us then, and is ended with the rest (undo.c). */
	if (result < 0)
		end_child(pid);
	else
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	return result;
}

int run_make_user_namespace(struct run *run, const struct user_namespace *namespace,
			    struct error *err)
{
	struct founding founding = { .run = run,
				     .namespace = namespace,
				     .parent = namespace->parent };
	int fd = found(&founding, be_founder, open_user_namespace, err);

	if (fd < 0)
		return -1;
	run->user_namespaces = arena_grow(run->arena, run->user_namespaces, run->n_user_namespaces,
					  sizeof *run->user_namespaces);
	run->user_namespaces[run->n_user_namespaces++] =
		(struct run_user_namespace){ .namespace = namespace, .fd = fd };
	return 0;
}

int run_user_namespace(const struct run *run, uint32_t id)
{
	for (size_t i = 0; i < run->n_user_namespaces; i++)
		if (run->user_namespaces[i].namespace->id == id)
			return run->user_namespaces[i].fd;
	return -1;
}

int run_make_root_pid_namespace(struct run *run, const struct user_namespace *owner,
				struct error *err)
{
	struct founding founding = { .run = run, .namespace = owner };

	run->root_namespace_fd = found(&founding, be_pid_founder, open_pid_for_children, err);
	return run->root_namespace_fd < 0 ? -1 : 0;
}

void run_close_namespaces(struct run *run)
{
	for (size_t i = 0; i < run->n_user_namespaces; i++)
		close(run->user_namespaces[i].fd);
	run->n_user_namespaces = 0;
	if (run->root_namespace_fd >= 0)
		close(run->root_namespace_fd);
	run->root_namespace_fd = -1;
	run_close_plain_namespaces(run);
}
