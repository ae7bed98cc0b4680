// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The init of a fresh pid namespace, for a tree that shared its namespace with others and cannot
 * do so here. It makes the first task and is then what an init has to be: it reaps whoever is
 * orphaned, passes SIGTERM, SIGINT, SIGHUP and SIGQUIT on to the tree's root, and leaves with that
 * one's status (128 + N for signal N) when nobody is left.
 *
 * It is a child of the coordinator, and dies with it until the tree is let go. Until then it reaps
 * nobody, so that a task that dies is seen. Signals are blocked throughout and taken by sigwait:
 * what an init neither blocks nor handles, the kernel drops (sig_task_ignored, kernel/signal.c).
 */
#include "base/arena.h"
#include "base/procfs.h"
#include "run/state.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { RELEASE = 1, RELEASE_WITH_PROC = 2, ANSWER_MICROSECONDS = 10 * 1000 * 1000 };

static const char init_name[] = "nestor-init";

static void wait_word(const uint32_t *word, uint32_t seen)
{
	while (__atomic_load_n(word, __ATOMIC_ACQUIRE) == seen)
		syscall(SYS_futex, word, FUTEX_WAIT, seen, NULL, NULL, 0);
}

/* The /proc that the tree sees shows the fresh namespace; nobody else sees this mount. */
static int mount_proc(void)
{
	return mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
}

static bool is_passed_on(int signal)
{
	return signal == SIGTERM || signal == SIGINT || signal == SIGHUP || signal == SIGQUIT;
}

/* Reaps all that are dead; false if nobody is left. */
static bool reap(pid_t root, int *status)
{
	for (;;) {
		int one;
		pid_t pid = waitpid(-1, &one, WNOHANG | __WALL);

		if (pid == root)
			*status = WIFEXITED(one) ? WEXITSTATUS(one) : 128 + WTERMSIG(one);
		if (pid <= 0)
			return pid == 0;
	}
}

__attribute__((noreturn)) static void be_init(pid_t root)
{
	int status = 0;
	sigset_t all;

	sigfillset(&all);
	while (reap(root, &status)) {
		siginfo_t info;
		int signal = sigwaitinfo(&all, &info);

		/* Where the root is gone, those that it left behind. */
		if (signal > 0 && is_passed_on(signal) && kill(root, signal) < 0)
			kill(-1, signal);
	}
	_exit(status);
}

/* getppid says 0 in a namespace that the parent is not in; this /proc is still the parent's. */
static bool has_parent(pid_t parent)
{
	char stat[1024];
	const char *at = NULL;
	int found = 0;

	if (procfs_read_into(AT_FDCWD, "/proc/self/stat", stat, sizeof stat) > 0)
		at = strrchr(stat, ')');
	return at && sscanf(at, ") %*c %d", &found) == 1 && found == parent;
}

void run_be_init(struct run *run, pid_t coordinator, pid_t root)
{
	struct birth *birth = run->birth;
	int failed = 0;

	/* It may have died before we were to go with it. */
	if (!has_parent(coordinator))
		_exit(1);
	wait_word(&birth->release, 0);
	if (birth->release == RELEASE_WITH_PROC && mount_proc() < 0)
		failed = errno;
	syscall(SYS_close_range, 0, UINT32_MAX, 0);
	if (chdir("/") < 0 && !failed)
		failed = errno;
	setsid();
	prctl(PR_SET_PDEATHSIG, failed ? SIGKILL : 0, 0, 0, 0);
	/* Snapshot and plan, of which this is a copy that nobody reads. */
	arena_done(run->arena);
	birth->release_errno = failed;
	run_set_word(&birth->released, 1);
	run_unmap_programs(run);
	/* The last of all: see run_await_init. */
	prctl(PR_SET_NAME, init_name, 0, 0, 0);
	be_init(root);
}

void run_await_init(struct run *run)
{
	const struct timespec pause = { .tv_nsec = 100 * 1000 };
	uint64_t start = monotonic_microseconds();
	char path[64], name[32];

	if (!run->plan->fresh_pid_namespace)
		return;
	snprintf(path, sizeof path, "/proc/%d/comm", (int)run->child);
	while (procfs_read_into(AT_FDCWD, path, name, sizeof name) > 0 &&
	       strncmp(name, init_name, strlen(init_name)) != 0 &&
	       monotonic_microseconds() - start < ANSWER_MICROSECONDS)
		nanosleep(&pause, NULL);
}

int run_release_init(struct run *run, struct error *err)
{
	struct birth *birth = run->birth;
	const struct timespec pause = { .tv_nsec = 100 * 1000 };
	uint64_t start = monotonic_microseconds();

	if (!run->plan->fresh_pid_namespace)
		return 0;
	run_set_word(&birth->release, run->options->mount_proc ? RELEASE_WITH_PROC : RELEASE);
	while (!__atomic_load_n(&birth->released, __ATOMIC_ACQUIRE)) {
		siginfo_t info = { 0 };

		if ((waitid(P_PID, (id_t)run->child, &info, WEXITED | WNOHANG | WNOWAIT) < 0 &&
		     errno == ECHILD) ||
		    info.si_pid || monotonic_microseconds() - start > ANSWER_MICROSECONDS)
			return fail(err, ERR_TASK_DIED,
				    "the init of the fresh pid namespace does not answer");
		nanosleep(&pause, NULL);
	}
	errno = birth->release_errno;
	if (errno)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "cannot prepare the fresh namespaces: /proc cannot be mounted");
	return 0;
}
