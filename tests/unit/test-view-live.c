// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What is seen of the user namespaces of a live tree: each with its own map, relative to the one
 * around it; and a map that cannot be read for lack of something is none that is left out.
 */
#include "view/view.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* Who has which number inside; each is in a namespace in that of the one before. */
static const unsigned inside[] = { 0, 7, 12 };

enum { DEPTH = sizeof inside / sizeof *inside };

/* Which map is not opened, the first is 1, and why. */
static int failing_map, failure;

/* Instead of libc's, for nestor's code. Without a mode: nobody creates anything here. */
int openat(int directory, const char *path, int flags, ...)
{
	if (failing_map && strcmp(path, "uid_map") == 0 && --failing_map == 0) {
		errno = failure;
		return -1;
	}
	return (int)syscall(SYS_openat, directory, path, flags);
}

/* What it becomes of flags that are no constant, by _FORTIFY_SOURCE. */
int __openat64_2(int directory, const char *path, int flags);
int __openat64_2(int directory, const char *path, int flags)
{
	return openat(directory, path, flags);
}

static bool put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	close(fd);
	return done;
}

/* In a new user namespace, where it has this number. */
static bool enter_new(unsigned number)
{
	const unsigned uid = geteuid(), gid = getegid();
	char uids[32], gids[32];

	snprintf(uids, sizeof uids, "%u %u 1", number, uid);
	snprintf(gids, sizeof gids, "%u %u 1", number, gid);
	return unshare(CLONE_NEWUSER) == 0 && put("/proc/self/setgroups", "deny") &&
	       put("/proc/self/uid_map", uids) && put("/proc/self/gid_map", gids);
}

/* Whoever has a namespace and a map tells it. */
static void be_tree(int ready)
{
	for (size_t depth = 0; depth < DEPTH && (depth == 0 || fork() == 0); depth++) {
		bool is_inside = enter_new(inside[depth]);
		/* Another set of credentials has taken back what was so before. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (!is_inside || write(ready, "x", 1) != 1)
			_exit(1);
	}
	close(ready);
	for (;;)
		pause();
}

/* 0: nobody may make user namespaces here. */
static pid_t start_tree(void)
{
	int ready[2];
	size_t n = 0;
	char byte;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		be_tree(ready[1]);
	close(ready[1]);
	while (read(ready[0], &byte, 1) == 1)
		n++;
	close(ready[0]);
	if (n == 0)
		waitpid(pid, NULL, 0);
	else
		assert_int_equal(n, DEPTH);
	return n ? pid : 0;
}

static int set_up(void **state)
{
	static pid_t tree;

	failing_map = 0;
	tree = start_tree();
	*state = &tree;
	return 0;
}

static int tear_down(void **state)
{
	const pid_t tree = *(pid_t *)*state;

	if (tree) {
		kill(tree, SIGKILL);
		waitpid(tree, NULL, 0);
	}
	return 0;
}

static pid_t need_tree(void **state)
{
	const pid_t tree = *(pid_t *)*state;

	if (!tree)
		skip();
	return tree;
}

static void see_map(const struct view_namespace *namespace, unsigned number, unsigned outside)
{
	assert_non_null(namespace->maps);
	assert_int_equal(namespace->maps->n_uid_map, 1);
	assert_int_equal(namespace->maps->uid_map[0]->first, number);
	assert_int_equal(namespace->maps->uid_map[0]->lower_first, outside);
	assert_int_equal(namespace->maps->uid_map[0]->count, 1);
	assert_true(namespace->setgroups_denied);
}

static void each_has_its_map(void **state)
{
	const pid_t tree = need_tree(state);
	struct error err = { 0 };
	struct arena arena;
	size_t n = 0;

	arena_init(&arena);
	struct tree_view view = { .arena = &arena, .live = true };
	if (view_read_live(&view, tree, &err))
		fail_msg("%s", err.text);
	assert_int_equal(view.n_tasks, DEPTH);
	for (size_t i = 0; i < view.n_namespaces; i++) {
		const struct view_namespace *namespace = &view.namespaces[i];
		if (namespace->type != NAMESPACE_USER || namespace->shared) {
			assert_null(namespace->maps);
			continue;
		}
		assert_true(n < DEPTH);
		see_map(namespace, inside[n], n ? inside[n - 1] : geteuid());
		n++;
	}
	assert_int_equal(n, DEPTH);
	arena_done(&arena);
}

/* The result of a look where one map cannot be read for that. */
static int look_failing(pid_t tree, int map, int reason)
{
	struct error err = { 0 };
	struct arena arena;

	arena_init(&arena);
	struct tree_view view = { .arena = &arena, .live = true };
	failing_map = map;
	failure = reason;
	int result = view_read_live(&view, tree, &err);
	assert_int_equal(failing_map, 0);
	arena_done(&arena);
	assert_int_equal(result, err.name ? -1 : 0);
	return result;
}

static void a_shortage_is_told(void **state)
{
	const pid_t tree = need_tree(state);

	for (int map = 1; map <= DEPTH; map++) {
		assert_int_equal(look_failing(tree, map, ENOMEM), -1);
		assert_int_equal(look_failing(tree, map, EACCES), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(each_has_its_map, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_shortage_is_told, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
