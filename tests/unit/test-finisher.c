// SPDX-License-Identifier: LGPL-2.1-or-later
/* Who ends a tree when nestor is gone takes nobody for gone who is there. */
#include "collect/finisher.h"

#include "base/arena.h"
#include "base/procfs.h"
#include "collect/collect.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { FEW = 1, SOME = 64, SHORT_NANOSECONDS = 50000000 };

static void limit_files(pid_t pid, rlim_t number)
{
	struct rlimit limit = { number, SOME };

	if (prlimit(pid, RLIMIT_NOFILE, &limit, NULL))
		_exit(1);
}

/* Names the victim, and goes while the finisher can open nothing; says who that is. */
static void __attribute__((noreturn)) die_as_nestor(pid_t victim, bool is_he, int answer_fd)
{
	struct error err = { 0 };
	struct arena arena;
	char path[64], *stat, *children;

	arena_init(&arena);
	snprintf(path, sizeof path, "/proc/%d/stat", victim);
	struct finisher *finisher = finisher_start(&err);
	if (!finisher || procfs_read(&arena, AT_FDCWD, path, &stat) < 0 ||
	    procfs_read(&arena, AT_FDCWD, "/proc/thread-self/children", &children) < 0)
		_exit(1);
	pid_t pid = (pid_t)strtol(children, NULL, 10);
	char stopped[64];
	snprintf(stopped, sizeof stopped, "/proc/%d/fd/1", pid);
	/* It has begun to wait. */
	while (access(stopped, F_OK) == 0)
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	limit_files(pid, FEW);
	struct target target = { .pid = victim,
				 .tid = victim,
				 .leader_stat = is_he ? strrchr(stat, ')') + 2 : "" };
	struct collect collect = { .targets = &target, .n_targets = 1 };
	if (finisher_begin(finisher, &collect, SIGKILL, &err) ||
	    write(answer_fd, &pid, sizeof pid) != sizeof pid)
		_exit(1);
	_exit(0);
}

static bool is_ended(pid_t pid)
{
	siginfo_t info = { 0 };

	nanosleep(&(struct timespec){ .tv_nsec = SHORT_NANOSECONDS }, NULL);
	return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid;
}

/* Of whom it is told as he is, or as he was not: that is another with his number. */
static bool is_finished(bool is_he)
{
	int ends[2], status;
	pid_t finisher;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid_t victim = fork();
	if (victim == 0)
		for (;;)
			pause();
	pid_t nestor = fork();
	if (nestor == 0)
		die_as_nestor(victim, is_he, ends[1]);
	assert_int_equal(waitpid(nestor, &status, 0), nestor);
	assert_int_equal(status, 0);
	assert_int_equal(read(ends[0], &finisher, sizeof finisher), sizeof finisher);
	assert_false(is_ended(victim));
	limit_files(finisher, SOME);
	assert_int_equal(waitpid(finisher, &status, __WALL), finisher);
	bool result = is_ended(victim);
	kill(victim, SIGKILL);
	waitpid(victim, NULL, 0);
	close(ends[0]);
	close(ends[1]);
	return result;
}

static void short_of_files_it_waits(void **state)
{
	(void)state;
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	assert_true(is_finished(true));
	assert_false(is_finished(false));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(short_of_files_it_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
