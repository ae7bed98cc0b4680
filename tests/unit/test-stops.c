// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Threads that the kernel has wait, and who do not stop: all that wait are remembered at once, the
 * one that nobody waits for any longer before the others.
 */
#include "collect/stops.h"

#include "collect/collect.h"
#include "collect/wait.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* Above every pid_max: others are there in their texts alone. */
enum { FIRST = 1 << 23, MOST = LATE_ROOM + 4 };

static pid_t child;
static char states[MOST]; /* of the child, and of those from FIRST + 1 on */

/* Instead of libc's, for nestor's code. Without a mode: nobody creates anything here. */
int openat(int directory, const char *path, int flags, ...)
{
	int pid, tid, end = 0;

	if (sscanf(path, "/proc/%d/task/%d/status%n", &pid, &tid, &end) != 2 || !end ||
	    (pid != child && pid < FIRST))
		return (int)syscall(SYS_openat, directory, path, flags);
	int fd = memfd_create("status", MFD_CLOEXEC);
	assert_true(dprintf(fd, "Name:\tit\nState:\t%c\n", states[pid == child ? 0 : pid - FIRST]) >
		    0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

/* What it becomes of flags that are no constant, by _FORTIFY_SOURCE. */
int __openat64_2(int directory, const char *path, int flags);
int __openat64_2(int directory, const char *path, int flags)
{
	return openat(directory, path, flags);
}

/* Waits for a tree of so many tasks of one thread, of which the child is the first. */
static void wait_for_tree(size_t n, size_t stopped, struct late_threads *late)
{
	const struct collect collect = { 0 };
	struct found_thread threads[MOST] = { 0 };
	struct found_task tasks[MOST] = { 0 }, *list[MOST];
	struct error err = { 0 };
	struct found_tree tree = { .collect = &collect,
				   .tasks = list,
				   .n_tasks = n,
				   .deadline = wait_deadline(10),
				   .late = late };

	child = fork();
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	for (size_t i = 0; i < n; i++) {
		threads[i].tid = tasks[i].pid = i ? FIRST + (pid_t)i : child;
		threads[i].stopped = stopped && i == stopped;
		tasks[i].threads = &threads[i];
		tasks[i].n_threads = 1;
		list[i] = &tasks[i];
	}
	enum stop_outcome outcome = found_tree_wait(&tree, &err);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	assert_int_equal(outcome, STOP_AGAIN);
	assert_int_not_equal(err.name, ERR_NONE);
}

static void see_late(const struct late_threads *late, size_t at, pid_t pid)
{
	assert_int_equal(late->threads[at].pid, pid);
	assert_int_equal(late->threads[at].tid, pid);
}

static void all_that_wait_are_late(void **state)
{
	struct late_threads late = { 0 };

	(void)state;
	memcpy(states, "DSDRDD", 6);
	wait_for_tree(6, 4, &late);
	assert_int_equal(late.n, 3);
	see_late(&late, 0, child);
	see_late(&late, 1, FIRST + 5);
	see_late(&late, 2, FIRST + 2);
}

/* Those that were found last are kept, and nobody is there twice. */
static void there_is_room_for_some(void **state)
{
	struct late_threads late = { 0 };

	(void)state;
	memset(states, 'D', sizeof states);
	wait_for_tree(LATE_ROOM, 0, &late);
	assert_int_equal(late.n, LATE_ROOM);
	see_late(&late, 0, child);
	for (size_t i = 1; i < LATE_ROOM; i++)
		see_late(&late, i, FIRST + LATE_ROOM - (pid_t)i);
	wait_for_tree(MOST, 0, &late);
	assert_int_equal(late.n, LATE_ROOM);
	see_late(&late, 0, child);
	for (size_t i = 1; i < LATE_ROOM; i++)
		see_late(&late, i, FIRST + MOST - (pid_t)i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_that_wait_are_late),
		cmocka_unit_test(there_is_room_for_some),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
