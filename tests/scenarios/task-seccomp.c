// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: task-seccomp
 * promise: seccomp filters hold again after the restore, and nothing was run that they forbid:
 *   a list of allowed calls that kills on anything else, strict mode, chains of filters, a filter
 *   of one thread only, one that was installed with privilege, one that threads have in common,
 *   so that a later one can be for all of them
 * flavours: flat one three user user-three
 * needs: seccomp-filters
 */
#include "scenario.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { GET_METADATA = 0x420d }; /* PTRACE_SECCOMP_GET_METADATA of linux/ptrace.h */

struct shared {
	uint32_t ready, go;
};
static struct shared *shared;
static int strict_pipe[2];

#define LOAD_NR BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))
#define ON(number, action) \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1), BPF_STMT(BPF_RET | BPF_K, action)
#define ANSWER(action) BPF_STMT(BPF_RET | BPF_K, action)

static void install(const struct sock_filter *instructions, size_t count, unsigned flags)
{
	const struct sock_fprog program = { (unsigned short)count,
					    (struct sock_filter *)instructions };

	scenario_need(!syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program), "seccomp");
}

static void wait_for_go(void)
{
	__atomic_add_fetch(&shared->ready, 1, __ATOMIC_SEQ_CST);
	while (!__atomic_load_n(&shared->go, __ATOMIC_SEQ_CST))
		scenario_sleep_ms(2);
}

/* Anything that is not needed to wait and to leave kills. */
static int allow_little(void *data)
{
	const struct sock_filter filter[] = {
		LOAD_NR,
		ON(SYS_clock_nanosleep, SECCOMP_RET_ALLOW),
		ON(SYS_clock_gettime, SECCOMP_RET_ALLOW),
		ON(SYS_restart_syscall, SECCOMP_RET_ALLOW),
		ON(SYS_write, SECCOMP_RET_ALLOW),
		ON(SYS_exit_group, SECCOMP_RET_ALLOW),
		ANSWER(SECCOMP_RET_KILL_PROCESS),
	};

	(void)data;
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	install(filter, sizeof filter / sizeof *filter, 0);
	wait_for_go();
	return 0;
}

/* Two filters on top of each other, the second with a mark, installed with CAP_SYS_ADMIN. */
static int chain(void *data)
{
	const struct sock_filter first[] = { LOAD_NR, ON(SYS_getppid, SECCOMP_RET_ERRNO | EDOM),
					     ANSWER(SECCOMP_RET_ALLOW) };
	const struct sock_filter second[] = { LOAD_NR,
					      ON(SYS_getpgrp, SECCOMP_RET_ERRNO | ERANGE),
					      ON(SYS_prctl, SECCOMP_RET_ERRNO | EACCES),
					      ON(SYS_munmap, SECCOMP_RET_ERRNO | EACCES),
					      ON(SYS_futex, SECCOMP_RET_ERRNO | EACCES),
					      ANSWER(SECCOMP_RET_ALLOW) };

	(void)data;
	install(first, sizeof first / sizeof *first, 0);
	install(second, sizeof second / sizeof *second, SECCOMP_FILTER_FLAG_LOG);
	scenario_need(!setresuid(2001, 2001, 2001), "setresuid");
	wait_for_go();
	scenario_check(syscall(SYS_getppid) < 0 && errno == EDOM, "the first filter is gone");
	scenario_check(syscall(SYS_getpgrp) < 0 && errno == ERANGE, "the second filter is gone");
	scenario_check(getuid() == 2001, "the uid is %d", (int)getuid());
	return 0;
}

/* The kernel shows the marks of filters to a tracer with rights in the initial user namespace. */
static void check_marks(pid_t pid)
{
	int status;

	/* Who has changed ids is not dumpable, and traced with these rights only. */
	if (ptrace(PTRACE_SEIZE, pid, 0, 0) < 0 && errno == EPERM)
		return;
	scenario_check(!ptrace(PTRACE_INTERRUPT, pid, 0, 0) &&
			       waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status),
		       "the chain cannot be traced");
	for (uint64_t i = 0; i < 2; i++) {
		uint64_t metadata[2] = { i };
		long got = syscall(SYS_ptrace, GET_METADATA, pid, sizeof metadata, metadata);
		scenario_check(got < 0 ? errno == EACCES
				       : metadata[1] == (i ? SECCOMP_FILTER_FLAG_LOG : 0),
			       "filter %d has the marks %#jx", (int)i, (uintmax_t)metadata[1]);
	}
	ptrace(PTRACE_DETACH, pid, 0, 0);
}

static void *filtered_thread(void *data)
{
	const struct sock_filter filter[] = { LOAD_NR, ON(SYS_getppid, SECCOMP_RET_ERRNO | EDOM),
					      ANSWER(SECCOMP_RET_ALLOW) };

	(void)data;
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	install(filter, sizeof filter / sizeof *filter, 0);
	wait_for_go();
	scenario_check(syscall(SYS_getppid) < 0 && errno == EDOM, "the thread's filter is gone");
	return NULL;
}

static int in_one_thread(void *data)
{
	pthread_t thread;

	(void)data;
	scenario_need(!pthread_create(&thread, NULL, filtered_thread, NULL), "pthread_create");
	pthread_join(thread, NULL);
	scenario_check(syscall(SYS_getppid) > 0, "the filter of a thread has spread");
	return 0;
}

struct two_threads {
	bool has_own; /* the other one, above the common filter */
	bool later;   /* one for all was tried */
};

static void *other_thread(void *data)
{
	const struct sock_filter own[] = { LOAD_NR, ON(SYS_getpgrp, SECCOMP_RET_ERRNO | ERANGE),
					   ANSWER(SECCOMP_RET_ALLOW) };
	const struct two_threads *two = data;

	if (two->has_own)
		install(own, sizeof own / sizeof *own, 0);
	wait_for_go();
	while (!__atomic_load_n(&two->later, __ATOMIC_SEQ_CST))
		scenario_sleep_ms(2);
	scenario_check((syscall(SYS_getpgrp) < 0) == two->has_own,
		       "the other thread's filters differ");
	bool held = syscall(SYS_getpgid, 0) < 0 && errno == EXDEV;
	scenario_check(held == !two->has_own, "a later filter %s for the other thread",
		       held ? "is" : "is not");
	return NULL;
}

/* Two threads with the same filter, above which one of them has its own, or not. */
static int in_common(void *data)
{
	const struct sock_filter common[] = { LOAD_NR, ON(SYS_getppid, SECCOMP_RET_ERRNO | EDOM),
					      ANSWER(SECCOMP_RET_ALLOW) };
	const struct sock_filter later[] = { LOAD_NR, ON(SYS_getpgid, SECCOMP_RET_ERRNO | EXDEV),
					     ANSWER(SECCOMP_RET_ALLOW) };
	const struct sock_fprog program = { sizeof later / sizeof *later,
					    (struct sock_filter *)later };
	struct two_threads two = { .has_own = data != NULL };
	pthread_t thread;

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	install(common, sizeof common / sizeof *common, 0);
	scenario_need(!pthread_create(&thread, NULL, other_thread, &two), "pthread_create");
	wait_for_go();
	scenario_check(syscall(SYS_getppid) < 0 && errno == EDOM, "the common filter is gone");
	scenario_check(syscall(SYS_getpgrp) >= 0, "the filter of a thread has spread");
	long refused =
		syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program);
	scenario_check(two.has_own ? refused > 0 : refused == 0, "a later filter for all: %ld",
		       refused);
	__atomic_store_n(&two.later, true, __ATOMIC_SEQ_CST);
	pthread_join(thread, NULL);
	return 0;
}

/* read, write, exit and sigreturn are all it may do. */
static int strict(void *data)
{
	char byte;

	(void)data;
	prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
	__atomic_add_fetch(&shared->ready, 1, __ATOMIC_SEQ_CST);
	long got = syscall(SYS_read, strict_pipe[0], &byte, 1);
	syscall(SYS_exit, got == 1 && byte == 's' ? 0 : 1);
	return 1;
}

int main(int argc, char **argv)
{
	int (*const bodies[])(void *) = { allow_little, chain,	   in_one_thread,
					  strict,	in_common, in_common };
	enum { CHILDREN = sizeof bodies / sizeof *bodies, TWO_MORE = 2 };
	pid_t children[CHILDREN];

	scenario_begin(argc, argv);
	shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	scenario_need(shared != MAP_FAILED && !pipe(strict_pipe), "setting up");
	for (size_t i = 0; i < CHILDREN; i++)
		children[i] = scenario_child(bodies[i], i + 1 == CHILDREN ? shared : NULL);
	while (__atomic_load_n(&shared->ready, __ATOMIC_SEQ_CST) < CHILDREN + TWO_MORE)
		scenario_sleep_ms(1);

	scenario_ready();

	check_marks(children[1]);
	__atomic_store_n(&shared->go, 1, __ATOMIC_SEQ_CST);
	scenario_check(write(strict_pipe[1], "s", 1) == 1, "write");
	for (size_t i = 0; i < CHILDREN; i++)
		scenario_reap(children[i]);
	return scenario_end();
}
