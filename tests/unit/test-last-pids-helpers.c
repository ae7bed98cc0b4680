// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The helpers of the last-pid service, one in each namespace: what they take, what they may do, and
 * how they end.
 */
#include "pid-nest.h"

#include "kernel/pid-visit.h"
#include "kinds/namespaces/pid.h"
#include "pids/helper.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/filter.h>
#include <linux/nsfs.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { NOBODY = 65534 };

static uint32_t last_pid_of(const struct nest *nest, size_t levels)
{
	struct pid_limits limits = { .fd = nest->fd, .levels = levels };
	struct error err = { 0 };

	assert_int_equal(pid_limits_read(&limits, 1, &err), 0);
	assert_true(limits.known);
	return limits.last_pid;
}

static uint32_t own_last_pid(void)
{
	FILE *file = fopen("/proc/sys/kernel/ns_last_pid", "re");
	uint32_t number = 0;

	assert_non_null(file);
	assert_int_equal(fscanf(file, "%" SCNu32, &number), 1);
	fclose(file);
	return number;
}

static void helpers_take_no_numbers(void **state)
{
	(void)state;
	nest_need_privileges();
	uint32_t before[8], after[8];
	struct nest nest;

	nest_open(&nest, 3, 0);
	nest_next_ids(&nest, before);
	uint32_t own = own_last_pid();
	for (int i = 0; i < 10; i++)
		last_pids_close(nest_service(nest.fd));
	struct last_pids *pids = nest_service(nest.fd);
	assert_int_equal(own_last_pid(), own);
	assert_int_equal(last_pid_of(&nest, 3), before[0]);
	nest_next_ids(&nest, after);
	assert_int_equal(after[0], before[0] + 1);
	assert_int_equal(after[1], before[1] + 1);
	assert_int_equal(after[2], before[2] + 1);
	last_pids_close(pids);
	nest_close(&nest);
}

/* In a child, so that the test keeps its privileges; its status is 0 if all was as it should. */
static void without_privileges(void **state)
{
	(void)state;
	nest_need_privileges();
	struct nest nest;
	int status;

	nest_open(&nest, 2, 0);
	pid_t pid = fork();
	if (pid == 0) {
		struct error err = { 0 };
		if (setresgid(NOBODY, NOBODY, NOBODY) || setresuid(NOBODY, NOBODY, NOBODY))
			_exit(2);
		struct last_pids *pids = last_pids_open(nest.fd, &err);
		if (!pids)
			_exit(3);
		if (last_pids_set(pids, (const uint32_t[]){ 0, 50 }, 2, &err) == 0 ||
		    err.name != ERR_NO_PRIVILEGE || !strstr(err.text, "level 1"))
			_exit(4);
		err = (struct error){ 0 };
		if (last_pids_set(pids, (const uint32_t[]){ 0, 0, 50 }, 3, &err) == 0 ||
		    err.name != ERR_NO_PRIVILEGE || !strstr(err.text, "level 2"))
			_exit(5);
		last_pids_close(pids);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	nest_close(&nest);
}

/* The first child of a process, or 0. */
static pid_t first_child(pid_t pid)
{
	char path[64];
	int child = 0;

	snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)pid, (int)pid);
	FILE *file = fopen(path, "re");
	if (file && fscanf(file, "%d", &child) != 1)
		child = 0;
	if (file)
		fclose(file);
	return child;
}

/* How many numbers it has, from here inwards. */
static size_t count_levels(pid_t pid)
{
	char path[64], line[256];
	size_t count = 0;

	snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
	FILE *file = fopen(path, "re");
	while (file && fgets(line, sizeof line, file))
		if (strncmp(line, "NSpid:", 6) == 0)
			for (const char *at = line; (at = strchr(at, '\t')); at++)
				count++;
	if (file)
		fclose(file);
	return count;
}

static pid_t find_helper(size_t depth, size_t level)
{
	/* The last of our children are the only ones with high numbers. */
	for (pid_t pid = 32767; pid > 32000; pid--)
		if (kill(pid, 0) == 0 &&
		    count_levels(pid) == count_levels(getpid()) + depth - level)
			return pid;
	fail_msg("no helper at level %zu", level);
	return 0;
}

static void check_killed_helper(size_t depth, size_t level)
{
	const uint32_t numbers[] = { 60, 70 };
	char place[32];
	struct nest nest;

	nest_open(&nest, depth, 0);
	struct last_pids *pids = nest_service(nest.fd);
	kill(find_helper(depth, level), SIGKILL);
	snprintf(place, sizeof place, "level %zu", level);
	service_refuses(pids, numbers, depth, ERR_TASK_DIED, place);
	last_pids_close(pids);
	nest_close(&nest);
}

static void killed_helpers_are_missed(void **state)
{
	(void)state;
	nest_need_privileges();
	check_killed_helper(1, 0);
	check_killed_helper(2, 0);
	check_killed_helper(2, 1);
}

/* On a busy machine an answer takes its time; no more than 5 s. */
static void slow_helpers_are_waited_for(void **state)
{
	(void)state;
	nest_need_privileges();
	const uint32_t numbers[] = { 60, 70 };
	struct nest nest;

	nest_open(&nest, 2, 0);
	struct last_pids *pids = nest_service(nest.fd);
	pid_t helper = find_helper(2, 0);
	assert_int_equal(kill(helper, SIGSTOP), 0);
	pid_t waker = fork();
	if (waker == 0) {
		usleep(200000);
		_exit(kill(helper, SIGCONT) != 0);
	}
	service_set(pids, numbers, 2);
	assert_int_equal(waitpid(waker, NULL, 0), waker);
	assert_int_equal(last_pid_of(&nest, 3), 60);
	last_pids_close(pids);
	nest_close(&nest);
}

static void helpers_end_with_their_caller(void **state)
{
	(void)state;
	nest_need_privileges();
	int ready[2];
	char byte;
	struct nest nest;

	nest_open(&nest, 1, 0);
	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid_t pid = fork();
	if (pid == 0) {
		nest_service(nest.fd);
		if (write(ready[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	pid_t helper = first_child(pid);
	assert_true(helper > 0);
	/* It holds none of the caller's descriptors but its own one. */
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/fd/0", (int)helper);
	char target[64] = "";
	assert_true(readlink(path, target, sizeof target - 1) > 0);
	assert_string_equal(target, "/proc/sys/kernel/ns_last_pid");
	snprintf(path, sizeof path, "/proc/%d/fd/1", (int)helper);
	assert_int_equal(access(path, F_OK), -1);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	/* As init of this namespace we are its parent now. */
	assert_int_equal(waitpid(helper, NULL, __WALL), helper);
	close(ready[0]);
	close(ready[1]);
	nest_close(&nest);
}

/* ---- visits ---- */

/* For setns, and for the question whose a namespace is; 0: as ever. */
struct failures {
	int setns, owner;
};

static bool let_fail(const struct failures *failures)
{
	const uint32_t answers[] = {
		failures->setns ? SECCOMP_RET_ERRNO | (uint32_t)failures->setns : SECCOMP_RET_ALLOW,
		failures->owner ? SECCOMP_RET_ERRNO | (uint32_t)failures->owner : SECCOMP_RET_ALLOW,
	};
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_setns, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, answers[0]),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NS_GET_USERNS, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, answers[1]),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = { sizeof code / sizeof *code, code };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static void look_at_nothing(void *data)
{
	(void)data;
}

/* 0 if it is told that there is no way; 1 if that this errno keeps it from being known; or else. */
static int visit_own(const struct failures *failures, int expected)
{
	struct pid_visit visit = { .fd = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC),
				   .levels = 1,
				   .look = look_at_nothing };
	struct error err = { 0 };

	if (visit.fd < 0 || !let_fail(failures))
		return 2;
	errno = 0;
	if (pid_visit(&visit, 1, &err) == 0)
		return visit.done ? 3 : 0;
	return strstr(err.text, strerror(expected)) ? 1 : 4;
}

static const struct visit_row {
	struct failures failures;
	int expected; /* 0: there is no way */
} visit_rows[] = {
	{ { EPERM, 0 }, 0 },	       { { EPERM, EPERM }, 0 },	      { { EINVAL, 0 }, 0 },
	{ { ENOMEM, 0 }, ENOMEM },     { { EMFILE, 0 }, EMFILE },     { { EPERM, ENOMEM }, ENOMEM },
	{ { EPERM, EMFILE }, EMFILE }, { { EPERM, ENFILE }, ENFILE }, { { EPERM, EIO }, EIO },
};

static void shortages_are_no_lack_of_rights(void **state)
{
	(void)state;
	nest_need_privileges();
	for (size_t i = 0; i < sizeof visit_rows / sizeof *visit_rows; i++) {
		const struct visit_row *row = &visit_rows[i];
		int status;
		pid_t pid = fork();

		if (pid == 0)
			_exit(visit_own(&row->failures, row->expected));
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (!WIFEXITED(status) || WEXITSTATUS(status) != (row->expected != 0))
			fail_msg("row %zu: status %x", i, (unsigned)status);
	}
}

/* ---- helpers that cannot be made ---- */

/* 0 if all are told why there is none. */
static int start_without_processes(int failure)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)failure),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = { sizeof code / sizeof *code, code };
	static struct helper_meeting meeting;
	static struct helper helpers[2];
	struct helper_birth births[2];

	for (size_t i = 0; i < 2; i++) {
		helpers[i] = (struct helper){ .meeting = &meeting, .bit = 1u << i };
		births[i] = (struct helper_birth){ .helper = &helpers[i],
						   .namespace_fd = open("/proc/self/ns/pid",
									O_RDONLY | O_CLOEXEC),
						   .levels = 1 };
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		return 2;
	helpers_start(&meeting, births, 2);
	return births[0].problem != failure || births[1].problem != failure;
}

static void who_cannot_be_made_is_told_why(void **state)
{
	(void)state;
	static const int failures[] = { EAGAIN, ENOMEM, EPERM, ENOSYS };

	for (size_t i = 0; i < sizeof failures / sizeof *failures; i++) {
		int status;
		pid_t pid = fork();

		if (pid == 0)
			_exit(start_without_processes(failures[i]));
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (!WIFEXITED(status) || WEXITSTATUS(status))
			fail_msg("%s: status %x", strerror(failures[i]), (unsigned)status);
	}
}

static int run_cases(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(helpers_take_no_numbers),
		cmocka_unit_test(without_privileges),
		cmocka_unit_test(killed_helpers_are_missed),
		cmocka_unit_test(slow_helpers_are_waited_for),
		cmocka_unit_test(helpers_end_with_their_caller),
		cmocka_unit_test(shortages_are_no_lack_of_rights),
		cmocka_unit_test(who_cannot_be_made_is_told_why),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return nest_run(run_cases);
}
