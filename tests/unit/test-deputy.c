// SPDX-License-Identifier: LGPL-2.1-or-later
/* Deputies: what they share with their caller, how they end, and who may trace them. */
#include "kernel/deputy.h"
#include "kernel/made-as.h"
#include "kernel/visit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct shared {
	int fd, dumpable;
	pid_t pid;
	char *text;
};

static int open_and_write(void *data, struct error *err)
{
	struct shared *shared = data;

	(void)err;
	shared->fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	shared->pid = getpid();
	shared->text = strdup("made there");
	return 7;
}

static void what_it_makes_is_the_callers(void **state)
{
	struct shared shared = { .fd = -1 };
	struct error err = { 0 };

	(void)state;
	assert_int_equal(deputy_run(open_and_write, &shared, &err), 7);
	assert_true(fcntl(shared.fd, F_GETFD) >= 0);
	assert_true(shared.pid > 0 && shared.pid != getpid());
	assert_string_equal(shared.text, "made there");
	free(shared.text);
	close(shared.fd);
}

static void memory_is_its_own_apart(void **state)
{
	struct shared shared = { .fd = -1 };
	struct error err = { 0 };

	(void)state;
	int next = dup(0);
	close(next);
	assert_int_equal(deputy_run_apart(open_and_write, &shared, &err), 7);
	assert_int_equal(shared.fd, -1);
	assert_null(shared.text);
	/* But descriptors are the caller's. */
	assert_int_equal(close(next), 0);
}

static int fail_there(void *data, struct error *err)
{
	(void)data;
	errno = EXDEV;
	return fail_errno(err, ERR_IO, "there");
}

static int end_there(void *data, struct error *err)
{
	(void)err;
	_exit(*(int *)data);
}

static int be_killed_there(void *data, struct error *err)
{
	(void)data;
	(void)err;
	kill(getpid(), SIGKILL);
	return 0;
}

static int send_another(void *data, struct error *err)
{
	return deputy_run(fail_there, data, err);
}

static void failures_come_back(void **state)
{
	typedef int run(int (*work)(void *, struct error *), void *, struct error *);
	run *const both[] = { deputy_run, deputy_run_apart };
	int status = 0;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct error err = { 0 };
		assert_int_equal(both[i](fail_there, NULL, &err), -1);
		assert_int_equal(err.name, ERR_IO);
		assert_int_equal(err.os_errno, EXDEV);
		err = (struct error){ 0 };
		assert_int_equal(both[i](send_another, NULL, &err), -1);
		assert_int_equal(err.os_errno, EXDEV);
		err = (struct error){ 0 };
		assert_int_equal(both[i](end_there, &status, &err), -1);
		assert_non_null(strstr(err.text, "too early"));
		err = (struct error){ 0 };
		assert_int_equal(both[i](be_killed_there, NULL, &err), -1);
		assert_non_null(strstr(err.text, "SIGKILL"));
	}
}

static int make_user_namespace(void *data, struct error *err)
{
	struct shared *shared = data;

	if (unshare(CLONE_NEWUSER))
		return fail_errno(err, ERR_KERNEL_REFUSED, "unshare");
	shared->fd = open("/proc/self/ns/user", O_RDONLY | O_CLOEXEC);
	return shared->fd < 0 ? -1 : 0;
}

static int enter_user_namespace(void *data, struct error *err)
{
	struct shared *shared = data;

	if (deputy_enter_user(shared->fd, 0))
		return fail_errno(err, ERR_KERNEL_REFUSED, "setns");
	shared->dumpable = prctl(PR_GET_DUMPABLE);
	return 0;
}

/* Whoever is root in there has no way to our memory. */
static void nobody_inside_may_trace_it(void **state)
{
	struct shared shared = { .fd = -1, .dumpable = -1 };
	struct error err = { 0 };
	int before = prctl(PR_GET_DUMPABLE);

	(void)state;
	/* Not everybody may make one. */
	if (deputy_run(make_user_namespace, &shared, &err))
		skip();
	assert_int_equal(prctl(PR_GET_DUMPABLE), before);
	assert_int_equal(deputy_run(enter_user_namespace, &shared, &err), 0);
	assert_int_equal(shared.dumpable, 0);
	assert_int_equal(prctl(PR_GET_DUMPABLE), before);
	close(shared.fd);
}

/* What a caller is, it is afterwards; while a deputy of its own is there, nobody is let in. */
static int enter_and_send_another(void *data, struct error *err)
{
	struct shared *shared = data, inner = { .fd = -1 };

	if (deputy_enter_user(shared->fd, 0))
		return fail_errno(err, ERR_KERNEL_REFUSED, "setns");
	if (deputy_run(open_and_write, &inner, err) != 7)
		return -1;
	shared->dumpable = prctl(PR_GET_DUMPABLE);
	free(inner.text);
	close(inner.fd);
	return 0;
}

static void the_caller_is_dumpable_as_before(void **state)
{
	struct error err = { 0 };
	int before = prctl(PR_GET_DUMPABLE);

	(void)state;
	for (int dumpable = 0; dumpable < 2; dumpable++) {
		struct shared shared = { .fd = -1, .dumpable = -1 };
		assert_int_equal(prctl(PR_SET_DUMPABLE, dumpable), 0);
		assert_int_equal(deputy_run(open_and_write, &shared, &err), 7);
		assert_int_equal(prctl(PR_GET_DUMPABLE), dumpable);
		free(shared.text);
		close(shared.fd);
	}
	prctl(PR_SET_DUMPABLE, before);
}

static void a_deputy_of_a_deputy_opens_nothing(void **state)
{
	struct shared shared = { .fd = -1, .dumpable = -1 };
	struct error err = { 0 };

	(void)state;
	/* Not everybody may make one. */
	if (deputy_run(make_user_namespace, &shared, &err))
		skip();
	assert_int_equal(prctl(PR_SET_DUMPABLE, 1), 0);
	assert_int_equal(deputy_run(enter_and_send_another, &shared, &err), 0);
	assert_int_equal(shared.dumpable, 0);
	assert_int_equal(prctl(PR_GET_DUMPABLE), 1);
	close(shared.fd);
}

/* Who goes away has memory of its own, in which nobody else does anything. */
static int tell_dumpable(void *data, struct error *err)
{
	(void)err;
	*(int *)data = prctl(PR_GET_DUMPABLE);
	return 9;
}

static int send_away(void *data, struct error *err)
{
	struct shared *shared = data;
	struct deputy_away away;
	int *dumpable = deputy_away_memory(&away, sizeof *dumpable, err);

	if (!dumpable || prctl(PR_SET_DUMPABLE, 0) || deputy_send(&away, tell_dumpable, err))
		return -1;
	int result = deputy_await(&away, err);
	shared->dumpable = *dumpable;
	deputy_recall(&away);
	return result;
}

static void who_goes_away_is_as_the_caller_was(void **state)
{
	struct shared shared = { .fd = -1, .dumpable = -1 };
	struct error err = { 0 };

	(void)state;
	assert_int_equal(prctl(PR_SET_DUMPABLE, 1), 0);
	assert_int_equal(deputy_run(send_away, &shared, &err), 9);
	assert_int_equal(shared.dumpable, 1);
	assert_int_equal(prctl(PR_GET_DUMPABLE), 1);
}

struct beside {
	pid_t child;
	bool is_apart, ends_deputy, stays;
};

static int look_at_child(pid_t child, void *data, struct error *err)
{
	struct beside *beside = data;
	char path[64], there[64] = "", here[64] = "";

	(void)err;
	beside->child = child;
	snprintf(path, sizeof path, "/proc/%d/ns/uts", (int)child);
	beside->is_apart = readlink(path, there, sizeof there - 1) > 0 &&
			   readlink("/proc/self/ns/uts", here, sizeof here - 1) > 0 &&
			   strcmp(there, here) != 0;
	if (beside->ends_deputy)
		kill(getpid(), SIGKILL);
	return 5;
}

static int have_child(void *data, struct error *err)
{
	struct beside *beside = data;
	int result = deputy_beside_child(CLONE_NEWUSER | CLONE_NEWUTS, look_at_child, beside, err);

	/* It has run on a stack that is no more. */
	beside->stays = beside->child && kill(beside->child, 0) == 0;
	return result;
}

static bool is_gone(pid_t pid)
{
	for (int i = 0; i < 1000 && kill(pid, 0) == 0; i++)
		usleep(10000);
	return kill(pid, 0) < 0 && errno == ESRCH;
}

static void a_child_is_there_as_long_as_it_is_needed(void **state)
{
	struct beside beside = { 0 };
	struct error err = { 0 };

	(void)state;
	/* Not everybody may make a user namespace. */
	if (deputy_run(have_child, &beside, &err) < 0)
		skip();
	assert_int_equal(deputy_run(have_child, &beside, &err), 5);
	assert_true(beside.is_apart);
	assert_false(beside.stays);
	assert_true(kill(beside.child, 0) < 0 && errno == ESRCH);
	beside.ends_deputy = true;
	assert_int_equal(deputy_run(have_child, &beside, &err), -1);
	assert_true(is_gone(beside.child));
}

/* ---- rights ---- */

/* Nothing but the capability is given back, whatever was there before. */
static void without_one_nothing_else_changes(void **state)
{
	struct made_as before;

	(void)state;
	memset(&before, 0xff, sizeof before);
	assert_int_equal(made_as_without(CAP_SYS_RESOURCE, &before), 0);
	assert_false(before.has_ids || before.is_powerless || before.is_dumpable);
	assert_true(before.lacks_one);
	made_as_end(&before);
}

/* ---- visits ---- */

static int come(struct visitor *visitor, void *data, struct error *err)
{
	(void)visitor, (void)data, (void)err;
	return 0;
}

/* A child, which waits for us, and has been waited for in the end. */
static void nobody_is_left_of_a_visit(void **state)
{
	const struct visit comes = { .what = "comes", .function = come, .timeout_seconds = 10 };
	struct error err = { 0 };

	(void)state;
	assert_int_equal(visit(&comes, NULL, 0, &err), 0);
	assert_int_equal(waitid(P_ALL, 0, &(siginfo_t){ 0 }, WEXITED | WNOHANG | WNOWAIT | __WALL),
			 -1);
	assert_int_equal(errno, ECHILD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_it_makes_is_the_callers),
		cmocka_unit_test(memory_is_its_own_apart),
		cmocka_unit_test(nobody_is_left_of_a_visit),
		cmocka_unit_test(without_one_nothing_else_changes),
		cmocka_unit_test(failures_come_back),
		cmocka_unit_test(nobody_inside_may_trace_it),
		cmocka_unit_test(the_caller_is_dumpable_as_before),
		cmocka_unit_test(a_deputy_of_a_deputy_opens_nothing),
		cmocka_unit_test(who_goes_away_is_as_the_caller_was),
		cmocka_unit_test(a_child_is_there_as_long_as_it_is_needed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
