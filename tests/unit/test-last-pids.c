// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The last-pid service, and what is made of it, in real nests of pid namespaces, with and without
 * user namespaces that own them: which numbers the next task has, and what is refused.
 */
#include "pid-nest.h"

#include "pids/fork.h"
#include "pids/vector.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <nestor/last-pids.h>
#include <pthread.h>
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

enum { MAX_DEPTH = 31 };

static void check_ids(size_t depth, uint64_t flags)
{
	uint32_t numbers[MAX_DEPTH + 1], ids[64];
	struct nest nest;

	nest_open(&nest, depth, flags);
	struct last_pids *pids = nest_service(nest.fd);
	assert_int_equal(last_pids_levels(pids), depth + 1);
	for (uint32_t round = 0; round < 20; round++) {
		for (uint32_t i = 0; i <= depth; i++)
			numbers[i] = 1000 + 37 * i + 501 * round;
		service_set(pids, numbers, depth + 1);
		assert_int_equal(nest_next_ids(&nest, ids), depth + 1);
		for (uint32_t i = 0; i <= depth; i++)
			assert_int_equal(ids[i], numbers[i] + 1);
	}
	last_pids_close(pids);
	nest_close(&nest);
	assert_int_equal(waitpid(-1, NULL, __WALL), -1);
	assert_int_equal(errno, ECHILD);
}

static void ids_are_as_set(void **state)
{
	(void)state;
	nest_need_privileges();
	check_ids(1, 0);
	check_ids(4, 0);
	check_ids(16, 0);
	check_ids(31, 0);
}

static void ids_are_as_set_below_user_namespaces(void **state)
{
	(void)state;
	nest_need_privileges();
	check_ids(1, CLONE_NEWUSER);
	check_ids(3, CLONE_NEWUSER);
	check_ids(31, CLONE_NEWUSER);
}

/*
 * A caller that has its privileges in a user namespace, and not in the one that owns its own pid
 * namespace: it may not enter that again. 0 if all was as it should.
 */
static int look_from_inside(void)
{
	struct error err = { 0 };
	uint32_t ids[8];
	struct nest nest;

	if (unshare(CLONE_NEWUSER))
		return 2;
	nest_map_ids();
	nest_open(&nest, 2, 0);
	struct last_pids *pids = last_pids_open(nest.fd, &err);
	if (!pids || last_pids_set(pids, (const uint32_t[]){ 500, 600 }, 2, &err) < 0)
		return 3;
	if (last_pids_set(pids, (const uint32_t[]){ 0, 0, 700 }, 3, &err) == 0 ||
	    err.name != ERR_NO_PRIVILEGE || !strstr(err.text, "level 2"))
		return 4;
	/* Children are born where they were. */
	pid_t pid = fork();
	if (pid == 0)
		_exit(0);
	if (waitpid(pid, NULL, 0) != pid || kill(nest.outermost, 0))
		return 5;
	if (setns(nest.fd, CLONE_NEWPID))
		return 6;
	pid = fork();
	if (pid == 0)
		for (;;)
			pause();
	if (nest_read_ids(pid, ids) != 3 || ids[0] != 501 || ids[1] != 601)
		return 7;
	kill(pid, SIGKILL);
	last_pids_close(pids);
	return 0;
}

static void from_inside_a_user_namespace(void **state)
{
	(void)state;
	nest_need_privileges();
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(look_from_inside());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	/* Its nest is ours now, and ends with it. */
	while (waitpid(-1, NULL, __WALL) > 0)
		;
}

static void own_level_alone(void **state)
{
	(void)state;
	nest_need_privileges();
	int own = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
	struct last_pids *pids = nest_service(own);

	assert_int_equal(last_pids_levels(pids), 1);
	service_set(pids, (const uint32_t[]){ 7776 }, 1);
	pid_t pid = fork();
	if (pid == 0)
		_exit(0);
	assert_int_equal(pid, 7777);
	waitpid(pid, NULL, 0);
	last_pids_close(pids);
	close(own);
}

/* Who could open it and has lost the right since: the number itself is not what is wrong. */
static void rights_that_were_lost(void **state)
{
	(void)state;
	nest_need_privileges();
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct all[2], none[2];
	int own = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
	struct last_pids *pids = nest_service(own);

	assert_int_equal(syscall(SYS_capget, &header, all), 0);
	memcpy(none, all, sizeof none);
	none[0].effective = none[1].effective = 0;
	assert_int_equal(syscall(SYS_capset, &header, none), 0);
	service_refuses(pids, (const uint32_t[]){ 7776 }, 1, ERR_NO_PRIVILEGE,
			"cannot write 7776 as last pid of");
	assert_int_equal(syscall(SYS_capset, &header, all), 0);
	last_pids_close(pids);
	close(own);
}

static void short_vectors_and_zeros(void **state)
{
	(void)state;
	nest_need_privileges();
	uint32_t before[8], after[8];
	struct nest nest;

	nest_open(&nest, 3, 0);
	struct last_pids *pids = nest_service(nest.fd);
	assert_int_equal(nest_next_ids(&nest, before), 4);
	service_set(pids, (const uint32_t[]){ 0, 4000 }, 2);
	assert_int_equal(nest_next_ids(&nest, after), 4);
	assert_int_equal(after[0], before[0] + 1);
	assert_int_equal(after[1], 4001);
	assert_int_equal(after[2], before[2] + 1);
	assert_int_equal(after[3], before[3] + 1);
	service_set(pids, NULL, 0);
	last_pids_close(pids);
	nest_close(&nest);
}

static void wrong_vectors(void **state)
{
	(void)state;
	nest_need_privileges();
	struct nest nest;

	nest_open(&nest, 2, 0);
	struct last_pids *pids = nest_service(nest.fd);
	service_refuses(pids, (const uint32_t[]){ 10, 20, 30, 40 }, 4, ERR_TOO_MANY_LEVELS,
			"4 numbers, but 3 levels");
	service_refuses(pids, (const uint32_t[]){ 10, 1u << 23 }, 2, ERR_PID_OUT_OF_RANGE,
			"8388609 is not below the pid_max of level 1");
	service_refuses(pids, (const uint32_t[]){ 10, 0, UINT32_MAX }, 3, ERR_PID_OUT_OF_RANGE,
			"4294967296 is not below the pid_max of level 2");
	service_set(pids, (const uint32_t[]){ 2000, 2000, 2000 }, 3);
	last_pids_close(pids);
	nest_close(&nest);
}

static void taken_numbers(void **state)
{
	(void)state;
	nest_need_privileges();
	struct error err = { 0 };
	struct nest nest;

	nest_open(&nest, 2, 0);
	struct last_pids *pids = nest_service(nest.fd);
	assert_int_equal(last_pids_check(pids, (const uint32_t[]){ 70, 70, 7000 }, 3, &err), 0);
	uint32_t taken = (uint32_t)nest.outermost - 1;
	assert_int_equal(last_pids_check(pids, (const uint32_t[]){ 70, 70, taken }, 3, &err), -1);
	assert_int_equal(err.name, ERR_PID_IN_USE);
	assert_int_equal(last_pids_failed_level(pids), 2);
	err = (struct error){ 0 };
	assert_int_equal(last_pids_check(pids, (const uint32_t[]){ 70, 1u << 22 }, 2, &err), -1);
	assert_int_equal(err.name, ERR_PID_OUT_OF_RANGE);
	assert_int_equal(last_pids_failed_level(pids), 1);
	last_pids_close(pids);
	nest_close(&nest);
}

static void expect_result(int fd, const pid_t *numbers, size_t count, int result, size_t level)
{
	size_t told = 1000;

	assert_int_equal(nestor_set_last_pids(fd, numbers, count, &told), result);
	assert_int_equal(told, level);
}

static void public_interface(void **state)
{
	(void)state;
	nest_need_privileges();
	uint32_t ids[8];
	struct nest nest;

	nest_open(&nest, 3, CLONE_NEWUSER);
	assert_int_equal(nestor_set_last_pids(nest.fd, (pid_t[]){ 70, 80, 90, 100 }, 4, NULL), 0);
	assert_int_equal(nest_next_ids(&nest, ids), 4);
	assert_int_equal(ids[0], 71);
	assert_int_equal(ids[1], 81);
	assert_int_equal(ids[2], 91);
	assert_int_equal(ids[3], 101);
	expect_result(nest.fd, (pid_t[]){ 5, 6, 7, 8, 9 }, 5, -E2BIG, 4);
	expect_result(nest.fd, (pid_t[]){ 5, 6, 7, nest.outermost - 1 }, 4, -EEXIST, 3);
	expect_result(nest.fd, (pid_t[]){ 5, -6 }, 2, -ERANGE, 1);
	expect_result(nest.fd, (pid_t[]){ -1, 6 }, 2, -ERANGE, 0);
	expect_result(nest.fd, (pid_t[]){ 5, 6, INT32_MIN }, 3, -ERANGE, 2);
	expect_result(nest.fd, (pid_t[]){ 5, 6, INT32_MAX }, 3, -ERANGE, 2);
	expect_result(-1, (pid_t[]){ 5 }, 1, -EBADF, 1);
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	expect_result(null, (pid_t[]){ 5 }, 1, -EINVAL, 1);
	close(null);
	nest_close(&nest);
}

static void *call_often(void *data)
{
	const struct nest *nest = data;
	intptr_t failed = 0;

	for (pid_t i = 0; i < 30; i++) {
		int result = nestor_set_last_pids(
			nest->fd, (pid_t[]){ 1000 + i, 2000 + i, 3000 + i }, 3, NULL);
		/* Anybody on the machine may have the next number for a moment. */
		failed += result != 0 && result != -EEXIST;
	}
	return (void *)failed;
}

static void threads_may_call_it(void **state)
{
	(void)state;
	nest_need_privileges();
	enum { THREADS = 4 };
	pthread_t threads[THREADS];
	struct nest nest;
	void *failed;

	nest_open(&nest, 2, CLONE_NEWUSER);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, call_often, &nest), 0);
	for (int i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(threads[i], &failed), 0);
		assert_ptr_equal(failed, NULL);
	}
	nest_close(&nest);
	assert_int_equal(waitpid(-1, NULL, __WALL), -1);
}

/* As sandboxes do that know only clone: ENOSYS for clone3. */
static bool refuse_clone3(void)
{
	struct sock_filter instructions[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = { sizeof instructions / sizeof instructions[0],
					    instructions };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* A program of the number at our own level, which leaves with 0 if it has it. */
static int fork_numbered(uint32_t number)
{
	struct error err = { 0 };
	int own = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC), status;
	const struct ids_wanted wanted = { .pid_namespace_fd = own,
					   .numbers = &number,
					   .count = 1 };
	pid_t pid = fork_with_ids(&wanted, &err);

	if (pid == 0)
		_exit(getpid() != (pid_t)number);
	close(own);
	if (pid != (pid_t)number || waitpid(pid, &status, 0) != pid)
		return 2;
	return status;
}

static void forks_with_ids(void **state)
{
	(void)state;
	nest_need_privileges();
	int status;

	assert_int_equal(fork_numbered(8123), 0);
	pid_t pid = fork();
	if (pid == 0)
		_exit(!refuse_clone3() || fork_numbered(8234) ? 1 : 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void vectors_are_read(void **state)
{
	(void)state;
	static const char *const wrong[] = {
		"",	   ":",	 "7:", ":7",  "7::8", "x",	    "7 ",
		" 7",	   "+7", "-7", "7,8", "1",    "2147483648", "99999999999999999999",
		"7:8:9:10"
	};
	struct error err = { 0 };
	uint32_t numbers[3];

	assert_int_equal(pid_vector_parse("7:44:300", 2, numbers, 3, &err), 3);
	assert_int_equal(numbers[0], 7);
	assert_int_equal(numbers[1], 44);
	assert_int_equal(numbers[2], 300);
	assert_int_equal(pid_vector_parse("2147483647", 2, numbers, 3, &err), 1);
	assert_int_equal(numbers[0], INT32_MAX);
	assert_int_equal(pid_vector_parse("0:0", 0, numbers, 3, &err), 2);
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		err = (struct error){ 0 };
		if (pid_vector_parse(wrong[i], 2, numbers, 3, &err) != -1)
			fail_msg("\"%s\" was taken for a vector", wrong[i]);
		assert_int_equal(err.name, ERR_USAGE);
	}
}

static void expect_closed(const char *path)
{
	struct error err = { 0 };
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_null(last_pids_open(fd, &err));
	assert_int_equal(err.name, ERR_NOT_A_PID_NAMESPACE);
	close(fd);
}

/* A namespace beside one's own cannot be reached. */
static void wrong_namespaces(void **state)
{
	(void)state;
	nest_need_privileges();
	int status;

	expect_closed("/proc/self/ns/uts");
	expect_closed("/dev/null");
	struct nest nest, other;
	nest_open(&nest, 1, 0);
	nest_open(&other, 1, 0);
	setns(other.fd, CLONE_NEWPID);
	pid_t pid = fork();
	if (pid == 0) {
		struct error err = { 0 };
		/* The /proc of the test does for a task below. */
		struct last_pids *pids = last_pids_open(nest.fd, &err);
		_exit(!pids && err.name == ERR_NOT_A_PID_NAMESPACE ? 0 : 1);
	}
	int own = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
	setns(own, CLONE_NEWPID);
	close(own);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	nest_close(&nest);
	nest_close(&other);
}

static int run_cases(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ids_are_as_set),
		cmocka_unit_test(ids_are_as_set_below_user_namespaces),
		cmocka_unit_test(from_inside_a_user_namespace),
		cmocka_unit_test(own_level_alone),
		cmocka_unit_test(rights_that_were_lost),
		cmocka_unit_test(short_vectors_and_zeros),
		cmocka_unit_test(wrong_vectors),
		cmocka_unit_test(taken_numbers),
		cmocka_unit_test(public_interface),
		cmocka_unit_test(threads_may_call_it),
		cmocka_unit_test(forks_with_ids),
		cmocka_unit_test(vectors_are_read),
		cmocka_unit_test(wrong_namespaces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return nest_run(run_cases);
}
