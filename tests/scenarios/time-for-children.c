// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: time-for-children
 * promise: children are born in the time namespace that a task or thread has made for them, while
 *it is in another one: with others in it, with nobody ever, one after the other, further in
 * flavours: flat one three user user-three unprivileged unprivileged-three
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SECOND = 1000000000 };

static long long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * (long long)SECOND + time.tv_nsec;
}

static ino_t inode_of(const char *link)
{
	struct stat stat_of;
	char path[64];

	snprintf(path, sizeof path, "/proc/thread-self/ns/%s", link);
	return stat(path, &stat_of) ? 0 : stat_of.st_ino;
}

static bool set_offset(long seconds)
{
	char text[64], path[64], link[64] = { 0 };
	int length = snprintf(text, sizeof text, "monotonic %ld 0\n", seconds);

	/* That of the thread, as this /proc calls it ("self" is the first one): "12/task/13". */
	scenario_need(readlink("/proc/thread-self", link, sizeof link - 1) > 0, "no /proc");
	snprintf(path, sizeof path, "/proc%s/timens_offsets", strrchr(link, '/'));
	int fd = open(path, O_WRONLY);
	bool done = fd >= 0 && write(fd, text, (size_t)length) == length;
	close(fd);
	return done;
}

static void make(long seconds)
{
	scenario_need(unshare(CLONE_NEWTIME) == 0, "cannot unshare: %s", strerror(errno));
	scenario_need(set_offset(seconds), "cannot set the offset: %s", strerror(errno));
}

/* What a child that is made now is in, and what its clock shows. */
struct born {
	ino_t inode;
	long long clock;
};

static struct born bear(void)
{
	struct born born = { 0 };
	int ends[2], status = -1;

	scenario_need(pipe(ends) == 0, "no pipe");
	pid_t pid = fork();
	if (pid == 0) {
		struct born own = { inode_of("time"), now() };
		_exit(write(ends[1], &own, sizeof own) != sizeof own);
	}
	close(ends[1]);
	scenario_check(read(ends[0], &born, sizeof born) == sizeof born, "no child was born");
	close(ends[0]);
	waitpid(pid, &status, 0);
	scenario_check(status == 0, "a child ended with %d", status);
	return born;
}

/*
 * The clock of children is so much ahead of our own, and they are all in one. Ours may be that of
 * the host, which has gone on meanwhile.
 */
static void check_children(const char *who, long seconds)
{
	ino_t made = inode_of("time_for_children");
	long long before = now();
	struct born born = bear();
	long long ahead = born.clock - before;

	scenario_check(made && made != inode_of("time"), "%s: its children are where it is", who);
	scenario_check(born.inode == made, "%s: a child was born elsewhere", who);
	scenario_check(ahead > (seconds - 30) * SECOND && ahead < (seconds + 30) * SECOND,
		       "%s: children are %lld ns ahead", who, ahead);
}

static int leave_unused(void *unused)
{
	(void)unused;
	make(1000);
	scenario_mark("unused");
	scenario_wait_restored();
	scenario_check(set_offset(2000), "what nobody has entered cannot be set any more");
	check_children("unused", 2000);
	scenario_check(!set_offset(2000), "what was entered can be set");
	return 0;
}

static int be_entered_once(void *unused)
{
	(void)unused;
	make(500);
	bear();
	scenario_mark("entered");
	scenario_wait_restored();
	scenario_check(!set_offset(600), "what was entered before can be set");
	check_children("entered", 500);
	return 0;
}

static int grandchild(void *unused)
{
	long long before = now();

	(void)unused;
	scenario_mark("grandchild");
	scenario_wait_restored();
	scenario_check(now() >= before && now() - before < 60LL * SECOND, "the clock jumped");
	return 0;
}

static int child(void *inode)
{
	long long before = now();

	scenario_check(inode_of("time") == *(ino_t *)inode, "not born there");
	make(7000);
	pid_t pid = scenario_child(grandchild, NULL);
	scenario_wait_mark("grandchild");
	scenario_mark("child");
	scenario_wait_restored();
	scenario_check(now() >= before && now() - before < 60LL * SECOND, "the clock jumped");
	check_children("the child", 7000 - 5000);
	scenario_reap(pid);
	return 0;
}

static int have_child(void *unused)
{
	(void)unused;
	make(5000);
	ino_t inode = inode_of("time_for_children");
	pid_t pid = scenario_child(child, &inode);
	scenario_wait_mark("child");
	scenario_mark("parent");
	scenario_wait_restored();
	check_children("the parent", 5000);
	scenario_reap(pid);
	return 0;
}

static int inner_child(void *unused)
{
	(void)unused;
	scenario_mark("inner child");
	scenario_wait_restored();
	return 0;
}

static int further_in(void *unused)
{
	(void)unused;
	make(300);
	pid_t pid = scenario_child(inner_child, NULL);
	scenario_wait_mark("inner child");
	scenario_mark("further in");
	scenario_wait_restored();
	check_children("further in", 300);
	scenario_reap(pid);
	return 0;
}

static void *be_thread(void *unused)
{
	(void)unused;
	make(40);
	bear();
	scenario_mark("thread");
	scenario_wait_restored();
	check_children("a thread", 40);
	return NULL;
}

static int have_threads(void *unused)
{
	pthread_t thread;

	(void)unused;
	pthread_create(&thread, NULL, be_thread, NULL);
	scenario_wait_mark("thread");
	make(90);
	bear();
	scenario_mark("threads");
	scenario_wait_restored();
	check_children("the first thread", 90);
	pthread_join(thread, NULL);
	return 0;
}

int main(int argc, char **argv)
{
	const struct scenario_users users = { "0 0 1", "0 0 1", true };
	static const char *const marks[] = { "unused", "entered", "parent", "further in",
					     "threads" };
	pid_t pids[5];

	scenario_begin(argc, argv);
	pids[0] = scenario_child(leave_unused, NULL);
	pids[1] = scenario_child(be_entered_once, NULL);
	pids[2] = scenario_child(have_child, NULL);
	pids[3] = scenario_child_users(CLONE_NEWUSER, &users, further_in, NULL);
	pids[4] = scenario_child(have_threads, NULL);
	for (size_t i = 0; i < 5; i++)
		scenario_wait_mark(marks[i]);

	scenario_ready();

	for (size_t i = 0; i < 5; i++)
		scenario_reap(pids[i]);
	return scenario_end();
}
