// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: pidns-for-children
 * promise: the pid namespace for children is kept of each task and each thread, also where it is
 *	one that nobody has entered yet, and where two tasks share such a one
 * flavours: flat one three user user-three
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { GET_PID_FOR_CHILDREN = 0xff06 }; /* linux/pidfd.h, 6.11 */

struct placed_thread {
	pthread_t thread;
	pid_t target; /* init of the namespace to be entered; 0: none */
	const char *mark;
	int next_pid; /* of its next child; 0: any */
};

static int idle(void *mark)
{
	/* Who is not dumpable may be entered with rights where its program was executed only. */
	if (strcmp(mark, "init-3") == 0)
		prctl(PR_SET_DUMPABLE, 0);
	scenario_mark(mark);
	scenario_wait_restored();
	scenario_sleep_ms(300); /* an init has to outlive those who fork into its namespace */
	return 0;
}

/* The pid that the next child sees of itself, and at how many levels it has one. */
static int fork_once(unsigned *ret_levels)
{
	int ends[2], result[2] = { 0, 0 };

	scenario_need(pipe(ends) == 0, "no pipe");
	pid_t pid = fork();
	if (pid == 0) {
		int mine[2] = { (int)syscall(SYS_getpid), (int)scenario_levels() };
		if (write(ends[1], mine, sizeof mine) < 0)
			_exit(1);
		_exit(0);
	}
	scenario_check(pid > 0, "cannot fork: %s", strerror(errno));
	close(ends[1]);
	scenario_check(read(ends[0], result, sizeof result) == sizeof result, "the child is mute");
	close(ends[0]);
	waitpid(pid, NULL, 0);
	*ret_levels = (unsigned)result[1];
	return result[0];
}

static void *placed(void *data)
{
	const struct placed_thread *mine = data;
	unsigned levels;

	if (mine->target) {
		int fd = (int)syscall(SYS_pidfd_open, mine->target, 0);
		scenario_need(fd >= 0 && setns(fd, CLONE_NEWPID) == 0, "cannot enter");
		close(fd);
	}
	scenario_mark(mine->mark);
	scenario_wait_restored();
	int pid = fork_once(&levels);
	scenario_check(levels == scenario_levels() + (mine->target != 0),
		       "%s: the child has %u levels", mine->mark, levels);
	if (mine->next_pid)
		scenario_check(pid == mine->next_pid, "%s: the child is pid %d there, not %d",
			       mine->mark, pid, mine->next_pid);
	return NULL;
}

/* Threads whose children go to three different namespaces; the leader's stay here. */
static int with_threads(void *inits)
{
	const pid_t *targets = inits;
	struct placed_thread threads[] = {
		{ .mark = "thread-1", .target = targets[0], .next_pid = 2 },
		{ .mark = "thread-2", .target = targets[1], .next_pid = 2 },
		{ .mark = "thread-3" },
	};
	enum { THREADS = sizeof threads / sizeof *threads };
	unsigned levels;

	for (int i = 0; i < THREADS; i++) {
		pthread_create(&threads[i].thread, NULL, placed, &threads[i]);
		scenario_wait_mark(threads[i].mark);
	}
	scenario_mark("threads");
	scenario_wait_restored();
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i].thread, NULL);
	fork_once(&levels);
	scenario_check(levels == scenario_levels(), "a child of the leader is somewhere else");
	return 0;
}

static void *stays(void *unused)
{
	unsigned levels;

	scenario_mark("stays");
	scenario_wait_restored();
	fork_once(&levels);
	scenario_check(levels == scenario_levels(), "a child of the other thread is elsewhere");
	return unused;
}

/* The other way round: the first of two threads is the one that has entered. */
static int leader_entered(void *init)
{
	pthread_t thread;
	unsigned levels;

	pthread_create(&thread, NULL, stays, NULL);
	scenario_wait_mark("stays");
	int fd = (int)syscall(SYS_pidfd_open, *(const pid_t *)init, 0);
	scenario_need(fd >= 0 && setns(fd, CLONE_NEWPID) == 0, "the leader cannot enter");
	close(fd);
	scenario_mark("leader");
	scenario_wait_restored();
	int pid = fork_once(&levels);
	scenario_check(pid == 2 && levels == scenario_levels() + 1,
		       "the leader's child is pid %d at level %u", pid, levels);
	pthread_join(thread, NULL);
	return 0;
}

/* A namespace that was unshared and has no init yet: the next child is that. */
static int unsharing(void *unused)
{
	unsigned levels;

	(void)unused;
	scenario_need(unshare(CLONE_NEWPID) == 0, "cannot unshare");
	scenario_mark("unshared");
	scenario_wait_mark("sharing");
	scenario_mark("both");
	scenario_wait_restored();
	int pid = fork_once(&levels);
	scenario_check(pid == 1 && levels == scenario_levels() + 1,
		       "the first child is pid %d at level %u", pid, levels);
	scenario_mark("forked");
	return 0;
}

/* Shares that one, whose init is dead by the time this task forks. */
static int sharing(void *maker)
{
	scenario_wait_mark("unshared");
	int pidfd = (int)syscall(SYS_pidfd_open, *(const pid_t *)maker, 0);
	int fd = ioctl(pidfd, GET_PID_FOR_CHILDREN, 0);
	scenario_need(fd >= 0 && setns(fd, CLONE_NEWPID) == 0, "cannot enter the empty namespace");
	close(fd);
	close(pidfd);
	scenario_mark("sharing");
	scenario_wait_mark("both");
	scenario_wait_restored();
	scenario_wait_mark("forked");
	pid_t pid = fork();
	if (pid == 0)
		_exit(0);
	scenario_check(pid < 0 && errno == ENOMEM, "could fork into a namespace without init");
	return 0;
}

int main(int argc, char **argv)
{
	pid_t inits[3], pids[4];

	scenario_begin(argc, argv);
	inits[0] = scenario_child_in(CLONE_NEWPID, idle, "init-1");
	inits[1] = scenario_child_in(CLONE_NEWPID, idle, "init-2");
	inits[2] = scenario_child_in(CLONE_NEWPID, idle, "init-3");
	scenario_wait_mark("init-1");
	scenario_wait_mark("init-2");
	scenario_wait_mark("init-3");
	pids[0] = scenario_child(with_threads, inits);
	pids[1] = scenario_child(unsharing, NULL);
	pids[2] = scenario_child(sharing, &pids[1]);
	pids[3] = scenario_child(leader_entered, &inits[2]);
	scenario_wait_mark("threads");
	scenario_wait_mark("both");
	scenario_wait_mark("leader");

	scenario_ready();

	for (int i = 0; i < 4; i++)
		scenario_reap(pids[i]);
	for (int i = 0; i < 3; i++)
		scenario_reap(inits[i]);
	return scenario_end();
}
