// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What is asked of threads while no descriptor is left: threads that are the kernel's own are not
 * taken for those of the program. And what is read of tasks that end meanwhile: the kernel refuses
 * their links (EACCES), which is not to be taken for a lack of rights.
 */
#include "collect/thread-state.h"

#include "base/cleanup.h"
#include "collect/collect.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void a_thread_of_a_program_is_no_worker(void **state)
{
	struct error err = { 0 };

	(void)state;
	assert_int_equal(thread_is_kernel_worker(getpid(), getpid(), &err), 0);
	assert_int_equal(err.name, ERR_NONE);
}

static void one_that_is_gone_is_none(void **state)
{
	struct error err = { 0 };

	(void)state;
	/* Above every pid_max. */
	assert_int_equal(thread_is_kernel_worker(getpid(), 1 << 23, &err), 0);
	assert_int_equal(err.name, ERR_NONE);
}

static void without_descriptors_nobody_can_tell(void **state)
{
	struct error err = { 0 };
	struct rlimit before;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	const struct rlimit none = { 0, before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	int worker = thread_is_kernel_worker(getpid(), getpid(), &err);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(worker, -1);
	assert_int_equal(err.name, ERR_LIMIT_TOO_LOW);
}

/* Of whom nobody knows, all are to be expected. */
static void one_capability_is_enough(void **state)
{
	CredsEntry creds = CREDS_ENTRY__INIT;
	ThreadCoreEntry core = THREAD_CORE_ENTRY__INIT;
	CoreEntry entry = CORE_ENTRY__INIT, *threads[] = { &entry };
	struct task task = { .threads = threads, .n_threads = 1 };
	const struct target target = { .task = &task };
	uint32_t words[] = { 0, 0 };

	(void)state;
	entry.thread_core = &core;
	assert_true(target_has_capabilities(&target));
	core.creds = &creds;
	creds.cap_prm = words;
	creds.n_cap_prm = 2;
	assert_false(target_has_capabilities(&target));
	words[1] = 1;
	assert_true(target_has_capabilities(&target));
}

/* ---- tasks that end ---- */

#define LINK	       "ns/uts"
#define LINK_OF_NOBODY "task/8388608/ns/uts" /* above every pid_max */

/* What happens between the look-up of a link and its use. */
static enum { NOTHING, REFUSED, BECOMES_ZOMBIE, IS_REAPED } meanwhile;
static pid_t child;

static void end_child(bool reap)
{
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(
		waitid(P_PID, (id_t)child, &(siginfo_t){ 0 }, WEXITED | (reap ? 0 : WNOWAIT)), 0);
}

/* Instead of libc's, for nestor's code too. */
ssize_t readlinkat(int directory, const char *restrict path, char *restrict buffer, size_t size)
{
	autoclose int link = (int)syscall(SYS_openat, directory, path, O_PATH | O_NOFOLLOW);

	if (meanwhile > REFUSED)
		end_child(meanwhile == IS_REAPED);
	if (meanwhile == IS_REAPED || meanwhile == NOTHING)
		return syscall(SYS_readlinkat, link, "", buffer, size);
	errno = EACCES;
	return -1;
}

int fstatat(int directory, const char *restrict path, struct stat *restrict attributes, int flags)
{
	if (meanwhile == NOTHING)
		return (int)syscall(SYS_newfstatat, directory, path, attributes, flags);
	if (meanwhile > REFUSED)
		end_child(meanwhile == IS_REAPED);
	errno = EACCES;
	return -1;
}

/* Without a mode: nobody creates anything here. */
int openat(int directory, const char *path, int flags, ...)
{
	if (meanwhile == NOTHING || !strstr(path, LINK))
		return (int)syscall(SYS_openat, directory, path, flags);
	if (meanwhile > REFUSED)
		end_child(meanwhile == IS_REAPED);
	errno = EACCES;
	return -1;
}

/* What it becomes of flags that are no constant, by _FORTIFY_SOURCE. */
int __openat64_2(int directory, const char *path, int flags);
int __openat64_2(int directory, const char *path, int flags)
{
	return openat(directory, path, flags);
}

static ssize_t link_of(const struct target *target, const char *name)
{
	char text[64];

	return target_link(target, name, text, sizeof text);
}

static ssize_t look_of(const struct target *target, const char *name)
{
	struct stat stat;

	return target_look(target, name, &stat);
}

static ssize_t open_of(const struct target *target, const char *name)
{
	return target_open(target, name, O_RDONLY);
}

static ssize_t text_of(const struct target *target, const char *name)
{
	char *text;

	return target_text(target, name, &text);
}

/* The errno of reading a link of a child to which that happens meanwhile; 0: it is read. */
static int error_of(ssize_t (*ask)(const struct target *, const char *), const char *name,
		    int what_happens, bool was_zombie)
{
	struct collect collect = { .first_thread = pthread_self() };

	child = fork();
	if (child == 0) {
		pause();
		_exit(0);
	}
	const struct target target = {
		.collect = &collect, .pid = child, .tid = child, .zombie = was_zombie
	};
	meanwhile = what_happens;
	int error = ask(&target, name) < 0 ? errno : 0;
	meanwhile = NOTHING;
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	return error;
}

static void one_that_is_gone_has_not_refused(void **state)
{
	(void)state;
	assert_int_equal(error_of(link_of, LINK, NOTHING, false), 0);
	assert_int_equal(error_of(link_of, LINK, REFUSED, false), EACCES);
	assert_int_equal(error_of(link_of, LINK, IS_REAPED, false), ESRCH);
	assert_int_equal(error_of(look_of, LINK, IS_REAPED, false), ESRCH);
	assert_int_equal(error_of(open_of, LINK, IS_REAPED, false), ESRCH);
	assert_int_equal(error_of(text_of, LINK, IS_REAPED, false), ESRCH);
}

static void a_zombie_has_refused_if_it_was_one_before(void **state)
{
	(void)state;
	assert_int_equal(error_of(link_of, LINK, BECOMES_ZOMBIE, false), ESRCH);
	assert_int_equal(error_of(link_of, LINK, BECOMES_ZOMBIE, true), EACCES);
	assert_int_equal(error_of(link_of, LINK, IS_REAPED, true), ESRCH);
}

static void a_thread_is_looked_for_by_its_own_number(void **state)
{
	(void)state;
	assert_int_equal(error_of(link_of, LINK_OF_NOBODY, REFUSED, false), ESRCH);
}

/* As the kernel has it: without what is above this would be a lack of rights. */
static void the_kernel_refuses_links_of_who_is_gone(void **state)
{
	char path[64], text[64];

	(void)state;
	child = fork();
	if (child == 0) {
		pause();
		_exit(0);
	}
	snprintf(path, sizeof path, "/proc/%d/" LINK, child);
	meanwhile = IS_REAPED;
	ssize_t length = readlinkat(AT_FDCWD, path, text, sizeof text);
	int error = errno;
	meanwhile = NOTHING;
	assert_int_equal(length, -1);
	assert_int_equal(error, EACCES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_thread_of_a_program_is_no_worker),
		cmocka_unit_test(one_that_is_gone_is_none),
		cmocka_unit_test(without_descriptors_nobody_can_tell),
		cmocka_unit_test(one_capability_is_enough),
		cmocka_unit_test(the_kernel_refuses_links_of_who_is_gone),
		cmocka_unit_test(one_that_is_gone_has_not_refused),
		cmocka_unit_test(a_zombie_has_refused_if_it_was_one_before),
		cmocka_unit_test(a_thread_is_looked_for_by_its_own_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
