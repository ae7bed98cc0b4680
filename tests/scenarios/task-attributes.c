// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: task-attributes
 * promise: small values of a process and its threads are kept, each thread's own: how it is told of
 *   memory errors, whether it may read the time stamp counter or use CPUID, its NUMA policy,
 * merging of equal pages, the filter of core dumps, the nice value of the session's autogroup
 * flavours: flat three user user-three unprivileged
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mempolicy.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef PR_SET_MEMORY_MERGE
#define PR_SET_MEMORY_MERGE 67
#define PR_GET_MEMORY_MERGE 68
#endif

enum { GET_CPUID = 0x1011, SET_CPUID = 0x1012, NODE_WORDS = 16 };

struct looks {
	int machine_checks, tsc, cpuid, merge, policy;
	unsigned long nodes[NODE_WORDS];
	char filter[64], autogroup[64];
};

static void read_file(const char *name, char text[64])
{
	int fd = open(name, O_RDONLY);
	ssize_t length = fd < 0 ? 0 : read(fd, text, 63);

	text[length < 0 ? 0 : length] = 0;
	if (fd >= 0)
		close(fd);
}

static void write_file(const char *name, const char *text)
{
	int fd = open(name, O_WRONLY);
	ssize_t written;

	/* The autogroup may be told ten times a second, by all who have no privilege. */
	while ((written = write(fd, text, strlen(text))) < 0 && errno == EAGAIN)
		scenario_sleep_ms(10);
	scenario_need(written == (ssize_t)strlen(text), "%s: errno %d", name, errno);
	close(fd);
}

static struct looks look(void)
{
	struct looks looks = { .tsc = -1, .policy = -1 };
	char *number;

	looks.machine_checks = prctl(PR_MCE_KILL_GET, 0, 0, 0, 0);
	prctl(PR_GET_TSC, &looks.tsc);
	looks.cpuid = (int)syscall(SYS_arch_prctl, GET_CPUID, 0);
	looks.merge = prctl(PR_GET_MEMORY_MERGE, 0, 0, 0, 0);
	syscall(SYS_get_mempolicy, &looks.policy, looks.nodes, NODE_WORDS * 64, NULL, 0);
	read_file("/proc/self/coredump_filter", looks.filter);
	read_file("/proc/self/autogroup", looks.autogroup);
	number = strstr(looks.autogroup, " nice");
	if (number)
		memmove(looks.autogroup, number, strlen(number) + 1);
	return looks;
}

static void compare(const char *who, const struct looks *before)
{
	struct looks now = look();

	scenario_check(now.machine_checks == before->machine_checks,
		       "%s: machine checks %d, was %d", who, now.machine_checks,
		       before->machine_checks);
	scenario_check(now.tsc == before->tsc, "%s: counter %d, was %d", who, now.tsc, before->tsc);
	scenario_check(now.cpuid == before->cpuid, "%s: cpuid %d, was %d", who, now.cpuid,
		       before->cpuid);
	scenario_check(now.merge == before->merge, "%s: merging %d, was %d", who, now.merge,
		       before->merge);
	scenario_check(now.policy == before->policy &&
			       !memcmp(now.nodes, before->nodes, sizeof now.nodes),
		       "%s: NUMA policy %d of %lx, was %d of %lx", who, now.policy, now.nodes[0],
		       before->policy, before->nodes[0]);
	scenario_check(!strcmp(now.filter, before->filter), "%s: filter %s, was %s", who,
		       now.filter, before->filter);
	scenario_check(!strcmp(now.autogroup, before->autogroup), "%s: autogroup %s, was %s", who,
		       now.autogroup, before->autogroup);
}

/* Where the processor cannot, or without NUMA, there is nothing to be kept. */
static void set_thread(int machine_checks, int policy)
{
	unsigned long node = 1;

	scenario_need(!prctl(PR_MCE_KILL, PR_MCE_KILL_SET, machine_checks, 0, 0), "PR_MCE_KILL");
	scenario_need(!syscall(SYS_set_mempolicy, policy, &node, 64) || errno == ENOSYS,
		      "set_mempolicy");
}

static uint32_t looked;

static void *body(void *data)
{
	struct looks before;

	set_thread(PR_MCE_KILL_EARLY, MPOL_PREFERRED);
	before = look();
	__atomic_store_n(&looked, 1, __ATOMIC_SEQ_CST);
	scenario_wait_restored();
	compare("thread", &before);
	return data;
}

/* The C library and the vdso read the counter: so a process does nothing with time. */
static int without_counter(void *data)
{
	int tsc = -1;

	(void)data;
	scenario_need(!prctl(PR_SET_TSC, PR_TSC_SIGSEGV), "PR_SET_TSC");
	syscall(SYS_arch_prctl, SET_CPUID, 0);
	int cpuid = (int)syscall(SYS_arch_prctl, GET_CPUID, 0);
	scenario_mark("counter");
	while (!scenario_is_restored())
		nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL);
	prctl(PR_GET_TSC, &tsc);
	scenario_check(tsc == PR_TSC_SIGSEGV, "the time stamp counter may be read again");
	scenario_check(syscall(SYS_arch_prctl, GET_CPUID, 0) == cpuid, "CPUID may be used again");
	return 0;
}

/* A session of its own, with a nice value of its own. */
static int in_session(void *data)
{
	struct looks before;

	(void)data;
	setsid();
	if (access("/proc/self/autogroup", W_OK) == 0)
		write_file("/proc/self/autogroup", "7");
	write_file("/proc/self/coredump_filter", "0x15");
	before = look();
	scenario_mark("session");
	scenario_wait_restored();
	compare("session", &before);
	return 0;
}

int main(int argc, char **argv)
{
	pid_t counter, session;
	struct looks before;
	pthread_t thread;

	scenario_begin(argc, argv);
	write_file("/proc/self/coredump_filter", "0x7f");
	prctl(PR_SET_MEMORY_MERGE, 1, 0, 0, 0);
	set_thread(PR_MCE_KILL_LATE, MPOL_BIND);
	counter = scenario_child(without_counter, NULL);
	session = scenario_child(in_session, NULL);
	scenario_need(!pthread_create(&thread, NULL, body, NULL), "pthread_create");
	while (!__atomic_load_n(&looked, __ATOMIC_SEQ_CST))
		scenario_sleep_ms(1);
	scenario_wait_mark("counter");
	scenario_wait_mark("session");
	before = look();

	scenario_ready();

	compare("first thread", &before);
	pthread_join(thread, NULL);
	scenario_reap(counter);
	scenario_reap(session);
	return scenario_end();
}
