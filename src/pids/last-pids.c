// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Levels, from a pid namespace to the caller's own, and what is written at each; see last-pids.h.
 * The privilege is CAP_CHECKPOINT_RESTORE (or CAP_SYS_ADMIN) in the user namespace that owns the
 * level's pid namespace; to enter it, CAP_SYS_ADMIN there and in the caller's own. A caller in an
 * ancestor of that user namespace has all of them there, without entering it.
 */
#include "pids/last-pids.h"

#include "base/cleanup.h"
#include "pids/helper.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LONGEST_WAIT = 100 /* turns of helpers_wait */ };

struct level {
	ino_t inode;
	int obstacle; /* errno for which nothing can be written here; 0: none */
	struct helper helper;
};

/* In memory of its own, with the stacks of the helpers; levels are innermost first. */
struct last_pids {
	struct helper_meeting meeting;
	int own_fd; /* the caller's own ns_last_pid, or -1 */
	size_t failed_level;
	size_t n_levels;
	struct level levels[MAX_LAST_PID_LEVELS];
};

static bool is_own_level(const struct last_pids *pids, size_t level)
{
	return level + 1 == pids->n_levels;
}

/* The parent, or -1; EPERM: it is the caller's own or not among the latter's descendants. */
static int open_parent(int namespace_fd, struct error *err)
{
	int fd = ioctl(namespace_fd, NS_GET_PARENT);

	if (fd >= 0)
		return fd;
	if (errno != EPERM)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "cannot open the parent of a pid namespace");
	return fail(err, ERR_NOT_A_PID_NAMESPACE,
		    "the pid namespace is neither the caller's own nor below it");
}

/* Opens the namespace and its ancestors up to the caller's own, innermost first. */
static int open_levels(struct last_pids *pids, int namespace_fd, int *levels, struct error *err)
{
	struct stat own, status;

	if (stat("/proc/thread-self/ns/pid", &own))
		return fail_errno(err, ERR_IO, "cannot look at /proc/thread-self/ns/pid");
	int type = ioctl(namespace_fd, NS_GET_NSTYPE);
	if (type < 0 && errno_tells_nothing(errno))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot look at what was given");
	if (type != CLONE_NEWPID)
		return fail(err, ERR_NOT_A_PID_NAMESPACE, "what was given is no pid namespace");
	for (size_t i = 0; i < MAX_LAST_PID_LEVELS; i++) {
		levels[i] = i ? open_parent(levels[i - 1], err)
			      : fcntl(namespace_fd, F_DUPFD_CLOEXEC, 0);
		if (levels[i] < 0 && i)
			return -1;
		if (levels[i] < 0 || fstat(levels[i], &status))
			return fail_errno(err, ERR_KERNEL_REFUSED, "cannot hold a pid namespace");
		pids->levels[i].inode = status.st_ino;
		pids->n_levels = i + 1;
		if (status.st_ino == own.st_ino && status.st_dev == own.st_dev)
			return 0;
	}
	return fail(err, ERR_KERNEL_REFUSED, "more than %d levels", MAX_LAST_PID_LEVELS);
}

static int fail_helper(struct last_pids *pids, size_t level, const char *what, struct error *err)
{
	pids->failed_level = level;
	return fail(err, ERR_TASK_DIED, "the helper at level %zu, pid:[%lu], %s", level,
		    (unsigned long)pids->levels[level].inode, what);
}

/* One that is killed, or stopped for long, is told. */
static int wait_for_helpers(struct last_pids *pids, struct error *err)
{
	for (int turn = 0; !helpers_wait(&pids->meeting); turn++)
		for (size_t i = 0; i + 1 < pids->n_levels; i++) {
			const struct helper *helper = &pids->levels[i].helper;

			if (helper_has_answered(helper))
				continue;
			if (helper_has_ended(helper))
				return fail_helper(pids, i, "was ended", err);
			if (turn == LONGEST_WAIT)
				return fail_helper(pids, i, "does not answer", err);
		}
	return 0;
}

static void start_helpers(struct last_pids *pids, const int *levels)
{
	struct helper_birth births[MAX_LAST_PID_LEVELS];
	size_t count = pids->n_levels - 1;

	for (size_t i = 0; i < count; i++) {
		struct helper *helper = &pids->levels[i].helper;

		helper->meeting = &pids->meeting;
		helper->bit = UINT32_C(1) << i;
		births[i] = (struct helper_birth){ helper, levels[i], pids->n_levels - i, 0 };
	}
	helpers_start(&pids->meeting, births, count);
	for (size_t i = 0; i < count; i++)
		pids->levels[i].obstacle = births[i].problem;
}

/* The maker has to be born in the caller's own namespace, from where it can reach the others. */
static int start_helpers_from_own(struct last_pids *pids, const int *levels, struct error *err)
{
	int own = levels[pids->n_levels - 1], before = -1;
	struct stat stat_own, stat_children;

	if (pids->n_levels == 1)
		return 0;
	if (fstat(own, &stat_own) ||
	    stat("/proc/thread-self/ns/pid_for_children", &stat_children) ||
	    stat_own.st_ino != stat_children.st_ino) {
		before = open("/proc/thread-self/ns/pid_for_children", O_RDONLY | O_CLOEXEC);
		if (before < 0 || setns(own, CLONE_NEWPID)) {
			fail_errno(err, errno == EPERM ? ERR_NO_PRIVILEGE : ERR_KERNEL_REFUSED,
				   "cannot make tasks in the caller's own pid namespace");
			cleanup_close(&before);
			return -1;
		}
	}
	start_helpers(pids, levels);
	if (before < 0)
		return 0;
	int result = setns(before, CLONE_NEWPID);
	cleanup_close(&before);
	return result ? fail_errno(err, ERR_KERNEL_REFUSED, "cannot return to a pid namespace") : 0;
}

static int open_service(struct last_pids *pids, int namespace_fd, struct error *err)
{
	int levels[MAX_LAST_PID_LEVELS];

	for (size_t i = 0; i < MAX_LAST_PID_LEVELS; i++)
		levels[i] = -1;
	int status = open_levels(pids, namespace_fd, levels, err);
	if (status == 0)
		status = start_helpers_from_own(pids, levels, err);
	for (size_t i = 0; i < MAX_LAST_PID_LEVELS; i++)
		cleanup_close(&levels[i]);
	if (status < 0)
		return -1;
	pids->own_fd = open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC);
	if (pids->own_fd < 0)
		pids->levels[pids->n_levels - 1].obstacle = errno;
	if (wait_for_helpers(pids, err))
		return -1;
	for (size_t i = 0; i + 1 < pids->n_levels; i++)
		if (!pids->levels[i].obstacle)
			pids->levels[i].obstacle = pids->levels[i].helper.result;
	helpers_open(&pids->meeting);
	return 0;
}

struct last_pids *last_pids_open(int pid_namespace_fd, struct error *err)
{
	struct last_pids *pids = mmap(NULL, sizeof *pids, PROT_READ | PROT_WRITE,
				      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (pids == MAP_FAILED) {
		fail_errno(err, ERR_IO, "cannot map %zu bytes", sizeof *pids);
		return NULL;
	}
	pids->own_fd = -1;
	if (open_service(pids, pid_namespace_fd, err)) {
		last_pids_close(pids);
		return NULL;
	}
	return pids;
}

size_t last_pids_levels(const struct last_pids *pids)
{
	return pids->n_levels;
}

/* Without an init no number but 1 can be had there: EINVAL (alloc_pid). */
static int fail_no_init(struct last_pids *pids, size_t level, struct error *err)
{
	pids->failed_level = level;
	return fail(err, ERR_NOT_A_PID_NAMESPACE, "nobody lives at level %zu, pid:[%lu]", level,
		    (unsigned long)pids->levels[level].inode);
}

/* What went wrong at a level, by errno; `what` has the words before "level". */
static int fail_at(struct last_pids *pids, size_t level, int problem, const char *what,
		   struct error *err)
{
	static const struct {
		int problem;
		enum error_name name;
	} names[] = {
		{ EPERM, ERR_NO_PRIVILEGE },
		{ EINVAL, ERR_PID_OUT_OF_RANGE },
		{ ERANGE, ERR_PID_OUT_OF_RANGE },
		{ EEXIST, ERR_PID_IN_USE },
	};
	enum error_name name = ERR_KERNEL_REFUSED;

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (names[i].problem == problem)
			name = names[i].name;
	pids->failed_level = level;
	errno = problem;
	fail_errno(err, name, "%s level %zu, pid:[%lu]", what, level,
		   (unsigned long)pids->levels[level].inode);
	if (name == ERR_NO_PRIVILEGE)
		fail_hint(err, "it takes CAP_CHECKPOINT_RESTORE in the user namespace that owns "
			       "the pid namespace, and CAP_SYS_ADMIN there to enter it");
	return -1;
}

/* Levels are numbered from the innermost, as the entries of a vector. */
static int check_vector(struct last_pids *pids, const uint32_t *numbers, size_t count,
			struct error *err)
{
	pids->failed_level = pids->n_levels;
	if (count > pids->n_levels)
		return fail(err, ERR_TOO_MANY_LEVELS,
			    "%zu numbers, but %zu %s up to the caller's own pid namespace", count,
			    pids->n_levels, pids->n_levels == 1 ? "level" : "levels");
	for (size_t i = 0; i < count; i++)
		if (numbers[i] && pids->levels[i].obstacle == EINVAL)
			return fail_no_init(pids, i, err);
		else if (numbers[i] && pids->levels[i].obstacle)
			return fail_at(pids, i, pids->levels[i].obstacle,
				       "cannot write the last pid of", err);
	return 0;
}

/* errno, or 0. */
static int act_here(const struct last_pids *pids, enum helper_action action, uint32_t number)
{
	char text[NUMBER_TEXT_SIZE];
	int length = snprintf(text, sizeof text, "%u", number);

	if (action == HELPER_CHECK)
		return helper_check_here(number);
	return pwrite(pids->own_fd, text, (size_t)length, 0) < 0 ? errno : 0;
}

static int fail_number(struct last_pids *pids, size_t level, int problem, uint32_t number,
		       struct error *err)
{
	char what[64];

	if (problem == EEXIST)
		snprintf(what, sizeof what, "%" PRIu64 " is taken at", (uint64_t)number + 1);
	else if (problem == ERANGE || problem == EINVAL)
		snprintf(what, sizeof what, "%" PRIu64 " is not below the pid_max of",
			 (uint64_t)number + 1);
	else
		snprintf(what, sizeof what, "cannot write %" PRIu32 " as last pid of", number);
	return fail_at(pids, level, problem, what, err);
}

static int check_results(struct last_pids *pids, const uint32_t *numbers, size_t count,
			 int own_problem, struct error *err)
{
	for (size_t i = 0; i < count; i++) {
		int problem = is_own_level(pids, i) ? own_problem : pids->levels[i].helper.result;

		if (numbers[i] && problem)
			return fail_number(pids, i, problem, numbers[i], err);
	}
	return 0;
}

static int act(struct last_pids *pids, enum helper_action action, const uint32_t *numbers,
	       size_t count, struct error *err)
{
	int own_problem = 0;

	if (check_vector(pids, numbers, count, err))
		return -1;
	for (size_t i = 0; i < count; i++)
		if (numbers[i] && !is_own_level(pids, i))
			helper_prepare(&pids->levels[i].helper, action, numbers[i]);
	if (pids->meeting.called)
		helpers_call(&pids->meeting);
	if (count == pids->n_levels && numbers[count - 1])
		own_problem = act_here(pids, action, numbers[count - 1]);
	if (wait_for_helpers(pids, err))
		return -1;
	return check_results(pids, numbers, count, own_problem, err);
}

int last_pids_set(struct last_pids *pids, const uint32_t *numbers, size_t count, struct error *err)
{
	return act(pids, HELPER_WRITE, numbers, count, err);
}

int last_pids_check(struct last_pids *pids, const uint32_t *numbers, size_t count,
		    struct error *err)
{
	return act(pids, HELPER_CHECK, numbers, count, err);
}

size_t last_pids_failed_level(const struct last_pids *pids)
{
	return pids->failed_level;
}

void last_pids_close(struct last_pids *pids)
{
	if (!pids)
		return;
	for (size_t i = 0; i < MAX_LAST_PID_LEVELS; i++)
		helper_kill(&pids->levels[i].helper);
	for (size_t i = 0; i < MAX_LAST_PID_LEVELS; i++)
		helper_reap(&pids->levels[i].helper);
	if (pids->own_fd >= 0)
		close(pids->own_fd);
	munmap(pids, sizeof *pids);
}
